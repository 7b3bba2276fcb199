"""``lab.view``: somebody else's session, watched; it cannot be changed, or ended, from here.

What belongs here: what a viewer lacks. That it is shown, recorded and told of like a session of
one's own is :mod:`.live`'s and :mod:`.desk`'s. A viewer is not billed: who runs the session is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ..config import Secret
from ..errors import InvalidInputError
from .live import Live
from .reopening import found, remember

if TYPE_CHECKING:
    from ..api.realtime import Realtime
    from ..realtime.session import Session

FEATURES: Final = ("snapshot", "record")
SIZE: Final = (1280, 720)
FPS: Final = 25.0
"""What is supposed of a stream until its first frames are there."""


class Viewer(Live):
    """A view of somebody else's session; made by ``lab.view``.

    It ends with its page, its widget or :meth:`end`; the session that is watched goes on.

    Parameters
    ----------
    realtime : Realtime
        Where it is joined.
    token : str
        The session's ``subscribe_token``.
    """

    def __init__(self, realtime: Realtime, token: str) -> None:
        self._token = Secret(token)
        super().__init__(realtime, None, {})

    def watches(self, token: str) -> bool:
        """Return whether it is that token's session that is watched."""
        return self._token.reveal() == token

    @property
    def watching(self) -> bool:
        """Whether this is somebody else's session: it is."""
        return True

    @property
    def model(self) -> str:
        """The model, where the service tells viewers; else ""."""
        return self._session.model

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what is supposed to come, in pixels."""
        return SIZE

    @property
    def fps(self) -> float:
        """Frames a second that are supposed to come."""
        return FPS

    @property
    def features(self) -> Sequence[str]:
        """What the view offers."""
        return FEATURES

    @property
    def sources(self) -> Sequence[str]:
        """None: nothing is sent."""
        return ()

    @property
    def source_label(self) -> str:
        """Nothing: nothing is sent."""
        return ""

    def wish(self, **_: Any) -> NoReturn:
        """Refuse; see :meth:`set`."""
        self._refuse()

    def set(self, **_: Any) -> NoReturn:
        """Refuse.

        Raises
        ------
        InvalidInputError
            Always.
        """
        self._refuse()

    def set_source(self, _: Any) -> NoReturn:
        """Refuse; see :meth:`set`."""
        self._refuse()

    def choose_model(self, _: str) -> NoReturn:
        """Refuse; see :meth:`set`."""
        self._refuse()

    def mute(self, _: bool = True) -> NoReturn:
        """Refuse; see :meth:`set`."""
        self._refuse()

    def __repr__(self) -> str:
        why = f" ({self.reason})" if self.over else ""
        return f"<Viewer: {self.state}{why}{', simulated' if self.simulated else ''}>"

    async def _prepare(self) -> Session:
        from ..realtime.connect import prepare_viewer

        return await prepare_viewer(self._realtime.service, self._token.reveal())

    def _refuse(self) -> NoReturn:
        raise InvalidInputError(
            "A viewer cannot change what a session shows or sends.",
            hint="Ask whoever runs it, or open one of your own with lab.live(...).",
        )


def open_viewer(realtime: Realtime, token: str, *, name: str) -> Viewer:
    """Join a session as a viewer, or return the view of it that this cell opened before."""
    before = found(name)
    if before is not None and before.running:
        if isinstance(before, Viewer) and before.watches(token):
            return before
        before.end()
    viewer = Viewer(realtime, token)
    viewer.start()
    remember(name, viewer)
    return viewer
