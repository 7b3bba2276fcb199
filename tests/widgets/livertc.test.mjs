// The parts of the browser path that need no browser: figures, words, and keys.

import assert from "node:assert/strict";
import { test } from "node:test";

import { wanted } from "../../decart_lab/widgets/static/livekeys.js";
import { explain, split } from "../../decart_lab/widgets/static/livemedia.js";
import { statsOf } from "../../decart_lab/widgets/static/livertc.js";

const report = (...rows) => new Map(rows.map((row, n) => [String(n), row]));

test("figures of a connection that has none yet are unknown", () => {
  assert.deepEqual([...new Set(Object.values(statsOf(report())))], [null]);
});

test("loss is a share, and a duplicate does not make it negative", () => {
  const inbound = { type: "inbound-rtp", kind: "video", packetsReceived: 90, packetsLost: 10 };
  assert.equal(statsOf(report(inbound)).loss, 0.1);
  assert.equal(statsOf(report({ ...inbound, packetsLost: -3 })).loss, 0);
});

test("the round trip is that of the pair in use", () => {
  const pair = { type: "candidate-pair", state: "succeeded", currentRoundTripTime: 0.4 };
  assert.equal(statsOf(report(pair, { ...pair, nominated: true, currentRoundTripTime: 0.03 })).rtt_s, 0.03);
});

test("each refusal says what to do, and names the thing that was refused", () => {
  for (const name of ["NotAllowedError", "NotFoundError", "NotReadableError", "OverconstrainedError", "Odd"]) {
    const words = explain({ name, message: "m" }, "camera");
    assert.match(words, /camera/);
    assert.match(words, /\.$/);
    assert.doesNotMatch(words, /undefined|!/);
  }
  assert.match(explain({ name: "NotAllowedError" }, "camera", { secure: false }), /localhost/);
  assert.match(explain({ name: "NotAllowedError" }, "camera", { allowed: false }), /VS Code/);
  assert.match(explain({ name: "NotSupportedError" }, "file"), /cannot play/);
});

test("a source is a kind and perhaps a device", () => {
  assert.deepEqual([split("camera"), split("camera:a:b")], [["camera", ""], ["camera", "a:b"]]);
});

const press = (key, more = {}) => ({ key, target: { matches: () => false }, ...more });
const table = { s: "snapshot", "Shift+S": "start" };

test("keys act outside of boxes only, and never with a modifier", () => {
  assert.equal(wanted(press("s"), table), "snapshot");
  assert.equal(wanted(press("S", { shiftKey: true }), table), "start");
  assert.equal(wanted(press("S"), table), "snapshot", "with caps lock");
  for (const more of [{ ctrlKey: true }, { metaKey: true }, { altKey: true }, { isComposing: true }, { target: { matches: () => true } }]) {
    assert.equal(wanted(press("s", more), table), null);
  }
  assert.equal(wanted(press("x"), table), null);
});
