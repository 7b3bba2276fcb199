"""DecartClient: the asynchronous client, with the configuration and words of the official SDK.

What belongs here: configuration and the public face of ``process``. The operations are in the
files beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from os import PathLike
from typing import Any, NoReturn, Self, overload

from .. import config
from .._caller import Caller
from .._clock import Clock, RealClock
from .._http import Http
from .._log import SafeLogger
from .._retry import Policy
from .._wire import Timeouts
from ..contract.models import ModelSpec
from ..contract.responses import ResultBytes
from ..errors import InvalidAPIKeyError, InvalidInputError
from ..media.media import Media
from .fetch import Fetcher
from .files import Files
from .lookups import ModelsApi
from .options import merge
from .process import process
from .queue import Queue
from .realtime import Realtime
from .tokens import Tokens


class DecartClient:
    """A client of Decart's API, for one event loop.

    It binds to the loop it is first used on. Use it as ``async with``, or call ``aclose()``.

    Parameters
    ----------
    api_key : str or Secret, optional
        Else ``DECART_API_KEY``. Sent only over https or to this machine.
    proxy : str, optional
        Address of a server that holds the key, or a path such as ``/api/decart`` on the Jupyter
        server; then no key is sent. Exclusive with ``api_key``.
    base_url : str, default "https://api.decart.ai"
        Another server with the same API.
    realtime_base_url : str, default "wss://api.decart.ai"
        The server of realtime sessions; ws, wss, http or https.
    integration : str, optional
        A name such as ``langchain/0.1.0``, added to the User-Agent.
    logger : object, optional
        Anything with ``debug``, ``info``, ``error`` and ``warn`` or ``warning``; by default nothing
        is logged. Keys and tokens are masked before it sees a line.
    telemetry : bool, default False
        Accepted for compatibility. This package sends none, whatever is set.
    allow_private_urls : bool, default False
        Let URL inputs lead to private and loopback addresses.
    timeouts : Timeouts, optional
        How long each step may take, in seconds.
    retries : Policy, optional
        How often to repeat what may be repeated.
    clock : Clock, optional
        Time to wait by; the machine's own by default.

    Raises
    ------
    InvalidAPIKeyError
        No key and no proxy.
    InvalidBaseURLError
        An address cannot be used.
    InvalidInputError
        Both ``api_key`` and ``proxy``, or an unusable logger or integration.

    Examples
    --------
    >>> DecartClient(api_key="dct_1234", base_url="http://127.0.0.1:8765")
    <DecartClient http://127.0.0.1:8765, key set>
    """

    def __init__(
        self,
        api_key: str | config.Secret | None = None,
        *,
        proxy: str | None = None,
        base_url: str | None = None,
        realtime_base_url: str | None = None,
        integration: str | None = None,
        logger: Any = None,
        telemetry: bool = False,
        allow_private_urls: bool = False,
        timeouts: Timeouts | None = None,
        retries: Policy | None = None,
        clock: Clock | None = None,
    ) -> None:
        if proxy is not None and api_key is not None:
            raise InvalidInputError(
                "proxy and api_key are both given.",
                field="proxy",
                hint="A proxy holds the key itself: leave one of them out.",
            )
        key: config.Secret | None = None
        if proxy is not None:
            self.base_url = config.resolve_proxy(proxy)
        else:
            self.base_url = config.check_url(base_url or config.DEFAULT_BASE_URL, field="base_url")
            key = config.resolve_api_key(api_key)
            if key is None:
                raise InvalidAPIKeyError("There is no API key.")
        self.proxy = self.base_url if proxy is not None else None
        self.realtime_base_url = config.check_url(
            realtime_base_url or config.DEFAULT_REALTIME_BASE_URL,
            field="realtime_base_url",
            schemes=("ws", "wss", "http", "https"),
        )
        self.telemetry = telemetry
        user_agent = config.user_agent(integration)
        safe_logger = SafeLogger(logger)
        clock = clock or RealClock()
        self._key = key
        self._http = Http(
            self.base_url,
            key=key,
            user_agent=user_agent,
            timeouts=timeouts,
            logger=safe_logger,
            clock=clock,
        )
        self._caller = Caller(self._http, clock=clock, logger=safe_logger, policy=retries)
        self._fetcher: Callable[[], Fetcher] = lambda: Fetcher(
            allow_private=allow_private_urls, user_agent=user_agent, timeouts=self._http.timeouts
        )
        self.queue = Queue(self._caller, self._fetcher)
        self.tokens = Tokens(self._caller)
        self.files = Files(self._caller, self._fetcher)
        self.models = ModelsApi(self._caller)
        self.realtime = Realtime(
            self._caller,
            self._fetcher,
            key=key,
            realtime_base_url=self.realtime_base_url,
            user_agent=user_agent,
        )

    @property
    def simulated(self) -> bool | None:
        """Whether the server is the emulator; None until it has answered."""
        return self._http.simulated

    @overload
    async def process(
        self,
        options: Mapping[str, Any] | None = None,
        /,
        *,
        model: ModelSpec | str | None = None,
        prompt: str | None = None,
        data: Any = None,
        reference_image: Any = None,
        seed: int | None = None,
        resolution: str | None = None,
        enhance_prompt: bool | None = None,
        save_to: None = None,
        on_upload_progress: Callable[[int, int], object] | None = None,
        **fields: Any,
    ) -> ResultBytes: ...
    @overload
    async def process(
        self,
        options: Mapping[str, Any] | None = None,
        /,
        *,
        model: ModelSpec | str | None = None,
        prompt: str | None = None,
        data: Any = None,
        reference_image: Any = None,
        seed: int | None = None,
        resolution: str | None = None,
        enhance_prompt: bool | None = None,
        save_to: str | PathLike[str],
        on_upload_progress: Callable[[int, int], object] | None = None,
        **fields: Any,
    ) -> Media: ...
    async def process(
        self,
        options: Mapping[str, Any] | None = None,
        /,
        *,
        model: ModelSpec | str | None = None,
        prompt: str | None = None,
        data: Any = None,
        reference_image: Any = None,
        seed: int | None = None,
        resolution: str | None = None,
        enhance_prompt: bool | None = None,
        save_to: str | PathLike[str] | None = None,
        on_upload_progress: Callable[[int, int], object] | None = None,
        **fields: Any,
    ) -> ResultBytes | Media:
        """Make a picture while we wait (``POST /v1/generate/{model}``). This buys.

        Parameters
        ----------
        options : mapping, optional
            The same options as a dict, as in the official SDK; it is not changed.
        model : str or ModelSpec
            An image model; video models go to ``queue``.
        prompt : str, optional
            What to make, 1 to 1000 characters.
        data : path, bytes, file, URL, picture, array or Media, optional
            The picture to edit; see :func:`decart_lab.media.inputs.prepare`.
        reference_image : same, optional
            A picture to follow.
        seed : int, optional
            0 to 4294967295; left out, the service draws one.
        resolution : {"720p", "480p"}, optional
            The service's default is 720p.
        enhance_prompt : bool, optional
            Whether the service may rewrite the prompt; its own default is True.
        save_to : path, optional
            Stream to this file and return a Media; otherwise the bytes are returned. An existing
            file is replaced, and only by a whole picture.
        on_upload_progress : callable, optional
            Called with the bytes sent so far and in all.
        **fields
            Further fields of the model, such as ``orientation``.

        Returns
        -------
        ResultBytes or Media
            Encoded picture, PNG as a rule.

        Raises
        ------
        InvalidInputError
            Before any request, naming the field and the fix; nothing was bought.
        ProcessingError
            Also of a cause class. With ``.sent == "all"`` on a NetworkError it may have been
            bought.
        """
        keywords = {
            "model": model,
            "prompt": prompt,
            "data": data,
            "reference_image": reference_image,
            "seed": seed,
            "resolution": resolution,
            "enhance_prompt": enhance_prompt,
            "save_to": save_to,
            "on_upload_progress": on_upload_progress,
        }
        merged = merge(options, keywords | fields, "process", "save_to", "on_upload_progress")
        async with self._fetcher() as fetch:
            return await process(self._caller, merged, fetch)

    def generate(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: the old call for both kinds is gone from the API.

        Raises
        ------
        InvalidInputError
            Always; the hint names what to call.
        """
        raise InvalidInputError(
            "client.generate is gone from the API.",
            hint="Pictures: await client.process(...). Clips: await "
            "client.queue.submit_and_poll(...).",
        )

    def unrepeated(self) -> Self:
        """Return a client on the same connections that makes every call once.

        For callers who write down each try before the next, as runs of sweeps do.
        """
        twin = copy(self)
        twin._caller = self._caller.unrepeated()
        twin.queue = Queue(twin._caller, self._fetcher)
        return twin

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def close(self) -> None:
        """Close the connections; the official SDK's name for it."""
        await self.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        access = "through a proxy" if self.proxy else "key set"
        return f"<DecartClient {self.base_url}, {access}>"


def create_decart_client(
    api_key: str | config.Secret | None = None,
    *,
    proxy: str | None = None,
    base_url: str | None = None,
    realtime_base_url: str | None = None,
    integration: str | None = None,
    logger: Any = None,
    telemetry: bool = False,
    allow_private_urls: bool = False,
    timeouts: Timeouts | None = None,
    retries: Policy | None = None,
    clock: Clock | None = None,
) -> DecartClient:
    """Return a :class:`DecartClient`; the official SDK's other way to make one.

    Parameters are the client's.
    """
    return DecartClient(
        api_key,
        proxy=proxy,
        base_url=base_url,
        realtime_base_url=realtime_base_url,
        integration=integration,
        logger=logger,
        telemetry=telemetry,
        allow_private_urls=allow_private_urls,
        timeouts=timeouts,
        retries=retries,
        clock=clock,
    )
