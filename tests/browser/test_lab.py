"""What only a real browser can tell: notebooks in JupyterLab, and pages fed with hostile text."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

PICTURES = """() => Array.from(document.querySelectorAll('.jp-OutputArea-output img'))
  .filter(img => img.complete && img.naturalWidth > 40 && img.getBoundingClientRect().width > 40)
  .length"""
HOSTILE = [
    '<img src=x onerror="window.hacked = 1">',
    "<script>window.hacked = 2</script>",
    '"><svg onload="window.hacked = 3">',
    "' onmouseover='window.hacked = 4",
    "javascript:window.hacked=5//",
]
SWEEP = f"""
import decart_lab as dl
from decart_lab.media import samples
lab = dl.connect("emulator", speed=20)
run = lab.sweep(
    model="lucy-image-2",
    prompt=dl.template("{{look}}", look={HOSTILE!r}),
    data=samples.path("coffee.jpg"),
).run()
"""


def outputs(cells, kind):
    return [o for cell in cells for o in cell["outputs"] if o["output_type"] == kind]


@pytest.mark.parametrize("name", ["01_first_edit.ipynb", "03_prompt_sweep.ipynb"])
def test_a_notebook_runs_in_jupyterlab_and_shows_pictures(lab_server, page, name):
    cells = lab_server.run(page, name)
    assert outputs(cells, "error") == []
    assert all(cell["execution_count"] for cell in cells)
    page.wait_for_function(f"({PICTURES})() >= 3")
    assert page.foreign == []
    assert page.broken == []


def test_hostile_prompts_execute_nothing_in_a_gallery_or_a_report(lab_server, page):
    name = lab_server.write(
        "hostile.ipynb",
        SWEEP,
        "run",
        "run.df.decart.gallery(rows='look')",
        "lab.process('lucy-image-2', run.df['prompt'].iloc[0], data=samples.path('coffee.jpg'))",
        "run.report('hostile.html'); lab.close()",
    )
    cells = lab_server.run(page, name)
    assert outputs(cells, "error") == []
    page.wait_for_function(f"({PICTURES})() >= {len(HOSTILE)}")
    shown = page.inner_text(".jp-Notebook")
    assert HOSTILE[0] in shown, "the prompt is shown as it was written"
    page.hover(".jp-OutputArea-output figure img")
    assert page.evaluate("window.hacked") is None

    page.goto((lab_server.folder / "hostile.html").as_uri())
    page.wait_for_function("Array.from(document.images).some(i => i.naturalWidth > 40)")
    for figure in page.query_selector_all("figure"):
        figure.hover()
    assert HOSTILE[1] in page.inner_text("body")
    assert page.evaluate("window.hacked") is None
    assert page.foreign == []
