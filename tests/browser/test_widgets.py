"""The widgets in a real browser: drawn by their own modules, fed with what the kernel sends."""

from __future__ import annotations

import time

import pytest

from decart_lab.widgets.base import marks
from decart_lab.widgets.columns import changes, shown_columns, summary, wanted, whole
from decart_lab.widgets.runtable import RunTable

pytestmark = pytest.mark.browser

ROWS = 10_000
AXES = {"style": "string", "seed": "Int64"}
STATUSES = ["completed"] * 6 + ["failed", "planned", "processing", "in_doubt"]
HOSTILE = '<img src=x onerror="window.hacked = 1">'

MOUNT = """async ([esm, css]) => {
  document.head.append(Object.assign(document.createElement('style'), {textContent: css}));
  const url = URL.createObjectURL(new Blob([esm], {type: 'text/javascript'}));
  const {render} = (await import(url)).default;
  const heard = {}, traits = {};
  window.sent = [];
  const model = {
    on: (event, f) => { heard[event] = f; }, off: (event) => { delete heard[event]; },
    get: (name) => traits[name], set: (name, value) => { traits[name] = value; },
    save_changes: () => {}, send: (message) => window.sent.push(message),
  };
  window.tell = (message, buffers = []) => heard['msg:custom'](message, buffers);
  window.leave = render({model, el: document.getElementById('root')});
}"""
SETTLED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
SCROLL = """async () => {
  const body = document.querySelector('.dl-rows'), gaps = [], tasks = [];
  new PerformanceObserver(list => tasks.push(...list.getEntries().map(e => e.duration)))
    .observe({type: 'longtask'});
  let last = performance.now();
  for (let step = 1; step <= 120; step++) {
    body.scrollTop = body.scrollHeight * step / 120;
    const now = await new Promise(requestAnimationFrame);
    gaps.push(now - last); last = now;
  }
  await new Promise(done => setTimeout(done, 50));
  return {gap: Math.max(...gaps), task: Math.max(0, ...tasks),
          nodes: body.querySelectorAll('*').length};
}"""


def run_of(count, reason="The service refused the prompt."):
    return [
        {
            "point_id": f"p{n}",
            "run_id": "20261121-0300-ab12",
            "status": STATUSES[n % len(STATUSES)],
            "style": ["ink", "clay", "a long look by the light of the sea at noon"][n % 3],
            "seed": n // 3,
            "total_s": 12.4 + n % 7 if n % 10 < 7 else None,
            "cost": 0.02 if n % 10 < 6 else None,
            "error_message": reason if n % 10 == 6 else None,
            "simulated": True,
        }
        for n in range(count)
    ]


def held(rows):
    return {name: [row.get(name) for row in rows] for name in ["point_id", *wanted(AXES)]}


def everything(rows, *, seq=1, finished=False):
    columns = held(rows)
    facts = {**summary(columns), "finished": finished, "run_id": "20261121-0300-ab12"}
    content = whole(columns, shown_columns(columns, AXES))
    return {"kind": "whole", **content, "marks": marks(), "facts": facts, "seq": seq}


def changed(rows, at, *, seq):
    columns = held(rows)
    facts = {**summary(columns), "finished": False, "run_id": "20261121-0300-ab12"}
    content = changes(columns, at, shown_columns(columns, AXES))
    return {"kind": "changes", **content, "facts": facts, "seq": seq}


@pytest.fixture
def table(page):
    """A page with a table on it that has not been told anything."""
    page.set_content("<!doctype html><body><div id=root></div>")
    page.evaluate(MOUNT, [RunTable._esm, RunTable._css])
    return page


def tell(page, message):
    page.evaluate("message => window.tell(message)", message)
    page.evaluate(SETTLED)


def first_row(page):
    return page.inner_text(".dl-space .dl-row:not([hidden]) >> nth=0").split("\n")


def test_ten_thousand_rows_scroll_without_a_pause(table):
    tell(table, everything(run_of(ROWS)))
    assert table.get_attribute(".dl-rows", "aria-rowcount") == str(ROWS + 1)
    seen = table.evaluate(SCROLL)
    assert seen["nodes"] < 500, "only the rows in sight are elements"
    assert seen["task"] < 3 * 200
    assert seen["gap"] < 3 * 200
    assert "10,000" in table.inner_text(".dl-space"), "the last row is reached"


def test_changes_filters_and_orders_ten_thousand_rows_without_a_pause(table):
    rows = run_of(ROWS)
    tell(table, everything(rows))
    for seq, at in ((2, range(0, ROWS, 10)), (3, range(7, ROWS, 10))):
        for n in at:
            rows[n]["status"] = "completed"
        began = time.monotonic()
        tell(table, changed(rows, list(at), seq=seq))
        table.get_by_role("button", name="Sort by style").or_(
            table.locator("button", has_text="style")
        ).first.click()
        assert time.monotonic() - began < 3
    table.locator("[data-status=failed]").click()
    table.evaluate(SETTLED)
    assert table.get_attribute(".dl-rows", "aria-rowcount") == str(ROWS // 10 + 1)


def test_a_missed_message_is_asked_for_again(table):
    rows = run_of(20)
    tell(table, everything(rows))
    tell(table, changed(rows, [1], seq=7))
    assert table.evaluate("window.sent") == [{"kind": "ready"}, {"kind": "ready"}]


def test_the_table_works_by_keyboard_alone(table):
    tell(table, everything(run_of(200)))
    table.focus(".dl-rows")
    for key in ("ArrowDown", "ArrowDown", "PageDown", "End", "Home", "ArrowDown", "Enter"):
        table.keyboard.press(key)
    table.evaluate(SETTLED)
    assert table.evaluate("window.sent.at(-1)") == {"kind": "open", "row": 1}
    chosen = table.get_attribute(".dl-rows", "aria-activedescendant")
    assert table.get_attribute(f"#{chosen}", "aria-selected") == "true"
    facts = {"kind": "details", "row": 1, "facts": [["prompt", HOSTILE]], "media": []}
    tell(table, {**facts, "status": "failed"})
    assert HOSTILE in table.inner_text(".dl-details")
    table.keyboard.press("Escape")
    assert not table.is_visible(".dl-details")


def test_rows_stay_under_the_pointer_until_it_leaves(table):
    rows = run_of(20)
    tell(table, everything(rows))
    table.locator("button", has_text="time").click()
    table.mouse.move(0, 0)
    table.evaluate("document.activeElement.blur()")
    before = first_row(table)
    table.hover(".dl-space .dl-row >> nth=3")
    rows[15]["total_s"] = 0.5
    tell(table, changed(rows, [15], seq=2))
    assert first_row(table)[0] == before[0]
    table.mouse.move(0, 0)
    table.evaluate(SETTLED)
    assert first_row(table)[0] == "16"


def test_hostile_text_in_a_table_is_only_read(table):
    rows = run_of(20, reason=HOSTILE)
    for row in rows:
        row["style"] = HOSTILE + str(row["seed"])
    tell(table, everything(rows))
    assert HOSTILE in table.inner_text(".dl-space")
    assert table.evaluate("window.hacked") is None
    assert table.query_selector(".dl-space img") is None


WATCH = """
import decart_lab as dl
from decart_lab.media import samples
lab = dl.connect("emulator", speed=20)
run = lab.sweep(model="lucy-image-2", prompt="ink", data=samples.path("coffee.jpg"),
                seed=list(range(6))).start()
"""
PANEL = """
panel = lab.sweep_panel(prompts=["ink"], inputs=["sample:coffee.jpg"])
panel
"""


def test_a_run_is_watched_and_a_panel_buys_in_jupyterlab(lab_server, page):
    name = lab_server.write("widgets.ipynb", WATCH, "run.watch()", PANEL)
    cells = lab_server.run(page, name)
    assert [o for cell in cells for o in cell["outputs"] if o["output_type"] == "error"] == []
    page.wait_for_selector(".dl-watch >> text=Finished")
    assert page.locator(".dl-watch .dl-space .dl-row:not([hidden])").count() == 6
    page.locator(".dl-watch .dl-space .dl-row").first.click()
    page.wait_for_function("document.querySelector('.dl-watch .dl-seen img')?.naturalWidth > 40")

    panel = page.locator(".dl-panel")
    panel.get_by_label("Prompts").fill("gold\nclay")
    panel.get_by_label("Seeds").fill("1-2")
    panel.get_by_role("button", name="Run 4 points").click()
    panel.get_by_text("Finished").wait_for()
    panel.get_by_role("button", name="Open the result").click()
    page.wait_for_function("document.querySelectorAll('.dl-panel figure img').length === 4")
    assert page.foreign == []
    assert page.broken == []
