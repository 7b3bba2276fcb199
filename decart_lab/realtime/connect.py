"""Opening a session: every argument checked before anything is asked of the service.

What belongs here: turning a caller's words into a :class:`.setup.Setup`. The service's address and
key come in a :class:`Service`; who owns those is the REST client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from .._clock import Clock, RealClock
from .._http import Http
from ..config import Secret
from ..contract.models import ModelSpec, resolve_model
from ..contract.prices import realtime_cost
from ..contract.realtime import DIALECTS, Dialect, IceServer
from ..errors import InvalidAPIKeyError, InvalidInputError
from .changes import Fetch, make_change
from .latency import Latency
from .link import Link, MakePeer, Signal
from .meter import Meter
from .policy import NEVER, Reconnect
from .session import Session
from .setup import Setup
from .signaling.base import KEEP, Change

if TYPE_CHECKING:
    from ..media.sources import Source
    from .peer import Peer
    from .uplink import Uplink

Codec = Literal["h264", "vp8"]

SMALLEST, LARGEST = 64, 1920
MAX_BITRATE: Final = 20_000_000
BITRATE: Final = 2_500_000
"""Bits a second that are sent unless told otherwise."""


@dataclass(frozen=True)
class Service:
    """Where sessions are opened, and with what.

    Attributes
    ----------
    http : Http
        Sends the HTTP dialect's requests; holds the key itself.
    key : Secret or None
        For the WebSocket dialect; None behind a proxy, which has it.
    realtime_base_url : str
        For the WebSocket dialect.
    user_agent : str
        Who we are.
    fetch : callable or None
        Fetches reference images by address.
    run_handler : callable
        Calls users' handlers.
    """

    http: Http
    key: Secret | None
    realtime_base_url: str
    user_agent: str
    fetch: Fetch | None = None
    clock: Clock | None = None
    run_handler: Callable[..., object] = lambda handler, *data: handler(*data)


async def connect(service: Service, source: Any = None, **options: Any) -> Session:
    """Open a live session; see ``DecartClient.realtime.connect``."""
    return await (await prepare(service, source, **options)).start()


async def prepare(
    service: Service,
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
    preferred_video_codec: Codec | None = None,
    bitrate: int | None = None,
    mirror: bool = False,
    loop: bool = True,
    on_remote_stream: Callable[[Any], object] | None = None,
    max_seconds: float | None = None,
    max_cost: float | None = None,
    idle_timeout: float | None = None,
    reconnect: bool | Reconnect = True,
    measure: bool = False,
    elsewhere: MakePeer | None = None,
) -> Session:
    """Make a session that has not begun, from checked arguments.

    ``elsewhere`` makes peers whose media is not in this process, as in a browser's page; such a
    session has no source here. The rest is told in ``DecartClient.realtime.connect``.
    """
    spec = model if isinstance(model, ModelSpec) else resolve_model(model, "realtime")
    key = _check_dialect(service, dialect)
    width, height = _check_size(size, spec)
    rate = float(fps or spec.fps)
    if not 1 <= rate <= 60:
        raise InvalidInputError("fps is between 1 and 60.", field="fps")
    if speed is not None and speed not in spec.speeds:
        offered = f"It has: {', '.join(spec.speeds)}." if spec.speeds else "It has none."
        raise InvalidInputError(f"{spec.name} has no speed {speed!r}. {offered}", field="speed")
    if preferred_video_codec not in (None, "h264", "vp8"):
        raise InvalidInputError('The codec is "h264" or "vp8".', field="preferred_video_codec")
    if bitrate is not None and not 50_000 <= bitrate <= MAX_BITRATE:
        raise InvalidInputError("bitrate is 50,000 to 20,000,000 bits a second.", field="bitrate")
    initial = await _initial(service, dialect, initial_state, prompt, image, enhance)
    price_per_s = realtime_cost(spec.canonical, 1.0, speed or "")
    meter = Meter(price_per_s, max_seconds=max_seconds, max_cost=max_cost)

    def open_source(value: Any) -> Source:
        from ..media import sources

        # A frame that is encoded already cannot be marked.
        return sources.open_source(
            value,
            size=(width, height),
            fps=rate,
            mirror=mirror,
            loop=loop,
            passthrough=not measure,
        )

    opened = None if source is None else await asyncio.to_thread(open_source, source)
    clock = service.clock or RealClock()

    def make_uplink(
        latency: Latency | None, on_ended: Callable[[BaseException | None], None]
    ) -> Uplink:
        from ..media.rtc.outgoing import VideoOut
        from ..media.rtc.outgoing_audio import AudioOut
        from .uplink import Uplink

        assert opened is not None
        video = VideoOut(fps=rate, bitrate=bitrate or BITRATE) if opened.has_video else None
        audio = AudioOut() if opened.has_audio else None
        made.append(Uplink(video, audio, latency, on_ended))
        return made[0]

    made: list[Uplink] = []

    def make_peer(ice_servers: Sequence[IceServer], on_state: Callable[[str], None]) -> Peer:
        from .peer import Peer

        uplink = made[0] if made else None
        return Peer(
            ice_servers=ice_servers,
            video_out=None if uplink is None else uplink.video_out,
            audio_out=None if uplink is None else uplink.audio_out,
            preferred_codec=preferred_video_codec,
            on_state=on_state,
        )

    def make_link(post: Callable[[Signal], None]) -> Link:
        from .signaling import open_signaling

        signaling = open_signaling(
            dialect,
            http=service.http,
            realtime_base_url=service.realtime_base_url,
            key=key,
            user_agent=service.user_agent,
            model=spec,
            resolution=resolution,
            speed=speed,
            clock=clock,
        )
        return Link(signaling, elsewhere or make_peer, post, clock)

    session = Session(
        Setup(
            model=spec.name,
            dialect=dialect,
            make_link=make_link,
            initial=initial,
            meter=meter,
            clock=clock,
            reconnect=_policy(reconnect),
            idle_timeout_s=idle_timeout,
            source=opened,
            open_source=open_source,
            make_uplink=None if opened is None else make_uplink,
            fetch=service.fetch,
            references=dialect == "websocket",
            measure=measure,
            run_handler=service.run_handler,
        )
    )
    if on_remote_stream is not None:
        session.on_remote_stream(on_remote_stream)
    return session


async def subscribe(
    service: Service, token: str, *, on_remote_stream: Callable[[Any], object] | None = None
) -> Session:
    """Watch a session that somebody else runs; see ``DecartClient.realtime.subscribe``."""
    session = await prepare_viewer(service, token)
    if on_remote_stream is not None:
        session.on_remote_stream(on_remote_stream)
    return await session.start()


async def prepare_viewer(service: Service, token: str) -> Session:
    """Make a viewer's session that has not begun, from a token that was checked."""
    from .signaling import open_viewer

    clock = service.clock or RealClock()
    # Now, so that a token that is none is refused before anything is begun.
    first = open_viewer(
        token,
        http=service.http,
        realtime_base_url=service.realtime_base_url,
        key=service.key,
        user_agent=service.user_agent,
        clock=clock,
    )
    await first.aclose()

    def make_peer(ice_servers: Sequence[IceServer], on_state: Callable[[str], None]) -> Peer:
        from .peer import Peer

        return Peer(ice_servers=ice_servers, on_state=on_state)

    def make_link(post: Callable[[Signal], None]) -> Link:
        signaling = open_viewer(
            token,
            http=service.http,
            realtime_base_url=service.realtime_base_url,
            key=service.key,
            user_agent=service.user_agent,
            clock=clock,
        )
        return Link(signaling, make_peer, post, clock)

    return Session(
        Setup(
            model="",
            dialect="websocket",
            make_link=make_link,
            initial=Change(),
            meter=Meter(0.0),  # a viewer is not billed: who runs the session is
            clock=clock,
            viewer=True,
            run_handler=service.run_handler,
        )
    )


def _check_dialect(service: Service, dialect: str) -> Secret | None:
    if dialect not in DIALECTS:
        raise InvalidInputError(
            f"There is no signaling dialect {dialect!r}.",
            field="dialect",
            hint=f"Dialects: {', '.join(DIALECTS)}.",
        )
    if dialect == "websocket" and service.key is None:
        raise InvalidAPIKeyError(
            "The websocket dialect connects to the service itself, which takes an API key.",
            hint='Use dialect="http" through a proxy.',
        )
    return service.key


def _check_size(size: tuple[int, int] | None, spec: ModelSpec) -> tuple[int, int]:
    if size is None:
        return spec.width, spec.height
    try:
        width, height = (int(side) for side in size)
    except (TypeError, ValueError):
        width = height = 0
    if not all(SMALLEST <= side <= LARGEST and side % 2 == 0 for side in (width, height)):
        raise InvalidInputError(
            f"size is (width, height), even numbers from {SMALLEST} to {LARGEST}.", field="size"
        )
    return width, height


def _policy(reconnect: bool | Reconnect) -> Reconnect:
    if isinstance(reconnect, Reconnect):
        return reconnect
    return Reconnect() if reconnect else NEVER


async def _initial(
    service: Service,
    dialect: str,
    state: Mapping[str, Any] | None,
    prompt: str | None,
    image: Any,
    enhance: bool,
) -> Change:
    if state is not None:
        if prompt is not None or image is not None:
            raise InvalidInputError(
                "initial_state and prompt or image are both given.",
                field="initial_state",
                hint="Leave one of them out.",
            )
        words = state.get("prompt")
        if isinstance(words, Mapping):
            enhance = bool(words.get("enhance", enhance))
            words = words.get("text")
        prompt, image = words, state.get("image")
        unknown = set(state) - {"prompt", "image"}
        if unknown:
            raise InvalidInputError(
                f"initial_state has no {sorted(map(str, unknown))[0]!r}.",
                field="initial_state",
                hint="It holds prompt and image.",
            )
    return await make_change(
        KEEP if prompt is None else prompt,
        KEEP if image is None else image,
        enhance,
        fetch=service.fetch,
        references=dialect == "websocket",
    )
