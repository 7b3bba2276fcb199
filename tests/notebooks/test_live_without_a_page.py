"""A live session in a notebook that nobody looks at: it runs, it ends, and its story is saved."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import nbclient
import nbformat
import pytest
from nbconvert import HTMLExporter

from decart_lab.display.poster import MOST_BYTES
from decart_lab.emulator import Emulator, emulator

pytestmark = pytest.mark.notebook

KEY = "dct_a_key_that_must_not_be_saved"
CONNECT = "import decart_lab as dl, os, time\nlab = dl.connect({!r}, api_key=os.environ['A_KEY'])"
OPEN = "live = lab.live('lucy-2.1', 'anime', source='synthetic', size=(480, 270), fps=20)\nlive"
REST = (
    "live.set(prompt='an ink drawing')",
    "time.sleep(3)",
    "live.stop()",
    "live.stats()[['t', 'state', 'seconds', 'cost', 'fps_in', 'fps_drawn', 'mode']]",
    "print(len(live.stats()), live.stats()['fps_in'].max(), len(dl.sessions()))",
)


@pytest.fixture(scope="module")
def emu() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


@pytest.fixture(scope="module")
def executed(emu, tmp_path_factory) -> nbformat.NotebookNode:
    notebook = nbformat.v4.new_notebook()
    sources = (CONNECT.format(emu.url), OPEN, *REST)
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    folder = str(tmp_path_factory.mktemp("executed"))
    client = nbclient.NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": folder}}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("A_KEY", KEY)
        return client.execute()


def poster(notebook) -> str:
    [found] = [
        output.data["text/html"]
        for output in notebook.cells[1].outputs
        if "data-live" in output.get("data", {}).get("text/html", "")
    ]
    return str(found)


def test_the_session_ran_and_ended(executed, emu):
    count, fps, running = executed.cells[6].outputs[0].text.split()
    assert int(count) >= 2
    assert float(fps) > 5
    assert running == "0"
    [session] = emu.sessions.values()
    assert session.log.closed


def test_the_poster_tells_the_story_and_is_small(executed):
    html = poster(executed)
    assert len(html.encode()) <= MOST_BYTES
    assert "data:image/jpeg;base64," in html
    body = html.rpartition("</style>")[2]
    for fact in ("an ink drawing", "lucy-2.1", "ended: it was stopped", "$", "simulated"):
        assert fact in body
    assert len(nbformat.writes(executed).encode()) < 100 * 1024


def test_the_figures_are_in_the_notebook(executed):
    assert "fps_in" in executed.cells[5].outputs[0].data["text/html"]


def test_a_page_made_of_it_shows_the_poster(executed):
    page, _ = HTMLExporter().from_notebook_node(executed)
    body = page.rpartition("</head>")[2]
    assert re.search(r'<img[^>]*src="data:image/jpeg;base64,', body)
    assert "an ink drawing" in body


def test_nothing_secret_is_saved(executed, emu):
    text = nbformat.writes(executed)
    [session] = emu.sessions.values()
    secrets = (KEY, session.id, "event_token", "subscribe_token", "evt_", "Bearer", "X-API-KEY")
    assert [secret for secret in secrets if secret in text] == []
    widgets = json.dumps(executed.metadata.get("widgets", {}))
    assert KEY not in widgets
