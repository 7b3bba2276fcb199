"""Lab: the notebook's face of one connection, blocking, with its work on the engine's thread.

What belongs here: single pictures and clips, and the way to sweeps and namespaces. Where to
connect is :mod:`decart_lab.lab.connect`'s. Its length is that of its docstrings: every method hands
its call on.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from .. import config
from .._engine import engine
from .._wire import Timeouts
from ..api.client import DecartClient
from ..api.fetch import Fetcher
from ..api.queue import DEFAULT_WAIT_S
from ..contract.models import ModelSpec, resolve_model
from ..contract.responses import Job
from ..display import cards
from ..errors import InvalidInputError
from ..media.media import Media
from .namespaces import LabFiles, LabModels, LabQueue, LabRealtime, LabTokens, relayed
from .runs import Spending, runs_frame, spending
from .shelf import Shelf
from .single import buy_one
from .sweep import Sweep

if TYPE_CHECKING:
    import pandas as pd

    from ..realtime.presets import Preset
    from ..widgets.sweeppanel import SweepPanel
    from .live import Live
    from .run import Run
    from .session import LiveSession
    from .viewer import Viewer

MAX_SECONDS: Final = 600.0
IDLE_TIMEOUT_S: Final = 120.0
"""A session that nobody watches ends by itself: after so many billed, or unused, seconds."""

IMAGE_MODEL = "lucy-image-2"
VIDEO_MODEL = "lucy-2.1"
"""The models named to newcomers: priced, current, and served by the emulator."""


class Lab:
    """One connection; made by :func:`decart_lab.connect`.

    Every call blocks until it has an answer, and works inside a notebook's running loop. An
    interrupt cancels what is waited for and returns at once.

    Attributes
    ----------
    url : str
        Where it is connected.
    has_key : bool
        Whether requests carry an API key of the user's.
    service : str
        Whom request keys are for: "decart", "emulator", or an origin.
    runs_root : Path
        The folder where runs are kept.
    queue, tokens, files, models, realtime
        The client's namespaces, blocking.
    last_run : Run or None
        The run started last, also after it was interrupted.
    """

    def __init__(
        self,
        client: DecartClient,
        *,
        service: str,
        has_key: bool = True,
        allow_private_urls: bool = False,
    ) -> None:
        self._client = client
        self.has_key = has_key
        self._fetcher = Fetcher(
            allow_private=allow_private_urls,
            user_agent=config.user_agent(),
            timeouts=Timeouts(),
        )
        self.url = client.base_url
        self.service = service
        self.runs_root: Path = config.runs_root().absolute()
        self._shelf = Shelf(self.runs_root)
        self.queue = LabQueue(client, self._shelf)
        self.tokens = LabTokens(client)
        self.files = LabFiles(client)
        self.models = LabModels(client)
        self.realtime = LabRealtime(client)
        self.last_run: Run | None = None
        self.closed = False

    @property
    def simulated(self) -> bool | None:
        """Whether results are the emulator's; None until the server has answered."""
        return True if self.service == "emulator" else self._client.simulated

    def process(
        self,
        model: ModelSpec | str,
        prompt: str | None = None,
        *,
        data: Any = None,
        reference_image: Any = None,
        seed: int | None = None,
        resolution: str | None = None,
        enhance_prompt: bool | None = None,
        save_to: str | PathLike[str] | None = None,
        on_upload_progress: Callable[[int, int], object] | None = None,
        new: bool = False,
        **fields: Any,
    ) -> Media:
        """Make a picture, or return the one that an equal call made before. This buys.

        It is a run of one point: written down before it is sent, and kept in a folder of its own.

        Parameters
        ----------
        model : str or ModelSpec
            An image model, such as "lucy-image-2".
        prompt : str, optional
            What to make.
        data : path, bytes, file, URL, picture, array or Media, optional
            The picture to edit.
        save_to : path, optional
            Where to write a copy; it is kept under ``lab.runs_root`` in any case.
        new : bool, default False
            Buy it again although it is owned.
        reference_image, seed, resolution, enhance_prompt, on_upload_progress, **fields
            As for ``DecartClient.process``.

        Returns
        -------
        Media
            The picture, which shows itself in a cell.

        Raises
        ------
        InvalidInputError
            Before any request, naming the field and the fix; nothing was bought.
        ProcessingError
            The service refused or failed, or no complete answer came; also of a cause class.
        """
        row = resolve_model(model, "image")  # here, so that a warning names the user's own line
        options = {
            "prompt": prompt,
            "data": data,
            "reference_image": reference_image,
            "seed": seed,
            "resolution": resolution,
            "enhance_prompt": enhance_prompt,
            **fields,
        }
        progress = relayed(on_upload_progress, "on_upload_progress")
        return buy_one(self, row, options, new=new, save_to=save_to, on_upload=progress)

    def edit_video(
        self,
        model: ModelSpec | str,
        prompt: str | None = None,
        *,
        data: Any = None,
        reference_image: Any = None,
        seed: int | None = None,
        resolution: str | None = None,
        enhance_prompt: bool | None = None,
        save_to: str | PathLike[str] | None = None,
        timeout_s: float = DEFAULT_WAIT_S,
        on_status_change: Callable[[Job], object] | None = None,
        on_upload_progress: Callable[[int, int], object] | None = None,
        new: bool = False,
        **fields: Any,
    ) -> Media:
        """Edit or make a clip as a job, and wait for it. This buys.

        It is a run of one point: an equal call again returns the stored clip, and after an
        interrupt or a restart it collects the job that was paid.

        Parameters
        ----------
        model : str or ModelSpec
            A video model, such as "lucy-2.1".
        prompt : str, optional
            What to make.
        data : path, bytes, file, URL, picture, array or Media, optional
            The clip to edit, or the picture to animate.
        save_to : path, optional
            Where to write a copy; it is kept under ``lab.runs_root`` in any case.
        timeout_s : float, default 660
            How long to wait for the job; it goes on without us.
        new : bool, default False
            Buy it again although it is owned.
        on_status_change : callable, optional
            Called with the Job after the submission and on each change.
        reference_image, seed, resolution, enhance_prompt, on_upload_progress, **fields
            As for ``DecartClient.queue.submit``.

        Returns
        -------
        Media
            The clip, which shows itself in a cell.

        Raises
        ------
        InvalidInputError
            Before any request, naming the field and the fix; nothing was bought.
        JobFailedError
            The service says that the job failed.
        QueueSubmitError, QueueStatusError, QueueResultError
            A call failed; also of a cause class. Those after the submission carry the job id.
        """
        row = resolve_model(model, "video")  # here, so that a warning names the user's own line
        options = {
            "prompt": prompt,
            "data": data,
            "reference_image": reference_image,
            "seed": seed,
            "resolution": resolution,
            "enhance_prompt": enhance_prompt,
            **fields,
        }
        return buy_one(
            self,
            row,
            options,
            new=new,
            save_to=save_to,
            timeout_s=timeout_s,
            on_status=relayed(on_status_change, "on_status_change"),
            on_upload=relayed(on_upload_progress, "on_upload_progress"),
        )

    def sweep(self, **keywords: Any) -> Sweep:
        """Define a sweep over the product of its lists; nothing is sent until it is run.

        Parameters
        ----------
        **keywords
            ``model``, ``prompt`` (text, a list, or :func:`decart_lab.template`), ``data``,
            ``seed`` and any field of the models. A list, tuple or range is an axis; anything else
            is the same at every point.

        Returns
        -------
        Sweep
            With ``plan()``, ``run()`` and ``start()``.

        Raises
        ------
        GridError
            An axis without values or with the same value twice, a name that is taken, or no model.
        """
        return Sweep(**keywords)._bound_to(self)

    def runs(self) -> pd.DataFrame:
        """Return the runs under the runs root, the newest first.

        Returns
        -------
        pandas.DataFrame
            Index ``run_id``; ``created_at``, ``state`` (finished, running or unfinished),
            ``points``, ``completed``, ``in_doubt``, ``without_result``, ``to_buy``, ``cost`` and
            ``budget`` in USD, ``service``, ``folder``. :func:`decart_lab.open_run` opens one.
        """
        return runs_frame(self.runs_root)

    def session(
        self,
        model: ModelSpec | str | None = None,
        prompt: str | None = None,
        *,
        source: Any = "synthetic",
        image: Any = None,
        preset: str | Preset | None = None,
        max_seconds: float | None = MAX_SECONDS,
        idle_timeout: float | None = IDLE_TIMEOUT_S,
        **options: Any,
    ) -> LiveSession:
        """Open a live session and return when its media is connected. This is billed by the second.

        Parameters
        ----------
        model : str or ModelSpec, optional
            A realtime model; "lucy-2.1" by default.
        prompt : str, optional
            What to show; without one, and without an image, the input comes back unchanged.
        source : str, path, array, iterable or track, default "synthetic"
            What to send: a clip, a picture, a sound file, "synthetic" (a moving test pattern),
            "camera", an array of frames, a generator of frames, or a track of aiortc.
        image : path, bytes, picture, array, URL or Media, optional
            The reference image.
        preset : str or Preset, optional
            What was saved under a name, or is at hand; what is given beside it comes first.
        max_seconds : float or None, default 600
            Seconds of generation after which the session ends by itself.
        idle_timeout : float or None, default 120
            Seconds without any call, frame callback or recording after which it ends.
        **options
            As for ``DecartClient.realtime.connect``: ``enhance``, ``dialect``, ``size``, ``fps``,
            ``speed``, ``max_cost``, ``measure``, ``reconnect``, ``mirror``, ``loop``, ``bitrate``,
            ``preferred_video_codec``.

        Returns
        -------
        LiveSession
            Use it in a ``with`` statement, or call its ``end()``.

        Raises
        ------
        InvalidInputError
            Before anything is asked of the service.
        WebRTCError
            No session came about; also of a cause class. Nothing is left behind.
        """
        self._open()
        from .session import begin, chosen

        limits = {"max_seconds": max_seconds, "idle_timeout": idle_timeout}
        given = {"model": VIDEO_MODEL, **chosen(preset, model=model, prompt=prompt, image=image)}
        given |= limits | options
        return begin(self._client.realtime, source, given)

    def live(
        self,
        model: ModelSpec | str | None = None,
        prompt: str | None = None,
        *,
        source: Any = "synthetic",
        image: Any = None,
        preset: str | Preset | None = None,
        max_seconds: float | None = MAX_SECONDS,
        idle_timeout: float | None = IDLE_TIMEOUT_S,
        name: str = "",
        detach: bool = False,
        short_turns: bool = True,
        **options: Any,
    ) -> Live:
        """Open a live session with a view of it. This is billed by the second.

        Running the cell again keeps its session when only the prompt, the image or ``enhance``
        differ, and ends it first otherwise; one line says which.

        Parameters
        ----------
        model : str or ModelSpec, optional
            A realtime model; by default the preset's, or "lucy-2.1".
        prompt : str, optional
            What to show; without one, and without an image, the input comes back unchanged.
        source, image, preset, max_seconds
            As for :meth:`session`; and "camera", "microphone" or "screen" for what the browser
            itself sends: pictures then go between the page and the service, and the session
            begins with the first view.
        idle_timeout : float or None, default 120
            Seconds after which the session ends when nobody looks at it or uses it; before that
            the view counts down.
        name : str
            Tells several sessions of one cell apart.
        detach : bool, default False
            Whether the session goes on when the page or the notebook is closed, the widget is, or
            when no view is left of it. Otherwise leaving the page ends it after three seconds, and
            closing its last view, as by clearing the output, after ten, if no cell runs and nothing
            is asked of it meanwhile.
        short_turns : bool, default True
            Whether Python's threads take turns every millisecond instead of every five while
            somebody looks (``sys.setswitchinterval``): a cell that computes in Python then delays
            pictures less. False leaves the interpreter as it is.
        **options
            As for :meth:`session`.

        Returns
        -------
        Live
            Show it by making it the last line of the cell.

        Raises
        ------
        InvalidInputError
            Before anything is asked of the service.
        WebRTCError
            No session came about; also of a cause class. Nothing is left behind.
        """
        self._open()
        from .reopening import open_live
        from .session import chosen

        limits = {"max_seconds": max_seconds, "idle_timeout": idle_timeout}
        given = {"model": VIDEO_MODEL, **chosen(preset, model=model, prompt=prompt, image=image)}
        given |= limits | options
        return open_live(
            self._client.realtime,
            source,
            given,
            name=name,
            detach=detach,
            short_turns=short_turns,
        )

    def view(self, token: str, *, name: str = "") -> Viewer:
        """Watch a session that somebody else runs; it cannot be changed, or ended, from here.

        Nothing is billed for watching. Running the cell again keeps the view.

        Parameters
        ----------
        token : str
            Its ``subscribe_token``; the dialect "websocket" gives one.
        name : str
            Tells several views of one cell apart.

        Returns
        -------
        Viewer
            Show it by making it the last line of the cell; ``end()``, or its page, leaves.

        Raises
        ------
        InvalidInputError
            The token is none.
        WebRTCError
            Also of a cause class: NotFoundError when the session is over.
        """
        self._open()
        from .viewer import open_viewer

        return open_viewer(self._client.realtime, token, name=name)

    def sweep_panel(self, **fields: Any) -> SweepPanel:
        """Return a panel to pick models, write prompts, see the cost, run, stop and look.

        Parameters
        ----------
        **fields
            First values: ``models``, ``prompts``, ``variables``, ``inputs``, ``seeds``,
            ``budget``. Each is an attribute of the panel that a cell can read and set later.

        Returns
        -------
        SweepPanel
            Its ``run`` is the run it began last.
        """
        from ..widgets.sweeppanel import SweepPanel

        return SweepPanel(self, **fields)

    def spent(self) -> Spending:
        """Add up what the runs under the runs root have cost, from their journals.

        Returns
        -------
        Spending
            ``total``, ``reserved``, ``in_doubt``, ``unpriced``, ``simulated`` and ``by_model``.
        """
        return spending(self.runs_root)

    def close(self) -> None:
        """Close the connection; jobs under way stay at the service, and runs can be resumed."""
        if not self.closed:
            self.closed = True
            engine().run(self._close)

    async def _close(self) -> None:
        await self._client.aclose()
        await self._fetcher.__aexit__()

    def _fetch(self, url: str) -> Path:
        """Fetch a URL input to a file that lasts as long as this Lab; blocking."""
        return engine().run(self._fetcher, url, "data")

    def _open(self) -> None:
        if self.closed:
            raise InvalidInputError(
                "This Lab is closed.", field="lab", hint="Connect again: decart_lab.connect()."
            )

    def _status(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "key": self.has_key,
            "simulated": self.simulated,
            "image_model": IMAGE_MODEL,
            "video_model": VIDEO_MODEL,
            "runs": str(self.runs_root),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        words = {True: "results are simulated", False: "live", None: "not asked yet"}
        key = "with a key" if self.has_key else "no key"
        state = "closed" if self.closed else words[self.simulated]
        return f"<Lab at {self.url}, {key}, {state}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        status = self._status()
        return {"text/plain": cards.lab_text(status), "text/html": cards.lab_card(status)}
