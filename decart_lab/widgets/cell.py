"""Which cell runs, so that running it again can find what it began."""

from __future__ import annotations

from typing import Any


def cell_id() -> str | None:
    """Return the id of the cell that is being run; None outside notebooks that tell it."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    try:
        parent: Any = kernel.get_parent("shell")  # type: ignore[union-attr]
        found = parent["metadata"]["cellId"]
    except (AttributeError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None
