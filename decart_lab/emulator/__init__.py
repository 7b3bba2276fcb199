"""Decart in a box: an emulator of the API, with real media work and no network.

``decart_lab.emulator`` is this package and, called, the function of the same name: importing a
submodule would otherwise put the package where notebooks expect the function.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server import Emulator, emulator

__all__ = ["Emulator", "emulator"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import server

    return getattr(server, name)


class _Callable(ModuleType):
    """The package, which can be called like the function it is named after."""

    def __call__(self, *args: Any, **kwargs: Any) -> Emulator:
        from .server import emulator

        return emulator(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
