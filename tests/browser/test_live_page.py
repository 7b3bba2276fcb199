"""The page of the live preview in a real browser: it decodes, draws and answers for itself.

The kernel is what these tests say in its name. The connection of the page itself is
``test_live_call.py``'s, the widget with a kernel and the emulator behind it ``test_live.py``'s.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from decart_lab.media import marker
from tests.helpers.encoded import pictures
from tests.helpers.livepage import SETTLED, SIZE, hello, mounted, sent, state, tell, view_of

pytestmark = pytest.mark.browser

HOSTILE = '<img src=x onerror="window.hacked = 1">'
CODECS = {"h264": "avc1.42E01F", "vp8": "vp8"}

COUNTING = """
window.count = {draws: 0, opened: 0, closed: 0, fed: 0, keys: 0};
const {drawImage} = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.drawImage = function (...all) {
  window.count.draws += 1;
  return drawImage.apply(this, all);
};
const {close} = VideoFrame.prototype, {decode} = VideoDecoder.prototype;
VideoFrame.prototype.close = function () { window.count.closed += 1; return close.call(this); };
VideoDecoder.prototype.decode = function (chunk) {
  window.count.fed += 1;
  return decode.call(this, chunk);
};
"""
READ = """(of) => {
  const canvas = document.querySelector(`.dl-${of} canvas`);
  const {width, height} = canvas;
  const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);
  return [width, height, Array.from(data)];
}"""


@pytest.fixture
def live(page: Any) -> Any:
    """A page that shows a session which runs."""
    mounted(page, COUNTING)
    tell(page, hello())
    tell(page, state(state="generating"))
    return page


def feed(
    page: Any, codec: str, first: int, last: int, *, of: str = "output", skip=(), unsent=0
) -> None:
    """Send frames by their numbers, from 0, a little faster than they were taken."""
    for number, frame in enumerate(pictures(codec)[first:last], first):
        if number in skip:
            continue
        message = {"kind": "frame", "v": None, "of": of, "i": number + 1 - unsent, "mode": codec}
        message |= {"key": frame.key, "us": number * 40_000, "codec": CODECS[codec]}
        tell(page, {**message, "w": SIZE[0], "h": SIZE[1]}, frame.data)


def shown(page: Any, of: str = "output") -> int | None:
    """Read the number of the picture that is on the canvas."""
    width, height, flat = page.evaluate(READ, of)
    rgb = np.array(flat, np.float64).reshape(height, width, 4)[:, :, :3]
    full = rgb @ [0.299, 0.587, 0.114]
    return marker.read_luma((16 + full * 219 / 255).round().clip(0, 255).astype(np.uint8))


ANSWERED = """n => window.sent.some(m => m.kind === 'ack' && m.drawn.some(([, , i]) => i === n))"""


def until_shown(page: Any, number: int) -> None:
    page.wait_for_function(ANSWERED, arg=number + 1)
    assert shown(page) == number


def drawn(page: Any) -> list[list[Any]]:
    """What was answered, draw by draw: view, stream, number, how many were left out, and when."""
    return [row for message in sent(page, "ack") for row in message["drawn"]]


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_encoded_pictures_are_drawn_in_order_and_answered(live, codec):
    feed(live, codec, 0, 20)
    until_shown(live, 19)
    draws = drawn(live)
    numbers = [number for _, _, number, _, _ in draws]
    assert numbers == sorted(set(numbers)), "each is answered once, in order"
    assert len(draws) + draws[-1][3] == 20, "what was not drawn is counted"
    assert all(draw[:2] == [view_of(live), "output"] for draw in draws)
    assert len(sent(live, "ack")) < len(draws), "several are answered at once"
    counted = live.evaluate("window.count")
    assert counted["draws"] == len(draws)
    assert counted["closed"] == 20, "every picture is closed"


def test_nothing_is_drawn_from_a_stream_with_a_hole(live):
    feed(live, "h264", 0, 12, skip={5})
    until_shown(live, 4)
    live.evaluate(SETTLED)
    assert shown(live) == 4
    asked = sent(live, "key")
    assert asked
    assert asked[0] == {"kind": "key", "v": view_of(live), "of": "output", "sizes": []}
    assert len(asked) <= 4, "twice a second is enough"


def test_without_a_decoder_jpegs_are_drawn(page):
    mounted(page, "delete window.VideoDecoder;")
    assert sent(page, "ready")[0]["caps"]["webcodecs"] is False
    tell(page, hello())
    tell(page, state(state="generating"))
    for number in range(1, 4):
        jpeg = io.BytesIO()
        Image.new("RGB", SIZE, (40 * number, 0, 0)).save(jpeg, "JPEG")
        message = {"kind": "frame", "v": view_of(page), "of": "output", "i": number}
        tell(
            page, {**message, "mode": "jpeg", "key": True, "us": 0, "w": 1, "h": 1}, jpeg.getvalue()
        )
    page.wait_for_function(ANSWERED, arg=3)
    assert page.evaluate(READ, "output")[2][0] == pytest.approx(120, abs=4)


def test_a_decoder_that_fails_again_and_again_is_given_up(live):
    for number in (1, 2, 3):
        message = {"kind": "frame", "v": None, "of": "output", "i": number, "mode": "h264"}
        tell(live, {**message, "key": True, "us": number, "codec": "avc1.42E01F"}, b"\0" * 40)
        live.wait_for_timeout(100)
    live.wait_for_function("window.sent.filter(m => m.kind === 'ready').length === 2")
    again = sent(live, "ready")[1]
    assert again["view"] == view_of(live)
    assert again["caps"]["h264"] is False


def test_two_views_in_a_page_share_one_decoder_and_answer_for_themselves(live):
    live.evaluate(
        "async () => { const div = document.createElement('div'); div.id = 'other';"
        "document.getElementById('root').after(div); window.leave2 = await window.join(div); }"
    )
    feed(live, "h264", 0, 8)
    until_shown(live, 7)
    assert live.evaluate("window.count.fed") == 8
    assert len({view for view, *_ in drawn(live)}) == 2
    live.evaluate("window.leave2()")
    assert sent(live, "gone")[0]["v"] == sent(live, "ready")[1]["view"]
    feed(live, "h264", 8, 12)
    until_shown(live, 11)


def test_a_view_out_of_sight_is_not_sent_for_and_begins_with_a_key_frame(live):
    feed(live, "h264", 0, 3)
    until_shown(live, 2)
    live.evaluate("window.scrollTo(0, 2500)")
    live.wait_for_function("window.sent.some(m => m.kind === 'pause')")
    draws = live.evaluate("window.count.draws")
    feed(live, "h264", 3, 6)
    assert live.evaluate("window.count.draws") == draws
    live.evaluate("window.scrollTo(0, 0)")
    live.wait_for_function("window.sent.some(m => m.kind === 'resume')")
    feed(live, "h264", 6, 9, unsent=3)
    assert live.evaluate("window.count.draws") == draws, "what came before was not decoded"
    assert sent(live, "key")


def test_no_key_that_is_pressed_in_the_panel_reaches_the_notebook(live):
    live.evaluate(
        """() => {
          window.leaked = [];
          document.addEventListener('keydown', e => window.leaked.push(e.key));
          // JupyterLab's way: on the document, before anybody, unless this attribute says no.
          document.addEventListener('keydown', e => {
            if (!e.target.closest('[data-lm-suppress-shortcuts="true"]')) window.leaked.push(e.key);
          }, true);
        }"""
    )
    live.focus(".dl-stage")
    for key in ("d", "d", "a", "Enter", "Shift+Enter", "o", "w", "ArrowDown", "p"):
        live.keyboard.press(key)
    live.keyboard.type("dd")
    for button in live.locator("button:visible:enabled").all():
        button.focus()
        live.keyboard.press("x")
    assert live.evaluate("window.leaked") == []


def test_everything_can_be_done_by_keyboard(live):
    feed(live, "h264", 0, 2)
    until_shown(live, 1)
    live.focus(".dl-stage")
    for key in ("s", "r", "m", "o", "w"):
        live.keyboard.press(key)
    assert sent(live, "snapshot")
    assert sent(live, "record")[0]["on"] is True
    assert sent(live, "mute")[0]["on"] is True
    assert live.is_visible(".dl-over")
    assert live.get_attribute(".dl-stage", "data-look") == "wipe"
    live.keyboard.press("Shift+S")
    assert sent(live, "stop")
    live.keyboard.press("p")
    live.keyboard.press("Control+a")
    live.keyboard.type("some clay")
    live.keyboard.press("Enter")
    asked = sent(live, "set")[0]
    assert (asked["prompt"], asked["enhance"]) == ("some clay", True)
    assert len(sent(live, "snapshot")) == 1, "letters in the prompt are only letters"
    live.keyboard.press("Escape")
    assert live.evaluate("document.activeElement.className") == "dl-stage"


def test_a_prompt_is_pending_until_answered_and_only_the_newest_follows(live):
    box = live.get_by_label("Prompt", exact=True)
    for words in ("one", "two", "three"):
        box.fill(words)
        box.press("Enter")
    assert [m["prompt"] for m in sent(live, "set")] == ["one"]
    assert live.inner_text(".dl-under .dl-help") == "Asking the service"
    first = sent(live, "set")[0]["id"]
    tell(live, state(state="generating", prompt="one", done=[first], history=["one"]))
    assert [m["prompt"] for m in sent(live, "set")] == ["one", "three"]
    last = sent(live, "set")[1]["id"]
    refused = state(state="generating", prompt="one", done=[last], prompt_error="Refused.")
    tell(live, refused)
    assert live.inner_text(".dl-under .dl-help") == "Refused."
    assert box.input_value() == "three", "what was refused can be mended"


def test_what_python_sets_is_shown_and_what_is_being_typed_stays(live):
    box = live.get_by_label("Prompt", exact=True)
    tell(live, state(state="generating", prompt="gold", enhance=False))
    assert box.input_value() == "gold"
    assert not live.get_by_label("Enhance").is_checked()
    box.press_sequentially(" and")
    tell(live, state(state="generating", prompt="silver", history=["clay", "gold", "silver"]))
    assert box.input_value() == "gold and"
    live.keyboard.press("Home")
    live.keyboard.press("ArrowUp")
    assert box.input_value() == "silver"
    live.keyboard.press("ArrowUp")
    assert box.input_value() == "gold"
    live.keyboard.press("Escape")
    assert box.input_value() == "silver"


@pytest.mark.parametrize("way", ["drop", "paste", "choose"])
def test_a_reference_image_is_dropped_pasted_or_chosen(live, way):
    png = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(png, "PNG")
    if way == "choose":
        chosen = {"name": "red.png", "mimeType": "image/png", "buffer": png.getvalue()}
        live.locator(".dl-reference input[type=file]").set_input_files(chosen)
    else:
        live.evaluate(
            """([way, bytes]) => {
              const data = new DataTransfer();
              data.items.add(new File([new Uint8Array(bytes)], 'red.png', {type: 'image/png'}));
              const options = {bubbles: true, cancelable: true};
              options.dataTransfer = options.clipboardData = data;
              const event = way === 'drop' ? new DragEvent('drop', options)
                : new ClipboardEvent('paste', options);
              document.querySelector('.dl-stage').dispatchEvent(event);
            }""",
            [way, list(png.getvalue())],
        )
    live.wait_for_function("window.sent.some(m => m.kind === 'image')")
    [asked] = sent(live, "image")
    assert (asked["name"], asked["sizes"]) == ("red.png", [len(png.getvalue())])
    thumb = {"has_image": True, "image_thumb": "image/png", "done": [asked["id"]]}
    tell(live, state(state="generating", **thumb), png.getvalue())
    live.wait_for_function("document.querySelector('.dl-image img')?.naturalWidth === 8")
    tell(live, state(state="generating", has_image=True))
    assert live.is_visible(".dl-image img"), "it is sent once and kept"
    tell(live, state(state="generating", has_image=True, image_thumb="image/png"))
    assert not live.is_visible(".dl-image img"), "of one that is but named there is no picture"
    assert live.get_by_role("button", name="Image in force").is_visible()
    live.get_by_role("button", name="Clear").click()
    assert sent(live, "image")[1]["clear"] is True
    tell(live, state(state="generating"))
    assert not live.is_visible(".dl-image img")


def test_hostile_text_in_a_live_panel_is_only_read(live):
    hostile = {"prompt": HOSTILE, "history": [HOSTILE], "note": HOSTILE, "reason": HOSTILE}
    tell(live, state(state="generating", **hostile, prompt_error=HOSTILE))
    tell(live, hello(models=[HOSTILE], sources=[HOSTILE], poster="x{}</style>" + HOSTILE))
    tell(live, state(state="disconnected", error=HOSTILE))
    assert HOSTILE in live.inner_text(".dl-note")
    assert live.evaluate("window.hacked") is None
    assert live.query_selector(".dl-live img") is None
    assert live.evaluate("document.querySelector('.dl-live style').textContent") == ""


def test_the_poster_is_hidden_while_the_view_is_there(live):
    live.evaluate(
        """() => {
          const poster = document.createElement('p');
          poster.dataset.live = '0af';
          poster.textContent = 'x';
          document.body.append(poster);
        }"""
    )
    assert live.is_visible("[data-live='0af']")
    tell(live, hello(poster="0af"))
    assert not live.is_visible("[data-live='0af']")
    tell(live, state(state="disconnected", reason="it was stopped"))
    assert live.is_visible("[data-live='0af']"), "it has a picture, and the view has drawn none"
    tell(live, state(state="disconnected", error="It failed."))
    assert not live.is_visible("[data-live='0af']")
    tell(live, state(state="generating"))
    feed(live, "h264", 0, 2)
    until_shown(live, 1)
    tell(live, state(state="disconnected", reason="it was stopped"))
    assert not live.is_visible("[data-live='0af']")
    live.evaluate("document.getElementById('root').remove()")
    assert live.is_visible("[data-live='0af']")


def test_controls_that_are_not_offered_are_not_shown(page):
    mounted(page)
    tell(page, hello(features=["snapshot"]))
    tell(page, state(state="generating"))
    named = [button.inner_text() for button in page.locator("button:visible").all()]
    assert "Snapshot" in named
    assert not {"Start", "Stop", "Record", "Mute", "Apply", "Wipe"} & set(named)


def test_a_viewer_is_offered_nothing_that_would_change_the_session(page):
    mounted(page)
    tell(page, hello(features=["snapshot", "record"], sources=[]))
    tell(page, state(state="generating", watching=True, seconds=3.0))
    named = [button.inner_text() for button in page.locator("button:visible").all()]
    assert set(named) == {"Snapshot", "Record", "Figures", "Float", "Full"}
    assert page.locator(".dl-live :is(textarea, select):visible").count() == 0
    head = page.inner_text(".dl-top")
    assert "read-only" in head
    assert "$" not in head, "who only watches does not pay"
    tell(page, state(state="generating", watching=True, viewers=1))
    assert "read-only, 2 views" in page.inner_text(".dl-top")


def test_the_source_menu_of_the_kernel_is_one_with_python(live):
    tell(live, hello(sources=["street.mp4", "synthetic"]))
    tell(live, state(state="generating", source="street.mp4"))
    menu = live.get_by_label("Source")
    assert menu.input_value() == "street.mp4"
    menu.select_option("synthetic")
    assert [m["name"] for m in sent(live, "source")] == ["synthetic"]
    tell(live, state(state="generating", source="street.mp4", note="It cannot be opened."))
    assert menu.input_value() == "street.mp4", "what was refused is not shown as chosen"
    tell(live, hello(sources=["street.mp4", "synthetic", "other.mp4"], v=None))
    tell(live, state(state="generating", source="other.mp4"))
    assert menu.input_value() == "other.mp4"


def test_what_slows_the_preview_is_said_before_a_note_and_read_out_politely(live):
    said = live.locator(".dl-note [role=status]")
    tell(live, state(state="generating", warning="Paused by a running cell.", note="Kept."))
    assert said.inner_text() == "Paused by a running cell."
    assert said.get_attribute("data-tone") == "warn"
    assert said.is_visible()
    assert said.get_attribute("aria-live") == "polite"
    tell(live, state(state="generating", idle_left=29))
    assert said.get_attribute("aria-live") == "off", "a countdown is not read every second"
    tell(live, state(state="generating", note="Kept."))
    assert (said.inner_text(), said.get_attribute("aria-live")) == ("Kept.", "polite")


@pytest.mark.parametrize(("policy", "allowed"), [("camera=()", False), ("camera=*", True)])
def test_a_page_says_whether_it_may_have_a_camera(page, policy, allowed):
    mounted(page, headers={"permissions-policy": policy})
    assert sent(page, "ready")[0]["caps"]["camera"] is allowed


def test_nothing_moves_for_who_wants_less_motion(page):
    page.emulate_media(reduced_motion="reduce")
    mounted(page)
    slow = """() => [...document.querySelectorAll('.dl-live *')]
      .filter(e => getComputedStyle(e).transitionDuration !== '0s').length"""
    assert page.evaluate(slow) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(slow) > 0


@pytest.mark.parametrize("width", [320, 560, 1200])
def test_a_cell_of_any_width_holds_the_panel_and_every_control_has_a_name(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    mounted(page)
    tell(page, hello(sources=["a rather long name of a clip that somebody gave it.mp4"]))
    tell(
        page,
        state(state="generating", viewers=3, simulated=True, max_cost=5.0, history=["x" * 300]),
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('.dl-live :is(button, select, textarea, input)')]
          .filter(e => e.checkVisibility())
          .filter(e => !(e.textContent.trim() || e.ariaLabel || e.labels?.length))
          .map(e => e.outerHTML)"""
    )
    assert nameless == []
    untold = page.evaluate(
        "() => [...document.querySelectorAll('.dl-live button')].filter(e => !e.title).length"
    )
    assert untold == 0


def test_a_silent_stream_is_said_to_be_silent_and_speaks_again(live):
    # Words are gathered in the page: on a busy machine seconds pass between two looks at it.
    live.evaluate(
        """() => {
          const badge = document.querySelector('.dl-state');
          window.words = [badge.dataset.word];
          const note = () => window.words.push(badge.dataset.word);
          new MutationObserver(note).observe(badge, {childList: true});
        }"""
    )
    feed(live, "h264", 0, 3)
    live.wait_for_function("window.words.at(-1) === 'no new pictures'", timeout=9000)
    feed(live, "h264", 3, 5)
    live.wait_for_function("window.words.slice(-2).join() === 'no new pictures,generating'")


def test_a_dense_screen_is_told_of_once_and_not_in_every_size(browser):
    context = browser.new_context(device_scale_factor=2)
    page = mounted(context.new_page())
    page.wait_for_function("sent.some(({kind}) => kind === 'resize')")
    [ready], [resize, *_] = sent(page, "ready"), sent(page, "resize")
    assert ready["caps"]["dpr"] == 2
    assert (resize["width"], resize["height"]) == pytest.approx(
        (ready["caps"]["width"], ready["caps"]["height"]), abs=1
    )
    context.close()
