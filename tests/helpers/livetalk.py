"""A page of a live session, without a browser: what it says to the kernel, and what it is told."""

from __future__ import annotations

from typing import Any


def say(live: Any, kind: str, buffers: Any = (), **content: Any) -> None:
    """Speak as a page would."""
    live.view._handle_custom_msg({"kind": kind, **content}, list(buffers))


def open_view(live: Any, view: str = "v1", **caps: Any) -> None:
    """Say that a view is there, and what its page can do."""
    say(live, "ready", view=view, protocol=1, caps=caps)


def told(live: Any) -> Any:
    """Return how everything stands, as the page is told."""
    return live._desk.mirror()


def listen(live: Any) -> list[tuple[dict[str, Any], list[bytes]]]:
    """Return a list that fills with what the page is told from now on, and the bytes beside it."""
    heard: list[tuple[dict[str, Any], list[bytes]]] = []

    def publish(_: str, data: Any = None, buffers: Any = None, **__: Any) -> None:
        if (data or {}).get("method") == "custom":
            heard.append((data["content"], [bytes(one) for one in buffers or ()]))

    live.view.comm.publish_msg = publish
    return heard
