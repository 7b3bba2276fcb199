"""``allow_asyncio_run()``: documented ``asyncio.run(main())`` snippets run inside a cell.

The only place where the event loop is patched, and only when the user asks. Nothing else in the
package needs it: the sync face has a loop of its own, and cells can ``await``. On ipykernel 7 a
patched loop loses widget events while such a call runs, so it is no foundation.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import Final

from .errors import DecartSDKError

_LIBRARIES: Final = ("nest_asyncio2", "nest_asyncio")
"""In order of preference: the maintained fork, then the archived original."""


def allow_asyncio_run() -> None:
    """Let ``asyncio.run(main())`` work in a cell; prints one line saying what was done.

    Outside a running event loop nothing needs to be done, and nothing is. A loop that is already
    patched is left as it is.

    Raises
    ------
    DecartSDKError
        The loop cannot be patched (uvloop), or no library to do it is installed.

    Examples
    --------
    >>> allow_asyncio_run()
    No event loop is running here: asyncio.run() works as it is.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        print("No event loop is running here: asyncio.run() works as it is.")
        return
    if hasattr(loop, "_nest_patched"):
        print("asyncio.run() is already allowed in cells.")
        return
    for name in _LIBRARIES:
        try:
            library = importlib.import_module(name)
        except ImportError:
            continue
        _apply(library, name, loop)
        print(f"asyncio.run() is now allowed in cells, through {name}.")
        return
    raise DecartSDKError(
        "Neither nest_asyncio2 nor nest_asyncio is installed.",
        hint="Write await main() instead of asyncio.run(main()), or %pip install nest-asyncio2.",
    )


def _apply(library: object, name: str, loop: asyncio.AbstractEventLoop) -> None:
    try:
        library.apply(loop)  # type: ignore[attr-defined]  # a module of either library
    except ValueError as error:
        raise DecartSDKError(
            f"{name} cannot patch this event loop ({type(loop).__module__}.{type(loop).__name__}).",
            hint="Write await main() instead of asyncio.run(main()); the sync face works anyway.",
        ) from error
