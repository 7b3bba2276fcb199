"""What a user passes to a call: dict style or keyword style, made one and split.

What belongs here: merging the two styles, separating what steers the call from what goes on the
wire, and checking the result against the model before any request.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..contract.models import Kind, ModelSpec, resolve_model
from ..contract.requests import ValidRequest, validate, wire_text
from ..errors import InvalidInputError

CONTROLS: Final = ("model", "save_to", "on_upload_progress", "on_status_change", "image_route")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+\Z")


@dataclass(frozen=True, slots=True)
class Options:
    """One call's arguments, split.

    Attributes
    ----------
    model : str or ModelSpec
        As given.
    fields : dict
        What is meant for the wire, files included, untouched.
    controls : dict
        The rest, by name; absent when not set.
    """

    model: Any
    fields: dict[str, Any] = field(repr=False)
    controls: dict[str, Any] = field(repr=False)


def merge(
    options: Mapping[str, Any] | None, keywords: Mapping[str, Any], call: str, *controls: str
) -> Options:
    """Return both styles as one; the caller's dict is left as it is.

    Parameters
    ----------
    call : str
        Name of the function, for messages.
    *controls : str
        Which of the control options it takes besides ``model``.

    Raises
    ------
    InvalidInputError
        Not a mapping, an option given twice, a control that this call does not take, no model.
    """
    if options is not None and not isinstance(options, Mapping):
        raise InvalidInputError(
            f"{call} takes a dict of options or keywords, not {type(options).__name__}.",
            field="options",
            hint=f'Call {call}({{"model": ..., "prompt": ...}}) or {call}(model=..., prompt=...).',
        )
    given = {str(name): value for name, value in (options or {}).items() if value is not None}
    for name, value in keywords.items():
        if value is None:
            continue
        if name in given:
            raise InvalidInputError(
                f"{name} is given twice, in the dict and as a keyword.",
                field=name,
                hint="Give it once.",
            )
        given[name] = value
    model = given.pop("model", None)
    if model is None:
        raise InvalidInputError(
            f"model is missing: {call} needs one.",
            field="model",
            hint='Pass model="lucy-image-2", or models.video("lucy-2.1") for the queue.',
        )
    split: dict[str, Any] = {name: given.pop(name) for name in CONTROLS if name in given}
    for name in split:
        if name not in controls:
            raise InvalidInputError(
                f"{call} does not take {name}.",
                field=name,
                hint=f"It takes model, the model's fields, and {', '.join(controls)}.",
            )
    for name in ("on_upload_progress", "on_status_change"):
        if name in split and not callable(split[name]):
            raise InvalidInputError(
                f"{name} cannot be called: {type(split[name]).__name__}.",
                field=name,
                hint="Pass a function.",
            )
    if inspect.iscoroutinefunction(split.get("on_upload_progress")):
        raise InvalidInputError(
            "on_upload_progress is a coroutine function, and an upload does not wait for it.",
            field="on_upload_progress",
            hint="Pass a plain function of the bytes sent and in all.",
        )
    return Options(model, given, split)


def checked(options: Options, *kinds: Kind) -> ValidRequest:
    """Return the request after every check that needs no file contents.

    Raises
    ------
    InvalidInputError
        Naming the field and the fix.
    """
    # Warnings name the user's line: through process or _submit, and the client's method.
    model = resolve_model(options.model, *kinds, stacklevel=5)
    request = validate(model, options.fields, stacklevel=5)
    for name, value in request.fields.items():
        _check_text(name, value)
    return request


def _check_text(name: str, value: object) -> None:
    """Refuse what has no form on the wire, such as NaN or half a character."""
    try:
        wire_text(value).encode()
        sendable = name.isprintable()
    except (TypeError, ValueError):
        sendable = False
    if not sendable:
        raise InvalidInputError(
            f"{name[:100]!r} holds a value that cannot be sent.",
            field=name,
            hint="Give text, numbers, true or false, or lists and dicts of them.",
        )


def queue_kinds(options: Options) -> tuple[Kind, ...]:
    """Return the kinds the queue takes in this call: image models only when asked for."""
    route = options.controls.get("image_route", "direct")
    if route not in ("direct", "queue"):
        raise InvalidInputError(
            f'image_route must be "direct" or "queue", not {str(route)[:60]!r}.',
            field="image_route",
            hint='With "queue", image models are sent as jobs that can be collected by their id.',
        )
    return ("video", "image") if route == "queue" else ("video",)


def safe_path(path: str, model: ModelSpec) -> str:
    """Return a model's route, refusing one that could leave the service's own paths.

    Raises
    ------
    InvalidInputError
        Only inline definitions can have such a route.
    """
    if not _PATH.match(path) or ".." in path:
        raise InvalidInputError(
            f"The route of model {model.name[:100]!r} is not a plain path: {path[:100]!r}.",
            field="model",
            hint="Give url_path such as /v1/jobs/lucy-3-preview.",
        )
    return path
