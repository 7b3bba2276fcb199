"""``run.lock.json``: what a run was asked to buy, in a file that explains itself.

Written once, before the first purchase, and enough together with ``inputs/`` to go on elsewhere:
models as they were resolved, every point with what it sends, and the settings. Where the points
stand is the journal's.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..contract.models import ModelDefinition, ModelSpec
from ..contract.prices import PRICE_VERSION
from ..errors import DecartSDKError, StoreError
from .inputs import Input
from .plan import Plan, Point
from .store import LOCK_NAME

if TYPE_CHECKING:
    from ..media.prepared import PreparedInput

LOCK_VERSION: Final = 2
MAX_LOCK_BYTES: Final = 512_000_000
_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")

INPUTS: Final = "inputs"
"""Folder of the copies of what is sent, named after their content."""


@dataclass(frozen=True, slots=True)
class Lock:
    """What ``run.lock.json`` says.

    Attributes
    ----------
    folder : Path
        The run's.
    content : dict
        The whole of it.
    """

    folder: Path
    content: Mapping[str, Any]

    def points(self, wanted: Iterable[str]) -> list[Point]:
        """Return points as the plan had them, with their inputs looked up again.

        Parameters
        ----------
        wanted : iterable of str
            Ids of points; those the lock does not have are left out.

        Raises
        ------
        StoreError
            The lock does not make sense.
        """
        ids = set(wanted)
        try:
            models = {name: _spec(facts) for name, facts in self.content["models"].items()}
            rows = [row for row in self.content["points"] if row["point_id"] in ids]
            used = {sha for row in rows for sha in row["inputs"].values() if sha}
            inputs = {sha: self._input(sha) for sha in sorted(used)}
            return [_point(row, models, inputs) for row in rows]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _unusable(self.folder, f"it lacks {error}") from error

    def _input(self, sha256: str) -> Input:
        if not _SHA256.match(sha256):
            raise ValueError("a hash of an input")
        facts = self.content["inputs"][sha256]
        for path in (_copy_of(self.folder, sha256), facts.get("path")):
            if path is None:
                continue
            found = _opened(Path(path), facts["label"])
            if found is not None and found.sha256 == sha256:
                return Input(facts["label"], found, sha256)
        error = StoreError(
            f"The input {facts['label']} of the run {self.folder.name} is not there any more, or "
            "was changed.",
            hint="Put the same file back, or run the sweep again with the new one.",
        )
        return Input(facts["label"], None, sha256, error=error)


def lock_content(
    plan: Plan, *, run_id: str, sweep: str, now: datetime, version: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the lock of a new run says.

    Parameters
    ----------
    plan : Plan
        What is bought; excluded points are left out.
    run_id, sweep : str
        The run's name and its sweep's id.
    now : datetime
        UTC.
    version : str
        Of this package.
    settings : mapping
        How it is bought: budget, concurrency, route. No secret.
    """
    points = [point for point in plan.points if point.problem != "excluded"]
    files = {f.sha256: f for point in points for f in point.files.values() if f.sha256}
    specs = {point.spec.name: point.spec for point in points if point.spec is not None}
    return {
        "lock_version": LOCK_VERSION,
        "run_id": run_id,
        "sweep_id": sweep,
        "created_at": now.isoformat(),
        "service": plan.service,
        "versions": {"decart_lab": version, "python": platform.python_version()},
        "price_version": PRICE_VERSION,
        "settings": dict(settings),
        "columns": dict(plan.columns),
        "models": {name: asdict(s) | {"custom": s.custom} for name, s in specs.items()},
        "inputs": {sha: _input_facts(item) for sha, item in files.items()},
        "points": [_locked(point) for point in points],
    }


def read_lock(folder: Path) -> Lock:
    """Read the lock of a run.

    Raises
    ------
    StoreError
        There is none, or it is not one.
    """
    path = folder / LOCK_NAME
    try:
        if path.stat().st_size > MAX_LOCK_BYTES:
            raise _unusable(folder, "it is too large")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unusable(folder, error.strerror or type(error).__name__) from error
    except ValueError as error:
        raise _unusable(folder, "it is not JSON") from error
    if not isinstance(content, dict):
        raise _unusable(folder, "it is not an object")
    found = content.get("lock_version")
    if not isinstance(found, int) or found > LOCK_VERSION:
        raise _unusable(folder, f"it is of version {found!r:.20}, newer than {LOCK_VERSION}")
    return Lock(folder, content)


def _locked(point: Point) -> dict[str, Any]:
    return {
        "point_id": point.point_id,
        "request_key": point.request_key,
        "replicate": point.replicate,
        "model": point.model,
        "model_resolved": point.spec.canonical if point.spec else None,
        "fields": dict(point.fields),
        "inputs": {name: item.sha256 for name, item in point.files.items()},
        "cost_estimate": None if isnan(point.cost_estimate) else point.cost_estimate,
        "twin_of": point.twin_of,
        "problem": point.reason or None,
    }


def _point(
    row: Mapping[str, Any], models: Mapping[str, ModelSpec], inputs: Mapping[str, Input]
) -> Point:
    price = row["cost_estimate"]
    return Point(
        row["point_id"],
        row["request_key"],
        row["replicate"],
        {},
        {"model": row["model"]},
        spec=models.get(row["model"]),
        fields=row["fields"],
        files={name: inputs[sha] for name, sha in row["inputs"].items() if sha},
        cost_estimate=nan if price is None else price,
        twin_of=row["twin_of"],
    )


def _spec(facts: Mapping[str, Any]) -> ModelSpec:
    values = dict(facts)
    kind = ModelDefinition if values.pop("custom") else ModelSpec
    return kind(**values | {"speeds": tuple(values["speeds"])})


def _input_facts(item: Input) -> dict[str, Any]:
    prepared = item.prepared
    # An edited or fetched input has no file of its own that lasts.
    lasting = prepared is not None and prepared.path is not None and not prepared.edits
    return {
        "label": item.label,
        "path": str(prepared.path.absolute()) if lasting and prepared and prepared.path else None,
        "mime": prepared.mime if prepared else None,
        "size_bytes": prepared.size_bytes if prepared else None,
    }


def _copy_of(folder: Path, sha256: str) -> Path | None:
    return next(iter(sorted((folder / INPUTS).glob(f"{sha256}*"))), None)


def _opened(path: Path, label: str) -> PreparedInput | None:
    from ..media.inputs import prepare

    try:
        return replace(prepare(path), label=label)
    except DecartSDKError:
        return None


def _unusable(folder: Path, why: str) -> StoreError:
    return StoreError(
        f"The {LOCK_NAME} of {folder} cannot be used: {why}.",
        hint="The media in the folder is as it was; start the sweep again to go on.",
    )
