"""The registry: every row usable, every old name explained."""

import json
import warnings
from pathlib import Path

import pytest

from decart_lab.contract import models as registry
from decart_lab.contract.models import ROWS, ModelDefinition, models, resolve_model
from decart_lab.contract.prices import image_cost, price_of, video_cost
from decart_lab.contract.requests import SCHEMAS, file_kinds
from decart_lab.errors import InvalidInputError, ModelNotFoundError

DOCUMENTED_NAMES = Path(__file__).parent / "documented_names.json"


@pytest.fixture(autouse=True)
def _forget_warnings(monkeypatch):
    monkeypatch.setattr(registry, "_warned", set())


def test_no_id_is_listed_twice_for_one_kind():
    assert len(registry.REGISTRY) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.kind}:{row.name}")
def test_every_row_is_complete_and_points_at_rows_that_exist(row):
    if row.resolves_to:
        target = registry.REGISTRY[row.kind, row.resolves_to]
        assert (target.fps, target.width, target.height) == (row.fps, row.width, row.height)
    if row.status == "current":
        assert not row.successor
    else:
        assert registry.find(row.successor) is not None
    if row.status != "retired" and row.kind != "realtime":
        assert row.schema in SCHEMAS
        assert row.width % 2 == row.height % 2 == 0


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_model_the_official_sdk_lists_is_current_with_the_same_facts(kind):
    from decart.models import _MODELS

    for name, official in _MODELS[kind].items():
        row = registry.REGISTRY[kind, name]
        assert (row.fps, row.width, row.height) == (official.fps, official.width, official.height)
        assert row.url_path == official.url_path
        assert row.speeds == official.supported_speeds
        assert row.status == (
            "legacy" if name in ("lucy-restyle-v2v", "lucy-pro-i2i") else "current"
        )


@pytest.mark.parametrize("name", json.loads(DOCUMENTED_NAMES.read_text()))
def test_every_id_the_documents_name_is_still_usable(name):
    rows = [row for row in ROWS if row.name == name and row.status != "retired"]
    assert rows


def test_a_legacy_name_warns_once_and_keeps_its_own_name_on_the_wire():
    with pytest.warns(DeprecationWarning, match="use 'lucy-image-2' instead"):
        row = models.image("lucy-pro-i2i")
    assert row.url_path == "/v1/generate/lucy-pro-i2i"
    assert row.canonical == "lucy-image-2"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        models.image("lucy-pro-i2i")


def test_a_latest_alias_does_not_warn_and_is_left_to_the_service():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert models.video("lucy-latest").queue_path == "/v1/jobs/lucy-latest"


def test_a_retired_model_is_an_error_that_names_its_successor():
    with pytest.raises(ModelNotFoundError, match=r"retired.*'lucy-2.1'"):
        models.video("lucy-dev-v2v")


def test_an_unknown_name_is_an_error_that_suggests_near_names():
    with pytest.raises(ModelNotFoundError, match="lucy-image-2") as caught:
        models.image("lucy-imge-2")
    assert caught.value.model == "lucy-imge-2"
    assert caught.value.field == "model"


@pytest.mark.parametrize(
    ("look_up", "name", "hint"),
    [
        (models.image, "lucy-2.1", "the queue"),
        (models.video, "lucy-image-2", "process"),
        (models.realtime, "lucy-image-2", "process"),
    ],
)
def test_a_model_of_another_kind_is_refused_with_the_call_that_serves_it(look_up, name, hint):
    with pytest.raises(InvalidInputError, match=hint) as caught:
        look_up(name)
    assert not isinstance(caught.value, ModelNotFoundError)


def test_an_inline_definition_works_for_a_model_nobody_knows():
    custom = ModelDefinition("lucy-9-secret", url_path="/v1/generate/lucy-9-secret")
    assert resolve_model(custom, "image") is custom
    assert custom.custom
    assert set(file_kinds(custom).values()) == {"any"}


@pytest.mark.parametrize(
    "facts", [{"name": ""}, {"name": "x", "fps": 0}, {"name": "x", "width": 0}]
)
def test_an_impossible_definition_is_refused(facts):
    with pytest.raises(InvalidInputError, match="ModelDefinition"):
        ModelDefinition(**facts)


def test_a_model_that_is_not_a_name_is_refused():
    with pytest.raises(InvalidInputError, match="not int"):
        resolve_model(3)


def test_prices_are_the_published_ones_and_unknown_is_nan():
    assert image_cost("lucy-image-2", "480p") == 0.01
    assert image_cost("lucy-image-2") == 0.02
    assert video_cost("lucy-restyle-2", 30) == 0.3
    assert video_cost("lucy-2.6", 5) != video_cost("lucy-2.6", 5)
    assert price_of("no-such-model").per_s != 0
