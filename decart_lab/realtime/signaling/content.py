"""What a change says on the wire; both dialects say it in the same fields.

What belongs here: which of the two messages (the prompt alone, or an image with or without a
prompt) a change becomes. Sources: wire contract, 5.1 (``image_ref``), 7.1 and 7.2.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from ...contract.realtime import MAX_IMAGE_CHARS
from ...errors import InvalidInputError
from .base import Change, Keep

REFERENCE: Final = "file_"


def check_change(change: Change, *, references: bool) -> None:
    """Refuse an image that the service would refuse, before it is sent.

    Raises
    ------
    InvalidInputError
        More than ten million characters of base64, or a reference where there are none.
    """
    image = change.image
    if not isinstance(image, str):
        return
    if image.startswith(REFERENCE) and not references:
        raise InvalidInputError(
            "This signaling dialect takes no file references.",
            field="image",
            hint="Give the picture itself.",
        )
    if len(image) > MAX_IMAGE_CHARS:
        raise InvalidInputError(
            f"The reference image has {len(image):,} characters of base64; the service takes at "
            f"most {MAX_IMAGE_CHARS:,}.",
            field="image",
            hint="Save it smaller, or as JPEG.",
        )


class Content:
    """What a session shows, as far as further messages must repeat it."""

    def __init__(self) -> None:
        self._image: str | None = None

    def accepted(self, change: Change) -> None:
        """Note a change that the service has taken."""
        if not isinstance(change.image, Keep):
            self._image = change.image

    def message(self, change: Change) -> tuple[Literal["prompt", "image"], dict[str, Any]]:
        """Return which message asks for a change, and its fields.

        Examples
        --------
        >>> Content().message(Change("a fox"))
        ('prompt', {'prompt': 'a fox', 'enhance_prompt': True})
        >>> Content().message(Change(None))
        ('image', {'image_data': None, 'prompt': None})
        """
        words = change.prompt
        if isinstance(change.image, Keep) and isinstance(words, str):
            return "prompt", {"prompt": words, "enhance_prompt": change.enhance}
        # Only the image's message can clear the prompt; it replaces the image, too (7.2).
        image = self._image if isinstance(change.image, Keep) else change.image
        fields: dict[str, Any] = image_field(image)
        if not isinstance(words, Keep):
            fields["prompt"] = words
        if isinstance(words, str):
            fields["enhance_prompt"] = change.enhance
        return "image", fields


def image_field(image: str | None) -> dict[str, str | None]:
    """Return the field that names an image: by its content, or by a file's id."""
    if image is not None and image.startswith(REFERENCE):
        return {"image_ref": image}
    return {"image_data": image}
