"""What realtime clients ask, read from JSON with bounds; the same for both dialects.

What belongs here: shapes, limits and moderation of one message. What becomes of it is
:mod:`.session`'s. Every refusal is a :class:`.problems.Problem`, which the WebSocket dialect spells
as an error or an acknowledgement.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal

from ..contract.models import ModelSpec, find
from ..contract.realtime import (
    MAX_IMAGE_CHARS,
    Candidate,
    Dialect,
    Malformed,
    parse_candidate,
)
from ..errors import MediaError
from ..media.image import open_image
from . import prompts
from .problems import Problem
from .records import TokenRecord
from .world import World

if TYPE_CHECKING:
    from PIL import Image

MAX_BODY: Final = MAX_IMAGE_CHARS + 1_000_000
MAX_CANDIDATES: Final = 100
MAX_PROMPT: Final = 100_000

_CANDIDATE: Final = re.compile(
    r"(?:a=)?candidate:\S{1,64} [12] \S{1,8} \d{1,10} \S{1,255} \d{1,5} typ \S+(?: \S+)*\s*\Z"
)


class Kept(Enum):
    """The wish to leave something as it is, where nothing means to clear it."""

    KEPT = "kept"


KEPT: Final[Literal[Kept.KEPT]] = Kept.KEPT


@dataclass(frozen=True, slots=True)
class Change:
    """What a session is to show from now on.

    Attributes
    ----------
    prompt : str or KEPT
        "" clears it.
    image : PIL.Image.Image, None or KEPT
        None clears it.
    enhance : bool
        Whether the prompt may be extended.
    """

    prompt: str | Literal[Kept.KEPT] = KEPT
    image: Image.Image | Literal[Kept.KEPT] | None = KEPT
    enhance: bool = True


@dataclass(frozen=True, slots=True)
class Order:
    """What a client asked for when it opened a session.

    Attributes
    ----------
    token : TokenRecord or None
        The client token that it came with.
    speed : str
        "fast" for the dearer tier.
    """

    model: ModelSpec
    dialect: Dialect
    change: Change = field(default_factory=Change)
    token: TokenRecord | None = None
    speed: str = ""
    resolution: str = ""


def parse_object(body: bytes | str) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    Problem
        400: it is none.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "bad-request", "The body is not JSON.") from error
    if not isinstance(given, dict):
        raise Problem(400, "bad-request", "The body is not a JSON object.")
    return given


def model_of(name: object) -> ModelSpec:
    """Return the row of a realtime model, retired ``live_avatar`` and its like included.

    Raises
    ------
    Problem
        400 for no name at all, 422 for one that is not served.
    """
    if not isinstance(name, str) or not name:
        raise Problem(400, "bad-request", "Give model, the name of a realtime model.")
    model = find(name, "realtime")
    if model is None or model.status == "retired":
        instead = f" Use {model.successor!r} instead." if model is not None else ""
        raise Problem(422, "unsupported-model", f"Model {show(name)} is not served.{instead}")
    return model


def offer_of(value: object) -> str:
    """Return the SDP of ``{"type": "offer", "sdp": text}``; its lines are the peer's to check."""
    if not isinstance(value, Mapping) or value.get("type") != "offer":
        raise Problem(400, "invalid-sdp", 'Give sdp as {"type": "offer", "sdp": ...}.')
    return sdp_text(value.get("sdp"))


def sdp_text(value: object) -> str:
    """Return the text of a session description, which may still be nonsense."""
    if not isinstance(value, str):
        raise Problem(400, "invalid-sdp", "The SDP offer is not text.")
    return value


def candidates_of(value: object) -> list[Candidate | None]:
    """Return the candidates of a PATCH in order; None ends them."""
    if not isinstance(value, list) or not value:
        raise Problem(400, "bad-request", "Give candidates, a list of ICE candidates, or sdp.")
    if len(value) > MAX_CANDIDATES:
        raise Problem(400, "invalid-candidate", f"More than {MAX_CANDIDATES} candidates at once.")
    return [candidate_of(item) for item in value]


def candidate_of(value: object) -> Candidate | None:
    """Return one candidate, or None for the end of them."""
    try:
        found = parse_candidate(value)
    except Malformed as error:
        raise Problem(400, "invalid-candidate", f"This is no ICE candidate: {error}.") from error
    if found is not None and _CANDIDATE.match(found.candidate) is None:
        raise Problem(400, "invalid-candidate", f"This is no ICE candidate: {show(value)}.")
    return found


async def change_of(world: World, given: Mapping[str, Any]) -> Change:
    """Read ``prompt``, ``enhance_prompt``, ``image_data`` and ``image_ref``, and moderate them.

    Raises
    ------
    Problem
        400 for the wrong kind of value, 413 for an image that is too large, 422 for one that
        cannot be read and for what moderation rejects.
    """
    enhance = given.get("enhance_prompt")
    if enhance is not None and not isinstance(enhance, bool):
        raise Problem(400, "bad-request", "enhance_prompt is neither true nor false.")
    prompt: str | Literal[Kept.KEPT] = KEPT
    if "prompt" in given:
        prompt = _prompt(given["prompt"])
    image: Image.Image | Literal[Kept.KEPT] | None = KEPT
    if given.get("image_ref") is not None:
        image = await asyncio.to_thread(_picture, _stored(world, given["image_ref"]))
    elif "image_data" in given:
        image = await _image(given["image_data"])
    return Change(prompt, image, enhance is not False)


def _prompt(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not _encodable(value):
        raise Problem(400, "bad-request", "prompt is not text.")
    if len(value) > MAX_PROMPT:
        raise Problem(413, "content-too-large", f"The prompt is over {MAX_PROMPT:,} characters.")
    if prompts.blocked(value):
        raise rejected()
    return value


async def _image(value: object) -> Image.Image | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise Problem(400, "bad-request", "image_data is not text.")
    if len(value) > MAX_IMAGE_CHARS:
        raise Problem(
            413, "content-too-large", "The reference image is over 10 MB, encoded in base64."
        )
    try:
        content = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(400, "bad-request", "image_data is not base64.") from error
    return await asyncio.to_thread(_picture, content)


def _picture(content: bytes) -> Image.Image:
    # A picture is rejected for a comment in it, since nothing here looks at what it shows.
    if prompts.BLOCKED_MARKER.encode() in content:
        raise rejected()
    try:
        return open_image(content, field="image_data")
    except MediaError as error:
        raise Problem(422, "invalid-image", error.message) from error


def _stored(world: World, ref: object) -> bytes:
    file = world.files.get(ref) if isinstance(ref, str) else None
    if file is None:
        raise Problem(422, "invalid-image", f"There is no file {show(ref)}.")
    return (world.contents / file.id).read_bytes()


def rejected() -> Problem:
    """Return moderation's refusal, in the vendor's words (7.1)."""
    return Problem(422, "moderation-rejected", "Content violates our Terms of Service")


def show(value: object) -> str:
    """Return a value as a message may quote it: short, and in one line."""
    return repr(value)[:100]


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
