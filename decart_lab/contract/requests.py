"""Validated inputs of process and queue: one schema per family of models.

A request is checked here, completely, before a byte is sent: names, types, ranges, the rules
between fields, and which files are needed. What is in a file is the business of
:mod:`decart_lab.media`; this module only says which kind each field takes.

Sources: wire contract section 3 (the official SDKs' validators and the vendor's OpenAPI document).
Prompts over 1000 characters are refused where both official SDKs refuse them, and only warned
about for the models where the service documents no limit (contradiction 12).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from ..errors import InvalidInputError
from .models import ModelSpec

FILE_FIELDS: Final[tuple[str, ...]] = ("data", "start", "end", "reference_image")
MAX_SEED: Final = 4_294_967_295
MAX_PROMPT: Final = 1000

FileKind = Literal["image", "video", "any"]
Seed = Annotated[StrictInt, Field(ge=0, le=MAX_SEED)]
Prompt = Annotated[StrictStr, Field(min_length=1, max_length=MAX_PROMPT)]
LongPrompt = Annotated[StrictStr, Field(min_length=1)]


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    seed: Seed | None = None


class _At720(_Fields):
    resolution: Literal["720p"] | None = None


class _At480(_Fields):
    resolution: Literal["720p", "480p"] | None = None


class _Enhanced(_At720):
    enhance_prompt: StrictBool | None = None


class TextFields(_At480):
    """T2V, T2I: a prompt and nothing to start from."""

    prompt: Prompt
    orientation: Literal["landscape", "portrait"] | None = None


class ImageToVideoFields(_At480):
    """I2V, FLF2V: a prompt that animates one or two pictures."""

    prompt: Prompt


class ImageToVideoDevFields(_At720):
    """I2V of the dev model: 720p only."""

    prompt: Prompt


class TrajectoryPoint(BaseModel):
    """Where the object is at a frame, in pixels of the input."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    frame: Annotated[StrictInt, Field(ge=0)]
    x: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    y: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class MotionFields(_At720):
    """MOTION: a path instead of a prompt."""

    trajectory: Annotated[list[TrajectoryPoint], Field(min_length=2, max_length=1000)]


class ClipFields(_Enhanced):
    """V2V: edit a clip by prompt."""

    prompt: Prompt


class ImageFields(_At480):
    """I2I: edit a picture by prompt."""

    prompt: Prompt
    enhance_prompt: StrictBool | None = None


class EditFields(_Enhanced):
    """EDIT2: edit a clip; the prompt may be empty, as when a reference image says it all."""

    prompt: StrictStr


class AnchorFields(EditFields):
    """EDIT2 of lucy-2.5, which also takes ``self_anchor``."""

    self_anchor: StrictBool | None = None


class RestyleFields(_Enhanced):
    """RESTYLE: by prompt or by reference image, never both."""

    prompt: LongPrompt | None = None
    reference_image: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> RestyleFields:
        if (self.prompt is None) == (self.reference_image is None):
            raise ValueError("prompt_xor_reference")
        if self.reference_image and self.enhance_prompt is not None:
            raise ValueError("enhance_needs_prompt")
        return self


class RobotFields(_Enhanced):
    """ROBOT: edit a clip; the service does not enhance the prompt unless asked to."""

    prompt: LongPrompt


@dataclass(frozen=True, slots=True)
class Schema:
    """One family's rules.

    Attributes
    ----------
    fields : type
        The pydantic model of everything that is not a file.
    required : dict of str to str
        File fields that must be there, with the kind each takes.
    optional : dict of str to str
        File fields that may be there.
    """

    fields: type[_Fields]
    required: Mapping[str, FileKind] = field(default_factory=dict)
    optional: Mapping[str, FileKind] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, FileKind]:
        """Every file field with its kind."""
        return {**self.required, **self.optional}


_IMAGE: Final[dict[str, FileKind]] = {"data": "image"}
_VIDEO: Final[dict[str, FileKind]] = {"data": "video"}
_REFERENCE: Final[dict[str, FileKind]] = {"reference_image": "image"}

SCHEMAS: Final[dict[str, Schema]] = {
    "T2V": Schema(TextFields),
    "T2I": Schema(TextFields),
    "I2V": Schema(ImageToVideoFields, _IMAGE),
    "I2V_DEV": Schema(ImageToVideoDevFields, _IMAGE),
    "FLF2V": Schema(ImageToVideoFields, {"start": "image", "end": "image"}),
    "MOTION": Schema(MotionFields, _IMAGE),
    "V2V": Schema(ClipFields, _VIDEO, _REFERENCE),
    "V2V_PLAIN": Schema(ClipFields, _VIDEO),
    "RESTYLE": Schema(RestyleFields, _VIDEO, _REFERENCE),
    "EDIT2": Schema(EditFields, _VIDEO, _REFERENCE),
    "EDIT2_ANCHOR": Schema(AnchorFields, _VIDEO, _REFERENCE),
    "I2I": Schema(ImageFields, _IMAGE, _REFERENCE),
    "ROBOT": Schema(RobotFields, _VIDEO),
}


def schema_of(model: ModelSpec) -> Schema | None:
    """Return the rules of a model; None for a custom model without a schema."""
    if not model.schema:
        return None
    schema = SCHEMAS.get(model.schema)
    if schema is None:
        raise InvalidInputError(
            f"Model {model.name!r} names an unknown schema {model.schema!r}.",
            field="model",
            hint=f"Known schemas: {', '.join(SCHEMAS)}; leave it empty for none.",
        )
    return schema


def file_kinds(model: ModelSpec) -> dict[str, FileKind]:
    """Return the file fields of a model with the kind each takes."""
    schema = schema_of(model)
    return dict.fromkeys(FILE_FIELDS, "any") if schema is None else schema.files


@dataclass(frozen=True, slots=True)
class ValidRequest:
    """A request that passed every check that needs no file contents.

    Attributes
    ----------
    model : ModelSpec
        The model's row.
    fields : dict
        What will be sent besides files, unset ones left out, in the schema's order.
    files : dict of str to object
        The user's inputs by field, untouched.
    """

    model: ModelSpec
    fields: dict[str, Any]
    files: dict[str, Any]

    def wire(self) -> dict[str, str]:
        """Return the text parts of the form: lower-case booleans, JSON for lists."""
        return {name: wire_text(value) for name, value in self.fields.items()}


def validate(model: ModelSpec, options: Mapping[str, Any], *, stacklevel: int = 3) -> ValidRequest:
    """Check the options of one request against the model's schema.

    Parameters
    ----------
    model : ModelSpec
        The model's row, from :func:`decart_lab.contract.models.resolve_model`.
    options : mapping
        Fields as the API spells them; None means not set. File fields hold any input at all:
        they are not opened here.
    stacklevel : int, default 3
        Whose line a warning names, counted as in :func:`warnings.warn`.

    Raises
    ------
    InvalidInputError
        Naming the field and the fix.
    """
    given = {name: value for name, value in options.items() if value is not None}
    files = {name: given.pop(name) for name in FILE_FIELDS if name in given}
    schema = schema_of(model)
    if schema is None:
        for name, value in given.items():
            if not isinstance(value, (str, int, float, bool, list, dict)):
                raise InvalidInputError(
                    f"{name} of custom model {model.name!r} cannot be sent: "
                    f"{type(value).__name__}.",
                    field=name,
                    hint=f"Files go in {', '.join(FILE_FIELDS)}.",
                )
        return ValidRequest(model, given, files)
    _check_files(model, schema, files)
    checked = dict(given)
    if "reference_image" in schema.fields.model_fields and "reference_image" in files:
        checked["reference_image"] = True
    try:
        valid = schema.fields.model_validate(checked)
    except ValidationError as error:
        raise _refusal(model, schema, given, error) from None
    fields = valid.model_dump(exclude_none=True, exclude={"reference_image"})
    prompt = fields.get("prompt", "")
    if len(prompt) > MAX_PROMPT:
        warnings.warn(
            f"The prompt has {len(prompt)} characters; {model.name} may refuse or cut it.",
            UserWarning,
            stacklevel=stacklevel,
        )
    return ValidRequest(model, fields, files)


def wire_text(value: object) -> str:
    """Return the one text form in which a value is sent and hashed.

    Examples
    --------
    >>> wire_text(True), wire_text(7), wire_text([{"x": 1}])
    ('true', '7', '[{"x":1}]')
    """
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)  # as below, at a fifth of the time: seeds are the most that is hashed
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _check_files(model: ModelSpec, schema: Schema, files: Mapping[str, Any]) -> None:
    for name, kind in schema.required.items():
        if name not in files:
            raise InvalidInputError(
                f"{name} is missing: {model.name} needs {_article(kind)}.",
                field=name,
                hint=f"Pass {name}= a path, bytes, URL, PIL image or numpy array.",
            )
    for name in files:
        if name not in schema.files:
            takes = ", ".join(schema.files) or "no files"
            raise InvalidInputError(
                f"{model.name} does not take {name}.",
                field=name,
                hint=f"It takes {takes}.",
            )


def _article(kind: FileKind) -> str:
    return {"image": "a picture", "video": "a clip", "any": "a file"}[kind]


_RULES: Final = {
    "prompt_xor_reference": (
        "prompt",
        "takes either a prompt or a reference_image, and exactly one of them",
        "Leave out prompt or reference_image.",
    ),
    "enhance_needs_prompt": (
        "enhance_prompt",
        "takes enhance_prompt only together with a prompt",
        "Leave out enhance_prompt when a reference_image is given.",
    ),
}


def _refusal(
    model: ModelSpec, schema: Schema, given: Mapping[str, Any], error: ValidationError
) -> InvalidInputError:
    """Turn the first pydantic error into a sentence with the field and the fix."""
    first = error.errors()[0]
    kind = first["type"]
    if kind == "value_error":
        name, text, hint = _RULES[str(first["ctx"]["error"])]
        return InvalidInputError(f"{model.name} {text}.", field=name, hint=hint)
    name = str(first["loc"][0]) if first["loc"] else "request"
    where = ".".join(str(part) for part in first["loc"])
    value = given.get(name)
    if kind == "missing" and len(first["loc"]) == 1:
        return InvalidInputError(
            f"{name} is missing: {model.name} needs it.", field=name, hint=f"Pass {name}=."
        )
    if kind == "extra_forbidden" and len(first["loc"]) == 1:
        known = ", ".join([*schema.fields.model_fields, *schema.files])
        return InvalidInputError(
            f"{model.name} does not take {name[:100]!r}.", field=name, hint=f"It takes {known}."
        )
    if name == "prompt" and kind == "string_too_long":
        return InvalidInputError(
            f"prompt has {len(str(value))} characters; {model.name} takes at most {MAX_PROMPT}.",
            field=name,
            hint="Shorten the prompt.",
        )
    if name == "prompt" and kind == "string_too_short":
        return InvalidInputError(
            f"prompt is empty; {model.name} needs one.", field=name, hint="Describe the result."
        )
    if name == "seed":
        return InvalidInputError(
            f"seed must be a whole number from 0 to {MAX_SEED}, not {_shown(value)}.",
            field=name,
            hint="Leave seed out to let the service draw one.",
        )
    return InvalidInputError(
        f"{where} of {model.name} is not valid: {first['msg']}, not {_shown(first['input'])}.",
        field=name,
        hint=f"See the fields of schema {model.schema}: {', '.join(schema.fields.model_fields)}.",
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
