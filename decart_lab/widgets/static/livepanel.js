// One view of a live session: pictures first, then what one may do. It shows what the kernel says and
// asks the kernel for everything; of its own it only knows how it looks.

import { el, fill, say } from "./dom.js";
import { plural } from "./figures.js";
import { Asks } from "./liveasks.js";
import { keepKeys } from "./livekeys.js";
import { badge, figures, note, running, spent, startHint, veil } from "./livestate.js";
import { Surface, watchSight, watchSize } from "./liveview.js";

const LOOKS = [
  ["side", "Both", "Input and output beside each other"],
  ["wipe", "Wipe", "Output over input, with a line to drag"],
  ["output", "Output", "The output alone"],
];
const POSTER = /^[0-9a-f]+$/;

export class Panel {
  constructor(page, root) {
    this.id = `v${crypto.getRandomValues(new Uint32Array(2)).join("")}`;
    Object.assign(this, { page, root, hidden: false, look: "side", pressed: false, poster: "" });
    this.surfaces = {};
    this.asks = new Asks(page, this.id, root, () => this.stage.focus());
    root.className = "decart-lab dl-live";
    this.build();
    this.setLook(this.look);
    const act = (button) => () => !button.disabled && !button.hidden && button.click();
    const keys = Object.entries(this.keys).map(([key, button]) => [key, act(button)]);
    const more = { p: () => this.asks.prompt.focus(), i: () => this.asks.image.click(), w: () => this.nextLook() };
    keepKeys(root, { ...Object.fromEntries(keys), ...more });
    this.leaves = [
      watchSight(root, (hidden) => this.sight(hidden)),
      watchSize(this.stage, (width, height) => page.send({ kind: "resize", v: this.id, width, height })),
    ];
  }

  // -- its parts -------------------------------------------------------------------------------

  button(words, key, title, act) {
    const hint = key ? `${title} (${key})` : title;
    const node = el("button", { type: "button", title: hint, "aria-keyshortcuts": key || null, onclick: act }, words);
    if (key) this.keys[key.length === 1 ? key.toLowerCase() : key] = node;
    return node;
  }

  build() {
    const { page, id } = this;
    const send = (content) => () => page.send(content());
    this.keys = {};
    this.badge = el("span", { class: "dl-state", role: "status" });
    this.models = el("select", { hidden: true, "aria-label": "Model", onchange: () => page.send({ kind: "model", name: this.models.value }) });
    this.time = el("span", { class: "dl-figure", title: "Seconds of generation, as the service counts them" });
    this.cost = el("span", { class: "dl-figure", title: "What they cost" });
    this.play = el("span", { class: "dl-badge", title: "The emulator answers: nothing is paid" }, "simulated");
    this.viewers = el("span", { class: "dl-quiet" });
    const head = el("div", { class: "dl-top" }, this.badge, this.models, el("span", { class: "dl-gap" }), this.viewers, this.play, this.time, this.cost);

    this.veil = el("div", { class: "dl-veil" });
    this.over = el("dl", { class: "dl-over", hidden: true });
    this.wipe = el("input", { type: "range", class: "dl-wipe", min: 0, max: 100, step: 0.5, value: 50, "aria-label": "Line between input and output", oninput: () => this.setWipe() });
    this.plates = { input: this.plate("input", "Input"), output: this.plate("output", "Output", this.veil, this.over) };
    this.stage = el("div", { class: "dl-stage", role: "group", "aria-label": "Pictures", tabindex: 0 }, this.plates.input, this.plates.output, this.wipe);

    this.note = el("span", { role: "status" });
    this.keep = this.button("Keep running", "K", "Somebody is here: the session goes on", send(() => ({ kind: "keep" })));
    const said = el("div", { class: "dl-note" }, this.note, this.keep);

    this.start = this.button("Start", "Shift+S", "", () => this.toggle());
    this.start.className = "dl-start";
    this.sources = el("select", { hidden: true, "aria-label": "Source", title: "What is sent", onchange: () => this.chooseSource() });
    this.media = el("input", { type: "file", accept: "video/*,audio/*", hidden: true, onchange: () => this.takeFile() });
    this.mute = this.button("Mute", "M", "Send no sound", () => page.mute(!page.told?.muted));
    this.looks = LOOKS.map(([look, text, title]) => el("button", { type: "button", title: `${title} (W)`, onclick: () => this.setLook(look) }, text));
    this.shot = this.button("Snapshot", "S", "Keep the picture that is shown", () => page.snapshot(this));
    this.record = this.button("Record", "R", "Record the output to a file", () => page.send({ kind: "record", on: !page.told?.recording }));
    this.record.classList.add("dl-record");
    this.details = this.button("Figures", "O", "Show what is measured over the picture", () => this.toggleFigures());
    this.float = this.button("Float", "V", "Picture in picture", () => this.pictureInPicture());
    this.full = this.button("Full", "F", "Fill the screen", () => this.fullScreen());
    const group = el("span", { class: "dl-looks", role: "group", "aria-label": "Comparison" }, ...this.looks);
    const tools = el("div", { class: "dl-tools" }, this.start, this.sources, this.media, this.mute, el("span", { class: "dl-gap" }), group, this.shot, this.record, this.details, this.float, this.full);
    this.style = el("style", {});
    fill(this.root, this.style, head, this.stage, said, this.asks.node, tools);
  }

  plate(of, words, ...over) {
    const canvas = el("canvas", { role: "img", "aria-label": `${words} picture`, width: 16, height: 9 });
    const video = el("video", { hidden: true, "aria-label": `${words} picture` });
    // Attributes would not do: a stream's sound is set by the property.
    Object.assign(video, { muted: true, playsInline: true, autoplay: true });
    this.surfaces[of] = new Surface(canvas, video);
    return el("figure", { class: `dl-plate dl-${of}` }, canvas, video, ...over, el("figcaption", {}, words));
  }

  // -- what one does ---------------------------------------------------------------------------

  toggle() {
    this.pressed = this.start.disabled = true; // a second press must not find it alive
    if (running(this.page.told)) this.page.send({ kind: "stop" });
    else this.page.start(this.sources.value);
    setTimeout(() => {
      this.pressed = false;
      this.draw();
    }, 1000);
  }

  chooseSource() {
    const { value } = this.sources;
    if (value === "file" && this.page.call) this.media.click();
    else this.page.source(value);
  }

  takeFile() {
    const [file] = this.media.files;
    if (file) this.page.source("file", file);
  }

  setLook(look) {
    this.look = look;
    this.stage.dataset.look = look;
    this.looks.forEach((button, at) => button.setAttribute("aria-pressed", LOOKS[at][0] === look));
    this.setWipe();
  }

  nextLook() {
    const at = LOOKS.findIndex(([look]) => look === this.look);
    if (!this.looks[0].parentNode.hidden) this.setLook(LOOKS[(at + 1) % LOOKS.length][0]);
  }

  setWipe() {
    this.stage.style.setProperty("--dl-cut", `${this.wipe.value}%`);
  }

  toggleFigures() {
    this.over.hidden = !this.over.hidden;
    this.details.setAttribute("aria-pressed", !this.over.hidden);
    this.tick(performance.now());
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.stage.requestFullscreen().catch((error) => this.page.trouble(`The screen could not be filled: ${error.message}`));
  }

  async pictureInPicture() {
    const { canvas, video } = this.surfaces.output;
    let floating = video;
    if (video.hidden) {
      floating = Object.assign(document.createElement("video"), { muted: true, srcObject: canvas.captureStream() });
      await floating.play();
    }
    try {
      await floating.requestPictureInPicture();
    } catch (error) {
      this.page.trouble(`The picture could not float: ${error.message}`);
    }
  }

  sight(hidden) {
    this.hidden = hidden;
    this.page.sight(this);
    this.draw();
  }

  // -- what it shows ---------------------------------------------------------------------------

  /** Take what the kernel said of itself. */
  greet({ models = [], features = null, path, sources = [], size, poster = "" }) {
    const has = (name) => features === null || features.includes(name);
    fill(this.models, ...models.map((name) => el("option", { value: name }, name)));
    if (size) this.root.style.setProperty("--dl-shape", size[0] / size[1]);
    this.poster = POSTER.test(poster) ? `[data-live="${poster}"] { display: none; }` : "";
    this.models.hidden = !has("model") || models.length === 0;
    this.asks.greet(has);
    this.start.hidden = !has("start");
    this.time.hidden = this.cost.hidden = !has("start"); // who only watches does not pay
    this.shot.hidden = !has("snapshot");
    this.record.hidden = !has("record");
    this.mute.hidden = !has("mute");
    this.float.hidden = !document.pictureInPictureEnabled;
    this.looks[0].parentNode.hidden = !has("input");
    if (!has("input")) this.setLook("output");
    this.choosing = has("source");
    if (path !== "browser") this.offerSources(sources.map((name) => [name, name]));
    this.draw();
  }

  /** Show what may be sent: pairs of value and words; what is chosen stays chosen. */
  offerSources(rows) {
    const { value } = this.sources;
    fill(this.sources, ...rows.map(([name, words]) => el("option", { value: name }, words)));
    this.sources.hidden = !this.choosing || rows.length === 0;
    if (rows.some(([name]) => name === value)) this.sources.value = value;
  }

  /** Take the kernel's state, and what came with it. */
  take(told, buffers) {
    this.asks.take(told, buffers);
    this.draw();
  }

  seen(now) {
    const { output } = this.surfaces;
    const since = Math.max(output.last, this.page.since, this.page.shown);
    return {
      ...this.page.seen(now, this.asks.asking),
      hidden: this.hidden,
      fps: running(this.page.told) ? output.pace.fps(now) : NaN,
      silent_s: (now - since) / 1000,
      pictures: output.seen,
      size: output.size || undefined,
    };
  }

  /** Draw what only time changes. */
  tick(now) {
    const { told } = this.page;
    const seen = this.seen(now);
    const [mark, tone, word] = badge(told, seen);
    if (this.badge.dataset.word !== word) {
      this.badge.dataset.word = word;
      fill(this.badge, el("span", { class: `dl-mark dl-${tone}`, "aria-hidden": "true" }, mark), ` ${word}`);
    }
    const [grave, text] = note(told, seen);
    this.note.ariaLive = told?.idle_left % 10 ? "off" : "polite"; // not every second of a countdown
    say(this.note, text, grave);
    this.keep.hidden = !(running(told) && Number.isFinite(told.idle_left)) || seen.gone;
    const over = veil(told, seen);
    say(this.veil, over);
    this.veil.hidden = over === "";
    // The poster is for whoever has no kernel, and for a session that ended before this view drew.
    say(this.style, told?.state === "disconnected" && !told.error && !seen.pictures ? "" : this.poster);
    for (const button of [this.shot, this.float, this.full, this.details]) button.disabled = !seen.pictures;
    if (!this.over.hidden) {
      const rows = figures(told, seen);
      if (this.over.children.length !== rows.length) fill(this.over, ...rows.map(([name]) => el("div", {}, el("dt", {}, name), el("dd", {}))));
      rows.forEach(([, value], at) => say(this.over.children[at].lastChild, value));
    }
    const shape = this.surfaces.output.shape || this.surfaces.input.shape;
    if (shape) this.root.style.setProperty("--dl-shape", shape);
    this.root.toggleAttribute("data-still", seen.pictures && (seen.gone || !running(told)));
    return seen;
  }

  draw() {
    const told = this.page.told;
    const seen = this.tick(performance.now());
    const runs = running(told) && !seen.gone;
    const [time, cost] = spent(told);
    say(this.time, time);
    say(this.cost, cost);
    this.play.hidden = !told?.simulated;
    const others = told?.viewers ?? 0; // views beside this one
    say(this.viewers, [told?.watching && "read-only", others > 0 && plural(others + 1, "view")].filter(Boolean).join(", "));
    say(this.start, runs ? "Stop" : "Start");
    this.start.dataset.running = runs;
    this.start.disabled = told === null || this.pressed;
    this.start.title = runs ? "Ends the session and its cost (Shift+S)" : startHint(told ?? {});
    this.models.disabled = runs;
    this.models.value = told?.model ?? this.page.hello?.model ?? "";
    this.models.title = runs ? "A session keeps its model; stop it to choose another" : "Model";
    this.record.disabled = !runs;
    this.record.setAttribute("aria-pressed", Boolean(told?.recording));
    this.record.title = told?.recording ? "Ends the recording (R)" : "Record the output to a file (R)";
    this.mute.setAttribute("aria-pressed", Boolean(told?.muted));
    if (told?.source && [...this.sources.options].some(({ value }) => value === told.source)) this.sources.value = told.source;
    this.asks.draw();
  }

  leave() {
    this.leaves.forEach((leave) => leave());
    Object.values(this.surfaces).forEach((surface) => surface.play(null));
    this.asks.showThumb("");
  }
}
