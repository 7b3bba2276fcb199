// Which frames may go into a decoder, and what becomes of pictures. The decoder is the browser's and
// stands in here only with its bookkeeping; tests/browser decodes for real.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Stream } from "../../decart_lab/widgets/static/livedecode.js";
import { Answers, numberFor, Screen } from "../../decart_lab/widgets/static/liveview.js";

let decoders = [];

class Decoder {
  constructor(hooks) {
    Object.assign(this, { hooks, state: "unconfigured", fed: [], decodeQueueSize: 0 });
    decoders.push(this);
  }
  configure({ codec }) {
    this.state = "configured";
    this.codec = codec;
  }
  decode(chunk) {
    this.fed.push(chunk.timestamp);
  }
  close() {
    this.state = "closed";
  }
  give(timestamp) {
    const frame = { timestamp, closed: 0, close: () => (frame.closed += 1) };
    this.hooks.output(frame);
    return frame;
  }
}

function stream() {
  const seen = { shown: [], keys: 0, broken: 0 };
  const made = new Stream({
    show: (picture, message) => seen.shown.push([picture, message]),
    wantKey: () => (seen.keys += 1),
    broken: () => (seen.broken += 1),
  });
  const frame = (i, key = false, more = {}) => made.take({ v: null, of: "output", i, key, us: i * 40, mode: "h264", codec: "avc1", ...more }, null, 0);
  return { made, seen, frame };
}

beforeEach(() => {
  decoders = [];
  globalThis.VideoDecoder = Decoder;
  globalThis.EncodedVideoChunk = class {
    constructor(init) {
      Object.assign(this, init);
    }
  };
});

test("nothing is decoded before a key frame, which is asked for", () => {
  const { seen, frame } = stream();
  frame(1);
  frame(2);
  assert.equal(decoders.length, 0);
  assert.equal(seen.keys, 2);
  frame(3, true);
  frame(4);
  assert.deepEqual(decoders[0].fed, [120, 160]);
});

test("after a lost message nothing is shown until the next key frame", () => {
  const { seen, frame } = stream();
  frame(1, true);
  frame(2);
  frame(4);
  frame(5);
  assert.deepEqual(decoders[0].fed, [40, 80]);
  assert.equal(seen.keys, 2);
  frame(6, true);
  frame(7);
  assert.deepEqual(decoders[0].fed, [40, 80, 240, 280]);
});

test("a frame that one of our views got in order is whole for all", () => {
  const { frame } = stream();
  frame([1, 5], true, { v: ["a", "b"], us: 40 });
  frame(2, false, { v: "a", us: 80 });
  frame([3, 6], false, { v: ["a", "b"], us: 120 });
  assert.deepEqual(decoders[0].fed, [40, 80, 120]);
});

test("a picture of a decoder that was given up is closed and not shown", () => {
  const { made, seen, frame } = stream();
  frame(1, true);
  const [old] = decoders;
  made.restart();
  const late = old.give(40);
  assert.equal(late.closed, 1);
  assert.equal(seen.shown.length, 0);
});

test("a decoder that fails begins again with a key frame, and is given up after three times", () => {
  const { seen, frame } = stream();
  for (const i of [1, 2, 3]) {
    frame(i, true);
    decoders.at(-1).hooks.error(new Error("no"));
  }
  assert.equal(seen.keys, 2);
  assert.equal(seen.broken, 1);
});

test("a decoder that cannot keep up is not fed until the next key frame", () => {
  const { seen, frame } = stream();
  frame(1, true);
  decoders[0].decodeQueueSize = 40;
  frame(2);
  frame(3);
  assert.deepEqual(decoders[0].fed, [40]);
  assert.ok(seen.keys > 0);
});

test("of JPEGs that come faster than they are decoded, the newest is shown", async () => {
  const waiting = [];
  globalThis.createImageBitmap = (blob) => new Promise((done) => waiting.push(() => done({ blob, close() {} })));
  const { seen, frame } = stream();
  for (const i of [1, 2, 3, 4]) frame(i, false, { mode: "jpeg" });
  assert.equal(waiting.length, 1);
  waiting[0]();
  await new Promise(setImmediate);
  assert.equal(waiting.length, 2);
  waiting[1]();
  await new Promise(setImmediate);
  assert.deepEqual(seen.shown.map(([, { i }]) => i), [1, 4]);
});

test("one draw per animation frame, all of them told at once, and every picture is closed", async () => {
  const frames = [];
  globalThis.requestAnimationFrame = (f) => frames.push(f);
  const sent = [];
  const answers = new Answers((message) => sent.push(message));
  const drawn = [];
  const view = (id, hidden) => ({ id, hidden, tick() {}, surfaces: { output: { seen: true, draw: (picture) => drawn.push([id, picture.n]) }, input: { seen: true, draw() {} } } });
  const screens = ["output", "input"].map((of) => new Screen(of, answers));
  for (const screen of screens) [view("a", false), view("b", false), view("c", true)].forEach((one) => screen.views.add(one));
  const pictures = [1, 2, 3, 4].map((n) => ({ n, closed: 0, close() { this.closed += 1; } }));
  for (const picture of pictures.slice(0, 2)) screens[0].show(picture, { v: ["a", "b", "c"], i: [picture.n, picture.n + 10, 9], now: true });
  screens[1].show(pictures[3], { v: "a", i: 5 });
  assert.equal(frames.length, 2);
  frames.splice(0).forEach((frame) => frame(16));
  assert.equal(frames.length, 1);
  screens[0].show(pictures[2], { v: "a", i: 3 });
  frames.splice(0).forEach((frame) => frame(performance.now() + 101));
  await new Promise((done) => setTimeout(done, 20));
  assert.deepEqual(drawn, [["a", 1], ["b", 1], ["a", 3]], "the second had waited for too long");
  assert.equal(sent.length, 1);
  assert.deepEqual(sent[0].drawn.map((row) => row.slice(0, 4)), [["a", "output", 1, 0], ["b", "output", 11, 0], ["a", "input", 5, 0], ["a", "output", 3, 1]]);
  assert.deepEqual(pictures.map(({ closed }) => closed), [1, 1, 1, 1]);
});

test("of more pictures than may wait, the oldest are closed", () => {
  globalThis.requestAnimationFrame = () => 1;
  globalThis.cancelAnimationFrame = () => {};
  const screen = new Screen("output", null);
  const pictures = [1, 2, 3, 4, 5].map((n) => ({ n, closed: 0, close() { this.closed += 1; } }));
  pictures.forEach((picture) => screen.show(picture, {}));
  assert.deepEqual(pictures.map(({ closed }) => closed), [1, 1, 0, 0, 0]);
  assert.equal(screen.dropped, 2);
  screen.clear();
  assert.deepEqual(pictures.map(({ closed }) => closed), [1, 1, 1, 1, 1]);
});

test("answers that nobody waits for are gathered, and one that is waited for takes them along", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const sent = [];
  const answers = new Answers(({ drawn }) => sent.push(drawn.map(([, , i]) => i)));
  [1, 2].forEach((i) => answers.add(["a", "output", i], false));
  t.mock.timers.tick(100);
  assert.deepEqual(sent, []);
  t.mock.timers.tick(100);
  assert.deepEqual(sent, [[1, 2]]);
  answers.add(["a", "output", 3], false);
  answers.add(["a", "output", 4], true);
  answers.add(["a", "output", 5], false);
  t.mock.timers.tick(1);
  assert.deepEqual(sent, [[1, 2], [3, 4, 5]]);
});

test("a frame's number is that of the view it is for", () => {
  assert.equal(numberFor({ v: null, i: 4 }, "a"), 4);
  assert.equal(numberFor({ v: "a", i: 4 }, "a"), 4);
  assert.equal(numberFor({ v: "b", i: 4 }, "a"), null);
  assert.equal(numberFor({ v: ["b", "a"], i: [4, 5] }, "a"), 5);
});
