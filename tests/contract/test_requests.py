"""Requests are refused, completely and by field, before anything is sent."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab.contract.models import REGISTRY, ModelDefinition
from decart_lab.contract.requests import (
    FILE_FIELDS,
    MAX_SEED,
    file_kinds,
    validate,
    wire_text,
)
from decart_lab.errors import InvalidInputError

IMAGE = REGISTRY["image", "lucy-image-2"]
EDIT = REGISTRY["video", "lucy-2.1"]
ANCHOR = REGISTRY["video", "lucy-2.5"]
RESTYLE = REGISTRY["video", "lucy-restyle-2"]
MOTION = REGISTRY["video", "lucy-motion"]
FILE = object()
PATH = [{"frame": 0, "x": 1, "y": 2}, {"frame": 5, "x": 3.5, "y": 2}]

REFUSED = [
    (IMAGE, {"data": FILE}, "prompt", "prompt is missing"),
    (IMAGE, {"prompt": "", "data": FILE}, "prompt", "prompt is empty"),
    (IMAGE, {"prompt": "x" * 1001, "data": FILE}, "prompt", "1001 characters.*at most 1000"),
    (IMAGE, {"prompt": 7, "data": FILE}, "prompt", "valid string"),
    (IMAGE, {"prompt": "x"}, "data", "needs a picture"),
    (IMAGE, {"prompt": "x", "data": FILE, "seed": -1}, "seed", "0 to 4294967295"),
    (IMAGE, {"prompt": "x", "data": FILE, "seed": MAX_SEED + 1}, "seed", "not 4294967296"),
    (IMAGE, {"prompt": "x", "data": FILE, "seed": True}, "seed", "not True"),
    (IMAGE, {"prompt": "x", "data": FILE, "seed": 1.5}, "seed", "whole number"),
    (IMAGE, {"prompt": "x", "data": FILE, "resolution": "1080p"}, "resolution", "480p"),
    (IMAGE, {"prompt": "x", "data": FILE, "enhance_prompt": "yes"}, "enhance_prompt", "boolean"),
    (IMAGE, {"prompt": "x", "data": FILE, "zoom": 3}, "zoom", "does not take 'zoom'"),
    (IMAGE, {"prompt": "x", "data": FILE, "start": FILE}, "start", "does not take start"),
    (EDIT, {"data": FILE}, "prompt", "prompt is missing"),
    (EDIT, {"prompt": "x", "data": FILE, "resolution": "480p"}, "resolution", "720p"),
    (EDIT, {"prompt": "x", "data": FILE, "self_anchor": True}, "self_anchor", "does not take"),
    (RESTYLE, {"data": FILE}, "prompt", "exactly one"),
    (RESTYLE, {"data": FILE, "prompt": "x", "reference_image": FILE}, "prompt", "exactly one"),
    (
        RESTYLE,
        {"data": FILE, "reference_image": FILE, "enhance_prompt": False},
        "enhance_prompt",
        "only together with a prompt",
    ),
    (MOTION, {"data": FILE, "prompt": "x", "trajectory": PATH}, "prompt", "does not take"),
    (MOTION, {"data": FILE, "trajectory": PATH[:1]}, "trajectory", "at least 2"),
    (MOTION, {"data": FILE, "trajectory": [{"frame": 0, "x": -1, "y": 0}] * 2}, "trajectory", "0"),
    (MOTION, {"data": FILE, "trajectory": PATH * 501}, "trajectory", "at most 1000"),
]


@pytest.mark.parametrize(("model", "options", "field", "text"), REFUSED)
def test_a_bad_field_is_refused_by_name_with_a_hint(model, options, field, text):
    with pytest.raises(InvalidInputError, match=text) as caught:
        validate(model, options)
    assert caught.value.field == field
    assert caught.value.hint


def test_what_is_not_set_is_not_sent():
    request = validate(IMAGE, {"prompt": "ink", "data": FILE, "seed": None, "resolution": None})
    assert request.wire() == {"prompt": "ink"}
    assert request.files == {"data": FILE}


def test_an_edit_takes_an_empty_prompt_with_a_reference_image():
    request = validate(EDIT, {"prompt": "", "data": FILE, "reference_image": FILE})
    assert request.wire() == {"prompt": ""}
    assert set(request.files) == {"data", "reference_image"}


def test_restyle_takes_a_reference_image_alone():
    assert validate(RESTYLE, {"data": FILE, "reference_image": FILE}).wire() == {}


def test_self_anchor_is_for_the_model_that_has_it():
    request = validate(ANCHOR, {"prompt": "x", "data": FILE, "self_anchor": False})
    assert request.wire()["self_anchor"] == "false"


def test_a_long_prompt_is_only_warned_about_where_the_service_has_no_limit():
    with pytest.warns(UserWarning, match="1001 characters"):
        validate(RESTYLE, {"prompt": "x" * 1001, "data": FILE})


def test_a_custom_model_without_a_schema_takes_any_plain_value():
    custom = ModelDefinition("next", url_path="/v1/jobs/next")
    request = validate(custom, {"prompt": "x", "strength": 0.5, "data": FILE})
    assert request.wire() == {"prompt": "x", "strength": "0.5"}
    with pytest.raises(InvalidInputError, match="cannot be sent"):
        validate(custom, {"strength": object()})


def test_a_definition_that_names_an_unknown_schema_is_refused():
    with pytest.raises(InvalidInputError, match="unknown schema"):
        validate(ModelDefinition("next", schema="I2X"), {})


def test_file_fields_say_what_they_take():
    assert file_kinds(EDIT) == {"data": "video", "reference_image": "image"}


@given(
    st.dictionaries(
        st.sampled_from(["prompt", "seed", "resolution", "enhance_prompt", "nonsense"]),
        st.one_of(st.none(), st.text(max_size=20), st.integers(), st.booleans(), st.floats()),
    ),
    st.sampled_from([row for row in REGISTRY.values() if row.schema]),
)
def test_any_options_are_either_valid_or_refused_by_our_own_error(options, model):
    files = dict.fromkeys(FILE_FIELDS[:1], FILE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            request = validate(model, options | files)
    except InvalidInputError as error:
        refused = error
    else:
        refused = None
        assert all(isinstance(text, str) for text in request.wire().values())
    assert refused is None or refused.field


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (3, "3"), ("True", "True"), ("é", "é"), ([1], "[1]")],
)
def test_one_value_has_one_text_form(value, text):
    assert wire_text(value) == text
