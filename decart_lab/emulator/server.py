"""Running the emulator: in this process on a thread of its own.

The command line is :mod:`.command`'s business; requests are :mod:`.app`'s. A third of the file is
the documented list of its settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Self, TypeVar

import uvicorn

from .._clock import AcceleratedClock
from ..errors import EmulatorError, InvalidInputError
from .app import make_app
from .auth import Gatekeeper
from .door import Door
from .faults import Faults, parse
from .jobs import Runner
from .keyring import Keyring
from .ledger import Ledger
from .services import Services
from .session import Session
from .session_requests import MAX_BODY
from .sessions import Sessions
from .settings import Render, Restarts, ServerCandidates, Settings
from .world import World

START_S: Final = 30.0
STOP_S: Final = 30.0
ANY_KEY: Final = "emulator"

_T = TypeVar("_T")


class Emulator:
    """One emulator; made by :func:`emulator`, running inside ``with`` or between start and stop.

    Attributes
    ----------
    api_key : str
        A key it accepts.
    faults : Faults
        What is to go wrong; faults can be added and cleared at any time.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_keys: tuple[str, ...] = (),
        state: Path | None = None,
    ) -> None:
        self.settings = settings
        self.api_key = api_keys[0] if api_keys else ANY_KEY
        self.faults = Faults(settings.seed)
        self._api_keys = api_keys
        self._host = host
        self._port = port
        self._state = state
        self._world: World | None = None
        self._socket: socket.socket | None = None
        self._sessions: Sessions | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None
        self._wait_for_renders = True

    def start(self) -> Self:
        """Open the world, bind the port and serve; return when requests are answered.

        Raises
        ------
        EmulatorError
            The port or the state folder cannot be had, or the server does not come up.
        """
        if self._thread is not None:
            raise EmulatorError("This emulator is running already.")
        self._failure = None
        self._socket = _bind(self._host, self._port)
        self._port = self._socket.getsockname()[1]
        try:
            self._world = World.open(self._state)
        except BaseException:
            self._socket.close()
            raise
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name="decart-lab-emulator", daemon=True
        )
        self._thread.start()
        try:
            came_up = ready.wait(START_S)
        except BaseException:
            self.stop()  # interrupted while waiting: nothing may stay behind
            raise
        if not came_up or self._failure is not None:
            failure = self._failure
            self.stop()
            raise EmulatorError(
                f"The emulator did not start: {failure or 'no answer in time'}."
            ) from failure
        return self

    def stop(self, *, wait_for_renders: bool = True) -> None:
        """End the server and close the world; unfinished jobs are resumed with its state.

        Parameters
        ----------
        wait_for_renders : bool
            Whether to let media work that has begun come to its end.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._wait_for_renders = wait_for_renders
        if self._server is not None and self._loop is not None:
            server = self._server
            with contextlib.suppress(RuntimeError):  # the loop may have ended by itself
                self._loop.call_soon_threadsafe(server.end)
        thread.join(STOP_S)
        if self._socket is not None:
            self._socket.close()
        if self._world is not None:
            self._world.close()

    def _run(self, ready: threading.Event) -> None:
        # Not asyncio.run: a notebook may have had nest-asyncio replace it.
        loop = asyncio.new_event_loop()
        self._loop = loop
        try:
            loop.run_until_complete(self._serve(ready))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._failure = error
        finally:
            ready.set()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    async def _serve(self, ready: threading.Event) -> None:
        assert self._world is not None
        assert self._socket is not None
        world = self._world
        clock = AcceleratedClock(self.settings.speed, start=world.latest)
        world.prune(clock.utc())
        keyring = Keyring(world.folder)
        door = Door(lambda: _bind(self._host, self._port), clock)
        self._sessions = Sessions(world, clock, self.settings, self.faults, door)
        parts = Services(
            settings=self.settings,
            clock=clock,
            world=world,
            keyring=keyring,
            gatekeeper=Gatekeeper(self._api_keys, world, keyring, clock),
            runner=Runner(world, clock, self.settings),
            faults=self.faults,
            door=door,
            sessions=self._sessions,
        )
        parts.runner.resume()
        config = uvicorn.Config(
            make_app(parts, host=self._host),
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=MAX_BODY,
            access_log=False,  # a log of requests is a log of what people work on
            log_config=None,
            log_level="warning",  # at "info" it tells the address of a socket, and its key
            server_header=False,
            proxy_headers=False,  # who calls is who connects
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config, ready, door, self.faults, parts.sessions)
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self.faults.bind(None)
            await parts.sessions.close()
            await parts.runner.close(wait=self._wait_for_renders)

    @property
    def running(self) -> bool:
        """Whether it answers requests."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def host(self) -> str:
        """The address it is bound to."""
        return self._host

    @property
    def port(self) -> int:
        """The port it is bound to."""
        _running(self._socket)
        return self._port

    @property
    def url(self) -> str:
        """Base address for REST calls."""
        return f"http://{self._authority}"

    @property
    def ws_url(self) -> str:
        """Base address for realtime connections."""
        return f"ws://{self._authority}"

    @property
    def _authority(self) -> str:
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104
        return f"[{name}]:{self.port}" if ":" in name else f"{name}:{self.port}"

    @property
    def world(self) -> World:
        """Its jobs, files and client tokens."""
        return _running(self._world)

    @property
    def sessions(self) -> Mapping[str, Session]:
        """Its realtime sessions by id: those that run, and the last ones that ended."""
        return _running(self._sessions).all

    @property
    def ledger(self) -> Ledger:
        """Every paid request it accepted."""
        return self.world.ledger

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        where = self.url if self.running else "not running"
        return f"<Emulator: {where}, speed {self.settings.speed:g}>"


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready and leaves signals alone."""

    def __init__(
        self,
        config: uvicorn.Config,
        ready: threading.Event,
        door: Door,
        faults: Faults,
        sessions: Sessions,
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._door = door
        self._faults = faults
        self._sessions = sessions
        door.lead_to(self, sessions.vanish)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self._ready.is_set():  # and not the door, which opens again
            self._faults.bind(self._door)
            self._ready.set()

    def end(self) -> None:
        self.should_exit = True
        self._sessions.end_all()  # while there are connections to tell their clients by
        self._door.end()


def _running(part: _T | None) -> _T:
    if part is None:
        raise EmulatorError(
            "This emulator has not been started.",
            hint="Use it in a with statement, or call start().",
        )
    return part


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named, and not for the 0 that
    # socket.create_server leaves; with it on, every small answer takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except (OSError, OverflowError) as error:
        listener.close()
        raise EmulatorError(
            f"The emulator cannot listen on {host} port {port}: {error}.",
            hint="Choose another port; 0 takes any free one.",
        ) from error
    return listener


def emulator(
    port: int = 0,
    *,
    speed: float = 1.0,
    api_keys: Iterable[str] = (),
    state: str | os.PathLike[str] | None = None,
    render: Render = "full",
    credits: float | None = None,  # noqa: A002 - the word of the command line
    capacity: int = 8,
    seed: int = 0,
    host: str = "127.0.0.1",
    allow_origins: Iterable[str] = (),
    max_upload_bytes: int = 500_000_000,
    session_limit: int | None = 5,
    render_threads: int = 2,
    service_times: str = "",
    tick_s: float = 1.0,
    session_s: float = 600.0,
    idle_s: float = 30.0,
    restart_s: float = 10.0,
    first_frame_s: float = 0.0,
    restarts: Restarts = "accept",
    server_candidates: ServerCandidates = "both",
    ice_urls: Iterable[str] = (),
    mark: bool = True,
    faults: Iterable[str] = (),
) -> Emulator:
    """Decart in a box: a server of the API in this process, with no key and no network.

    Parameters
    ----------
    port : int, default 0
        Port to listen on; 0 takes any free one.
    speed : float, default 1.0
        Emulator seconds per real second.
    api_keys : iterable of str, optional
        The only keys to accept; any key by default.
    state : path, optional
        Folder in which its world (jobs, files, tokens, ledger) outlives it, under ``.emulator``;
        a temporary one by default.
    render : {"full", "canned"}, default "full"
        Real media work, or precomputed bytes that differ from job to job.
    credits : float, optional
        USD in the account; requests beyond them are refused with 402.
    capacity : int, default 8
        Jobs processed at once.
    seed : int, default 0
        What durations and unset seeds are drawn from.
    host : str, default "127.0.0.1"
        Address to bind.
    allow_origins : iterable of str, optional
        Web origins, besides this machine's, whose pages may call it.
    max_upload_bytes : int, default 500_000_000
        Largest request body, in bytes; more is refused with 413.
    session_limit : int or None, default 5
        Realtime sessions at once; None for no limit.
    render_threads : int, default 2
        Threads that do media work.
    service_times : str, optional
        How long jobs take, such as ``"lognormal:2.0:0.6"``: mean in seconds, and sigma. By default
        as long as the model and the clip's length ask for.
    tick_s, session_s, idle_s, restart_s, first_frame_s : float
        Of realtime sessions, in seconds: between ticks (1), to the end at the latest (600),
        without media before it ends (30), for the answer to a restart (10), to the first
        generated frame (0).
    restarts : {"accept", "refuse"}
        What becomes of another offer that was not asked for.
    server_candidates : {"both", "events"}
        Whether ICE candidates are in the answers too, or only in events.
    ice_urls : iterable of str, optional
        STUN and TURN servers that clients of realtime sessions are told of.
    mark : bool, default True
        Whether SIMULATED is written into live frames.
    faults : iterable of str, optional
        What is to go wrong from the start: ``name`` or ``name:key=value,...``, with the names of
        ``FAULTS`` and the arguments of ``emu.faults.add``.

    Returns
    -------
    Emulator
        A context manager with ``url``, ``ws_url``, ``api_key``, ``world``, ``ledger`` and
        ``faults``.

    Raises
    ------
    InvalidInputError
        A setting is out of range.
    EmulatorError
        On entering: the port or the folder cannot be had.

    Examples
    --------
    >>> with emulator(speed=100) as emu:
    ...     emu.url.startswith("http://127.0.0.1:"), len(emu.ledger)
    (True, 0)
    """
    settings = Settings(
        speed=speed,
        render=render,
        credits=credits,
        capacity=capacity,
        seed=seed,
        allow_origins=tuple(allow_origins),
        max_upload_bytes=max_upload_bytes,
        session_limit=session_limit,
        render_threads=render_threads,
        service_times=service_times,
        tick_s=tick_s,
        session_s=session_s,
        idle_s=idle_s,
        restart_s=restart_s,
        first_frame_s=first_frame_s,
        restarts=restarts,
        server_candidates=server_candidates,
        ice_urls=tuple(ice_urls),
        mark=mark,
    )
    keys = (api_keys,) if isinstance(api_keys, str) else tuple(api_keys)
    if not all(key.strip() for key in keys):
        raise InvalidInputError("An API key of the emulator is empty.", field="api_keys")
    made = Emulator(
        settings,
        host=host,
        port=port,
        api_keys=keys,
        state=None if state is None else Path(state).expanduser(),
    )
    for spec in (faults,) if isinstance(faults, str) else faults:
        made.faults.add(**parse(spec))
    return made
