"""The DataFrame of a run: one schema table, and the one function that builds the frame.

A new column is one row of ``SCHEMA``. Dtypes come from it alone, so that they are the same for an
empty, a partial and a full run. What a row holds while a point is bought is the journal's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, Literal

from ..contract.states import PointStatus

if TYPE_CHECKING:
    import pandas as pd

    from .journal import Event, Journal

Dtype = Literal["string", "category", "status", "boolean", "Int16", "Int64", "Float64", "datetime"]

METRIC_PREFIX: Final = "metric_"
INDEX: Final = "point_id"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table: its name, its dtype, and what it means."""

    name: str
    dtype: Dtype
    meaning: str


def _columns(*rows: tuple[str, Dtype, str]) -> tuple[Column, ...]:
    return tuple(Column(*row) for row in rows)


SCHEMA: Final[tuple[Column, ...]] = _columns(
    ("model", "category", "the model as asked for"),
    ("model_resolved", "category", "the canonical id the name stood for when the run began"),
    ("kind", "category", "image or video"),
    ("run_id", "string", "the run, which is also the name of its folder"),
    ("request_key", "string", "hash of all that is sent; equal requests have equal keys"),
    ("prompt", "string", "the prompt as sent"),
    ("template", "string", "the template the prompt was made from; missing for a plain prompt"),
    ("params", "string", "every field sent besides files, as canonical JSON"),
    ("price_version", "string", "date of the price table behind cost_estimate and cost"),
    ("replicate", "Int16", "0 for the first buy of a request, 1 for the second, ..."),
    ("seed", "Int64", "missing when the service draws it"),
    ("input", "string", "short name of data"),
    ("input_sha256", "string", "SHA-256 of its bytes"),
    ("reference", "string", "short name of reference_image"),
    ("reference_sha256", "string", "SHA-256 of its bytes"),
    ("status", "status", "where the point stands"),
    ("cached", "boolean", "True when the result was bought for another point"),
    ("simulated", "boolean", "True for everything the emulator made"),
    ("job_id", "string", "the service's name for the job; missing for pictures answered at once"),
    ("attempt", "Int16", "how many times buying was tried"),
    ("polls", "Int16", "how many times the job's status was asked"),
    ("submitted_at", "datetime", "when the paid request was begun, UTC"),
    ("completed_at", "datetime", "when the result was seen to be ready, UTC"),
    ("prepare_s", "Float64", "seconds spent making the point's inputs ready"),
    ("upload_s", "Float64", "seconds until the whole request was sent"),
    ("submit_s", "Float64", "seconds from there to the service's job id"),
    ("queue_s", "Float64", "seconds from the job id to the first poll that saw it processing"),
    (
        "run_s",
        "Float64",
        "seconds from there (else from the job id or the upload's end) until it was ready",
    ),
    ("poll_lag_s", "Float64", "seconds between the last two polls: how late run_s may be"),
    ("download_s", "Float64", "seconds of fetching the result"),
    ("total_s", "Float64", "seconds from the beginning of the point to its end"),
    ("cost_estimate", "Float64", "USD by the price table; missing when the price is unknown"),
    ("cost", "Float64", "USD; the estimate once completed, because the API returns no bill"),
    ("currency", "category", "of both"),
    ("media", "string", "path of the result, relative to the run's folder"),
    ("media_sha256", "string", "SHA-256 of its bytes"),
    ("media_bytes", "Int64", "its size in bytes"),
    ("mime", "string", "its type by content"),
    ("width", "Int64", "pixels"),
    ("height", "Int64", "pixels"),
    ("fps", "Float64", "frames per second; missing for pictures"),
    ("frames", "Int64", "number of frames; missing for pictures"),
    ("duration_s", "Float64", "length in seconds; missing for pictures"),
    ("codec", "string", "of the video; missing for pictures"),
    ("thumb", "string", "path of a WebP of at most 320 pixels, relative to the run's folder"),
    ("error_phase", "category", "prepare, upload, submit, poll, download or store"),
    ("error_type", "category", "the error's class"),
    ("error_message", "string", "what went wrong, bounded"),
    ("http_status", "Int16", "of the answer that said so"),
)

FIXED: Final[frozenset[str]] = frozenset(c.name for c in SCHEMA) | {INDEX}
STRINGS: Final[frozenset[str]] = frozenset(c.name for c in SCHEMA if c.dtype == "string")


def dtype_of(kind: Dtype) -> Any:
    """Return the pandas dtype of a column of the schema."""
    import pandas as pd

    if kind == "status":
        words = pd.Index([status.value for status in PointStatus], dtype=dtype_of("string"))
        return pd.CategoricalDtype(words, ordered=True)
    if kind == "datetime":
        return pd.DatetimeTZDtype("us", "UTC")
    if kind == "string":
        return pd.StringDtype("python")
    if kind == "category":
        return "category"
    return {
        "boolean": pd.BooleanDtype(),
        "Int16": pd.Int16Dtype(),
        "Int64": pd.Int64Dtype(),
        "Float64": pd.Float64Dtype(),
    }[kind]


def axis_dtype(values: Iterable[Any]) -> Dtype:
    """Return the dtype of an axis column from all the values the axis has.

    Examples
    --------
    >>> axis_dtype([1, 2, None]), axis_dtype([1, 2.5]), axis_dtype([True]), axis_dtype(["a", 1])
    ('Int64', 'Float64', 'boolean', 'string')
    """
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "boolean"
    if kinds == {int} and all(v is None or -(2**63) <= v < 2**63 for v in values):
        return "Int64"
    if kinds and kinds <= {int, float}:
        return "Float64"
    return "string"


def label(value: Any) -> str | None:
    """Return a value of an axis as text for a cell of the table.

    Examples
    --------
    >>> label("ink"), label({"x": 1}), label(None)
    ('ink', '{"x":1}', None)
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, (bool, int, float, list, dict, tuple)):
        try:
            return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        except (TypeError, ValueError):
            pass
    return f"<{type(value).__name__}>"


def to_frame(
    rows: Sequence[Mapping[str, Any]], axes: Mapping[str, Dtype] | None = None
) -> pd.DataFrame:
    """Build the table of a run.

    Parameters
    ----------
    rows : sequence of mapping
        One per point: column name to value. A column that is not there is missing in the frame.
    axes : mapping of str to dtype, optional
        The axis columns that come before the fixed ones, in display order.

    Returns
    -------
    pandas.DataFrame
        Index ``point_id``, the axes, then every column of ``SCHEMA``, whatever rows there are.

    Examples
    --------
    >>> frame = to_frame([], {"style": "string"})
    >>> frame.index.name, list(frame.columns[:2]), str(frame.dtypes["cost"])
    ('point_id', ['style', 'model'], 'Float64')
    """
    return frame_of(
        [row[INDEX] for row in rows], lambda name: [row.get(name) for row in rows], axes
    )


def frame_of(
    ids: Sequence[str],
    column: Callable[[str], Sequence[Any] | None],
    axes: Mapping[str, Dtype] | None = None,
) -> pd.DataFrame:
    """Build the table of a run column by column, which spares a large run a dict per point.

    Parameters
    ----------
    ids : sequence of str
        The point of each row.
    column : callable
        Column name to its values in the order of ``ids``, or None for a column that holds
        nothing; times may be whole microseconds since 1970, as a journal keeps them. Asked once
        for each column, so that only one need be held besides the frame.
    axes : mapping of str to dtype, optional
        As for :func:`to_frame`.

    Examples
    --------
    >>> held = {"style": ["ink", "clay"], "cost": [0.02, None]}
    >>> frame_of(["a", "b"], held.get, {"style": "string"})["cost"].isna().tolist()
    [False, True]
    """
    import pandas as pd

    columns: dict[str, Dtype] = dict(axes or {})
    columns |= {fixed.name: fixed.dtype for fixed in SCHEMA}
    index = pd.Index(ids, dtype=dtype_of("string"), name=INDEX)
    data: dict[str, Any] = {}
    for name, kind in columns.items():
        values = column(name)
        data[name] = series_of([None] * len(index) if values is None else values, kind, index)
    return pd.DataFrame(data, index=index)


def run_frame(journal: Journal) -> pd.DataFrame:
    """Build the table of a run from its journal, holding no more of it twice than a column."""
    held = journal.columns_of()
    return frame_of(held.pop(INDEX), lambda name: held.pop(name, None), journal.columns)


PLAN_FIXED: Final = ("model", "kind", "prompt", "seed", "input", "replicate")


def plan_frame(rows: Sequence[Mapping[str, Any]], axes: Mapping[str, Dtype]) -> pd.DataFrame:
    """Build the table of a plan.

    Returns
    -------
    pandas.DataFrame
        Index ``point_id``; the axes and a few fixed columns, then ``valid`` (boolean),
        ``problem`` (excluded or invalid), ``reason``, and ``cost_estimate`` in USD.
    """
    frame = to_frame(rows, axes)
    plan = frame[[*axes, *PLAN_FIXED]].copy()
    plan["valid"] = series_of([row["valid"] for row in rows], "boolean", frame.index)
    for name in ("problem", "reason"):
        plan[name] = series_of([row[name] or None for row in rows], "string", frame.index)
    plan["cost_estimate"] = frame["cost_estimate"]
    return plan


def series_of(values: Sequence[Any], kind: Dtype, index: pd.Index[Any]) -> pd.Series[Any]:
    """Return a column of one of the schema's dtypes, whatever pandas would make of the values."""
    import pandas as pd

    if kind == "string":
        if not set(map(type, values)) <= {str, type(None)}:
            values = [label(value) for value in values]
    elif kind == "datetime" and any(type(value) is int for value in values):
        import numpy as np

        # The unit is said here, since what pandas takes a number for has changed between versions.
        whole = pd.array(values, dtype="Int64")
        times = whole.to_numpy("datetime64[us]", na_value=np.datetime64("NaT", "us"))
        stamps: pd.Series[Any] = pd.Series(times, index=index, dtype=dtype_of(kind))
        return stamps
    elif kind == "category":
        # Categories are text even when there are none yet, so that frames can be put together.
        known = sorted({value for value in values if value is not None})
        categories = pd.Index(known, dtype=dtype_of("string"))
        # Named for the values as well: what pandas takes text for depends on whether pyarrow is
        # installed, and pyarrow refuses some texts that a service may send.
        texts = pd.array(list(values), dtype=dtype_of("string"))
        return pd.Series(pd.Categorical(texts, categories=categories), index=index)
    series: pd.Series[Any] = pd.Series(values, index=index, dtype=dtype_of(kind))
    return series


def events_frame(events: Sequence[Event]) -> pd.DataFrame:
    """Build the table of a journal's events.

    Returns
    -------
    pandas.DataFrame
        Index ``seq``; ``at`` (UTC), ``point_id``, ``kind``, ``status`` (missing where it did not
        change) and ``detail`` (the other changes, as JSON).
    """
    import pandas as pd

    index = pd.Index([event.seq for event in events], dtype="int64", name="seq")
    details = [
        {k: v for k, v in event.changes.items() if k not in ("status", INDEX)}
        if event.kind != "planned"
        else {}
        for event in events
    ]
    columns: dict[str, tuple[Dtype, list[Any]]] = {
        "at": ("datetime", [event.at for event in events]),
        INDEX: ("string", [event.point_id for event in events]),
        "kind": ("category", [event.kind for event in events]),
        "status": ("status", [_word(event.changes.get("status")) for event in events]),
        "detail": ("string", [json.dumps(d, default=str) if d else None for d in details]),
    }
    data = {name: series_of(values, kind, index) for name, (kind, values) in columns.items()}
    return pd.DataFrame(data, index=index)


ATTEMPT_COLUMNS: Final = (
    *("attempt", "submitted_at", "status", "job_id", "polls", "total_s", "cost"),
    *("error_phase", "error_type", "error_message", "http_status"),
)


def attempts_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Build the table of tries at buying points: one row for each point that was begun."""
    begun = [row for row in rows if row.get("attempt")]
    return to_frame(begun)[list(ATTEMPT_COLUMNS)]


def _word(status: Any) -> str | None:
    return None if status is None else str(status)
