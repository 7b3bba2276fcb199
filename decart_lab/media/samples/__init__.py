"""The bundled inputs: three photographs and a short clip with sound. Their origin: README.md."""

from __future__ import annotations

from pathlib import Path

from ...errors import InvalidInputError

_FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Return the names of the samples.

    Examples
    --------
    >>> names()
    ('cat.jpg', 'clip.mp4', 'coffee.jpg', 'rocket.jpg')
    """
    return tuple(sorted(p.name for p in _FOLDER.iterdir() if p.suffix in (".jpg", ".mp4")))


def path(name: str) -> Path:
    """Return where a sample lies.

    Raises
    ------
    InvalidInputError
        There is no sample of that name.
    """
    if name not in names():
        raise InvalidInputError(
            f"There is no sample named {name!r}.",
            field="name",
            hint=f"Choose one of {', '.join(names())}.",
        )
    return _FOLDER / name
