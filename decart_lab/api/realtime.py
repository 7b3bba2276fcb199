"""Realtime as the client offers it: sessions, viewers, and how many there may be.

What belongs here: the public face. Sessions themselves are :mod:`decart_lab.realtime`'s, which is
loaded when the first one is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from .._caller import Caller, nonsense, parse_json
from .._wire import Call
from ..config import Secret
from ..contract.models import ModelSpec
from ..contract.realtime import Dialect
from ..contract.responses import RealtimeQuota
from ..errors import RealtimeQuotaError
from .fetch import Fetcher

if TYPE_CHECKING:
    from ..realtime.connect import Service
    from ..realtime.policy import Reconnect
    from ..realtime.session import Session


class Realtime:
    """Live sessions. Reached as ``client.realtime``."""

    def __init__(
        self,
        caller: Caller,
        fetcher: Callable[[], Fetcher],
        *,
        key: Secret | None,
        realtime_base_url: str,
        user_agent: str,
    ) -> None:
        self._caller = caller
        self._fetcher = fetcher
        self._key = key
        self._realtime_base_url = realtime_base_url
        self._user_agent = user_agent

    async def quota(self) -> RealtimeQuota:
        """Ask how many realtime sessions the organisation may hold, and holds.

        Returns
        -------
        RealtimeQuota
            ``limit``, ``active``, ``remaining``; None means unlimited or not told.

        Raises
        ------
        RealtimeQuotaError
            Also of a cause class.
        """
        what = "Asking for the realtime quota"
        path = "/v1/realtime/quota"
        call = Call("GET", path, path, self._caller.http.timeouts.call_s)
        answer = await self._caller.call(RealtimeQuotaError, what, call)
        return parse_json(
            answer,
            RealtimeQuota,
            lambda why: nonsense(RealtimeQuotaError, what, answer.head, why),
        )

    async def connect(
        self,
        source: Any = None,
        *,
        model: ModelSpec | str,
        initial_state: Mapping[str, Any] | None = None,
        prompt: str | None = None,
        image: Any = None,
        enhance: bool = True,
        dialect: Dialect = "http",
        resolution: str | None = None,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        speed: str | None = None,
        preferred_video_codec: Literal["h264", "vp8"] | None = None,
        bitrate: int | None = None,
        mirror: bool = False,
        loop: bool = True,
        on_remote_stream: Callable[[Any], object] | None = None,
        max_seconds: float | None = None,
        max_cost: float | None = None,
        idle_timeout: float | None = None,
        reconnect: bool | Reconnect = True,
        measure: bool = False,
    ) -> Session:
        """Open a live session. This is paid for by the second, from the first generated frame.

        Parameters
        ----------
        source : object, optional
            What to send: a path to any clip, a picture, a sound file, an array or a generator of
            frames, "synthetic", "camera:0", "microphone:0", or a track with an async ``recv()``.
        model : str or ModelSpec
            A realtime model.
        initial_state : mapping, optional
            The official SDK's way to say what is shown first: ``{"prompt": {"text", "enhance"},
            "image"}``; exclusive with ``prompt`` and ``image``.
        prompt : str, optional
            What is shown first; without it and an image, the input unchanged.
        image : path, bytes, picture, array, URL or Media, optional
            The reference image; in the websocket dialect also a ``file_...`` id.
        enhance : bool, default True
            Whether the service may extend the prompt.
        dialect : {"http", "websocket"}, default "http"
            How the session is agreed: by HTTP requests and a stream of events, which also works
            through a proxy that holds the key, or over a WebSocket, which takes a key and lets
            viewers in (wire contract, 7.1 and 7.2).
        resolution : str, optional
            "720p" or "1080p", where the model offers a choice.
        size : (int, int), optional
            Width and height of what is sent, in pixels; the model's own by default.
        fps : float, optional
            Frames a second to send, 1 to 60; the model's own by default.
        speed : str, optional
            A speed tier of the model, such as "fast", at its own price.
        preferred_video_codec : {"h264", "vp8"}, optional
            What to offer first.
        bitrate : int, optional
            Where the video's bitrate begins, in bits a second.
        mirror : bool, default False
            Send the picture mirrored, as from a camera at oneself.
        loop : bool, default True
            Begin a clip again when it ends.
        on_remote_stream : callable, optional
            Called once, with a track of received frames: ``await track.recv()`` gives the newest.
        max_seconds, max_cost : float, optional
            Stop the session at so many seconds, or USD.
        idle_timeout : float, optional
            Stop it after so many seconds without a call, a frame callback or a recording.
        reconnect : bool or Reconnect, default True
            Whether, and how patiently, to connect again; prompt and image are restored.
        measure : bool, default False
            Stamp sent frames with a small pattern, and tell by it how late they come back.

        Returns
        -------
        Session
            Connected; an async context manager that ends it.

        Raises
        ------
        InvalidInputError
            Before anything is asked of the service.
        InvalidAPIKeyError
            The websocket dialect without a key, as through a proxy.
        WebRTCError
            Also of a cause class; nothing is left running at the service that is known.
        """
        from ..realtime.connect import connect

        return await connect(
            self.service,
            source,
            model=model,
            initial_state=initial_state,
            prompt=prompt,
            image=image,
            enhance=enhance,
            dialect=dialect,
            resolution=resolution,
            size=size,
            fps=fps,
            speed=speed,
            preferred_video_codec=preferred_video_codec,
            bitrate=bitrate,
            mirror=mirror,
            loop=loop,
            on_remote_stream=on_remote_stream,
            max_seconds=max_seconds,
            max_cost=max_cost,
            idle_timeout=idle_timeout,
            reconnect=reconnect,
            measure=measure,
        )

    async def subscribe(
        self, token: str, *, on_remote_stream: Callable[[Any], object] | None = None
    ) -> Session:
        """Watch a session of the websocket dialect; nothing is sent, and nothing can be changed.

        Parameters
        ----------
        token : str
            Its ``subscribe_token``.
        on_remote_stream : callable, optional
            As for :meth:`connect`.

        Returns
        -------
        Session
            Connected; an async context manager that ends the watching.

        Raises
        ------
        InvalidInputError
            The token is none.
        InvalidAPIKeyError
            There is no key, as through a proxy.
        WebRTCError
            Also of a cause class: NotFoundError when the session is over.
        """
        from ..realtime.connect import subscribe

        return await subscribe(self.service, token, on_remote_stream=on_remote_stream)

    @property
    def service(self) -> Service:
        """What sessions are opened with; for :mod:`decart_lab.realtime.connect`."""
        from ..realtime.connect import Service

        return Service(
            http=self._caller.http,
            key=self._key,
            realtime_base_url=self._realtime_base_url,
            user_agent=self._user_agent,
            fetch=self._fetcher,
            clock=self._caller.clock,
        )

    def __repr__(self) -> str:
        return "<realtime: connect, subscribe, quota>"
