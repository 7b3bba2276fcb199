// The live table of a run. Only the rows in sight are elements; all others are data, so that ten
// thousand of them scroll as ten do.

import { blobUrl, el, fill } from "./dom.js";
import { count, DASH, money, plural, seconds } from "./figures.js";
import { Rows, inSight, scrolledTo } from "./rows.js";

const ROW = 28; // pixels; widgets.css has the same
const MOST_ROWS = 12; // in sight at once
const RIGHT = new Set(["number", "seconds", "money"]);
const WRITTEN = { money, seconds };
const WIDTHS = { status: "120px", number: "64px", seconds: "88px", money: "80px" };

/** A cell as text. */
function written(value, type) {
  if (value === null || value === undefined) return type === "text" ? "" : DASH;
  return (WRITTEN[type] ?? String)(value);
}

let made = 0;

class Table {
  constructor(model, root) {
    this.model = model;
    this.rows = new Rows();
    this.marks = {};
    this.chosen = -1; // a row of the run
    this.opened = -1;
    this.pool = [];
    this.urls = [];
    this.stale = false;
    this.name = `dl-watch-${(made += 1)}`;

    this.state = el("span", { role: "status" }, "Waiting for the kernel");
    this.counts = el("div", { class: "dl-filters", role: "group", "aria-label": "Show one status" });
    this.bar = el("div", { class: "dl-bar", "aria-hidden": "true" });
    this.header = el("div", { class: "dl-row dl-row-head", role: "row" });
    this.space = el("div", { class: "dl-space", role: "rowgroup" });
    this.body = el(
      "div",
      {
        class: "dl-rows",
        role: "grid",
        tabindex: "0",
        "aria-label": "Points of the run",
        title: "Arrow keys choose a point, Enter shows it, Escape closes it",
        onscroll: () => this.drawSoon(),
        onkeydown: (event) => this.key(event),
        onpointerleave: () => this.settle(),
        onblur: () => this.settle(),
      },
      this.header,
      this.space,
    );
    this.details = el("div", { class: "dl-details", "aria-live": "polite", hidden: true });
    root.className = "decart-lab dl-watch";
    fill(root, el("div", { class: "dl-summary" }, this.state), this.bar, this.counts, this.body, this.details);
    this.sizes = new ResizeObserver(() => this.drawSoon());
    this.sizes.observe(this.body);
  }

  take(message, buffers) {
    if (message.kind === "details") return this.showDetails(message, buffers);
    if (message.kind === "whole") {
      this.marks = message.marks;
      this.rows.whole(message);
      this.drawHeader();
    } else if (message.kind !== "changes") {
      return undefined;
    } else if (!this.rows.changes(message)) {
      return this.model.send({ kind: "ready" });
    }
    this.drawFacts(message.facts);
    this.stale = true;
    // Nothing moves under the pointer: the order is made again when it has left.
    if (!this.body.matches(":hover") && !this.body.contains(document.activeElement)) this.settle();
    this.drawSoon();
    return undefined;
  }

  settle() {
    if (!this.stale) return;
    this.stale = false;
    this.rows.arrange();
    this.drawSoon();
  }

  mark(status) {
    const [shape, tone, word] = this.marks[status] ?? ["·", "quiet", status];
    return [el("span", { class: `dl-mark dl-${tone}`, "aria-hidden": "true" }, shape), ` ${word}`];
  }

  drawFacts({ counts, cost, unpriced, simulated, finished, run_id }) {
    const total = this.rows.count;
    const open = ["planned", "submitting", "pending", "processing"];
    const left = open.reduce((sum, status) => sum + (counts[status] ?? 0), 0);
    const spent = unpriced ? `${money(cost)} and ${plural(unpriced, "point")} of unknown price` : money(cost);
    fill(
      this.state,
      el("span", {}, finished ? "Finished" : `${count(total - left)} of ${plural(total, "point")}`),
      finished ? el("span", {}, plural(total, "point")) : null,
      el("span", {}, spent),
      simulated ? el("span", { class: "dl-badge", title: "Made by the emulator" }, "simulated") : null,
      el("span", { class: "dl-run-id" }, run_id),
    );
    fill(
      this.bar,
      ...Object.entries(counts).map(([status, n]) => {
        const tone = this.marks[status]?.[1] ?? "quiet";
        return el("span", { class: `dl-part dl-${status === "planned" ? "quiet" : tone}`, style: `flex-grow: ${n}` });
      }),
    );
    const held = this.counts.contains(document.activeElement) && document.activeElement.dataset.status;
    fill(
      this.counts,
      ...Object.entries(counts).map(([status, n]) =>
        el(
          "button",
          {
            type: "button",
            "data-status": status,
            "aria-pressed": String(this.rows.filter === status),
            title: this.rows.filter === status ? "Show every status" : `Show only ${status.replace("_", " ")}`,
            onclick: () => this.filterBy(status),
          },
          ...this.mark(status),
          el("span", { class: "dl-count" }, count(n)),
        ),
      ),
    );
    if (held) this.counts.querySelector(`[data-status="${CSS.escape(held)}"]`)?.focus();
  }

  filterBy(status) {
    this.rows.filterBy(status);
    for (const button of this.counts.children) {
      button.setAttribute("aria-pressed", String(button.dataset.status === this.rows.filter));
    }
    this.body.scrollTop = 0;
    this.drawSoon();
  }

  drawHeader() {
    const { columns, sort } = this.rows;
    const focused = [...this.header.children].findIndex((cell) => cell.contains(document.activeElement));
    const widths = columns.map(({ type, name }) => WIDTHS[type] ?? (name === "error_message" ? "minmax(96px, 1fr)" : "minmax(96px, 2fr)"));
    const least = widths.reduce((sum, width) => sum + 12 + Number.parseInt(width.replace("minmax(", ""), 10), 64);
    this.body.style.setProperty("--dl-widths", `56px ${widths.join(" ")}`);
    this.body.style.setProperty("--dl-least", `${least}px`);
    this.body.setAttribute("aria-colcount", String(columns.length + 1));
    const cells = columns.map(({ label, type }, place) => {
      const turned = sort?.column === place ? (sort.down ? "descending" : "ascending") : "none";
      const arrow = { ascending: "↑", descending: "↓", none: "" }[turned];
      return el(
        "div",
        { role: "columnheader", "aria-sort": turned, class: RIGHT.has(type) ? "dl-right" : null },
        el(
          "button",
          { type: "button", title: `Sort by ${label}`, onclick: () => this.sortBy(place) },
          label,
          el("span", { class: "dl-arrow", "aria-hidden": "true" }, arrow),
        ),
      );
    });
    fill(this.header, el("div", { role: "columnheader", class: "dl-right" }, "#"), ...cells);
    if (focused > 0) this.header.children[focused]?.querySelector("button")?.focus();
    this.pool = [];
    fill(this.space);
  }

  sortBy(place) {
    this.rows.sortBy(place);
    this.drawHeader();
    this.drawSoon();
  }

  drawSoon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const total = this.rows.order.length;
    this.body.style.height = `${(Math.min(this.rows.count, MOST_ROWS) + 1) * ROW + 2}px`;
    this.body.setAttribute("aria-rowcount", String(total + 1));
    this.space.style.height = `${total * ROW}px`;
    const [first, last] = inSight(this.body.scrollTop, this.body.clientHeight - ROW, ROW, total);
    while (this.pool.length < last - first) this.pool.push(this.newRow());
    this.pool.forEach((row, i) => this.drawRow(row, first + i, last));
    const place = this.rows.order.indexOf(this.chosen);
    const shown = place >= first && place < last;
    if (shown) this.body.setAttribute("aria-activedescendant", `${this.name}-${place}`);
    else this.body.removeAttribute("aria-activedescendant");
  }

  newRow() {
    const cells = this.rows.columns.map(({ type }) =>
      el("div", { role: "gridcell", class: RIGHT.has(type) ? "dl-right" : null }),
    );
    const number = el("div", { role: "rowheader", class: "dl-right dl-quiet" });
    const node = el("div", { class: "dl-row", role: "row" }, number, ...cells);
    const row = { node, number, cells, at: -1, texts: [] };
    node.addEventListener("click", () => this.open(row.at));
    this.space.append(node);
    return row;
  }

  drawRow(row, place, last) {
    row.node.hidden = place >= last;
    if (row.node.hidden) return;
    const at = this.rows.order[place];
    row.at = at;
    row.node.id = `${this.name}-${place}`;
    row.node.style.transform = `translateY(${place * ROW}px)`;
    row.node.setAttribute("aria-rowindex", String(place + 2));
    row.node.setAttribute("aria-selected", String(at === this.chosen));
    row.number.textContent = count(at + 1);
    this.rows.columns.forEach(({ type, values }, c) => {
      const value = values[at];
      if (row.texts[c] === value) return;
      row.texts[c] = value;
      if (type === "status") fill(row.cells[c], ...this.mark(value));
      else row.cells[c].textContent = written(value, type);
      row.cells[c].title = type === "text" ? (value ?? "") : "";
    });
  }

  key(event) {
    if (event.target !== this.body) return;
    const { order } = this.rows;
    const place = order.indexOf(this.chosen);
    const page = Math.max(1, Math.floor(this.body.clientHeight / ROW) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -order.length, End: order.length };
    if (event.key in steps && order.length) {
      const next = Math.min(order.length - 1, Math.max(0, place < 0 ? 0 : place + steps[event.key]));
      this.chosen = order[next];
      this.body.scrollTop = scrolledTo(next, this.body.scrollTop, this.body.clientHeight - ROW, ROW);
      this.drawSoon();
    } else if (event.key === "Enter" && place >= 0) {
      this.open(this.chosen);
    } else if (event.key === "Escape" && !this.details.hidden) {
      this.close();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation(); // else the notebook takes the key for itself
  }

  open(row) {
    this.chosen = row;
    this.opened = row;
    this.forget();
    this.details.hidden = false;
    fill(
      this.details,
      el("div", { class: "dl-skeleton" }),
      el("div", { class: "dl-quiet" }, `Point ${count(row + 1)}: waiting for the kernel, which answers between cells.`),
    );
    this.model.send({ kind: "open", row });
    this.drawSoon();
  }

  showDetails({ row, facts, media, status }, buffers) {
    if (row !== this.opened) return; // another view's, or an older one
    this.forget();
    const urls = media.map((mime, i) => blobUrl(buffers[i], mime));
    this.urls = urls;
    const clip = media.findIndex((mime) => mime.startsWith("video/"));
    const picture = media.findIndex((mime) => mime.startsWith("image/"));
    let seen = el("div", { class: "dl-skeleton" }, "No picture");
    if (clip >= 0) {
      seen = el("video", { src: urls[clip], poster: urls[picture], controls: true, loop: true, playsinline: true, preload: "none" });
    } else if (picture >= 0) {
      seen = el("img", { src: urls[picture], alt: `Result of point ${row + 1}` });
    }
    const pairs = facts.map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text)));
    fill(
      this.details,
      el("div", { class: "dl-seen" }, seen),
      el(
        "div",
        { class: "dl-known" },
        el("div", { class: "dl-title" }, ...this.mark(status), ` · point ${count(row + 1)}`),
        el("dl", { class: "dl-facts" }, ...pairs),
      ),
      el("button", { type: "button", class: "dl-close", title: "Close (Escape)", "aria-label": "Close", onclick: () => this.close() }, "✕"),
    );
  }

  close() {
    this.opened = -1;
    this.details.hidden = true;
    this.forget();
    fill(this.details);
    this.body.focus({ preventScroll: true });
  }

  forget() {
    this.urls.forEach((url) => URL.revokeObjectURL(url));
    this.urls = [];
  }
}

function render({ model, el: root }) {
  const table = new Table(model, root);
  const take = (message, buffers) => table.take(message, buffers);
  model.on("msg:custom", take);
  model.send({ kind: "ready" });
  return () => {
    model.off("msg:custom", take);
    table.sizes.disconnect();
    table.forget();
  };
}

export default { render };
