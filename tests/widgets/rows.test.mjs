// The rows of the live table as data: taken whole, changed, ordered, filtered, and cut to what is in sight.

import assert from "node:assert/strict";
import test from "node:test";
import { Rows, inSight, scrolledTo } from "../../decart_lab/widgets/static/rows.js";

function told() {
  return {
    seq: 1,
    count: 4,
    columns: [
      { name: "status", label: "status", type: "status", words: ["completed", "failed"], at: [0, 1, 0, 0] },
      { name: "style", label: "style", type: "text", words: ["ink", "clay"], at: [0, 1, 1, -1] },
      { name: "cost", label: "cost", type: "money", values: [0.3, null, 0.1, 0.2] },
    ],
  };
}

function rows() {
  const made = new Rows();
  made.whole(told());
  return made;
}

const order = (made) => [...made.order];

test("texts are words by place, and a missing one is null", () => {
  assert.deepEqual(rows().columns[1].values, ["ink", "clay", "clay", null]);
});

test("sorting turns round and then gives the run's own order; unknown values are last either way", () => {
  const made = rows();
  made.sortBy(2);
  assert.deepEqual(order(made), [2, 3, 0, 1]);
  made.sortBy(2);
  assert.deepEqual(order(made), [0, 3, 2, 1]);
  made.sortBy(2);
  assert.deepEqual(order(made), [0, 1, 2, 3]);
});

test("equal values keep the run's order", () => {
  const made = rows();
  made.sortBy(1);
  assert.deepEqual(order(made), [1, 2, 0, 3]);
});

test("a filter shows one status, and the same again shows all", () => {
  const made = rows();
  made.filterBy("failed");
  assert.deepEqual(order(made), [1]);
  made.filterBy("failed");
  assert.equal(made.order.length, 4);
});

test("changes go to their cells, and a gap in the numbers is noticed", () => {
  const made = rows();
  assert.equal(made.changes({ seq: 2, at: [1], values: { 0: ["completed"], 2: [0.4] } }), true);
  assert.equal(made.status(1), "completed");
  assert.equal(made.value(1, 2), 0.4);
  assert.equal(made.changes({ seq: 4, at: [], values: {} }), false);
});

test("everything anew keeps the order that was chosen", () => {
  const made = rows();
  made.sortBy(2);
  made.whole(told());
  assert.deepEqual(order(made), [2, 3, 0, 1]);
});

test("only rows in sight are drawn, with a few to spare, at any place", () => {
  assert.deepEqual(inSight(0, 280, 28, 10_000), [0, 16]);
  assert.deepEqual(inSight(28_000, 280, 28, 10_000), [994, 1016]);
  assert.deepEqual(inSight(28 * 9990, 280, 28, 10_000), [9984, 10_000]);
  assert.deepEqual(inSight(5000, 280, 28, 3), [3, 3]);
});

test("the scroll moves no further than needed", () => {
  assert.equal(scrolledTo(3, 0, 280, 28), 0);
  assert.equal(scrolledTo(12, 0, 280, 28), 84);
  assert.equal(scrolledTo(1, 280, 280, 28), 28);
});
