// What a live panel says, as data: states as marks and words, figures as text, one question at a
// time. Pure: no element, no message and no clock is touched here.

import { DASH, money, seconds } from "./figures.js";

export const STALL_S = 2; // so long without a new picture is told
export const BUSY_S = 2; // so long without an answer, the kernel is busy
export const LOST_S = 3; // a dead comm that stays silent so long stays dead
export const ANSWER_S = 60; // longer than the kernel itself waits for the service
export const SILENT_S = 20; // a kernel with a session says something every five seconds

const BADGES = {
  connecting: ["◔", "open", "connecting"],
  connected: ["◑", "open", "connected"],
  generating: ["●", "good", "generating"],
  reconnecting: ["◔", "warn", "reconnecting"],
};

/** Shape, tone and word of where a session stands; `seen` is what only the page knows. */
export function badge(told, seen = {}) {
  if (seen.gone) return ["✕", "bad", "kernel gone"];
  const state = told?.state ?? "idle";
  if (state === "generating" && seen.hidden) return ["◫", "quiet", "hidden"];
  if (state === "generating" && seen.silent_s > STALL_S) return ["◌", "warn", "no new pictures"];
  if (state in BADGES) return BADGES[state];
  if (state === "disconnected") return told.error ? ["✕", "bad", "failed"] : ["■", "quiet", "ended"];
  return ["○", "quiet", told === null ? "waiting for the kernel" : "ready"];
}

/** Whether there is a session that runs, and so may cost. */
export function running(told) {
  return (told?.state ?? "idle") in BADGES;
}

function figure(value, digits, unit) {
  return Number.isFinite(value) ? `${value.toFixed(digits)} ${unit}` : DASH;
}

/** Bits a second to a sensible digit. */
export function rate(kbps) {
  if (!Number.isFinite(kbps)) return DASH;
  return kbps < 999.5 ? `${kbps.toFixed(0)} kbit/s` : `${(kbps / 1000).toFixed(1)} Mbit/s`;
}

/** Names and texts of what is measured; an unknown figure is a dash. */
export function figures(told, seen = {}) {
  const { fps_in, kbps_in, rtt_ms, g2g_ms, loss } = told ?? {};
  return [
    ["drawn", figure(seen.fps, 1, "fps")],
    ["received", figure(fps_in, 1, "fps")],
    ["delay", figure(g2g_ms, 0, "ms")],
    ["round trip", figure(rtt_ms, 0, "ms")],
    ["bitrate", rate(kbps_in)],
    ["loss", Number.isFinite(loss) ? `${(loss * 100).toFixed(1)} %` : DASH],
    ["size", seen.size ?? DASH],
  ];
}

/** Seconds and money, with the caps when there are some. */
export function spent(told) {
  const { seconds: ran, cost, max_seconds, max_cost } = told ?? {};
  const of = (text, cap, words) => (Number.isFinite(cap) ? `${text} of ${words(cap)}` : text);
  return [of(seconds(ran ?? null), max_seconds, seconds), of(money(cost ?? null), max_cost, money)];
}

/** What pressing Start means. */
export function startHint({ simulated, price_per_s } = {}) {
  if (simulated) return "Simulated by the emulator: nothing is paid (Shift+S)";
  if (!Number.isFinite(price_per_s)) return "Opens a session; the service bills each second (Shift+S)";
  return `Opens a session at ${money(price_per_s)} a second (Shift+S)`;
}

/** One thing to say under the pictures, the gravest first: [tone, text]. */
export function note(told, seen = {}) {
  if (seen.gone) return ["bad", "The kernel is gone. Camera and connection were closed here; run the cell again."];
  if (told?.error) return ["bad", told.error];
  if (seen.trouble) return ["bad", seen.trouble];
  if (seen.busy) return ["warn", seen.busy];
  if (running(told) && Number.isFinite(told.idle_left)) {
    return ["warn", `Nobody has used this session for a while; it ends in ${Math.ceil(told.idle_left)} s.`];
  }
  if (told?.warning) return ["warn", told.warning];
  if (told?.note) return ["quiet", told.note];
  if (told?.state === "disconnected" && told.reason) return ["quiet", `The session ended: ${told.reason}.`];
  return ["quiet", ""];
}

/** What stands in the place of pictures while there are none. */
export function veil(told, seen = {}) {
  if (seen.pictures) return "";
  const state = told?.state ?? "idle";
  if (running(told)) return state === "generating" ? "Waiting for the first picture" : "Connecting";
  if (state !== "disconnected") return "Nothing runs yet";
  return told.error ? "No picture was received" : "It ended before a picture was drawn here";
}

/** What stands under the prompt: [tone, text]. */
export function promptWords(told, asked, draft) {
  if (asked) return ["open", "Asking the service"];
  if (told?.prompt_error) return ["bad", told.prompt_error];
  if (told?.pending) return ["open", "Asking the service"];
  if (told && draft !== (told.prompt ?? "")) return ["quiet", "Edited; Enter applies it"];
  if (told?.prompt) return ["quiet", running(told) ? "In force" : "Used when the session starts"];
  return ["quiet", "Without a prompt the input comes back unchanged"];
}

/** Asks one thing at a time; what is asked meanwhile replaces what waits. */
export class Asking {
  constructor(prefix, send) {
    Object.assign(this, { prefix, send, made: 0, flying: null, waiting: null, since: 0 });
  }

  ask(content, now) {
    if (this.flying !== null) {
      this.waiting = { ...this.waiting, ...content };
      return;
    }
    this.flying = `${this.prefix}-${(this.made += 1)}`;
    this.since = now;
    this.send({ ...content, id: this.flying });
  }

  /** Take the ids that were answered; what waits goes out. */
  answered(ids, now) {
    if (!ids.includes(this.flying)) return;
    this.flying = null;
    const next = this.waiting;
    this.waiting = null;
    if (next !== null) this.ask(next, now);
  }

  /** Give up an answer that is overdue: messages may be lost, and nobody shall wait for ever. */
  expire(now) {
    if (this.flying !== null && now - this.since > ANSWER_S * 1000) this.answered([this.flying], now);
  }
}

/** Steps through earlier prompts, the newest last, and back to what was being written. */
export class Earlier {
  constructor() {
    Object.assign(this, { list: [], at: 0, draft: "" });
  }

  adopt(list) {
    if (list.length === this.list.length && list.every((text, i) => text === this.list[i])) return;
    this.list = list;
    this.at = list.length;
  }

  step(by, current) {
    if (this.at === this.list.length) this.draft = current;
    const at = Math.min(Math.max(this.at + by, 0), this.list.length);
    if (at === this.at) return null;
    this.at = at;
    return this.list[at] ?? this.draft;
  }
}

/** Counts events over the last two seconds. */
export class Pace {
  constructor() {
    this.times = [];
  }

  count(now) {
    this.times.push(now);
    this.trim(now);
  }

  trim(now) {
    while (this.times.length && now - this.times[0] > 2000) this.times.shift();
  }

  /** Events a second; unknown before there are two. */
  fps(now) {
    this.trim(now);
    const { times } = this;
    if (times.length < 2) return times.length ? NaN : 0;
    return ((times.length - 1) * 1000) / Math.max(times.at(-1) - times[0], now - times[0] - 200, 1);
  }
}
