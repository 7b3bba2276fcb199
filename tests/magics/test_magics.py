"""%decart and %%decart in a real shell, against a real emulator."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import CapturedIO, capture_output
from traitlets.config import Config

from decart_lab.magics.words import WORDS


@pytest.fixture(scope="module")
def one_shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    settings = Config()
    settings.HistoryManager.enabled = False
    settings.InteractiveShell.colors = "nocolor"
    folder = tmp_path_factory.mktemp("ipython")
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=settings, ipython_dir=str(folder))
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(one_shell: InteractiveShell) -> Iterator[InteractiveShell]:
    """The shell with the extension loaded, and nothing in its namespace."""
    from decart_lab.lab import connect

    connect._current = None
    one_shell.reset(new_session=False)
    one_shell.run_line_magic("load_ext", "decart_lab")
    yield one_shell
    one_shell.run_line_magic("unload_ext", "decart_lab")
    open_lab = connect.last_lab()
    if open_lab is not None:
        open_lab.close()


@pytest.fixture
def connected(
    shell: InteractiveShell, emu: Any, monkeypatch: pytest.MonkeyPatch
) -> InteractiveShell:
    monkeypatch.setenv("DECART_LAB_URL", emu.url)
    return shell


class Cell:
    """A cell that was run: what it returned, and what the reader sees."""

    def __init__(self, shell: InteractiveShell, source: str) -> None:
        with capture_output(display=True) as captured:
            outcome = shell.run_cell(source)
        self.result = outcome.result
        self.error = outcome.error_in_exec or outcome.error_before_exec
        self.captured: CapturedIO = captured
        self.said = captured.stdout + captured.stderr


def test_bare_decart_says_where_it_would_connect_and_connects_to_nothing(
    shell: InteractiveShell,
) -> None:
    text = repr(Cell(shell, "%decart").result)
    assert "not yet; connect() uses the embedded emulator" in text
    assert "simulated" in text
    assert "none" in text
    assert "lucy-image-2 for pictures, lucy-2.1 for clips" in text


def test_a_key_in_the_environment_is_said_and_not_shown(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECART_API_KEY", "dct_secret_value")
    shown = Cell(shell, "%decart").result
    bundle = str(shown._repr_mimebundle_())
    assert "present" in bundle
    assert "the hosted API" in bundle
    assert "billed" in bundle
    assert "secret" not in bundle + repr(shown)


def test_connected_it_says_where_and_that_results_are_simulated(
    connected: InteractiveShell, emu: Any
) -> None:
    Cell(connected, "import decart_lab as dl; lab = dl.connect()")
    cell = Cell(connected, "%decart")
    bundle = cell.result._repr_mimebundle_()
    assert emu.url in bundle["text/plain"]
    assert "simulated" in bundle["text/plain"]
    assert cell.result is connected.user_ns["lab"]


def test_the_models_are_a_table_that_can_be_narrowed(shell: InteractiveShell) -> None:
    assert "lucy-restyle-2" in repr(Cell(shell, "%decart models").result)
    images = repr(Cell(shell, "%decart models --kind image").result)
    assert "lucy-image-2" in images
    assert "lucy-restyle-2" not in images
    assert "lucy-pro-t2v" in repr(Cell(shell, "%decart models --all pro").result)
    cell = Cell(shell, "%decart models nothing-like-it")
    assert cell.said.startswith("UsageError: No model")


def test_a_sweep_in_yaml_returns_and_stores_its_frame(
    connected: InteractiveShell, emu: Any, photo: Path
) -> None:
    connected.user_ns["photo"] = photo
    cell = Cell(
        connected,
        """%%decart sweep -o df --concurrency 2
prompt:
  template: a {style} look
  style: [ink, clay]
data: @photo
seed: [1, 2]
where: not (style == 'ink' and seed == 2)
""",
    )
    assert cell.error is None, cell.said
    df = cell.result
    assert df is connected.user_ns["df"]
    assert list(df["status"]) == ["completed"] * 3
    assert set(df["prompt"]) == {"a ink look", "a clay look"}
    assert "3 points, 3 completed" in cell.said
    assert len(emu.ledger) == 3
    gallery = Cell(connected, "df.decart.gallery()").result
    assert gallery.html.count("<img") == 3


def test_a_trailing_semicolon_stores_without_showing(
    connected: InteractiveShell, photo: Path
) -> None:
    cell = Cell(connected, f"%%decart sweep -o df;\nprompt: ink\ndata: {photo}\n")
    assert cell.result is None
    assert len(connected.user_ns["df"]) == 1


def test_a_sweep_that_is_refused_is_a_short_message_and_stores_nothing(
    connected: InteractiveShell, emu: Any
) -> None:
    connected.user_ns["df"] = "older"
    cell = Cell(connected, "%%decart sweep -o df\nprompt: ink\ndata: /no/such.png\n")
    assert "GridError: " in cell.said
    assert "missing file" in cell.said
    assert "Traceback" not in cell.said
    assert cell.said.count("\n") <= 4
    assert connected.user_ns["df"] == "older"
    assert len(emu.ledger) == 0


def test_the_same_error_keeps_its_traceback_in_plain_python(connected: InteractiveShell) -> None:
    cell = Cell(
        connected,
        "import decart_lab as dl\ndl.connect().sweep(model='lucy-image-2', prompt=[]).run()",
    )
    assert "Traceback" in cell.said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("%decart modles", "Did you mean 'models'?"),
        ("%decart --nope", "unrecognized arguments"),
        ("%decart models --kind cinema", "invalid choice"),
        ("%decart sweep", "needs a body"),
        ("%%decart models\nx", "takes no body"),
        ("%%decart sweep -o 1x\nprompt: a", "not a name"),
        ("%%decart sweep --concurrency none\nprompt: a", "not a whole number"),
        ("%%decart sweep --api-key dct_x\nprompt: a", "the cell is saved"),
        ("%%decart sweep\nprompt: a\nprompt: b", "line 2 of the body"),
        ('%decart "models', "never closed"),
    ],
)
def test_bad_usage_is_one_line(shell: InteractiveShell, source: str, said: str) -> None:
    cell = Cell(shell, source)
    assert cell.said.startswith("UsageError: ")
    assert said in cell.said
    assert len(cell.said.strip().splitlines()) == 1


def test_braces_and_dollars_on_the_line_are_left_alone(shell: InteractiveShell) -> None:
    shell.user_ns["x"] = "models"
    assert "no word '{x}'" in Cell(shell, "%decart {x}").said
    assert "no word '$x'" in Cell(shell, "%decart $x").said


@pytest.mark.parametrize("name", WORDS)
def test_every_word_explains_itself_and_does_nothing(shell: InteractiveShell, name: str) -> None:
    cell = Cell(shell, f"%decart {name} --help" if name else "%decart --help")
    assert "%decart" in cell.said
    assert WORDS[name].summary.split(",")[0].rstrip(".")[:12] in cell.said
    assert cell.result is None


def offered(shell: InteractiveShell, line: str, text: str) -> list[str]:
    completions: list[str] = shell.complete(text, line)[1]
    return completions


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_words_options_and_models_are_completed(shell: InteractiveShell) -> None:
    assert offered(shell, "%decart mo", "mo") == ["models"]
    assert offered(shell, "%%decart s", "s") == ["sweep"]
    assert "lucy-2.1" in offered(shell, "%decart models lucy-2", "lucy-2")
    assert offered(shell, "%decart models --kind ", "") == ["image", "video", "realtime"]
    assert offered(shell, "%%decart sweep --con", "--con") == ["--concurrency"]


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_unloading_takes_everything_out_again(shell: InteractiveShell) -> None:
    shell.run_line_magic("unload_ext", "decart_lab")
    assert "not found" in Cell(shell, "%decart").said
    assert "models" not in offered(shell, "%decart mo", "mo")
    shell.run_line_magic("load_ext", "decart_lab")
    shell.run_line_magic("reload_ext", "decart_lab")
    assert Cell(shell, "%decart").result is not None


def test_loading_is_quiet_and_touches_nothing() -> None:
    """No output, no client, no network, no patched asyncio."""
    code = """
import asyncio, sys
from IPython.core.interactiveshell import InteractiveShell
run = asyncio.run
shell = InteractiveShell.instance()
shell.history_manager.enabled = False
formatters = dict(shell.display_formatter.formatters)
shell.run_line_magic("load_ext", "decart_lab")
assert asyncio.run is run
assert shell.display_formatter.formatters == formatters
heavy = {"httpx", "aiortc", "av", "starlette", "nest_asyncio", "ipywidgets"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
