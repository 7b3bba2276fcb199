"""Presets: what a session shows and how, kept under a name.

What belongs here: the value, and saving, loading, listing and deleting it as one small JSON file
per name in a folder. Opening a session with one is the session's business: ``preset.options()`` are
keyword arguments of ``connect``. Neither keys nor pictures are stored; a picture is named by its
path, or by the service's ``file_...`` reference.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from .. import config
from ..contract.models import resolve_model
from ..errors import InvalidInputError, StoreError

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 _.-]{0,62}[A-Za-z0-9_-])?")
_DEVICES: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_SUFFIX: Final = ".json"
_MOST_BYTES: Final = 100_000
_MOST_PIXELS: Final = 4096


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a session shows and how.

    Parameters
    ----------
    model : str
        A realtime model's name.
    prompt : str, optional
        The words.
    image : str or Path, optional
        Reference image, kept as text: a path, an http(s) address, or a ``file_...`` reference.
    enhance : bool
        Whether the service may extend the words.
    resolution : str, optional
        The model's word for it, such as ``"720p"``.
    size : (int, int), optional
        Width and height of what is sent, in pixels.
    speed : str, optional
        ``"fast"`` where the model has it.
    mirror : bool
        Whether what is sent is flipped left to right.

    Raises
    ------
    ModelNotFoundError
        There is no such realtime model.
    InvalidInputError
        A value of another type.

    Examples
    --------
    >>> Preset(model="lucy-2.1", prompt="ink on paper", size=(640, 352)).options()
    {'model': 'lucy-2.1', 'prompt': 'ink on paper', 'size': (640, 352)}
    """

    model: str
    prompt: str | None = None
    image: str | os.PathLike[str] | None = None
    enhance: bool = True
    resolution: str | None = None
    size: tuple[int, int] | None = None
    speed: str | None = None
    mirror: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.image, os.PathLike):
            object.__setattr__(self, "image", os.fsdecode(self.image))
        for name in ("prompt", "image", "resolution", "speed"):
            _check(name, getattr(self, name), str, optional=True)
        for name in ("enhance", "mirror"):
            _check(name, getattr(self, name), bool)
        _check("model", self.model, str)
        resolve_model(self.model, "realtime")
        if self.size is not None:
            object.__setattr__(self, "size", _sides(self.size))

    def options(self) -> dict[str, Any]:
        """Return it as keyword arguments of ``connect``, without what is left at its default."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        usual = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in given.items() if value != usual[name]}


def save_preset(name: str, preset: Preset, *, folder: str | Path | None = None) -> Path:
    """Save a preset under a name; one of that name is replaced.

    Parameters
    ----------
    name : str
        Letters, digits, spaces, and ``_ . -`` between them, at most 64.
    preset : Preset
        What to save. A path in it is made absolute.
    folder : path, optional
        By default ``DECART_LAB_PRESETS``, else ``decart_presets``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InvalidInputError
        The name is none.
    StoreError
        The file cannot be written.
    """
    path = _path(name, folder)
    kept = preset.options()
    image = kept.get("image")
    if image is not None and not image.startswith("file_") and "://" not in image:
        kept["image"] = str(Path(image).expanduser().absolute())
    part = path.with_name(f".{path.stem}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(path)
    except (OSError, UnicodeEncodeError) as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise StoreError(
            f"The preset {name!r} cannot be written: {_reason(error)}.",
            hint="Set DECART_LAB_PRESETS to a folder that you may write to.",
        ) from error
    return path


def load_preset(name: str, *, folder: str | Path | None = None) -> Preset:
    """Load a preset.

    Raises
    ------
    InvalidInputError
        There is none of that name, or the file was changed into something that is none.
    StoreError
        The file cannot be read.
    """
    path = _path(name, folder)
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise _missing(name, folder) from error
    except OSError as error:
        raise StoreError(f"The preset {name!r} cannot be read: {_reason(error)}.") from error
    try:
        found = json.loads(content) if len(content) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, Mapping):
        raise InvalidInputError(
            f"The preset {name!r} is not a JSON object.",
            field="name",
            hint="Save it again, or delete it.",
        )
    known = {field.name for field in fields(Preset)}
    strange = sorted(str(key)[:50] for key in found if key not in known)
    if strange or "model" not in found:
        what = f"does not know {', '.join(strange)}" if strange else "has no model"
        raise InvalidInputError(
            f"The preset {name!r} {what}.",
            field="name",
            hint=f"A preset holds {', '.join(sorted(known))}.",
        )
    return Preset(**found)


def list_presets(*, folder: str | Path | None = None) -> list[str]:
    """Return the names of all presets, in order; an absent folder has none."""
    try:
        found = [path.stem for path in _root(folder).iterdir() if path.suffix == _SUFFIX]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"The folder of presets cannot be read: {_reason(error)}.") from error
    return sorted(name for name in found if _is_name(name))


def delete_preset(name: str, *, folder: str | Path | None = None) -> None:
    """Delete a preset.

    Raises
    ------
    InvalidInputError
        There is none of that name.
    StoreError
        The file cannot be deleted.
    """
    try:
        _path(name, folder).unlink()
    except FileNotFoundError as error:
        raise _missing(name, folder) from error
    except OSError as error:
        raise StoreError(f"The preset {name!r} cannot be deleted: {_reason(error)}.") from error


def _root(folder: str | Path | None) -> Path:
    return config.presets_root() if folder is None else Path(folder).expanduser()


def _path(name: str, folder: str | Path | None) -> Path:
    if not isinstance(name, str) or not _is_name(name):
        raise InvalidInputError(
            f"A preset cannot be called {str(name)[:80]!r}.",
            field="name",
            hint="Give letters, digits, spaces, and _ . - between them, at most 64; not a path.",
        )
    return _root(folder) / f"{name}{_SUFFIX}"


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and _DEVICES.fullmatch(name) is None


def _missing(name: str, folder: str | Path | None) -> InvalidInputError:
    there = list_presets(folder=folder)
    near = difflib.get_close_matches(name, there, n=3, cutoff=0.4) or there[:10]
    return InvalidInputError(
        f"There is no preset {name!r}.",
        field="name",
        hint=f"There are {', '.join(near)}." if near else "Save one with save_preset().",
    )


def _check(name: str, value: object, kind: type, *, optional: bool = False) -> None:
    if not isinstance(value, kind) and not (optional and value is None):
        raise InvalidInputError(
            f"{name} of a preset is {type(value).__name__}, not {kind.__name__}.", field=name
        )


def _sides(size: Any) -> tuple[int, int]:
    sides = tuple(size) if isinstance(size, (tuple, list)) else ()
    if len(sides) != 2 or not all(
        type(side) is int and 16 <= side <= _MOST_PIXELS and side % 2 == 0 for side in sides
    ):
        raise InvalidInputError(
            f"size of a preset is {str(size)[:80]}.",
            field="size",
            hint=f"Give an even width and height from 16 to {_MOST_PIXELS}.",
        )
    return sides


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
