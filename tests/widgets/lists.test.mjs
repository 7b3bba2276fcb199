// What is typed into the panel, as lists, and back.

import assert from "node:assert/strict";
import test from "node:test";
import { lines, same, seeds, seedsText, variables, variablesText } from "../../decart_lab/widgets/static/lists.js";

test("prompts are the lines that hold something", () => {
  assert.deepEqual(lines("ink\n\n  clay, wet \n"), ["ink", "clay, wet"]);
});

test("variables are names with values, and come back as they were", () => {
  const found = variables("style: ink, clay\nlight:noon\nnothing\n: x\nempty:");
  assert.deepEqual(found, { style: ["ink", "clay"], light: ["noon"] });
  assert.deepEqual(variables(variablesText(found)), found);
});

test("seeds are numbers and ranges, each once", () => {
  assert.deepEqual(seeds("1, 2 5-7,2, x, -3"), [1, 2, 5, 6, 7]);
  assert.equal(seedsText([1, 2, 5, 6, 7, 9]), "1, 2, 5-7, 9");
  assert.deepEqual(seeds(seedsText([4, 5, 6, 1])), [4, 5, 6, 1]);
  assert.deepEqual(seeds(""), []);
});

test("a range that a slip of the hand made endless stays small", () => {
  assert.equal(seeds("0-9999999999").length, 1000);
});

test("values are compared by what they hold", () => {
  assert.ok(same({ a: ["b"] }, { a: ["b"] }));
  assert.ok(!same([1], [2]));
});
