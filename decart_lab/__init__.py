"""decart_lab: sweeps and live previews for Decart's generative video and image API.

Only names live here, and each is imported when it is first used, so that ``import decart_lab``
costs next to nothing. Start with ``decart_lab.connect()``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import errors
    from ._log import create_console_logger, noop_logger
    from ._nesting import allow_asyncio_run
    from .api.client import DecartClient, create_decart_client
    from .contract.models import ModelDefinition, models
    from .emulator import emulator
    from .errors import (
        AuthError,
        DecartSDKError,
        InvalidAPIKeyError,
        InvalidInputError,
        JobFailedError,
        MediaError,
        ModelNotFoundError,
        NetworkError,
        RateLimitError,
    )
    from .lab.check import check
    from .lab.connect import connect
    from .lab.lab import Lab
    from .lab.opening import open_run
    from .lab.run import Run
    from .lab.session import sessions, stop_all
    from .lab.sweep import Sweep
    from .media.media import Media
    from .realtime.presets import Preset, delete_preset, list_presets, load_preset, save_preset
    from .sweep.axes import inputs
    from .sweep.template import template

    __version__: str

_WHERE: dict[str, str] = {
    "AuthError": ".errors",
    "DecartClient": ".api.client",
    "DecartSDKError": ".errors",
    "InvalidAPIKeyError": ".errors",
    "InvalidInputError": ".errors",
    "JobFailedError": ".errors",
    "Lab": ".lab.lab",
    "Media": ".media.media",
    "MediaError": ".errors",
    "ModelDefinition": ".contract.models",
    "ModelNotFoundError": ".errors",
    "NetworkError": ".errors",
    "Preset": ".realtime.presets",
    "RateLimitError": ".errors",
    "Run": ".lab.run",
    "Sweep": ".lab.sweep",
    "allow_asyncio_run": "._nesting",
    "check": ".lab.check",
    "connect": ".lab.connect",
    "create_console_logger": "._log",
    "create_decart_client": ".api.client",
    "delete_preset": ".realtime.presets",
    "emulator": "",
    "errors": "",
    "inputs": ".sweep.axes",
    "list_presets": ".realtime.presets",
    "load_preset": ".realtime.presets",
    "models": ".contract.models",
    "noop_logger": "._log",
    "open_run": ".lab.opening",
    "save_preset": ".realtime.presets",
    "sessions": ".lab.session",
    "stop_all": ".lab.session",
    "template": ".sweep.template",
}
"""Public name: the module that defines it, or "" for a module that is public itself."""

__all__ = [
    "AuthError",
    "DecartClient",
    "DecartSDKError",
    "InvalidAPIKeyError",
    "InvalidInputError",
    "JobFailedError",
    "Lab",
    "Media",
    "MediaError",
    "ModelDefinition",
    "ModelNotFoundError",
    "NetworkError",
    "Preset",
    "RateLimitError",
    "Run",
    "Sweep",
    "allow_asyncio_run",
    "check",
    "connect",
    "create_console_logger",
    "create_decart_client",
    "delete_preset",
    "emulator",
    "errors",
    "inputs",
    "list_presets",
    "load_preset",
    "models",
    "noop_logger",
    "open_run",
    "save_preset",
    "sessions",
    "stop_all",
    "template",
]


def load_ipython_extension(shell: Any) -> None:
    """Add the magics; what ``%load_ext decart_lab`` calls."""
    from .magics import load_ipython_extension as load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics out again; what ``%unload_ext decart_lab`` calls."""
    from .magics import unload_ipython_extension as unload

    unload(shell)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from .config import version

        value: Any = version()
    elif name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    elif module := _WHERE[name]:
        value = getattr(importlib.import_module(module, __name__), name)
    else:
        value = importlib.import_module(f".{name}", __name__)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
