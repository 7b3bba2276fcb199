"""Paint the frames of a realtime session, with looks that can be changed while they run.

What belongs here: one session's wish (prompt and picture), and the change from one to the next: a
new one is prepared beside the running graphs, on a thread of its own, and takes over between two
frames. Looks are the rows of :mod:`.looks`, as for clips. Threads that frames travel through are in
:mod:`.studio`; connections are in :mod:`.peer`.
"""

from __future__ import annotations

import math
import time
from concurrent.futures import Future
from dataclasses import replace
from fractions import Fraction
from threading import Condition, Lock, Thread
from typing import Final

import av
from PIL import Image

from ..contract.models import find
from ..media import marker
from .avatar import AVATAR_MODELS, Avatar
from .chain import Chain, Wish
from .corner import CornerMark, copy_corner
from .prompts import effective_prompt
from .style import Style


class Same:
    """The wish to leave something as it is, where None means to clear it."""

    def __repr__(self) -> str:
        return "SAME"


SAME: Final = Same()

_RATE: Final = 30  # of a model that is not in the registry
_UNDECIDED: Final = 0  # FFmpeg's AV_PICTURE_TYPE_NONE
_MARKER_LINGERS: Final = 50
"""So many frames without a readable marker still get their corner back: one may be damaged."""
_SHARE: Final = 0.1  # of the newest frame in the running mean of the cost


class LivePainter:
    """Repaints frames one by one as the latest prompt and picture ask.

    Parameters
    ----------
    model : str
        Id of a realtime model. The avatar models take the picture for the one who speaks, all
        others take its palette; a try-on model in the middle of the frame only.
    size : (int, int), optional
        Width and height of an avatar's frames; the model's by default. Other models answer at
        the size they receive.
    prompt : str or None
        The words; with neither words nor picture frames come back unchanged, but for the mark.
    image : PIL.Image.Image, optional
        The reference picture.
    enhance : bool
        Whether a sentence is added to the words.
    seed : int
        Varies the texture.
    mark : bool
        Whether SIMULATED is written into a corner of every frame.

    Attributes
    ----------
    is_avatar : bool
        Whether frames come from sound, by :meth:`speaking`, and not from a camera.
    fps : int
        Frames per second of the model.
    paint_ms : float
        Running mean of the processor time per frame, in milliseconds; NaN before the first.
    note : str
        Written beside the mark, such as how many frames are left out; "" for nothing.
    """

    def __init__(
        self,
        model: str,
        size: tuple[int, int] | None = None,
        prompt: str | None = "",
        image: Image.Image | None = None,
        enhance: bool = True,
        *,
        seed: int = 0,
        mark: bool = True,
    ) -> None:
        spec = find(model, "realtime")
        self.model = spec.canonical if spec else model
        self.fps = spec.fps if spec else _RATE
        self.is_avatar = model in AVATAR_MODELS
        self.paint_ms = math.nan
        self.note = ""
        self._size = size or ((spec.width, spec.height) if spec else (1280, 720))
        self._seed = seed
        self._mark = CornerMark() if mark else None
        self._turn = Condition()  # guards what follows; notified by the first frame and the end
        self._wish = Wish(prompt or "", image, enhance)
        self._waiting: list[Future[None]] = []
        self._preparing = False
        self._stale = False  # the graphs were made for another light
        self._chain: Chain | None = None
        self._avatar: Avatar | None = None
        self._last: av.VideoFrame | None = None
        self._closed = False
        self._sample: av.VideoFrame | None = None  # the preparer's own
        self._brush = Lock()  # two peers of one session may follow each other closely
        self._unmarked = _MARKER_LINGERS  # guarded by the brush

    def change(
        self,
        *,
        prompt: str | Same | None = SAME,
        image: Image.Image | Same | None = SAME,
        enhance: bool | Same = SAME,
    ) -> Future[None]:
        """Ask for other words or another picture; None clears them. Never blocks; any thread.

        Returns
        -------
        Future
            Done when the next frame to be painted shows the change, or a later one that replaced
            it; it holds the error if that picture cannot be painted, and all stays as it was.
        """
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()  # who stops waiting does not stop the change
        with self._turn:
            wish = self._wish
            if not isinstance(prompt, Same):
                wish = replace(wish, prompt=prompt or "")
            if not isinstance(image, Same):
                wish = replace(wish, image=image)
            if not isinstance(enhance, Same):
                wish = replace(wish, enhance=enhance)
            self._wish = wish
            if self._chain is None or self._closed:
                done.set_result(None)  # nothing is painted yet: the first frame will show it
                return done
            self._waiting.append(done)
            self._start_preparing()
        return done

    def paint(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Repaint one frame, which becomes the painter's.

        Returns
        -------
        av.VideoFrame
            yuv420p, of the same size and time, with the corner of a pixel marker as it was.
        """
        with self._brush:
            return self._painted(frame)

    def _painted(self, frame: av.VideoFrame) -> av.VideoFrame:
        begun = time.thread_time()
        chain = self._chain_for(frame)
        pts, time_base = frame.pts, frame.time_base
        painted = chain.paint(frame)
        self._restore_marker(frame, painted)
        if self._mark is not None:
            self._mark.draw(painted, self.note)
        if time_base is not None:
            painted.pts, painted.time_base = pts, time_base
        # Else the encoder would repeat the sender's choice of key frames.
        painted.pict_type = _UNDECIDED
        stale = chain.stale(frame)
        with self._turn:
            self._last = frame
            if stale and chain is self._chain and not self._closed:
                self._stale = True
                self._start_preparing()
            self._turn.notify_all()
        cost = (time.thread_time() - begun) * 1000
        self.paint_ms += (cost - self.paint_ms) * _SHARE
        if math.isnan(self.paint_ms):
            self.paint_ms = cost
        return painted

    def speak(self, loudness: float) -> av.VideoFrame:
        """Draw the avatar as it looks at a loudness, 0 to 1, ready to be painted."""
        with self._turn:
            avatar, image = self._avatar, self._wish.image
        if avatar is None:
            avatar = Avatar(self._size, image, self._seed)
            with self._turn:
                # A picture that came meanwhile is a change like any other.
                self._avatar = self._avatar or avatar
        return avatar.frame(loudness)

    def close(self) -> None:
        """Let go of graphs, pictures and frames; changes that wait count as done. Idempotent.

        To be called when nothing is painted any more. FFmpeg's memory is large and nothing that
        Python's collector knows of, so it is not left to that.
        """
        with self._turn:
            self._closed = True
            self._chain = self._avatar = self._last = self._sample = None
            self._wish = Wish("", None, enhance=False)
            self._turn.notify_all()

    def _chain_for(self, frame: av.VideoFrame) -> Chain:
        """Return the running graphs; build them where there are none for frames of this shape."""
        while True:
            with self._turn:
                chain = self._chain
                # A wish that is being prepared waits for its turn, even if the size changes.
                wish = self._wish if chain is None else chain.wish
            if chain is not None and chain.fits(frame):
                return chain
            built = self._build(wish, frame)
            with self._turn:
                if self._chain is chain and (chain is not None or self._wish is wish):
                    self._chain = built

    def _start_preparing(self) -> None:
        if not self._preparing:
            self._preparing = True
            Thread(target=self._prepare, name="emulator-prepare", daemon=True).start()

    def _prepare(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._closed or self._sample or self._last)
                waiting, self._waiting = self._waiting, []
                stale, self._stale = self._stale, False
                if self._closed or not (waiting or stale):
                    self._preparing = False
                    break
                wish = self._wish
                if self._last is not None:
                    self._sample, self._last = self._last, None
                sample = self._sample
                running, avatar = self._chain, self._avatar
            assert sample is not None
            assert running is not None
            try:
                if self.is_avatar and wish.image is not running.wish.image:
                    avatar = Avatar(self._size, wish.image, self._seed)
                    sample = avatar.frame(0.0)
                chain = self._build(wish, sample)
                chain.paint(sample)  # its stills are drawn now, and not while a frame waits
            except Exception as error:  # noqa: BLE001 - it belongs to those who asked
                with self._turn:
                    if self._wish is wish:
                        self._wish = running.wish
                for future in waiting:
                    future.set_exception(error)
                continue
            with self._turn:
                if not self._closed:
                    self._chain, self._avatar = chain, avatar
            for future in waiting:
                future.set_result(None)
        for future in waiting:
            future.set_result(None)

    def _build(self, wish: Wish, frame: av.VideoFrame) -> Chain:
        rate = Fraction(self.fps)
        reference = None if self.is_avatar else wish.image
        if not wish.prompt.strip() and reference is None:
            return Chain(wish, None, frame, rate)
        prompt = effective_prompt(wish.prompt, wish.enhance, self._seed)
        style = Style.of(prompt, self._seed, self.model, reference, centred="vton" in self.model)
        return Chain(wish, style.recipe(frame, (frame.width, frame.height), rate), frame, rate)

    def _restore_marker(self, given: av.VideoFrame, painted: av.VideoFrame) -> None:
        self._unmarked = 0 if marker.read(given) is not None else self._unmarked + 1
        if self._unmarked < _MARKER_LINGERS:
            copy_corner(given, painted, *marker.region(given.width, given.height))
