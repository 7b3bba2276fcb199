// What a person asks the service for: the prompt with its history, whether it may be extended, and
// the reference image, by choosing, dropping or pasting one.

import { blobUrl, el, fill, say } from "./dom.js";
import { Asking, Earlier, promptWords } from "./livestate.js";

const IMAGE_BYTES = 20e6;

function press(words, title, act) {
  return el("button", { type: "button", title, onclick: act }, words);
}

function imageOf(files) {
  return [...(files ?? [])].find((file) => file.type.startsWith("image/"));
}

export class Asks {
  /** `left` is called when somebody leaves the prompt without applying it. */
  constructor(page, id, root, left) {
    Object.assign(this, { page, left, earlier: new Earlier(), thumb: "", edited: false });
    this.asking = new Asking(id, (content) => page.send({ kind: "set", ...content }));
    this.asked = new Asking(`${id}i`, ({ data, ...content }) => page.send({ kind: "image", ...content }, data ? [data] : []));
    this.build(id);
    this.listen(root);
  }

  build(id) {
    this.prompt = el("textarea", { id: `${id}-prompt`, rows: 2, maxlength: 20000, spellcheck: "false", placeholder: "What the pictures become", title: "Enter applies, Shift+Enter begins a line, Up and Down bring earlier prompts, Escape gives up (P)", "aria-describedby": `${id}-said` });
    this.apply = press("Apply", "Make this the prompt (Enter)", () => this.applyPrompt());
    this.under = el("span", { class: "dl-help", id: `${id}-said`, role: "status" });
    this.enhance = el("input", { type: "checkbox", onchange: () => this.asking.ask({ prompt: this.prompt.value, enhance: this.enhance.checked }, performance.now()) });
    this.past = el("select", { "aria-label": "Earlier prompts", title: "Earlier prompts", onchange: () => this.choosePast() });
    this.file = el("input", { type: "file", accept: "image/*", hidden: true, onchange: () => this.giveImage(this.file.files[0]) });
    this.image = press("", "Reference image: choose, drop or paste one (I)", () => this.file.click());
    this.image.className = "dl-image";
    this.clear = press("Clear", "Use no reference image", () => this.asked.ask({ clear: true, data: null }, performance.now()));
    this.enhanced = el("label", { title: "The service may extend the words" }, this.enhance, "Enhance");
    this.reference = el("div", { class: "dl-reference" }, this.image, this.clear, this.file);
    const words = el("div", { class: "dl-words" }, el("label", { for: `${id}-prompt`, class: "dl-unseen" }, "Prompt"), this.prompt, this.apply);
    this.node = el("div", { class: "dl-asks" }, this.reference, words, el("div", { class: "dl-under" }, this.under, this.past, this.enhanced));
  }

  listen(root) {
    const { prompt } = this;
    prompt.addEventListener("input", () => {
      this.edited = true;
      this.draw();
    });
    prompt.addEventListener("keydown", (event) => this.promptKey(event));
    root.addEventListener("dragover", (event) => event.preventDefault());
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      this.giveImage(imageOf(event.dataTransfer.files));
    });
    root.addEventListener("paste", (event) => {
      event.stopPropagation();
      const found = imageOf(event.clipboardData?.files);
      if (found) event.preventDefault();
      this.giveImage(found);
    });
  }

  promptKey(event) {
    const { prompt } = this;
    const { key } = event;
    const still = prompt.selectionStart === prompt.selectionEnd && !event.shiftKey;
    if (key === "Enter" && !event.shiftKey && !event.isComposing) this.applyPrompt();
    else if (key === "Escape") this.giveUp();
    else if (key === "ArrowUp" && still && prompt.selectionStart === 0) this.recall(-1);
    else if (key === "ArrowDown" && still && prompt.selectionEnd === prompt.value.length) this.recall(1);
    else return;
    event.preventDefault();
  }

  applyPrompt() {
    this.edited = false;
    this.asking.ask({ prompt: this.prompt.value, enhance: this.enhance.checked }, performance.now());
    this.draw();
  }

  giveUp() {
    this.edited = false;
    this.prompt.value = this.page.told?.prompt ?? "";
    this.left();
    this.draw();
  }

  recall(by) {
    const text = this.earlier.step(by, this.prompt.value);
    if (text === null) return;
    this.prompt.value = text;
    this.prompt.setSelectionRange(...(by < 0 ? [0, 0] : [text.length, text.length]));
    this.edited = true;
    this.draw();
  }

  choosePast() {
    this.prompt.value = this.past.value;
    this.edited = true;
    this.past.selectedIndex = 0;
    this.prompt.focus();
    this.draw();
  }

  giveImage(file) {
    this.file.value = "";
    if (!file) return;
    if (file.size > IMAGE_BYTES) {
      this.page.trouble(`${file.name} has ${Math.ceil(file.size / 1e6)} MB; a reference image may have 20 MB.`);
      return;
    }
    file.arrayBuffer().then((data) => this.asked.ask({ clear: false, name: file.name, type: file.type, data }, performance.now()));
  }

  greet(has) {
    this.node.hidden = !has("prompt");
    this.reference.hidden = !has("image");
    this.enhanced.hidden = !has("enhance");
  }

  /** Take answers, and a new small picture of the reference image, if one came. */
  take(told, buffers) {
    for (const one of [this.asking, this.asked]) one.answered(told.done ?? [], performance.now());
    if (told.image_thumb) this.showThumb(buffers?.length ? blobUrl(buffers[0], told.image_thumb) : "");
    if (!told.has_image) this.showThumb("");
  }

  showThumb(url) {
    if (this.thumb === url) return;
    if (this.thumb) URL.revokeObjectURL(this.thumb);
    this.thumb = url;
  }

  draw() {
    const { prompt, asking } = this;
    for (const one of [asking, this.asked]) one.expire(performance.now());
    const { told } = this.page;
    if (!this.edited && asking.flying === null && told && !told.pending) {
      // A prompt that was refused stays, so that it can be mended.
      if (!told.prompt_error && prompt.value !== (told.prompt ?? "")) prompt.value = told.prompt ?? "";
    }
    if (told && asking.flying === null) this.enhance.checked = told.enhance !== false;
    const [tone, words] = promptWords(told, asking.flying !== null, prompt.value);
    say(this.under, words, tone);
    prompt.setAttribute("aria-invalid", tone === "bad");
    this.earlier.adopt(told?.history ?? []);
    const past = [...this.earlier.list].reverse();
    this.past.hidden = past.length === 0;
    if (this.past.dataset.of !== String(past.length) + past[0]) {
      this.past.dataset.of = String(past.length) + past[0];
      fill(this.past, el("option", { value: "" }, "Earlier prompts"), ...past.map((text) => el("option", { value: text }, text.length > 60 ? `${text.slice(0, 59)}…` : text)));
    }
    const waits = this.asked.flying !== null;
    const mark = `${this.thumb}${waits}${told?.has_image}`;
    if (this.image.dataset.mark !== mark) {
      this.image.dataset.mark = mark;
      const shown = this.thumb ? el("img", { src: this.thumb, alt: "Reference image" }) : told?.has_image ? "Image in force" : "Reference image";
      fill(this.image, waits ? "Sending" : shown);
    }
    this.clear.hidden = !told?.has_image;
  }
}
