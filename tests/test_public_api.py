"""The names that notebooks depend on: present, listed, lazy, and the same sync and async."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import decart_lab

HEAVY = (
    "IPython",
    "PIL",
    "aiohttp",
    "aiortc",
    "av",
    "httpx",
    "ipywidgets",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "starlette",
    "uvicorn",
)


def in_a_new_process(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


@pytest.mark.parametrize("name", decart_lab.__all__)
def test_every_public_name_resolves_and_is_listed(name):
    assert getattr(decart_lab, name) is not None
    assert name in dir(decart_lab)


@pytest.mark.parametrize("name", decart_lab.__all__)
def test_every_public_name_says_what_it_is(name):
    assert inspect.getdoc(getattr(decart_lab, name))


def test_the_list_the_table_and_the_type_checker_agree():
    assert sorted(decart_lab.__all__) == decart_lab.__all__
    assert set(decart_lab._WHERE) == set(decart_lab.__all__)
    tree = ast.parse(Path(decart_lab.__file__).read_text(encoding="utf-8"))
    [block] = [n for n in tree.body if isinstance(n, ast.If)]
    places = {}
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            places |= {a.name: "." * node.level + (node.module or "") for a in node.names}
    modules = {"emulator", "errors"}
    assert {n: w for n, w in places.items() if n not in modules} == {
        n: w for n, w in decart_lab._WHERE.items() if n not in modules
    }
    assert modules == {n for n, w in decart_lab._WHERE.items() if not w} <= set(places)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        _ = decart_lab.conect


def test_the_version_is_the_installed_one():
    assert in_a_new_process("import decart_lab; print(decart_lab.__version__)").count(".") == 2


def test_importing_the_package_loads_nothing_heavy():
    program = f"import sys, decart_lab; print([m for m in {HEAVY} if m in sys.modules])"
    assert in_a_new_process(program) == "[]"


def test_errors_and_models_load_nothing_heavy():
    program = (
        "import sys, decart_lab; decart_lab.errors, decart_lab.models\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert in_a_new_process(program) == "[]"


def test_the_emulator_is_called_by_its_name_however_it_was_imported():
    program = (
        "import decart_lab.emulator.render, decart_lab as dl\n"
        "with dl.emulator(render='canned') as emu: print(emu.url.split(':')[0])"
    )
    assert in_a_new_process(program) == "http"


def parameters(method: object) -> list[tuple[str, object, object]]:
    """Name, kind and default of every parameter but self."""
    found = inspect.signature(method).parameters.values()  # type: ignore[arg-type]
    return [(p.name, p.kind, p.default) for p in found if p.name != "self"]


def public_methods(cls: type) -> dict[str, object]:
    """The methods that a namespace offers."""
    return {
        name: member
        for name, member in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize("namespace", ["files", "models", "queue", "realtime", "tokens"])
def test_the_sync_face_offers_what_the_async_client_offers(namespace):
    client = decart_lab.DecartClient(api_key="parity")
    lab = decart_lab.connect("http://127.0.0.1:9", api_key="parity")
    theirs = public_methods(type(getattr(client, namespace)))
    ours = public_methods(type(getattr(lab, namespace)))
    assert sorted(ours) == sorted(theirs)
    for name, method in theirs.items():
        assert parameters(ours[name]) == parameters(method), f"{namespace}.{name}"


@pytest.mark.parametrize(
    ("ours", "theirs", "left_out"),
    [
        ("process", lambda client: client.process, {"options"}),
        # a clip is always a job, so there is no route to choose
        ("edit_video", lambda client: client.queue.submit_and_poll, {"options", "image_route"}),
    ],
)
def test_the_two_ways_to_buy_take_the_same_things(ours, theirs, left_out):
    sync = {name: default for name, _, default in parameters(getattr(decart_lab.Lab, ours))}
    method = theirs(decart_lab.DecartClient(api_key="parity"))
    wanted = {name: d for name, _, d in parameters(method) if name not in left_out}
    # what is owned is returned, which a client alone cannot do
    assert sync == wanted | {"model": inspect.Parameter.empty, "new": False}
