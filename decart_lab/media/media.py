"""Media: one picture or clip in a notebook, with what is known about it.

Immutable, cheap to make and to print: headers are read at the first question about them, frames
only when they are asked for. How it looks in a cell is in :mod:`decart_lab.media.show`.
"""

from __future__ import annotations

import shutil
from collections.abc import Container
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..errors import InvalidInputError, MediaError
from . import limits, temp
from .edits import Crop, Edit, Resize, Trim, first_frame
from .image import open_image
from .inputs import prepare
from .prepared import EditedFile, PreparedInput
from .probe import Probe, probe, show_name
from .sniff import FORMATS, Kind
from .video import poster, read_frames, to_rgb

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image


@dataclass(frozen=True, repr=False)
class Media(EditedFile):
    """A picture or clip.

    Parameters
    ----------
    path : str or Path
        The file.
    simulated : bool
        Whether the emulator made it.
    job_id : str, optional
        The job it came from.
    cost : float, optional
        What it cost, in USD; None when that is not known.
    caption : str
        A line to show below it.
    edits : tuple
        What is done to it before it is shown, saved or sent; see ``crop``, ``resize``, ``trim``.

    Examples
    --------
    >>> from decart_lab.media import samples
    >>> cat = Media(samples.path("cat.jpg"))
    >>> cat.kind, cat.mime
    ('image', 'image/jpeg')
    >>> cat.crop(0, 0, 200, 100).resize(100, 50).width
    100
    """

    _: KW_ONLY
    simulated: bool = False
    job_id: str | None = None
    cost: float | None = None
    caption: str = ""
    sha256: str | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "edits", tuple(self.edits))

    @classmethod
    def of(cls, value: Any) -> Media:
        """Make Media of a path, bytes, a binary file, a Pillow image or an array.

        What is not a file yet becomes a temporary one, gone when the kernel ends.

        Raises
        ------
        InvalidInputError
            It is not a picture or clip that can be read.
        """
        if isinstance(value, Media):
            return value
        prepared = prepare(value)
        if prepared.path is not None and not isinstance(value, (str, Path)):
            return cls(_kept(prepared), caption=prepared.label)
        if prepared.path is not None:
            return cls(prepared.path)
        return cls(_kept(prepared), caption=prepared.label)

    @classmethod
    def received(cls, path: Path, found: Probe, **facts: Any) -> Media:
        """Make Media of a file that was looked at while it came in, so that nobody looks again.

        Parameters
        ----------
        found : Probe
            What its headers said.
        **facts
            ``simulated``, ``job_id``, ``sha256``.
        """
        media = cls(path, **facts)
        media.__dict__["probe"] = found
        return media

    @property
    def kind(self) -> Kind:
        """``image`` or ``video``."""
        return self.probe.kind

    @property
    def mime(self) -> str:
        """Media type of the content, edits applied."""
        if not self.edits:
            return self.probe.mime
        return "image/png" if self.kind == "image" else "video/mp4"

    @property
    def width(self) -> int:
        """Width in pixels, edits applied."""
        return self.probe.width

    @property
    def height(self) -> int:
        """Height in pixels, edits applied."""
        return self.probe.height

    @property
    def fps(self) -> float | None:
        """Frames per second; None for pictures."""
        return self.probe.fps

    @property
    def frames(self) -> int | None:
        """Number of frames; None for pictures and when the file does not say."""
        return self.probe.frames

    @property
    def duration_s(self) -> float | None:
        """Length in seconds; None for pictures and when the file does not say."""
        return self.probe.duration_s

    def crop(self, left: int, top: int, width: int, height: int) -> Self:
        """Return Media of a rectangle of this one, in pixels; applied when it is needed.

        Raises
        ------
        InvalidInputError
            The rectangle is not inside the picture.
        """
        return self._edited(Crop(left, top, width, height))

    def resize(self, width: int, height: int) -> Self:
        """Return Media scaled to a size in pixels; applied when it is needed."""
        return self._edited(Resize(width, height))

    def trim(self, start_s: float, end_s: float) -> Self:
        """Return Media of a part of this clip, in seconds; applied when it is needed.

        Raises
        ------
        InvalidInputError
            It is a picture, or the part is not inside the clip.
        """
        return self._edited(Trim(start_s, end_s))

    def read(self) -> bytes:
        """Return the content as bytes, edits applied."""
        with prepare(self).open() as file:
            return file.read()

    def save(self, dest: str | Path) -> Path:
        """Write the content to a file, or into a folder under its own name.

        Parameters
        ----------
        dest : str or Path
            The file to write, replaced when it exists; or an existing folder.

        Returns
        -------
        Path
            Where it was written.

        Raises
        ------
        InvalidInputError
            It cannot be written there.
        """
        source = prepare(self)
        target = Path(dest).expanduser()
        if target.is_dir():
            suffix = next(f.suffix for f in FORMATS if f.mime == source.mime)
            target = target / (self.path.stem + (suffix if self.edits else self.path.suffix))
        part = target.with_name(target.name + ".part")
        try:
            with source.open() as file, part.open("wb") as out:
                shutil.copyfileobj(file, out)
            part.replace(target)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise InvalidInputError(
                f"{show_name(target)} cannot be written: {error.strerror}.",
                field="dest",
                hint="Name a file in a folder that exists and may be written.",
            ) from error
        return target

    def to_pil(self) -> Image.Image:
        """Return the picture, or a clip's first frame, as an upright RGB Pillow image."""
        if self.kind == "video":
            if self.edits:
                return first_frame(self.path, probe(self.path), self.edits)
            return poster(self.path)
        if self.edits:
            return open_image(self.edited.content or b"")
        return open_image(self.path)

    def to_numpy(self, *, frames: int | None = None, every: int = 1) -> npt.NDArray[np.uint8]:
        """Return the pixels.

        Parameters
        ----------
        frames : int, optional
            The most frames of a clip to return; without it all, if they fit.
        every : int
            Take every n-th frame.

        Returns
        -------
        ndarray of uint8
            RGB, of shape (H, W, 3) for a picture and (T, H, W, 3) for a clip.

        Raises
        ------
        MediaError
            The array would take more than a gigabyte.
        """
        import numpy as np

        if self.kind == "image":
            return np.asarray(self.to_pil())
        if every < 1 or (frames is not None and frames < 1):
            raise InvalidInputError("frames and every must be at least 1.", field="frames")
        source = self.edited.path if self.edits else self.path
        assert source is not None  # edited clips are files
        frame_bytes = self.width * self.height * 3
        most = limits.MAX_ARRAY_BYTES // frame_bytes
        known = -(-(self.frames or 0) // every)
        wanted = min(frames or max(known, 1), known or frames or 1)
        if wanted > most:
            raise self._too_large(wanted, frame_bytes)
        found: list[npt.NDArray[np.uint8]] = []
        for frame in islice(read_frames(source), 0, None, every):
            if len(found) == frames:
                break
            if len(found) >= most:
                raise self._too_large(len(found) + 1, frame_bytes)
            found.append(to_rgb(frame))
        return np.stack(found)

    def __repr__(self) -> str:
        parts = [repr(str(self.path))]
        parts += [str(edit) for edit in self.edits]
        if self.simulated:
            parts.append("simulated")
        if self.job_id:
            parts.append(f"job_id={self.job_id!r}")
        return f"Media({', '.join(parts)})"

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, str]:
        from .show import bundle

        made = bundle(self)
        return {
            mime: text
            for mime, text in made.items()
            if (include is None or mime in include) and (exclude is None or mime not in exclude)
        }

    def _edited(self, edit: Edit) -> Self:
        edit.after(self.probe)
        return replace(self, edits=(*self.edits, edit))

    def _too_large(self, count: int, frame_bytes: int) -> MediaError:
        return MediaError(
            f"{show_name(self.path)} as an array would take {count * frame_bytes / 1e9:.1f} GB "
            f"({count:,} frames of {self.width} x {self.height}).",
            field="frames",
            hint="Ask for fewer: to_numpy(frames=100), to_numpy(every=10), or resize it first.",
        )


def _kept(prepared: PreparedInput) -> Path:
    """Write a prepared input to a temporary file of its own, which stays until the exit."""
    suffix = next(f.suffix for f in FORMATS if f.mime == prepared.mime)
    target = temp.new_path(suffix)
    with prepared.open() as file, target.open("xb") as out:
        shutil.copyfileobj(file, out)
    return target
