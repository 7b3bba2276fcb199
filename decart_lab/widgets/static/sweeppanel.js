// The panel: fields that are the kernel's traits, an estimate, and the buttons. It knows nothing of
// grids or prices; every figure comes from the kernel.

import { blobUrl, el, fill } from "./dom.js";
import { count, money, plural } from "./figures.js";
import { lines, same, seeds, seedsText, variables, variablesText } from "./lists.js";

const PAUSE_MS = 200; // after the last key, before the kernel is told

let made = 0;

class Panel {
  constructor(model, root) {
    this.model = model;
    this.name = `dl-panel-${(made += 1)}`;
    this.urls = [];
    this.told = null;
    this.texts = {};

    this.models = el("fieldset", { class: "dl-field dl-wide" }, el("legend", {}, "Models"), el("div", { class: "dl-choices" }));
    this.samples = el("div", { class: "dl-choices", role: "group", "aria-label": "Samples" });
    const form = el(
      "div",
      { class: "dl-form" },
      this.models,
      this.area("prompts", "Prompts", "One on each line.", 3, lines, (list) => list.join("\n"), true),
      this.area("variables", "Variables", "style: ink, clay makes two of a prompt that holds {style}.", 2, variables, variablesText),
      this.area("inputs", "Inputs", "Paths, one on each line; or samples.", 2, (text) => [...this.picked(), ...lines(text)], (list) => list.filter((name) => !isSample(name)).join("\n"), false, this.samples),
      this.line("seeds", "Seeds", "Such as 1, 2, 5-8; empty leaves it to the service.", seeds, seedsText),
      this.line("budget", "Budget in USD", "The run stops buying there; empty sets no cap.", amount, (value) => (value === null ? "" : String(value))),
    );
    this.estimate = el("div", { class: "dl-estimate", role: "status" }, el("strong", {}, "Waiting for the kernel"));
    this.run = el("button", { type: "button", class: "dl-run", disabled: true, onclick: () => this.press("run") }, "Run");
    this.stop = el("button", { type: "button", disabled: true, title: "Buy nothing more; what is paid is kept", onclick: () => this.press("stop") }, "Stop");
    this.show = el("button", { type: "button", disabled: true, title: "Show the pictures of the run here", onclick: () => this.press("show") }, "Open the result");
    this.bar = el("div", { class: "dl-bar", "aria-hidden": "true" });
    this.progress = el("div", { class: "dl-summary", role: "status" });
    this.running = el("div", { hidden: true }, this.bar, this.progress);
    this.results = el("div", {});
    root.className = "decart-lab dl-panel";
    fill(root, form, el("div", { class: "dl-foot" }, this.estimate, this.run, this.stop, this.show), this.running, this.results);
  }

  area(trait, title, help, rows, parse, print, wide = false, extra = null) {
    const box = el("textarea", { rows, spellcheck: "false" });
    return this.field(trait, title, help, box, parse, print, wide, extra);
  }

  line(trait, title, help, parse, print) {
    return this.field(trait, title, help, el("input", { type: "text", autocomplete: "off" }), parse, print);
  }

  field(trait, title, help, box, parse, print, wide = false, extra = null) {
    box.id = `${this.name}-${trait}`;
    box.setAttribute("aria-describedby", `${box.id}-help`);
    this.texts[trait] = { box, parse, print };
    box.addEventListener("input", () => this.typed(trait));
    // A notebook has keys of its own, which are not meant while somebody types here.
    box.addEventListener("keydown", (event) => event.stopPropagation());
    this.adopt(trait);
    const note = el("div", { class: "dl-help", id: `${box.id}-help` }, help);
    return el("div", { class: `dl-field${wide ? " dl-wide" : ""}` }, el("label", { for: box.id }, title), box, extra, note);
  }

  typed(trait) {
    const { box, parse } = this.texts[trait];
    this.model.set(trait, parse(box.value));
    this.saveSoon();
  }

  saveSoon() {
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.model.save_changes(), PAUSE_MS);
  }

  /** Show a trait's value, unless what is typed says the same already. */
  adopt(trait) {
    const { box, parse, print } = this.texts[trait];
    const value = this.model.get(trait);
    if (!same(parse(box.value), value)) box.value = print(value);
    if (trait === "inputs") this.drawChoices();
  }

  picked() {
    return (this.model.get("inputs") ?? []).filter(isSample);
  }

  /** Check boxes are made once and then only checked, so that the focus stays where it is. */
  drawChoices() {
    if (this.told === null) return;
    const { choices, kinds, samples } = this.told;
    this.boxes(this.models.lastChild, choices, "models", (name) => `${name} · ${kinds[name] ?? "video"}`);
    this.boxes(this.samples, samples, "inputs", (name) => name.replace("sample:", ""));
  }

  boxes(place, wanted, trait, label) {
    if (place.children.length !== wanted.length) {
      fill(
        place,
        ...wanted.map((name) => {
          const box = el("input", { type: "checkbox", value: name, onchange: () => this.toggle(trait, name, box.checked) });
          return el("label", {}, box, label(name));
        }),
      );
    }
    const chosen = this.model.get(trait);
    for (const box of place.querySelectorAll("input")) box.checked = chosen.includes(box.value);
  }

  toggle(trait, name, on) {
    const others = this.model.get(trait).filter((value) => value !== name);
    this.model.set(trait, on ? [...others, name] : others);
    this.saveSoon();
  }

  press(kind) {
    // At once, not when the kernel answers: a second press must not find the button alive.
    if (kind === "run") {
      this.run.disabled = true;
      clearTimeout(this.saving);
      this.model.save_changes();
    }
    if (kind === "stop") this.stop.disabled = true;
    this.model.send({ kind });
  }

  take(message, buffers) {
    if (message.kind === "state") this.drawState(message);
    if (message.kind === "results") this.drawResults(message, buffers);
  }

  mark(status) {
    const [shape, tone, word] = this.told.marks[status] ?? ["·", "quiet", status];
    return [el("span", { class: `dl-mark dl-${tone}`, "aria-hidden": "true" }, shape), ` ${word}`];
  }

  drawState(told) {
    this.told = told;
    this.drawChoices();
    const { state, estimate, progress, problem, simulated } = told;
    const busy = state === "starting" || state === "running";
    const [first, ...rest] = (problem || estimate.problem || estimate.text || "Planning").split(/(?<=[.:]) /);
    const wrong = Boolean(problem || estimate.problem);
    fill(
      this.estimate,
      el("strong", {}, wrong ? el("span", { class: "dl-mark dl-warn", "aria-hidden": "true" }, "⊘") : null, wrong ? ` ${first}` : first),
      el("span", {}, [...rest, simulated ? "Results are simulated by the emulator." : ""].join(" ")),
    );
    this.run.disabled = busy || wrong || !estimate.points;
    const left = (estimate.points ?? 0) - (estimate.owned ?? 0);
    this.run.textContent = left ? `Run ${plural(left, "point")}` : estimate.points ? "Run, nothing to buy" : "Run";
    this.run.title = left === 0 ? "Shows what is owned" : simulated ? "Simulated: nothing is paid" : "This buys";
    this.stop.disabled = state !== "running";
    this.show.disabled = !progress.counts?.completed;
    this.running.hidden = !progress.counts;
    if (progress.counts) this.drawProgress(state, progress);
  }

  drawProgress(state, { counts, cost, unpriced, run_id }) {
    const parts = Object.entries(counts);
    fill(
      this.bar,
      ...parts.map(([status, n]) => {
        const tone = status === "planned" ? "quiet" : (this.told.marks[status]?.[1] ?? "quiet");
        return el("span", { class: `dl-part dl-${tone}`, style: `flex-grow: ${n}` });
      }),
    );
    const spent = unpriced ? `${money(cost)} and ${plural(unpriced, "point")} of unknown price` : money(cost);
    fill(
      this.progress,
      el("span", {}, state === "finished" ? "Finished" : "Running"),
      ...parts.map(([status, n]) => el("span", {}, ...this.mark(status), ` ${count(n)}`)),
      el("span", {}, spent),
      el("span", {}, run_id),
    );
  }

  drawResults({ tiles, more, folder }, buffers) {
    this.forget();
    let at = 0;
    const figures = tiles.map(({ label, status, reason, cost, picture }) => {
      let seen = el("div", { class: "dl-void" }, el("strong", {}, ...this.mark(status)), el("span", { class: "dl-reason" }, reason));
      if (picture) {
        this.urls.push(blobUrl(buffers[at++], "image/webp"));
        seen = el("img", { src: this.urls.at(-1), alt: label });
      }
      const words = [el("span", { class: "dl-label", title: label }, label), el("span", { class: "dl-meta" }, money(cost))];
      return el("figure", { class: "dl-tile" }, seen, el("figcaption", {}, ...words));
    });
    const note = more ? `${plural(more, "further point")} in panel.run.gallery(). ` : "";
    fill(this.results, el("div", { class: "dl-results" }, ...figures), el("div", { class: "dl-notes" }, `${note}${folder}`));
  }

  forget() {
    this.urls.forEach((url) => URL.revokeObjectURL(url));
    this.urls = [];
  }
}

function isSample(name) {
  return name.startsWith("sample:");
}

function amount(text) {
  const value = Number(text.replace("$", "").trim());
  return text.trim() === "" || !Number.isFinite(value) || value < 0 ? null : value;
}

function render({ model, el: root }) {
  const panel = new Panel(model, root);
  const take = (message, buffers) => panel.take(message, buffers);
  const followed = Object.keys(panel.texts).map((trait) => [`change:${trait}`, () => panel.adopt(trait)]);
  followed.push(["change:models", () => panel.drawChoices()], ["msg:custom", take]);
  followed.forEach(([event, heard]) => model.on(event, heard));
  model.send({ kind: "ready" });
  return () => {
    followed.forEach(([event, heard]) => model.off(event, heard));
    panel.forget();
  };
}

export default { render };
