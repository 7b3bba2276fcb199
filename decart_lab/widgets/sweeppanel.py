"""A panel that sets up a sweep, says what it would cost, runs it, stops it, and opens the result.

What belongs here: one state with two faces. The fields are traits, which a cell and the front end
change alike; planning and starting happen in threads, so that neither waits. What the fields mean
is :mod:`.form`'s; how they look is ``static/sweeppanel.js``'s.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol

import traitlets

from ..contract.models import names, resolve_model
from ..display.html import clean
from ..display.layout import telling, telling_label
from ..display.tiles import axes_of, label, picture_data, tiles_of
from ..errors import DecartSDKError
from ..media import samples
from .base import LabWidget, marks, module, style
from .columns import in_order
from .form import SAMPLE, keywords
from .runtable import SHARE, TICK_S

if TYPE_CHECKING:
    import pandas as pd

State = Literal["idle", "starting", "running", "finished"]

MOST_PICTURES: Final = 48
"""Results shown in the panel; ``run.gallery()`` shows more."""

_TEXT: Final = 300
_log = logging.getLogger(__name__)


class Run(Protocol):
    """What the panel asks of a run."""

    folder: Path
    run_id: str

    @property
    def df(self) -> pd.DataFrame:
        """Its table."""

    @property
    def finished(self) -> bool:
        """Whether nothing more is bought."""

    def stop(self) -> int:
        """Buy nothing more."""


class Sweep(Protocol):
    """What the panel asks of a sweep."""

    def plan(self) -> pd.DataFrame:
        """Check and price its points."""

    def start(self, *, budget: float | None = None) -> Run:
        """Begin to buy them, with a cap in USD if there is one."""


class Lab(Protocol):
    """Where the panel buys."""

    @property
    def simulated(self) -> bool | None:
        """Whether results are the emulator's."""

    def sweep(self, **fields: Any) -> Sweep:
        """Define a sweep."""


class SweepPanel(LabWidget):
    """Pick models, write prompts, choose inputs, see the cost, run, stop, look.

    ``lab.sweep_panel()`` makes one. Every field can be set from a cell, and the panel shows it.

    Parameters
    ----------
    lab : Lab
        Where to buy.
    **fields
        First values of the traits below.

    Attributes
    ----------
    models, prompts : list of str
        Names of models; prompts, one of which may be a template.
    variables : dict of str to list of str
        What the template's names stand for.
    inputs : list of str
        Paths, and "sample:cat.jpg" for a bundled sample.
    seeds : list of int
        Each of them with every prompt; none leaves the choice to the service.
    budget : float or None
        The cap of the run in USD.
    run : Run or None
        What was started last, by the button or by :meth:`start`.
    """

    _esm: ClassVar[str] = module("dom", "figures", "lists", "sweeppanel")
    _css: ClassVar[str] = style()
    _heard: ClassVar[Sequence[str]] = ("run", "stop", "show")

    models = traitlets.List(traitlets.Unicode(), ["lucy-image-2"]).tag(sync=True)
    prompts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    variables = traitlets.Dict(
        value_trait=traitlets.List(traitlets.Unicode()), key_trait=traitlets.Unicode()
    ).tag(sync=True)
    inputs = traitlets.List(traitlets.Unicode(), [SAMPLE + "cat.jpg"]).tag(sync=True)
    seeds = traitlets.List(traitlets.Int()).tag(sync=True)
    budget = traitlets.Float(None, allow_none=True, min=0).tag(sync=True)

    def __init__(self, lab: Lab, **fields: Any) -> None:
        self._lab = lab
        self._planning, self._starting = threading.Lock(), threading.Lock()
        self._version = 0
        self._state: State = "idle"
        self._estimate: dict[str, Any] = {}
        self._progress: dict[str, Any] = {}
        self._problem = ""
        self.run: Run | None = None
        super().__init__(**fields)
        described = ["models", "prompts", "variables", "inputs", "seeds"]
        self.observe(self._changed, names=[*described, "budget"])
        self._changed()

    @property
    def sweep(self) -> Sweep:
        """The sweep that the fields describe.

        Raises
        ------
        DecartSDKError
            They describe none; the message says what is wrong.
        """
        found = keywords(self.models, self.prompts, self.variables, self.inputs, self.seeds)
        return self._lab.sweep(**found)

    def start(self) -> Run:
        """Begin to buy what the fields describe, as the button does. This buys.

        Returns
        -------
        Run
            The new one; or the one that this panel began, while that goes on.

        Raises
        ------
        DecartSDKError
            Nothing can be bought, and nothing was.
        """
        with self._starting:
            if self.run is not None and not self.run.finished:
                return self.run
            self._become("starting")
            try:
                run = self.sweep.start(budget=self.budget)
            except BaseException as error:
                self._become("idle", _words(error))
                raise
            self.run = run
            self._progress = _progress(run)
            self._become("running")
        threading.Thread(target=self._follow, args=(run,), daemon=True).start()
        return run

    def stop(self) -> int:
        """Buy nothing more; what is paid arrives and is kept. Return how many are not bought."""
        return self.run.stop() if self.run is not None else 0

    # -- inside --------------------------------------------------------------------------------

    def _changed(self, _: object = None) -> None:
        self._version += 1
        threading.Thread(target=self._plan, args=(self._version,), daemon=True).start()

    def _plan(self, version: int) -> None:
        with self._planning:
            if version != self._version:
                return  # a newer one waits behind this one
            self._estimate = self._estimated()
        self._tell_state()

    def _estimated(self) -> dict[str, Any]:
        try:
            sweep = self.sweep
            plan = sweep.plan()
        except DecartSDKError as error:
            return {"points": 0, "text": "", "problem": _words(error)}
        valid = plan["valid"]
        wrong = plan.loc[plan["problem"] == "invalid", "reason"]
        summary = str(sweep).partition("\n")[2]
        return {
            "points": int(valid.sum()),
            "owned": int((valid & plan["owned"]).sum()) if "owned" in plan else 0,
            "text": clean(summary, 2 * _TEXT),
            "problem": clean(wrong.iloc[0], _TEXT) if len(wrong) else "",
        }

    def _follow(self, run: Run) -> None:
        try:
            self._follow_to_the_end(run)
        except DecartSDKError as error:  # its folder was moved, or cannot be read
            self._become("finished", _words(error))

    def _follow_to_the_end(self, run: Run) -> None:
        while not run.finished:
            began = time.monotonic()
            self._progress = _progress(run)
            self._tell_state()
            time.sleep(max(TICK_S, SHARE * (time.monotonic() - began)))
        self._progress = _progress(run)
        self._become("finished")
        self._changed()  # what was bought is owned now, and the estimate says so

    def _become(self, state: State, problem: str = "") -> None:
        self._state, self._problem = state, problem
        self._tell_state()

    def _tell_state(self) -> None:
        self.tell(
            "state",
            {
                "choices": names("image") + names("video"),
                "kinds": {name: resolve_model(name).kind for name in names("image")},
                "samples": [SAMPLE + name for name in samples.names()],
                "marks": marks(),
                "simulated": self._lab.simulated,
                "state": self._state,
                "estimate": self._estimate,
                "progress": self._progress,
                "problem": self._problem,
            },
        )

    def _on_ready(self, content: Mapping[str, Any]) -> None:
        del content
        self._tell_state()

    def _on_run(self, content: Mapping[str, Any]) -> None:
        del content
        threading.Thread(target=self._start_unwatched, daemon=True).start()

    def _start_unwatched(self) -> None:
        try:
            self.start()
        except DecartSDKError as error:  # shown by the panel; there is nobody to raise it to
            _log.debug("the panel could not start: %s", type(error).__name__)

    def _on_stop(self, content: Mapping[str, Any]) -> None:
        del content
        threading.Thread(target=self.stop, daemon=True).start()

    def _on_show(self, content: Mapping[str, Any]) -> None:
        del content
        threading.Thread(target=self._show, daemon=True).start()

    def _show(self) -> None:
        run = self.run
        if run is None:
            return
        df = run.df
        tiles = tiles_of(df, lambda _: run.folder)
        axes = telling(tiles, axes_of(list(df.columns)))
        told: list[dict[str, Any]] = []
        buffers: list[bytes] = []
        for tile in tiles[:MOST_PICTURES]:
            picture = picture_data(tile) if tile.has_result else None
            words = [telling_label(name, label(name, tile.values.get(name), 80)) for name in axes]
            told.append(
                {
                    "label": ", ".join(words) or clean(tile.point_id, 20),
                    "status": tile.status,
                    "reason": clean(tile.reason, _TEXT),
                    "cost": tile.cost,
                    "picture": picture is not None,
                }
            )
            if picture is not None:
                buffers.append(picture)
        more = max(0, len(tiles) - MOST_PICTURES)
        self.tell("results", {"tiles": told, "more": more, "folder": str(run.folder)}, buffers)

    def _text(self) -> str:
        said = self._estimate.get("problem") or self._estimate.get("text") or "nothing planned yet"
        run = f" Run {self.run.run_id}: {self._state}." if self.run is not None else ""
        return f"Sweep panel: {said}{run}"


def _progress(run: Run) -> dict[str, Any]:
    df = run.df
    counts = Counter(df["status"].astype(str))
    done = df.loc[df["status"] == "completed", "cost"]
    return {
        "counts": in_order(counts),
        "cost": round(float(done.sum()), 6),
        "unpriced": int(done.isna().sum()),
        "run_id": run.run_id,
    }


def _words(error: BaseException) -> str:
    if isinstance(error, DecartSDKError):
        return clean(str(error), 2 * _TEXT)
    return f"{type(error).__name__} while starting; the kernel's log has more."
