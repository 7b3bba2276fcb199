"""A prompt and a reference image, checked and made ready for the wire before anything is asked.

Images may be a path, bytes, a picture, an array, a URL or a ``file_...`` reference; what goes out
is base64 of at most ten million characters, which is checked here (wire contract, 7.1).
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from ..contract.realtime import MAX_IMAGE_CHARS
from ..errors import InvalidInputError
from .signaling.base import Change, Keep

Fetch = Callable[[], AbstractAsyncContextManager[Callable[[str, str], Awaitable[Path]]]]
"""``async with fetch() as get: path = await get(url, field)``; the file is gone after."""

MAX_PROMPT_CHARS: Final = 20_000
"""More is surely a mistake; the service states no limit (wire contract, 10.12)."""


def check_prompt(prompt: object) -> str | Keep | None:
    """Return the prompt if it can be one.

    Raises
    ------
    InvalidInputError
        It is no text, empty, or endless.
    """
    if prompt is None or isinstance(prompt, Keep):
        return prompt
    if not isinstance(prompt, str):
        raise InvalidInputError("The prompt must be text.", field="prompt")
    if not prompt.strip():
        raise InvalidInputError(
            "The prompt is empty.", field="prompt", hint="Use None to show the input unchanged."
        )
    if len(prompt) > MAX_PROMPT_CHARS:
        raise InvalidInputError(
            f"The prompt has {len(prompt):,} characters; at most {MAX_PROMPT_CHARS:,} are sent.",
            field="prompt",
        )
    return prompt


def encode_image(content: bytes) -> str:
    """Return a picture's bytes as the wire carries them.

    Raises
    ------
    InvalidInputError
        More than ten million characters of base64.
    """
    if len(content) > MAX_IMAGE_CHARS // 4 * 3:
        raise InvalidInputError(
            f"The reference image has {len(content) / 1e6:.1f} MB; the service takes at most "
            f"{MAX_IMAGE_CHARS * 3 / 4e6:.1f} MB (10 MB as base64).",
            field="image",
            hint="Save it smaller, or as JPEG.",
        )
    return base64.b64encode(content).decode("ascii")


async def make_change(
    prompt: Any, image: Any, enhance: bool, *, fetch: Fetch | None = None, references: bool = True
) -> Change:
    """Check and encode what a user asks for.

    Parameters
    ----------
    prompt : str, None or KEEP
        See :func:`check_prompt`.
    image : path, bytes, picture, array, URL, "file_..." or None or KEEP
        The reference image.
    fetch : callable, optional
        Fetches addresses into files; see ``Fetch``.
    references : bool
        Whether the dialect takes ``file_...`` references.

    Raises
    ------
    InvalidInputError
        Nothing was sent; the message names the field.
    """
    words = check_prompt(prompt)
    if image is None or isinstance(image, Keep):
        return Change(words, image, enhance)
    if isinstance(image, str) and image.startswith("file_"):
        if not references:
            raise InvalidInputError(
                "This signaling dialect takes no file references.",
                field="image",
                hint="Give the picture itself.",
            )
        return Change(words, image, enhance)
    if isinstance(image, str) and image[:8].lower().startswith(("http://", "https://")):
        if fetch is None:
            raise InvalidInputError("Addresses cannot be fetched here.", field="image")
        async with fetch() as get:
            path = await get(image, "image")
            return Change(words, await asyncio.to_thread(_encoded, path), enhance)
    return Change(words, await asyncio.to_thread(_encoded, image), enhance)


def _encoded(image: Any) -> str:
    from ..media.inputs import prepare

    with prepare(image, field="image", kind="image").open() as file:
        return encode_image(file.read(MAX_IMAGE_CHARS))
