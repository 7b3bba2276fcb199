"""The browser's own connection: Chromium's camera, and a peer in the same page as the service.

What it shows besides is ``test_live_page.py``'s.
"""

from __future__ import annotations

from typing import Any

import av
import pytest

from tests.helpers.livepage import SIZE, hello, mounted, sent, state, tell, view_of

pytestmark = pytest.mark.browser

TWO_CAMERAS = [
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream=device-count=2",
]
# Stands for the service: answers the page's offer and sends back what it receives.
SERVICE = """
window.service = null;
window.answering = true;
window.order = [];
window.serve = () => {
  window.listener = async (message, buffers) => {
    if (message.kind === 'slice') window.sliced(message, buffers);
    if (message.kind !== 'rtc') return;
    window.order.push(message.op);
    if (message.op === 'offer' && window.answering) await window.answer(message);
    const {op, candidate} = message;
    if (op === 'candidate') await window.service.addIceCandidate(candidate ?? undefined);
  };
};
window.slices = [];
window.taking = true;
window.sliced = ({id, n, last}, buffers) => {
  if (!last) window.slices.push(...new Uint8Array(buffers[0]));
  if (window.taking) window.say({kind: 'recorder', op: 'took', id, n});
};
window.answer = async ({sdp, gen}) => {
  const peer = window.service ??= new RTCPeerConnection();
  window.gen = gen;
  peer.ontrack = ({track, transceiver}) => {
    transceiver.direction = 'sendrecv';
    transceiver.sender.replaceTrack(track);
  };
  peer.onicecandidate = ({candidate}) => window.say({
    kind: 'rtc', op: 'candidate', gen,
    candidate: candidate?.candidate ? candidate.toJSON() : null,
  });
  await peer.setRemoteDescription({type: 'offer', sdp});
  await peer.setLocalDescription();
  window.say({kind: 'rtc', op: 'answer', gen, sdp: peer.localDescription.sdp});
};
window.tracks = [];
const {getUserMedia} = navigator.mediaDevices;
navigator.mediaDevices.getUserMedia = async function (asked) {
  if (window.refuse) throw new DOMException('no', window.refuse);
  await window.allowing;
  const stream = await getUserMedia.call(this, asked);
  window.tracks.push(...stream.getTracks());
  return stream;
};
"""
# Stands for the front end's own knowledge of the kernel.
KERNEL = """
const signal = () => {
  const heard = new Set();
  return {
    connect: (f) => heard.add(f), disconnect: (f) => heard.delete(f),
    emit: (...args) => heard.forEach((f) => f(null, ...args)), heard,
  };
};
window.manager = {kernel: {statusChanged: signal(), disposed: signal()}};
"""


@pytest.fixture(scope="module")
def flags() -> list[str]:
    """A camera that is none, and the right to use it."""
    return TWO_CAMERAS


@pytest.fixture
def call(page: Any) -> Any:
    """A page whose camera goes to the service and back."""
    mounted(page, SERVICE, KERNEL)
    page.evaluate("window.serve()")
    tell(page, hello(path="browser"))
    tell(page, state(source="camera"))
    return page


def connect(page: Any) -> None:
    page.get_by_role("button", name="Start").click()
    page.wait_for_function("window.sent.some(m => m.kind === 'start')")
    tell(page, state(state="connecting"))
    offer = {"kind": "rtc", "op": "offer?", "gen": 1, "source": "camera", "ice_servers": []}
    tell(page, {**offer, "size": SIZE, "fps": 20, "v": view_of(page)})
    page.wait_for_function("window.sent.some(m => m.op === 'state' && m.state === 'connected')")
    tell(page, state(state="generating"))


PLAYS = "document.querySelector('.dl-output video').currentTime > 0.5"
TRACKS = "window.tracks.map(track => track.readyState)"


def test_the_camera_goes_to_the_service_and_its_picture_comes_back(call):
    connect(call)
    call.wait_for_function(PLAYS)
    order = call.evaluate("window.order")
    assert "candidate" not in order[: order.index("offer")]
    call.wait_for_function("window.sent.some(m => m.op === 'stats' && m.stats.frames_in > 5)")
    stats = [m for m in sent(call, "rtc") if m["op"] == "stats"][-1]["stats"]
    assert stats["bytes_in"] > 0
    assert stats["bytes_out"] > 0
    assert not any("key" in message or "token" in message for message in sent(call, "rtc"))
    call.evaluate("window.say({kind: 'rtc', op: 'close', gen: window.gen})")
    assert set(call.evaluate(TRACKS)) == {"ended"}, "no camera stays on"
    canvas = "document.querySelector('.dl-output canvas')"
    call.wait_for_function(f"!{canvas}.hidden && {canvas}.width >= 160")
    colour = call.evaluate(f"[...{canvas}.getContext('2d').getImageData(9, 9, 1, 1).data]")
    assert sum(colour[:3]) > 30, "the last picture stays"


def test_an_offer_has_a_line_for_sound_and_is_made_for_the_named_view_only(call):
    offer = {"kind": "rtc", "op": "offer?", "gen": 1, "source": "camera"}
    tell(call, {**offer, "v": "another"})
    call.wait_for_timeout(300)
    assert call.evaluate("window.tracks.length") == 0
    tell(call, {**offer, "v": view_of(call)})
    call.wait_for_function("window.sent.some(m => m.op === 'offer')")
    sdp = next(m["sdp"] for m in sent(call, "rtc") if m["op"] == "offer")
    assert "m=audio" in sdp
    assert "m=video" in sdp


def test_candidates_wait_for_the_answer_and_a_busy_kernel_is_told(call):
    call.evaluate("window.answering = false")
    call.get_by_role("button", name="Start").click()
    tell(call, {"kind": "rtc", "op": "offer?", "gen": 1, "source": "camera"})
    call.get_by_text("The kernel is busy; connecting when it is free.").wait_for(timeout=9000)
    assert "candidate" not in call.evaluate("window.order")
    call.evaluate("window.answer(window.sent.find(m => m.op === 'offer'))")
    call.wait_for_function("window.sent.some(m => m.op === 'state' && m.state === 'connected')")
    tell(call, state(state="generating"))
    call.wait_for_function(PLAYS)
    assert "busy" not in call.inner_text(".dl-note")


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ("NotAllowedError", "Allow it"),
        ("NotFoundError", "no such"),
        ("NotReadableError", "another"),
    ],
)
def test_a_refused_camera_is_explained_and_nothing_is_started(call, refusal, words):
    call.evaluate("name => { window.refuse = name; }", refusal)
    call.get_by_role("button", name="Start").click()
    call.wait_for_function("document.querySelector('.dl-note').textContent.includes('camera')")
    assert words in call.inner_text(".dl-note")
    assert sent(call, "start") == []


def test_another_camera_is_sent_over_the_same_connection(call):
    connect(call)
    call.wait_for_function(PLAYS)
    call.wait_for_function("document.querySelectorAll('.dl-tools select option').length >= 4")
    names = call.evaluate(
        "[...document.querySelectorAll('.dl-tools select option')].map(o => o.value)"
    )
    before = call.evaluate("window.tracks.length")
    call.locator(".dl-tools select").select_option(
        [name for name in names if name.startswith("camera:")][1]
    )
    call.wait_for_function("window.sent.some(m => m.kind === 'source')")
    assert call.evaluate("window.order").count("offer") == 1
    states = call.evaluate(TRACKS)
    assert set(states[:before]) == {"ended"}
    assert states[before:] == ["live"]


def test_ice_is_restarted_without_opening_the_camera_again(call):
    connect(call)
    opened = call.evaluate("window.tracks.length")
    tell(call, {"kind": "rtc", "op": "offer?", "gen": 2, "restart": True, "source": "camera"})
    call.wait_for_function("window.sent.some(m => m.op === 'offer' && m.gen === 2)")
    first, second = [m["sdp"] for m in sent(call, "rtc") if m["op"] == "offer"]
    frag = next(line for line in first.splitlines() if line.startswith("a=ice-ufrag"))
    assert frag not in second
    assert call.evaluate("window.tracks.length") == opened
    call.evaluate("window.now = document.querySelector('.dl-output video').currentTime")
    call.wait_for_function(
        "document.querySelector('.dl-output video').currentTime > window.now + 0.5"
    )


def test_a_new_connection_takes_the_camera_over_and_forgets_the_old(call):
    connect(call)
    opened = call.evaluate("window.tracks.length")
    call.evaluate("() => { window.service.close(); window.service = null; }")
    tell(call, {"kind": "rtc", "op": "offer?", "gen": 2, "source": "camera"})
    call.wait_for_function(
        "window.sent.some(m => m.op === 'state' && m.gen === 2 && m.state === 'connected')"
    )
    call.evaluate("window.say({kind: 'rtc', op: 'close', gen: 1})")
    assert call.evaluate(TRACKS) == ["live"] * opened, "what is said to the old one is ignored"


def test_a_dead_kernel_leaves_no_camera_on(call):
    connect(call)
    call.evaluate("document.getElementById('root').classList.add('jupyter-widgets-disconnected')")
    call.wait_for_function(f"{TRACKS}.every(state => state === 'ended')", timeout=12_000)
    assert "kernel is gone" in call.inner_text(".dl-note")
    call.evaluate("document.getElementById('root').className = 'decart-lab dl-live'")
    tell(call, state())
    assert "kernel is gone" not in call.inner_text(".dl-note"), "one that speaks is there"


@pytest.mark.parametrize("news", ["restarting", "autorestarting", "dead", "terminating"])
def test_what_the_front_end_knows_of_the_kernel_is_not_waited_for(call, news):
    connect(call)
    call.evaluate("window.manager.kernel.statusChanged.emit('busy')")
    assert "live" in call.evaluate(TRACKS)
    call.evaluate("news => window.manager.kernel.statusChanged.emit(news)", news)
    assert set(call.evaluate(TRACKS)) == {"ended"}
    assert "kernel is gone" in call.inner_text(".dl-note")
    told = [m["state"] for m in sent(call, "rtc") if m["op"] == "state"]
    assert told[-1] == "closed", "a kernel that was only frozen hears of it"


def test_a_kernel_that_the_notebook_has_let_go_leaves_no_camera_on(call):
    connect(call)
    call.evaluate("window.manager.kernel.disposed.emit()")
    assert set(call.evaluate(TRACKS)) == {"ended"}
    call.evaluate("window.finish()")
    signals = "Object.values(window.manager.kernel).map((signal) => signal.heard.size)"
    assert call.evaluate(signals) == [0, 0], "and nothing listens any more"


def test_a_service_that_hangs_up_and_a_silent_kernel_leave_no_camera_on(call):
    """As after the death of a kernel, when its watchdog has ended the session."""
    connect(call)
    began = call.evaluate("performance.now()")
    call.evaluate("window.service.close()")
    call.wait_for_function(f"{TRACKS}.every(state => state === 'ended')", timeout=15_000)
    print(round(call.evaluate("performance.now()") - began), "ms")
    assert "kernel is gone" in call.inner_text(".dl-note")


def test_a_service_that_hangs_up_is_told_to_a_kernel_that_lives_and_the_camera_waits(call):
    connect(call)
    call.evaluate("window.talk = setInterval(() => window.say({kind: 'none'}), 500)")
    call.evaluate("window.service.close()")
    call.wait_for_function("window.sent.some(m => m.op === 'state' && m.state === 'closed')")
    call.wait_for_timeout(4000)
    assert "live" in call.evaluate(TRACKS)
    assert "kernel is gone" not in call.inner_text(".dl-note")


def test_an_end_that_names_a_view_of_the_past_is_obeyed(call):
    """The output was cleared, as when its cell runs again, and then the session ended."""
    connect(call)
    call.evaluate("window.leave()")
    close = {"kind": "rtc", "op": "close", "gen": 1, "v": view_of(call)}
    call.evaluate("message => window.say(message)", close)
    assert set(call.evaluate(TRACKS)) == {"ended"}


def test_a_camera_that_is_allowed_too_late_goes_off_again(call):
    call.evaluate("() => { window.allowing = new Promise((allow) => { window.allow = allow; }); }")
    tell(call, {"kind": "rtc", "op": "offer?", "gen": 1, "source": "camera"})
    call.evaluate("window.say({kind: 'rtc', op: 'close', gen: 1})")
    call.evaluate("window.allow()")
    call.wait_for_function("window.tracks.length > 0")
    call.wait_for_function(f"{TRACKS}.every(state => state === 'ended')", timeout=9000)
    assert sent(call, "rtc") == []


def test_a_camera_for_a_session_that_did_not_begin_goes_off_again(call):
    call.get_by_role("button", name="Start").click()
    call.wait_for_function("window.sent.some(m => m.kind === 'start')")
    assert set(call.evaluate(TRACKS)) == {"live"}
    call.evaluate("window.say({kind: 'rtc', op: 'close', gen: null})")
    assert set(call.evaluate(TRACKS)) == {"ended"}


def test_a_connection_that_cannot_be_made_is_told_and_leaves_no_camera_on(call):
    call.evaluate("() => { window.RTCPeerConnection = function () { throw Error('barred'); }; }")
    tell(call, {"kind": "rtc", "op": "offer?", "gen": 1, "source": "camera"})
    call.wait_for_function("window.sent.some(m => m.op === 'state')")
    assert sent(call, "rtc")[-1]["error"] == "barred"
    assert set(call.evaluate(TRACKS)) == {"ended"}
    assert "barred" in call.inner_text(".dl-note")


def test_a_camera_that_is_lost_is_told_and_ends_no_session(call):
    connect(call)
    call.evaluate("window.tracks.forEach((track) => track.dispatchEvent(new Event('ended')))")
    assert "The camera ended. Choose another source" in call.inner_text(".dl-note")
    assert sent(call, "stop") == []
    assert [m["op"] for m in sent(call, "rtc")].count("offer") == 1


def test_the_end_of_the_widget_leaves_no_camera_on(call):
    connect(call)
    call.evaluate("window.leave()")
    assert "live" in call.evaluate(TRACKS), "a view may come back"
    call.evaluate("window.finish()")
    assert set(call.evaluate(TRACKS)) == {"ended"}


def test_the_page_records_in_slices_and_the_file_plays(call, tmp_path):
    connect(call)
    call.wait_for_function(PLAYS)
    call.evaluate("window.say({kind: 'recorder', op: 'start', id: 7})")
    call.wait_for_function("window.sent.filter(m => m.kind === 'slice').length >= 3")
    call.evaluate("window.say({kind: 'recorder', op: 'stop', id: 7})")
    call.wait_for_function("window.sent.some(m => m.kind === 'slice' && m.last)")
    slices = sent(call, "slice")
    assert [m["n"] for m in slices] == list(range(1, len(slices) + 1))
    assert slices[-1]["error"] == ""
    path = tmp_path / "take"
    path.write_bytes(bytes(call.evaluate("window.slices")))
    with av.open(str(path)) as take:
        times = [frame.time for frame in take.decode(video=0)]
    assert len(times) > 10
    assert times[-1] < 1.5 * len(slices) + 1, "each slice brings its second"


def test_a_page_without_a_picture_or_a_recorder_says_so(call):
    call.evaluate("window.say({kind: 'recorder', op: 'start', id: 6})")
    connect(call)
    call.wait_for_function(PLAYS)
    call.evaluate("delete window.MediaRecorder")
    call.evaluate("window.say({kind: 'recorder', op: 'start', id: 7})")
    early, barred = sent(call, "slice")
    assert (early["id"], early["last"], early["error"]) == (6, True, "")
    assert (barred["id"], barred["last"]) == (7, True)
    assert "MediaRecorder" in barred["error"]


def test_a_kernel_that_takes_no_slices_is_not_sent_more_than_it_can_lose(call):
    connect(call)
    call.wait_for_function(PLAYS)
    call.evaluate("window.taking = false")
    call.evaluate("window.say({kind: 'recorder', op: 'start', id: 7})")
    call.wait_for_function("window.sent.filter(m => m.kind === 'slice').length >= 4")
    call.wait_for_timeout(2500)
    assert len(sent(call, "slice")) == 4
    call.evaluate("window.taking = true")
    call.evaluate("window.say({kind: 'recorder', op: 'took', id: 7, n: 4})")
    call.wait_for_function("window.sent.filter(m => m.kind === 'slice').length > 4")
