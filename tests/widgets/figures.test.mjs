// Figures as the rest of the project writes them; the cases come from the Python side.

import assert from "node:assert/strict";
import test from "node:test";
import { money, plural, seconds } from "../../decart_lab/widgets/static/figures.js";

const cases = JSON.parse(process.env.FIGURES);

test("money and durations read as display/html.py writes them", () => {
  for (const [value, text] of cases.money) assert.equal(money(value), text);
  for (const [value, text] of cases.seconds) assert.equal(seconds(value), text);
  for (const [value, text] of cases.points) assert.equal(plural(value, "point"), text);
});
