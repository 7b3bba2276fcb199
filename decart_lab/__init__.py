"""decart_lab: sweeps and live previews for Decart's generative video and image API.

Only names live here, and each is imported when it is first used, so that ``import decart_lab``
costs next to nothing. Start with ``decart_lab.connect()``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .contract.models import ModelDefinition, models

_WHERE: dict[str, str] = {
    "ModelDefinition": ".contract.models",
    "models": ".contract.models",
}
"""Public name: the module that defines it. Everything in ``__all__`` and nothing else."""

__all__ = ["ModelDefinition", "models"]


def __getattr__(name: str) -> Any:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(module, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
