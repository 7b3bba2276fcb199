"""``lab.live`` with the browser's own camera, microphone or screen: the media is in the page.

What belongs here: which page holds the connection, and what is asked of it. The page and the
service exchange media directly, whatever cells run; signaling, prompts and the bill stay here.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from .._engine import engine
from ..errors import InvalidInputError, WebRTCError
from ..media.media import Media
from .live import FEATURES, PAGE_SOURCES, Live
from .offers import name_of

if TYPE_CHECKING:
    from pathlib import Path

    from ..realtime.browser import PagePeers
    from ..realtime.pagereel import PageReel
    from ..realtime.session import Session

GRAB_S: Final = 10.0
_LARGEST: Final = 20_000_000


class PageLive(Live):
    """A live session whose media a page sends and shows.

    It begins when its first view is there; a screen is chosen with the Start button, since browsers
    ask for a press before they share one.
    """

    _pages: PagePeers
    _waiting = True
    _holder: str | None = None
    _reel: PageReel | None = None

    def __init__(self, *args: Any, **keywords: Any) -> None:
        self._grabs: dict[str, Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._sending = ""
        super().__init__(*args, **keywords)

    @property
    def path(self) -> str:
        """Where the media is."""
        return "browser"

    @property
    def features(self) -> Sequence[str]:
        """What the view offers."""
        return list(dict.fromkeys((*FEATURES, "source")))

    @property
    def sources(self) -> Sequence[str]:
        """What the page may send."""
        return PAGE_SOURCES

    @property
    def source_label(self) -> str:
        """What is sent, in a word."""
        return self._sending or super().source_label

    def begin(self) -> Self:
        """Wait for a view; the first one starts it."""
        return self

    def start(self) -> Self:
        """Begin, in the page whose view holds the session; see :meth:`Live.start`."""
        try:
            return super().start()
        except BaseException:
            self._tell_page({"op": "close", "gen": None})  # its camera may be on already
            raise

    def pressed(self, view: str) -> None:
        """Take it that Start was pressed in a view: its page has opened the camera."""
        if not self.running:
            self._waiting = False
            self._holder = view

    def opened(self, view: str) -> None:
        """Start with the first view, in its page."""
        if self._waiting and self._source != "screen":
            self._waiting = False
            self._holder = view
            self._desk.serve(self.start)
        elif self._holder is None or self._holder not in self._desk.view.views:
            self._holder = view

    def heard(self, content: Mapping[str, Any]) -> None:
        """Take what the page says of its connection, a picture, or a slice of its recording."""
        kind = content.get("kind")
        if kind == "snapshot":
            self._grabbed(content)
        elif kind == "slice":
            if self._reel is not None:
                self._reel.heard(content)
        else:
            self._pages.heard(content)

    def sends_now(self, name: str) -> None:
        """Take it that the page sends something else."""
        self._sending = name

    def set_source(self, source: Any) -> NoReturn:
        """Refuse: the page's user chooses what it sends.

        Raises
        ------
        InvalidInputError
            Always.
        """
        raise InvalidInputError(
            f"What the page sends is chosen in its Source menu, not set to {name_of(source)!r}.",
            field="source",
            hint="For a source of the kernel, open a session with lab.live(source=...).",
        )

    def picture(self) -> Future[Any]:
        """Ask the page for the picture it shows, as an array."""
        number = str(next(self._numbers))
        coming: Future[Any] = Future()
        self._grabs[number] = coming
        self._desk.view.tell("grab", {"id": number, "of": "output", "quality": 0.8})
        return coming

    def drawn(self) -> Mapping[str, Any]:
        """Return what the page measures of its own drawing."""
        peer = self._pages.peer
        if peer is None:
            return {}
        return {"fps_drawn": peer.figures.get("drawn_fps"), "mode": "page"}

    def snapshot(self) -> Media:
        """Return the picture that the page shows."""
        try:
            pixels = self.picture().result(GRAB_S)
        except TimeoutError:
            raise WebRTCError(
                f"The page gave no picture within {GRAB_S:.0f} seconds.",
                hint="Show the live view; a page that is hidden draws nothing.",
            ) from None
        return Media.of(pixels)

    def record(self, path: Any = None, *, input: bool = False) -> Path:  # noqa: A002 - as there
        """Have the page record what it shows, and write it here; return the file's path.

        The page encodes the pictures once more, and chooses the container: MP4 with H.264 where it
        can, else WebM, and the ending of the file follows. A page that is left, and a connection
        that comes back, begin another file. Prompts become a .vtt file beside it.

        Parameters
        ----------
        path : path, optional
            A file name; by default one in the folder ``decart_live``.
        input : bool, default False
            Not possible here.

        Raises
        ------
        InvalidInputError
            ``input`` is asked for: what the page sends does not come here. Or the session is being
            recorded already.
        SessionClosedError
            The session is over.
        """
        from ..realtime.pagereel import PageReel

        if input:
            raise InvalidInputError(
                "What the page sends goes to the service, and cannot be recorded beside it.",
                field="input",
                hint='Use a source of the kernel, such as a file or "camera:0", to record both.',
            )
        reel = PageReel(self._file(".mp4") if path is None else path, self._tell_recorder)
        before, self._reel = self._reel, reel  # now: the page may answer at once
        try:
            engine().run(self._do, self._session.record_in_page, reel)
        except BaseException:
            self._reel = before
            raise
        return reel.path

    async def _prepare(self) -> Session:
        from ..realtime.browser import PagePeers
        from ..realtime.connect import prepare

        wishes = {"source": self._source, "size": list(self.size), "fps": self.fps, "audio": True}
        self._pages = PagePeers(self._tell_page, wishes)
        return await prepare(
            self._realtime.service, None, elsewhere=self._pages.make, **self._options
        )

    def _tell_page(self, content: Mapping[str, Any]) -> None:
        self._desk.view.tell("rtc", {"v": self._holder, **content})

    def _tell_recorder(self, content: Mapping[str, Any]) -> None:
        self._desk.view.tell("recorder", {"v": self._holder, **content})

    def _grabbed(self, content: Mapping[str, Any]) -> None:
        from PIL import Image, UnidentifiedImageError

        coming = self._grabs.pop(str(content.get("id")), None)
        data = bytes(content["buffers"][0])
        if coming is None:
            if len(data) <= _LARGEST:
                self._desk.serve(self._keep, data)
            return
        import numpy as np

        try:
            with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
                pixels = np.asarray(picture.convert("RGB"))
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            coming.set_exception(WebRTCError(f"The page's picture cannot be read: {error}"))
        else:
            if coming.set_running_or_notify_cancel():
                coming.set_result(pixels)

    def _keep(self, data: bytes) -> None:
        self._desk.note = f"Kept as {Media.of(data).save(self._file('.jpg'))}."
