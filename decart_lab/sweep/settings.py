"""How a run is bought: the settings of the engine, checked before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from ..errors import InvalidInputError

ImageRoute = Literal["direct", "queue"]

CONCURRENCY: Final = 8
MAX_CONCURRENCY: Final = 256
REFUSALS: Final = 3
WINDOW: Final = 8
"""So many requests of a route may be on their way at once: what a crash may leave in doubt."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is bought.

    Attributes
    ----------
    concurrency : int
        Jobs in flight at the most; a service that says "too many" lowers it for a while.
    image_route : {"direct", "queue"}
        Whether pictures are answered at once or go as jobs.
    window : int
        Paid requests of one route that are on their way, with their fate unknown, at the most. A
        picture answered at once is on its way for as long as it takes to make.
    tries : int
        How often one point may be sent in all, where it was proved not to have been taken.
    upload_bytes : int
        Bytes of requests on their way at once.
    downloads : int
        Results fetched at once.
    answer_s, picture_s : float
        After so long without an answer to a paid request a point is in doubt, and others take its
        place; its connection is kept open until the client's own deadline, and a late answer is
        taken. The second is for a picture that is made meanwhile.
    deadline_s : float
        How long a job is asked after before it is left for a later resume.
    detach_s : float
        How long requests on their way are waited for when the run is to end at once.
    refusals : int
        After so many points in a row that the service refused in the same words the run pauses;
        0 for never.
    thumbs : bool
        Whether thumbnails are made beside the results.

    Raises
    ------
    InvalidInputError
        Naming the argument.
    """

    concurrency: int = CONCURRENCY
    image_route: ImageRoute = "direct"
    window: int = WINDOW
    tries: int = 5
    upload_bytes: int = 256_000_000
    downloads: int = 8
    answer_s: float = 30.0
    picture_s: float = 120.0
    deadline_s: float = 2700.0
    detach_s: float = 2.0
    refusals: int = REFUSALS
    thumbs: bool = True

    def __post_init__(self) -> None:
        check_limits(self.concurrency, self.image_route)
        for name in ("window", "tries", "upload_bytes", "downloads"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{name} must be at least 1.", field=name)
        if type(self.refusals) is not int or self.refusals < 0:
            raise InvalidInputError(
                f"refusals must be a whole number, 0 for never, not {self.refusals!r:.60}.",
                field="refusals",
            )


def check_limits(concurrency: int, image_route: str) -> None:
    """Refuse settings of a run that cannot be, before anything is opened.

    Raises
    ------
    InvalidInputError
        Naming the argument.
    """
    if type(concurrency) is not int or not 1 <= concurrency <= MAX_CONCURRENCY:
        raise InvalidInputError(
            f"concurrency must be a whole number from 1 to {MAX_CONCURRENCY}, not {concurrency!r}.",
            field="concurrency",
        )
    if image_route not in ("direct", "queue"):
        raise InvalidInputError(
            f'image_route must be "direct" or "queue", not {image_route!r:.60}.',
            field="image_route",
        )
