"""The synchronous route, and what is refused about fields and files on either route."""

from __future__ import annotations

import io

import av
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab.emulator import emulator
from decart_lab.emulator.fields import parse_points
from tests.helpers.clips import png_claiming, still
from tests.helpers.rest import KEY, eventually


def test_a_picture_is_answered_at_once(http, emu, picture):
    answer = http.post("/v1/generate/lucy-image-2", data={"prompt": "ink"}, files={"data": picture})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "deprecation" not in answer.headers
    assert not emu.world.jobs
    eventually(lambda: not leftovers(emu))


def test_a_clip_by_the_old_route_is_answered_with_a_deprecation(http, tiny_clip):
    files = {"data": tiny_clip.read_bytes()}
    answer = http.post("/v1/generate/lucy-2.1", data={"prompt": "ink"}, files=files)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["deprecation"] == "true"
    with av.open(io.BytesIO(answer.content)) as container:
        assert container.streams.video[0].frames == 10


def test_moderation_refuses_a_picture_at_once_and_charges_nothing(http, emu, picture):
    fields = {"prompt": "[[blocked]]"}
    answer = http.post("/v1/generate/lucy-image-2", data=fields, files={"data": picture})
    assert answer.status_code == 422
    assert "moderation" in answer.json()["detail"].lower()
    assert len(emu.ledger) == 0


def test_the_type_and_name_of_a_file_are_not_believed(shared, picture):
    for sent in (
        ("data", picture, "application/octet-stream"),
        ("blob", picture, "video/mp4"),
        ("../../etc/passwd", picture, "text/html"),
        (None, picture, None),
    ):
        answer = shared.post(
            "/v1/generate/lucy-image-2", data={"prompt": "x"}, files={"data": sent}
        )
        assert answer.status_code == 200, answer.text


def leftovers(emu) -> list:
    return [*emu.world.uploads.iterdir(), *emu.world.results.iterdir()]


def faults(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    rows = answer.json()["detail"]
    assert all(set(row) >= {"loc", "msg", "type"} and row["loc"][0] == "body" for row in rows)
    return sorted((".".join(map(str, row["loc"][1:])), row["type"]) for row in rows)


PICTURE, CLIP = "picture", "clip"

REFUSED = [
    ("lucy-image-2", {}, {}, [("data", "missing"), ("prompt", "missing")]),
    ("lucy-image-2", {"prompt": ""}, {"data": PICTURE}, [("prompt", "string_too_short")]),
    ("lucy-image-2", {"prompt": "x", "seed": "-1"}, {"data": PICTURE}, "seed"),
    ("lucy-image-2", {"prompt": "x", "seed": "4294967296"}, {"data": PICTURE}, "seed"),
    ("lucy-image-2", {"prompt": "x", "seed": "1.5"}, {"data": PICTURE}, "seed"),
    ("lucy-image-2", {"prompt": "x", "seed": "ten"}, {"data": PICTURE}, [("seed", "int_parsing")]),
    ("lucy-image-2", {"prompt": "x", "resolution": "1080p"}, {"data": PICTURE}, "resolution"),
    (
        "lucy-image-2",
        {"prompt": "x", "enhance_prompt": "maybe"},
        {"data": PICTURE},
        "enhance_prompt",
    ),
    ("lucy-image-2", {"prompt": "x"}, {"data": CLIP}, "data"),
    ("lucy-2.1", {"prompt": "x"}, {"data": PICTURE}, "data"),
    ("lucy-2.1", {"resolution": "480p"}, {"data": CLIP}, "resolution"),
    ("lucy-2.1", {}, {"data": CLIP, "reference_image": CLIP}, "reference_image"),
    ("lucy-clip", {}, {"data": CLIP}, [("prompt", "missing")]),
    ("lucy-restyle-2", {}, {"data": CLIP}, [("", "value_error")]),
    (
        "lucy-restyle-2",
        {"prompt": "x"},
        {"data": CLIP, "reference_image": PICTURE},
        [("", "value_error")],
    ),
    ("lucy-pro-flf2v", {"prompt": "x"}, {"start": PICTURE}, [("end", "missing")]),
    ("lucy-motion", {}, {"data": PICTURE}, [("trajectory", "missing")]),
    ("lucy-motion", {"trajectory": "left"}, {"data": PICTURE}, "trajectory"),
    ("lucy-motion", {"trajectory": "__import__('os')"}, {"data": PICTURE}, "trajectory"),
    ("lucy-motion", {"trajectory": '[{"frame":0,"x":NaN,"y":1}]'}, {"data": PICTURE}, "trajectory"),
    ("lucy-robot-720p", {}, {"data": CLIP}, [("prompt", "missing")]),
]


@pytest.mark.parametrize(("model", "fields", "files", "expected"), REFUSED)
@pytest.mark.parametrize("route", ["jobs", "generate"])
def test_what_a_model_does_not_take_is_named(
    shared, shared_emu, picture, tiny_clip, route, model, fields, files, expected
):
    contents = {PICTURE: picture, CLIP: tiny_clip.read_bytes()}
    sent = {name: contents[kind] for name, kind in files.items()}
    before = len(shared_emu.ledger)
    found = faults(shared.post(f"/v1/{route}/{model}", data=fields, files=sent))
    if isinstance(expected, str):
        assert {name.split(".")[0] for name, _ in found} == {expected}
    else:
        assert found == expected
    assert len(shared_emu.ledger) == before
    assert not list(shared_emu.world.uploads.glob("up_*"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text named .png",
        still("PNG")[:40],
        png_claiming(50_000, 50_000),
        b"<svg/>",
        b"\0" * 64,
    ],
    ids=["empty", "text", "truncated", "huge", "svg", "zeros"],
)
def test_a_file_that_is_not_a_picture_is_refused(shared, content):
    files = {"data": ("cat.png", content, "image/png")}
    answer = shared.post("/v1/generate/lucy-image-2", data={"prompt": "x"}, files=files)
    assert faults(answer) == [("data", "value_error")]
    assert "up_" not in answer.text, "the emulator's own file names stay inside"


def test_a_truncated_clip_is_refused(shared, tiny_clip):
    content = tiny_clip.read_bytes()
    files = {"data": content[: len(content) // 2]}
    assert faults(shared.post("/v1/jobs/lucy-2.1", files=files)) == [("data", "value_error")]


@pytest.mark.parametrize("spelling", ["True", "true", "1", "False", "false", "0"])
def test_booleans_arrive_in_pythons_and_javascripts_spelling(shared, shared_emu, picture, spelling):
    fields = {"prompt": "a plain thing", "enhance_prompt": spelling}
    shared.post("/v1/generate/lucy-image-2", data=fields, files={"data": picture})
    enhanced = shared_emu.ledger[-1].enhanced_prompt != "a plain thing"
    assert enhanced is (spelling.lower() in ("true", "1"))


@pytest.mark.parametrize(
    "text",
    [
        '[{"frame":0,"x":1,"y":2},{"frame":9,"x":3.5,"y":4}]',
        "[{'frame': 0, 'x': 1, 'y': 2}, {'frame': 9, 'x': 3.5, 'y': 4}]",
    ],
    ids=["json", "repr"],
)
def test_a_trajectory_is_read_as_json_and_as_a_python_repr(shared, shared_emu, picture, text):
    answer = shared.post("/v1/jobs/lucy-motion", data={"trajectory": text}, files={"data": picture})
    stored = shared_emu.world.jobs[answer.json()["job_id"]].trajectory
    assert stored == [{"frame": 0, "x": 1.0, "y": 2.0}, {"frame": 9, "x": 3.5, "y": 4.0}]


POINTS = st.lists(
    st.fixed_dictionaries(
        {"frame": st.integers(0, 500), "x": st.floats(0, 2000), "y": st.floats(0, 2000)}
    ),
    max_size=20,
)


@given(POINTS)
def test_any_list_of_points_survives_pythons_spelling(points):
    assert parse_points(str(points)) == points


@given(st.text(max_size=200))
def test_no_text_at_all_makes_the_reader_of_points_fail(text):
    parse_points(text)


def test_deep_nesting_is_refused_and_not_a_fault(shared, picture):
    text = "[" * 20_000
    answer = shared.post("/v1/jobs/lucy-motion", data={"trajectory": text}, files={"data": picture})
    assert answer.status_code == 422


def test_the_documented_text_only_request_may_be_url_encoded(shared):
    answer = shared.post("/v1/jobs/lucy-pro-t2v", data={"prompt": "A serene lake at sunset"})
    assert answer.status_code == 200


BROKEN = {
    "no boundary": ({"content-type": "multipart/form-data"}, b"--x\r\n"),
    "json": ({"content-type": "application/json"}, b'{"prompt": "x"}'),
    "garbage": ({"content-type": "multipart/form-data; boundary=x"}, b"garbage"),
    "cut off": (
        {"content-type": "multipart/form-data; boundary=x"},
        b'--x\r\nContent-Disposition: form-data; name="data"; filename="a"\r\n\r\nabc',
    ),
    "huge text": (
        {"content-type": "multipart/form-data; boundary=x"},
        b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n'
        + b"a" * 200_000
        + b"\r\n--x--",
    ),
    "many parts": (
        {"content-type": "multipart/form-data; boundary=x"},
        b'--x\r\nContent-Disposition: form-data; name="p"\r\n\r\n1\r\n' * 100 + b"--x--",
    ),
}


def test_a_form_that_ends_within_a_field_is_refused_although_the_rest_is_there(shared, picture):
    request = shared.build_request(
        "POST", "/v1/jobs/lucy-image-2", data={"prompt": "x"}, files={"data": picture}
    )
    whole = request.read()
    boundary = whole[: whole.index(b"\r\n")]
    last = b'\r\nContent-Disposition: form-data; name="seed"\r\n\r\n7'
    cut = whole[: whole.rindex(boundary)] + boundary + last
    headers = {"content-type": request.headers["content-type"]}
    answer = shared.post("/v1/jobs/lucy-image-2", headers=headers, content=cut)
    assert faults(answer) == [("", "form_truncated")]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_body_that_is_not_a_form_is_refused_and_leaves_nothing(shared, shared_emu, kind):
    headers, content = BROKEN[kind]
    answer = shared.post("/v1/generate/lucy-image-2", headers=headers, content=content)
    assert answer.status_code == 422
    assert not list(shared_emu.world.uploads.glob("up_*"))


def test_uploads_beyond_the_limit_are_413_declared_or_not(picture):
    with (
        emulator(speed=200, render="canned", max_upload_bytes=20_000) as emu,
        httpx.Client(base_url=emu.url, headers=KEY) as http,
    ):
        files = {"data": b"\x89PNG" + b"x" * 50_000}
        assert http.post("/v1/generate/lucy-image-2", files=files).status_code == 413
        request = http.build_request("POST", "/v1/generate/lucy-image-2", files=files)
        headers, body = {"content-type": request.headers["content-type"]}, request.read()
        chunks = (body[i : i + 1000] for i in range(0, len(body), 1000))
        answer = http.post("/v1/generate/lucy-image-2", headers=headers, content=chunks)
        assert answer.status_code == 413
        assert not list(emu.world.uploads.iterdir())
        small = http.post(
            "/v1/generate/lucy-image-2", data={"prompt": "x"}, files={"data": picture}
        )
        assert small.status_code == 200
