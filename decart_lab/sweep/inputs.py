"""The inputs of a sweep: each distinct one opened, probed and hashed once, before any request."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from ..errors import DecartSDKError
from .table import label

if TYPE_CHECKING:
    from ..media.inputs import PreparedInput

THREADS: Final = 4


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a sweep.

    Attributes
    ----------
    label : str
        Short printable name, for the table.
    prepared : PreparedInput or None
        The input ready to be sent; None when it could not be read, or is a URL not fetched yet.
    sha256 : str or None
        Of its bytes, once they are known.
    error : DecartSDKError or None
        Why it cannot be used.
    prepare_s : float
        Seconds it took to open, probe and hash.
    """

    label: str
    prepared: PreparedInput | None = None
    sha256: str | None = None
    error: DecartSDKError | None = None
    prepare_s: float = 0.0

    @property
    def kind(self) -> Literal["image", "video"] | None:
        """Picture or clip; None when that is not known."""
        return self.prepared.probe.kind if self.prepared else None

    @property
    def duration_s(self) -> float | None:
        """Length in seconds; None for pictures and when it is not known."""
        return self.prepared.probe.duration_s if self.prepared else None


def open_inputs(
    wanted: Mapping[object, tuple[str, Any]],
    fetch: Callable[[str], Any] | None,
    held: dict[object, Input],
) -> dict[object, Input]:
    """Open every input, a few at a time.

    Parameters
    ----------
    wanted : mapping
        Any key to the field and the user's value.
    fetch : callable or None
        Gets a URL; without it URLs stay unopened.
    held : dict
        Inputs opened before that are not files by name: a file object can be read only once, an
        array need not be encoded twice. New ones are added.

    Returns
    -------
    dict
        The same keys to inputs; what cannot be used carries its error.
    """
    missing = {key: item for key, item in wanted.items() if key not in held}
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="decart-lab-inputs")
    try:
        opened = pool.map(lambda item: _open(item[0], item[1], fetch), missing.values())
        found = dict(zip(missing, opened, strict=True))
    finally:
        # An interrupt does not wait for a slow address.
        pool.shutdown(wait=False, cancel_futures=True)
    held |= {key: new for key, new in found.items() if not isinstance(wanted[key][1], (str, Path))}
    return {key: held.get(key) or found[key] for key in wanted}


def _open(field: str, value: Any, fetch: Callable[[str], Any] | None) -> Input:
    from ..media.inputs import prepare

    is_url = isinstance(value, str) and value.lower().startswith(("http://", "https://"))
    if is_url and fetch is None:
        # Queries of addresses may hold credentials; the table never shows them.
        parts = urlsplit(value)
        return Input(Path(parts.path).name or str(parts.hostname))
    started = time.monotonic()
    try:
        prepared = prepare(value, field=field, fetch=fetch if is_url else None)
        sha256 = prepared.sha256
    except DecartSDKError as error:
        return Input(str(label(value))[:200], error=error)
    return Input(prepared.label, prepared, sha256, prepare_s=time.monotonic() - started)
