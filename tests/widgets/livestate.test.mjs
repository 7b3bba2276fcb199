// What the live panel says, and how it asks.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Asking, badge, Earlier, figures, note, Pace, promptWords, rate, running, spent, startHint, veil } from "../../decart_lab/widgets/static/livestate.js";

const told = (more) => ({ state: "generating", prompt: "ink", error: "", ...more });

test("each state has a shape and a word of its own", () => {
  const states = ["idle", "connecting", "connected", "generating", "reconnecting", "disconnected"];
  const words = states.map((state) => badge({ state })[2]);
  assert.deepEqual(words, ["ready", "connecting", "connected", "generating", "reconnecting", "ended"]);
  const seen = [badge(null), badge(told(), { silent_s: 3 }), badge(told(), { gone: true }), badge({ state: "disconnected", error: "x" })];
  assert.deepEqual(seen.map(([, , word]) => word), ["waiting for the kernel", "no new pictures", "kernel gone", "failed"]);
  assert.ok(seen.every(([shape]) => shape.length === 1));
});

test("a hidden view is not called stalled", () => {
  assert.equal(badge(told(), { silent_s: 60, hidden: true })[2], "hidden");
});

test("a session that may still cost counts as running", () => {
  const states = ["idle", "connecting", "connected", "generating", "reconnecting", "disconnected"];
  assert.deepEqual(states.filter((state) => running({ state })), ["connecting", "connected", "generating", "reconnecting"]);
  assert.equal(running(null), false);
});

test("an unknown figure is a dash and never a zero", () => {
  assert.deepEqual([...new Set(figures(null).map(([, text]) => text))], ["–"]);
  assert.deepEqual([...new Set(figures({ loss: NaN, kbps_in: null }, { fps: NaN }).map(([, text]) => text))], ["–"]);
  const texts = figures({ fps_in: 24.94, kbps_in: 3140, rtt_ms: 31.4, g2g_ms: 182, loss: 0.004 }, { fps: 19.96, size: "640×352" });
  assert.deepEqual(texts.map(([, text]) => text), ["20.0 fps", "24.9 fps", "182 ms", "31 ms", "3.1 Mbit/s", "0.4 %", "640×352"]);
});

test("a rate is written in the unit that fits", () => {
  assert.deepEqual([0, 640.4, 999.4, 999.6, 14000].map(rate), ["0 kbit/s", "640 kbit/s", "999 kbit/s", "1.0 Mbit/s", "14.0 Mbit/s"]);
});

test("seconds and money stand with their caps", () => {
  assert.deepEqual(spent(told({ seconds: 12.4, cost: 0.248, max_cost: 5 })), ["12.4 s", "$0.25 of $5.00"]);
  assert.deepEqual(spent(told({ seconds: 0, cost: null, max_seconds: 60 })), ["0.00 s of 60.0 s", "–"]);
  assert.deepEqual(spent(null), ["–", "–"]);
});

test("Start says what it costs, unless that is not known", () => {
  assert.match(startHint({ price_per_s: 0.02 }), /\$0\.02 a second/);
  assert.match(startHint({ price_per_s: 0.02, simulated: true }), /nothing is paid/);
  assert.doesNotMatch(startHint({ price_per_s: null }), /\$/);
});

test("the gravest thing is said first", () => {
  const all = { error: "It failed.", idle_left: 9.2, note: "Saved." };
  assert.match(note(told(all), { gone: true })[1], /kernel is gone/);
  assert.equal(note(told(all))[1], "It failed.");
  assert.match(note(told({ ...all, error: "" }), { busy: "Busy." })[1], /^Busy/);
  assert.match(note(told({ ...all, error: "", warning: "Slow." }))[1], /ends in 10 s/);
  assert.deepEqual(note(told({ note: "Saved.", warning: "Slow." })), ["warn", "Slow."]);
  assert.equal(note(told({ note: "Saved." }))[1], "Saved.");
  assert.equal(note({ state: "disconnected", reason: "max_cost" })[1], "The session ended: max_cost.");
});

test("a countdown of an ended session is not shown", () => {
  assert.doesNotMatch(note({ state: "disconnected", idle_left: 3 })[1], /ends in/);
});

test("a veil is gone with the first picture", () => {
  assert.equal(veil(told(), { pictures: true }), "");
  assert.match(veil(told()), /first picture/);
  assert.match(veil(null), /Nothing runs/);
});

test("under the prompt stands how the service took it", () => {
  assert.equal(promptWords(told(), false, "ink")[1], "In force");
  assert.equal(promptWords(told(), true, "clay")[1], "Asking the service");
  assert.deepEqual(promptWords(told({ prompt_error: "Refused." }), false, "clay"), ["bad", "Refused."]);
  assert.match(promptWords(told(), false, "clay")[1], /Enter applies/);
  assert.match(promptWords({ state: "idle", prompt: "ink" }, false, "ink")[1], /when the session starts/);
});

test("one question at a time, and of those that wait only the newest", () => {
  const sent = [];
  const asking = new Asking("a", (content) => sent.push(content));
  asking.ask({ prompt: "one" }, 0);
  for (const prompt of ["two", "three", "four"]) asking.ask({ prompt }, 0);
  assert.deepEqual(sent, [{ prompt: "one", id: "a-1" }]);
  asking.answered(["b-1", "a-7"], 1);
  assert.equal(sent.length, 1, "the answer to another view's question is not ours");
  asking.answered(["a-1"], 1);
  assert.deepEqual(sent[1], { prompt: "four", id: "a-2" });
  asking.answered(["a-1"], 2);
  assert.equal(asking.flying, "a-2", "an answer counts once");
  asking.answered(["a-2"], 3);
  assert.equal(asking.flying, null);
  assert.equal(sent.length, 2);
});

test("an answer that never comes holds nothing up for ever", () => {
  const sent = [];
  const asking = new Asking("a", (content) => sent.push(content.prompt));
  asking.ask({ prompt: "one" }, 0);
  asking.ask({ prompt: "two" }, 10);
  asking.expire(59_000);
  assert.deepEqual(sent, ["one"]);
  asking.expire(61_000);
  assert.deepEqual(sent, ["one", "two"]);
});

test("earlier prompts come back newest first, and the draft after them", () => {
  const earlier = new Earlier();
  earlier.adopt(["ink", "clay"]);
  assert.equal(earlier.step(1, "draft"), null);
  assert.deepEqual([earlier.step(-1, "draft"), earlier.step(-1, "clay"), earlier.step(-1, "ink")], ["clay", "ink", null]);
  assert.deepEqual([earlier.step(1, "ink"), earlier.step(1, "clay")], ["clay", "draft"]);
});

test("the pace is that of the last two seconds", () => {
  const pace = new Pace();
  assert.equal(pace.fps(0), 0);
  for (let at = 0; at <= 4000; at += 50) pace.count(at);
  assert.ok(Math.abs(pace.fps(4000) - 20) < 0.5);
  assert.ok(pace.fps(5000) < 14, "it falls as soon as nothing comes");
  assert.equal(pace.fps(9000), 0);
});
