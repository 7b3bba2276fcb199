// The page's side of a live session: one for all its views. Messages come in here and go out here,
// and here it is noticed when nobody answers any more.

import { abilities, Stream } from "./livedecode.js";
import { listSources } from "./livemedia.js";
import { Panel } from "./livepanel.js";
import { BUSY_S, LOST_S, running, SILENT_S } from "./livestate.js";
import { record } from "./livereel.js";
import { Call } from "./livertc.js";
import { Answers, Screen } from "./liveview.js";

const PROTOCOL = 1;
const TICK_MS = 500;
const KEY_MS = 500;
const LINE_MS = 5000;
const DEAD = ["terminating", "restarting", "autorestarting", "dead"];

class Page {
  constructor(model) {
    const now = performance.now();
    Object.assign(this, { model, views: new Set(), ids: new Set(), told: null, hello: null, caps: null, call: null, gone: false, said: "", reel: null, local: null, remote: null });
    // when the kernel was last heard, pictures were last due, and views last came in sight
    Object.assign(this, { heard: now, since: now, shown: now, expected: 0, waiting: false, asked: {} });
    const answers = new Answers((content) => this.send(content));
    this.screens = { output: new Screen("output", answers), input: new Screen("input", answers) };
    this.streams = {};
    for (const [of, screen] of Object.entries(this.screens)) {
      const show = (picture, message) => screen.show(picture, message);
      const broken = () => this.withoutDecoder();
      this.streams[of] = new Stream({ show, broken, wantKey: () => this.wantKey(of) });
    }
    this.listener = (message, buffers) => this.take(message, buffers);
    model.on("msg:custom", this.listener);
    this.bye = () => this.views.forEach((view) => this.send({ kind: "gone", v: view.id, page: true }));
    // what is said while a page is torn down may be lost: it has said before that it might go
    this.leaving = () => this.views.forEach((view) => this.send({ kind: "leaving", v: view.id }));
    this.back = ({ persisted }) => persisted && this.views.forEach((view) => this.ready(view));
    addEventListener("beforeunload", this.leaving);
    addEventListener("pagehide", this.bye);
    addEventListener("pageshow", this.back);
    this.plugged = () => this.listDevices();
    navigator.mediaDevices?.addEventListener("devicechange", this.plugged);
    this.timer = setInterval(() => this.tick(performance.now()), TICK_MS);
    this.watchKernel();
  }

  /** Where the front end tells how its kernel is, nobody need wait for a silence to say so. */
  watchKernel() {
    const kernel = this.model.widget_manager?.kernel;
    const changed = (_, status) => DEAD.includes(status) && this.lose();
    const disposed = () => {
      if (!this.gone) this.farewell(kernel);
      this.lose();
    };
    kernel?.statusChanged?.connect(changed);
    kernel?.disposed?.connect(disposed);
    this.unwatch = () => {
      kernel?.statusChanged?.disconnect(changed);
      kernel?.disposed?.disconnect(disposed);
    };
  }

  /** The notebook was closed and has hung up, while its kernel runs on: tell it on a line of our own. */
  farewell(kernel) {
    const line = kernel.clone?.();
    if (!line?.sendShellMessage) return;
    for (const { id: v } of this.views) {
      const header = { msg_id: `gone-${v}`, msg_type: "comm_msg", session: line.clientId, username: "", version: "5.3", date: new Date().toISOString() };
      const data = { method: "custom", content: { kind: "gone", v, page: true } };
      line.sendShellMessage({ header, parent_header: {}, metadata: {}, content: { comm_id: this.hello?.comm, data }, channel: "shell", buffers: [] });
    }
    setTimeout(() => line.dispose(), LINE_MS);
  }

  send(content, buffers = []) {
    try {
      this.model.send(content, undefined, buffers);
    } catch {
      // a dead comm; tick() finds out
    }
  }

  // -- views -----------------------------------------------------------------------------------

  async join(root) {
    const view = new Panel(this, root);
    this.views.add(view);
    this.ids.add(view.id);
    Object.values(this.screens).forEach((screen) => screen.views.add(view));
    if (this.hello) view.greet(this.hello);
    this.listDevices();
    this.play();
    view.draw();
    this.caps ??= await abilities();
    if (this.views.has(view)) this.ready(view);
    return view;
  }

  ready(view) {
    const { clientWidth: width, clientHeight: height } = view.stage;
    const caps = { ...this.caps, dpr: devicePixelRatio, width, height };
    this.send({ kind: "ready", view: view.id, protocol: PROTOCOL, caps });
  }

  part(view) {
    this.views.delete(view);
    Object.values(this.screens).forEach((screen) => screen.views.delete(view));
    view.leave();
    this.send({ kind: "gone", v: view.id });
    this.rest();
  }

  /** A view came in sight, or left it. */
  sight(view) {
    this.send({ kind: view.hidden ? "pause" : "resume", v: view.id });
    this.shown = performance.now();
    this.rest();
  }

  /** When nobody looks nothing is decoded, and it begins again with a key frame. */
  rest() {
    if ([...this.views].some((view) => !view.hidden)) return;
    Object.values(this.streams).forEach((stream) => stream.restart());
    Object.values(this.screens).forEach((screen) => screen.clear());
  }

  // -- messages --------------------------------------------------------------------------------

  take(message, buffers) {
    const now = performance.now();
    this.heard = now;
    this.gone = false;
    switch (message.kind) {
      case "hello":
        this.hello = { ...this.hello, ...message };
        if (message.path === "browser") this.call ??= this.makeCall();
        this.views.forEach((view) => view.greet(message));
        this.listDevices();
        break;
      case "state":
        if (message.state !== this.told?.state) this.since = now;
        if (running(message)) this.expected = 0;
        if (running(message) && !running(this.told)) this.said = "";
        this.told = message;
        this.call?.mute(Boolean(message.muted));
        this.views.forEach((view) => view.take(message, buffers));
        break;
      case "frame":
        if ([...this.views].some((view) => !view.hidden)) this.streams[message.of]?.take(message, buffers[0]);
        break;
      case "rtc":
        if (this.named(message)) this.call?.take(message);
        break;
      case "grab":
        this.grab(message);
        break;
      case "recorder":
        if (this.named(message)) this.reels(message);
        break;
    }
  }

  /** Several pages may show the session; the kernel names a view that the page to send has, or had. */
  named({ v }) {
    return !v || this.ids.has(v);
  }

  wantKey(of) {
    const now = performance.now();
    if (now - (this.asked[of] ?? -KEY_MS) < KEY_MS) return;
    this.asked[of] = now;
    for (const view of this.views) if (!view.hidden) this.send({ kind: "key", v: view.id, of });
  }

  withoutDecoder() {
    this.caps = { ...this.caps, webcodecs: false, h264: false, vp8: false };
    this.views.forEach((view) => this.ready(view));
  }

  async grab({ id, of = "output", quality }) {
    const [view] = [...this.views].filter(({ surfaces }) => surfaces[of]?.seen);
    const picture = await view?.surfaces[of].grab(quality);
    if (picture) this.send({ kind: "snapshot", id, of, width: picture.width, height: picture.height }, [picture.data]);
  }

  /** Record what the page receives: begin, go on after slices were written, or end. */
  reels({ op, id, n }) {
    const send = (content, buffers) => this.send(content, buffers);
    if (op === "start") this.reel = record(id, this.remote, send);
    else if (this.reel?.id !== id) return;
    else if (op === "took") this.reel.took(n);
    else this.reel.stop();
  }

  // -- what a view asks ------------------------------------------------------------------------

  async start(choice) {
    this.trouble("");
    if (this.call !== null) {
      // Now, while the press allows it: a screen may only be chosen right after one.
      try {
        await this.call.open(choice || "camera", this.call.wanted ?? { size: this.hello.size });
      } catch (error) {
        this.trouble(error.message);
        return;
      }
    }
    this.expected = performance.now();
    this.send({ kind: "start", v: [...this.views][0]?.id });
  }

  async source(name, file = null) {
    this.trouble("");
    if (this.call !== null && this.call.local !== null) {
      try {
        this.call.file = file;
        await this.call.change(file ? `file:${file.name}` : name);
      } catch (error) {
        this.trouble(error.message);
        return;
      }
    } else if (this.call !== null) {
      this.call.file = file;
    }
    this.send({ kind: "source", name });
  }

  mute(on) {
    this.call?.mute(on);
    this.send({ kind: "mute", on });
  }

  snapshot(view) {
    if (this.call === null) this.send({ kind: "snapshot" });
    else view.surfaces.output.grab().then((found) => found && this.send({ kind: "snapshot", of: "output", width: found.width, height: found.height }, [found.data]));
  }

  trouble(text) {
    this.said = text;
    this.views.forEach((view) => view.draw());
  }

  // -- the connection of the page itself -------------------------------------------------------

  makeCall() {
    const drawn = () => ({ drawn_fps: [...this.views][0]?.surfaces.output.pace.fps(performance.now()) || null });
    return new Call((content) => this.send(content), {
      local: (stream) => {
        this.play((this.local = stream));
        if (stream !== null) this.listDevices(); // they have names once one was allowed
      },
      remote: (stream) => this.play((this.remote = stream)),
      busy: (on) => (this.waiting = on),
      trouble: (text) => this.trouble(text),
      drawn,
    });
  }

  /** Offer the sources that this computer has, now and when one is plugged in or out. */
  async listDevices() {
    if (this.call === null) return;
    const rows = await listSources();
    this.views.forEach((view) => view.offerSources(rows));
  }

  play() {
    if (this.call === null) return;
    for (const { surfaces } of this.views) {
      surfaces.input.play(this.local?.getVideoTracks().length ? this.local : null);
      surfaces.output.play(this.remote);
    }
  }

  // -- time ------------------------------------------------------------------------------------

  seen(now, asking) {
    const late = (since) => now - since > BUSY_S * 1000;
    let busy = "";
    if (this.waiting || (this.expected && late(this.expected))) busy = "The kernel is busy; connecting when it is free.";
    else if (asking.flying !== null && late(asking.since) && !this.told?.pending) busy = "The kernel is busy; the prompt waits for it.";
    return { gone: this.gone, busy, trouble: this.said };
  }

  tick(now) {
    const dead = [...this.views].some(({ root }) => root.closest(".jupyter-widgets-disconnected") !== null);
    const silent = (now - this.heard) / 1000;
    const active = running(this.told) || Boolean(this.call?.local);
    // A kernel that is only busy says no word when the service hangs up; one that is dead never will.
    const alone = this.call?.ended && now - Math.max(this.heard, this.call.ended) > LOST_S * 1000;
    if ((dead && silent > LOST_S) || (active && (alone || silent > SILENT_S))) this.lose();
    this.views.forEach((view) => view.hidden || view.tick(now));
  }

  /** The kernel is gone: nobody would tell this page to let go of the camera. */
  lose() {
    if (this.gone) return;
    this.gone = true;
    this.call?.abandon();
    this.views.forEach((view) => view.draw());
  }

  end() {
    this.reel?.stop();
    this.unwatch();
    clearInterval(this.timer);
    removeEventListener("beforeunload", this.leaving);
    removeEventListener("pagehide", this.bye);
    removeEventListener("pageshow", this.back);
    navigator.mediaDevices?.removeEventListener("devicechange", this.plugged);
    this.model.off("msg:custom", this.listener);
    this.call?.close();
    [...this.views].forEach((view) => this.part(view));
  }
}

// A function: each session of the notebook gets a page of its own, which outlives its views.
export default () => {
  let page = null;
  return {
    initialize({ model }) {
      page = new Page(model);
      return () => page.end();
    },
    async render({ el: root }) {
      const view = await page.join(root);
      return () => page.part(view);
    },
  };
};
