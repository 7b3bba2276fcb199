"""What a request asks for, checked as the service would: every fault as a row of one 422.

The rules of the fields are the contract's (:mod:`decart_lab.contract.requests`); what differs at
the server is that everything arrives as text, in Python's or JavaScript's spelling, that prompts
have no greatest length, and that the EDIT2 prompt may be left out (wire contract, section 10,
contradictions 12 to 14).
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from ..contract.models import ModelSpec
from ..contract.requests import MAX_PROMPT, Schema, schema_of
from ..errors import MediaError
from ..media.probe import Probe, probe_open
from .answers import invalid, pydantic_rows, row
from .forms import Form, StoredFile

MAX_TRAJECTORY_TEXT: Final = 100_000
SEEN: Final = 256
"""So many files that were looked into are known by their hash: a sweep sends one many times."""

_seen: dict[str, Probe] = {}

_INT: Final = TypeAdapter(int)
_BOOL: Final = TypeAdapter(bool)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's fields, as values.

    Attributes
    ----------
    given : dict
        What was sent, as values, for the request's hash.
    """

    prompt: str = ""
    seed: int | None = None
    resolution: str = "720p"
    orientation: str = "landscape"
    enhance_prompt: bool = True
    trajectory: list[dict[str, Any]] | None = None
    given: dict[str, Any] = field(default_factory=dict)


def check_fields(model: ModelSpec, form: Form) -> Asked:
    """Check the text parts of a form, and that the files it needs are there.

    Raises
    ------
    Refusal
        422 with a row for each fault.
    """
    schema = schema_of(model)
    assert schema is not None, "every model that is served has a schema"
    rows = [
        row(name, "Field required", "missing", input=None)
        for name in schema.required
        if name not in form.files
    ]
    values: dict[str, Any] = {}
    for name, text in form.texts.items():
        if name not in schema.fields.model_fields or name == "reference_image":
            continue  # the service ignores fields it does not know
        try:
            values[name] = _value(name, text)
        except ValidationError as error:
            rows += pydantic_rows(
                {**fault, "loc": (name, *fault["loc"])} for fault in error.errors()
            )
    checked, faults = _check_values(schema, values, form, known={r["loc"][1] for r in rows})
    rows += faults
    if rows:
        raise invalid(*rows)
    return Asked(
        prompt=values.get("prompt", ""),
        seed=values.get("seed"),
        resolution=values.get("resolution", "720p"),
        orientation=values.get("orientation", "landscape"),
        enhance_prompt=values.get("enhance_prompt", model.schema != "ROBOT"),
        trajectory=checked.get("trajectory"),
        given=values,
    )


def _value(name: str, text: str) -> Any:
    if name == "seed":
        return _INT.validate_python(text)
    if name in ("enhance_prompt", "self_anchor"):
        return _BOOL.validate_python(text)
    if name == "trajectory":
        return parse_points(text)
    return text


def _check_values(
    schema: Schema, values: dict[str, Any], form: Form, known: set[Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the values as the schema reads them, and a row for each fault not known yet."""
    checked = dict(values)
    if "prompt" in checked:
        # No greatest length at the server, so the contract's client-side limit is stepped around.
        checked["prompt"] = checked["prompt"][:MAX_PROMPT]
    if schema.fields.__name__ in ("EditFields", "AnchorFields"):
        checked.setdefault("prompt", "")
    if "reference_image" in schema.fields.model_fields:
        if checked.get("prompt") == "":
            del checked["prompt"]  # an empty form field is an absent one
        if "reference_image" in form.files:
            checked["reference_image"] = True
            # The service has a default here; only the SDKs refuse the pair.
            checked.pop("enhance_prompt", None)
    try:
        return schema.fields.model_validate(checked).model_dump(), []
    except ValidationError as error:
        faults = [fault for fault in error.errors() if (*fault["loc"], "")[0] not in known]
        return {}, [
            row((), _RULE, "value_error") if fault["type"] == "value_error" else shaped
            for fault, shaped in zip(faults, pydantic_rows(faults), strict=True)
        ]


_RULE: Final = "Value error, give exactly one of prompt and reference_image"


def parse_points(text: str) -> Any:
    """Read a trajectory: JSON, as JavaScript sends it, or the repr of a Python list.

    Text that is neither is returned as it is, and refused by the schema.

    Examples
    --------
    >>> parse_points('[{"frame": 0, "x": 1, "y": 2}]') == parse_points(
    ...     "[{'frame': 0, 'x': 1, 'y': 2}]")
    True
    """
    if len(text) > MAX_TRAJECTORY_TEXT:
        return text
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return text


def check_files(model: ModelSpec, form: Form) -> dict[str, Probe]:
    """Look into every file of a form; blocking.

    Raises
    ------
    Refusal
        422 with a row for each file that is empty, not media, of the wrong kind, or too long.
    """
    schema = schema_of(model)
    assert schema is not None
    probes, rows = {}, []
    for name, stored in form.files.items():
        kind = schema.files.get(name)
        if kind is None:
            continue  # not a field of this model: ignored, as the service does
        try:
            probes[name] = found = probe_stored(stored, name)
        except MediaError as error:
            rows.append(row(name, error.message, "value_error"))
            continue
        if kind not in ("any", found.kind):
            wanted = {"image": "a picture", "video": "a clip"}[kind]
            rows.append(row(name, f"Expected {wanted}, not {found.format}", "value_error"))
        elif model.max_input_s is not None and (found.duration_s or 0.0) > model.max_input_s:
            rows.append(row(name, f"Longer than {model.max_input_s:g} s", "value_error"))
    if rows:
        raise invalid(*rows)
    return probes


def probe_stored(stored: StoredFile, name: str) -> Probe:
    """Return what an uploaded file holds; MediaError when it is not media. Blocking."""
    if not stored.size_bytes:
        raise MediaError("The file is empty.", field=name)
    found = _seen.get(stored.sha256)
    if found is None:
        with stored.path.open("rb") as file:
            found = probe_open(file, stored.size_bytes, name="The file", field=name)
        if len(_seen) >= SEEN:
            _seen.clear()
        _seen[stored.sha256] = found
    return found
