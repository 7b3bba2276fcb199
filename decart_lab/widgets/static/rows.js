// The rows of a run in the page: columns of values, changed in place, and the order they are shown in.
// Pure data: no element is touched here.

export class Rows {
  constructor() {
    this.count = 0;
    this.columns = [];
    this.order = new Int32Array(0);
    this.sort = null; // {column, down}
    this.filter = null; // a status
    this.seq = 0;
  }

  /** Take all rows anew; the chosen order and filter stay, where their column is still there. */
  whole(message) {
    const sorted = this.sort && this.columns[this.sort.column]?.name;
    this.count = message.count;
    this.seq = message.seq;
    this.columns = message.columns.map(({ name, label, type, words, at, values }) => ({
      name,
      label,
      type,
      values: values ?? at.map((place) => (place < 0 ? null : words[place])),
    }));
    const place = this.columns.findIndex((column) => column.name === sorted);
    this.sort = place < 0 ? null : { column: place, down: this.sort.down };
    this.arrange();
  }

  /** Take changed cells; false when a message was missed, and everything must be asked for. */
  changes(message) {
    if (message.seq !== this.seq + 1) return false;
    this.seq = message.seq;
    for (const [place, values] of Object.entries(message.values)) {
      const column = this.columns[place];
      message.at.forEach((row, i) => {
        column.values[row] = values[i];
      });
    }
    return true;
  }

  value(row, column) {
    return this.columns[column].values[row];
  }

  status(row) {
    return this.columns[0].values[row];
  }

  /** Put the rows that pass the filter in order; unknown values come last either way. */
  arrange() {
    const kept = [];
    for (let row = 0; row < this.count; row++) {
      if (this.filter === null || this.status(row) === this.filter) kept.push(row);
    }
    if (this.sort !== null) {
      const { column, down } = this.sort;
      const { values, type } = this.columns[column];
      const compare = type === "text" || type === "status" ? byText(values) : byNumber(values);
      kept.sort((a, b) => {
        const [left, right] = [values[a], values[b]];
        if (left === null || right === null) {
          return (left === null) - (right === null);
        }
        return down ? compare(b, a) : compare(a, b); // equals keep the run's order
      });
    }
    this.order = Int32Array.from(kept);
  }

  /** Sort by a column; again turns it round, and a third time gives the run's own order. */
  sortBy(column) {
    if (this.sort?.column !== column) this.sort = { column, down: false };
    else this.sort = this.sort.down ? null : { column, down: true };
    this.arrange();
  }

  /** Show only one status; the same again shows all. */
  filterBy(status) {
    this.filter = this.filter === status ? null : status;
    this.arrange();
  }
}

function byNumber(values) {
  return (a, b) => values[a] - values[b];
}

function byText(values) {
  const collator = new Intl.Collator("en", { numeric: true });
  const ranks = new Map();
  // Ten thousand rows share few texts: compare each pair of texts once, and then their ranks.
  const known = [...new Set(values)].filter((value) => value !== null).sort(collator.compare);
  known.forEach((text, rank) => ranks.set(text, rank));
  return (a, b) => ranks.get(values[a]) - ranks.get(values[b]);
}

/** The rows in sight, with a few above and below: [first, last) of `total`. */
export function inSight(scrollTop, height, rowHeight, total, spare = 6) {
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - spare);
  const last = Math.min(total, Math.ceil((scrollTop + height) / rowHeight) + spare);
  return [Math.min(first, last), last];
}

/** Where the scroll must be so that a place is in sight. */
export function scrolledTo(place, scrollTop, height, rowHeight) {
  const top = place * rowHeight;
  if (top < scrollTop) return top;
  if (top + rowHeight > scrollTop + height) return top + rowHeight - height;
  return scrollTop;
}
