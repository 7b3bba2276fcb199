"""Who may import whom: the table of the house, enforced; the offender is named.

A unit is a file or package directly under decart_lab. Imports inside functions count as well: they
are lazy for the sake of time, not a way around the table.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import decart_lab

ROOT = Path(decart_lab.__file__).parent
ANYTHING = {"*"}
BASE = {"errors", "config", "_clock", "_log"}

MAY_IMPORT: dict[str, set[str]] = {
    "_clock": set(),
    "errors": set(),
    "config": {"errors"},
    "_log": {"errors", "config"},
    "_engine": {"errors", "_clock", "_log"},
    "_watchdog": {"config"},
    "_nesting": {"errors"},
    "_retry": BASE,
    "_wire": {"errors", "_clock"},
    "_evidence": BASE | {"_wire"},
    "_http": BASE | {"_retry", "_wire", "_evidence"},
    "contract": {"errors", "_clock"},
    "media": {"errors", "_clock"},
    "_caller": BASE | {"_http", "_retry", "_wire", "contract"},
    "realtime": BASE
    | {"contract", "media", "_caller", "_http", "_retry", "_wire", "_engine", "_watchdog"},
    "api": BASE | {"contract", "media", "realtime", "_caller", "_http", "_retry", "_wire"},
    "emulator": BASE | {"contract", "media", "_engine"},
    "proxy": BASE | {"_http", "_wire"},
    "metrics": {"errors", "media"},
    "sweep": {"errors", "_clock", "_log", "api", "realtime", "contract", "media", "metrics"},
    "compare": {"errors", "_clock", "sweep", "media"},
    "display": {"errors", "_clock", "contract", "media", "compare"},
    "widgets": {"errors", "_clock", "_engine", "contract", "media", "realtime", "sweep", "compare"}
    | {"display"},
    "lab": BASE
    | {
        "_engine",
        "_http",
        "_wire",
        "_retry",
        "contract",
        "media",
        "realtime",
        "api",
        "metrics",
        "sweep",
    }
    | {"compare", "display", "widgets"},  # never emulator: it is started as a process, by name
    "magics": ANYTHING,
    "cli": ANYTHING,
    "__init__": ANYTHING,
    "__main__": ANYTHING,
}

# Third-party package: the files or packages that may import it.
CONFINED: dict[str, set[str]] = {
    "httpx": {"_http"},
    "httpx_aiohttp": {"_http"},
    "aiohttp": {"_http"},
    "httpx_sse": {"realtime/signaling/sse"},
    "websockets": {"realtime/signaling/socket"},
    "nest_asyncio": {"_nesting"},
    "nest_asyncio2": {"_nesting"},
    "tqdm": {"display/progress"},
    "aiortc": {"media/rtc", "realtime/peer", "emulator/peer"},
    "av": {"media", "emulator"},
    "IPython": {"magics", "display", "widgets", "_nesting"},
    "ipywidgets": {"widgets"},
    "anywidget": {"widgets"},
    "sqlite3": {"emulator/world"}
    | {f"sweep/{name}" for name in ("journal", "index", "lease", "budget", "salvage")}
    | {f"sweep/{name}" for name in ("_schema", "_beginning", "_holding", "_joining", "_moves")}
    | {f"sweep/{name}" for name in ("_reading", "_writer")},
    "starlette": {"emulator", "proxy"},
    "uvicorn": {"emulator", "proxy"},
    "pandas": {"sweep/table", "realtime/stats", "compare", "metrics", "display", "lab"},
}
NAMED_ANYWHERE = {"pandas", "av"}  # signatures say DataFrame and VideoFrame
INSIDE_FUNCTIONS_ONLY = {"pandas", "IPython", "av", "PIL", "numpy", "tqdm", "uvicorn"}
"""Imported when used, since each costs a newcomer's first cell tenths of a second.

The exception is a package that is itself only reached by such an import; see ``LAZY_UNITS``.
"""
LAZY_UNITS = {"emulator", "media", "magics", "widgets", "display", "metrics"}


class Use(NamedTuple):
    """One import statement."""

    name: str  # absolute dotted name
    line: int
    when: str  # "import", "call" (inside a function), or "never" (for the type checker only)


def uses(source: str, module: str, *, is_package: bool) -> Iterator[Use]:
    """Every import in a module's source, relative ones made absolute."""
    package = module if is_package else module.rpartition(".")[0]

    def walk(node: ast.AST, when: str) -> Iterator[Use]:
        for child in ast.iter_child_nodes(node):
            inner = when
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = "call"
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                yield from walk(ast.Module(child.body, []), "never")
                yield from walk(ast.Module(child.orelse, []), when)
                continue
            if isinstance(child, ast.Import):
                yield from (Use(alias.name, child.lineno, inner) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    parents = package.split(".")[: len(package.split(".")) - child.level + 1]
                    base = ".".join([*parents, base] if base else parents)
                names = [f"{base}.{alias.name}" for alias in child.names]
                yield from (Use(name, child.lineno, inner) for name in names)
            yield from walk(child, inner)

    yield from walk(ast.parse(source), "import")


def offences(source: str, path: str) -> list[str]:
    """What the file at ``path``, such as ``api/queue.py``, does against the table."""
    parts = path.removesuffix(".py").split("/")
    is_package = parts[-1] == "__init__"
    module = ".".join(["decart_lab", *(parts[:-1] if is_package else parts)])
    unit = parts[0]
    rooms = {"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    found = []
    if unit not in MAY_IMPORT:
        return [f"{path}: {unit} is not in the table of the house"]
    for use in uses(source, module, is_package=is_package):
        top, *rest = use.name.split(".")
        if top == "decart_lab":
            target = rest[0] if rest else "__init__"
            if target not in MAY_IMPORT:
                target = "__init__"  # a name, not a module: taken from the package itself
            allowed = MAY_IMPORT[unit]
            if target != unit and target not in allowed and allowed != ANYTHING:
                found.append(f"{path}:{use.line}: {unit} may not import {target} ({use.name})")
            continue
        places = CONFINED.get(top)
        named_only = top in NAMED_ANYWHERE and use.when == "never"
        if places is not None and not rooms & places and not named_only:
            found.append(f"{path}:{use.line}: {top} belongs in {', '.join(sorted(places))} only")
        eager = top in INSIDE_FUNCTIONS_ONLY and use.when == "import"
        if eager and (unit not in LAZY_UNITS or top == "pandas"):
            found.append(f"{path}:{use.line}: import {top} inside the function that needs it")
    return found


@pytest.mark.parametrize("path", sorted(p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*.py")))
def test_every_module_keeps_to_the_table(path):
    assert offences((ROOT / path).read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    ("path", "source", "says"),
    [
        ("api/queue.py", "from ..emulator import app", "api may not import emulator"),
        (
            "emulator/app.py",
            "def f():\n    from decart_lab.api import client",
            "may not import api",
        ),
        ("emulator/__init__.py", "from ..api.client import DecartClient", "may not import api"),
        ("lab/connect.py", "import decart_lab.emulator", "lab may not import emulator"),
        ("media/probe.py", "from .. import config", "media may not import config"),
        ("display/cards.py", "from .. import connect", "display may not import __init__"),
        ("api/client.py", "import httpx", "httpx belongs in _http only"),
        ("display/gallery.py", "from tqdm.auto import tqdm", "tqdm belongs in display/progress"),
        ("lab/run.py", "import pandas as pd", "inside the function"),
        ("sweep/grid.py", "def f():\n    import pandas", "pandas belongs in"),
        ("lab/run.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import pandas", "inside the func"),
        ("attic/junk.py", "", "not in the table"),
    ],
)
def test_an_offender_is_named(path, source, says):
    [offence] = offences(source, path)
    assert says in offence


def test_what_the_house_allows_is_not_an_offence():
    assert offences("from ..errors import DecartSDKError\nimport json", "api/queue.py") == []
    lazy = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas as pd"
    assert offences(lazy, "lab/run.py") == []
