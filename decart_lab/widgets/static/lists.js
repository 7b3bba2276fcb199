// Fields as text, and back: what a person types becomes lists, and lists from a cell become text.
// Pure: no element is touched here.

/** Lines that hold something, without the blanks around them. */
export function lines(text) {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** "style: ink, clay" on each line, as {style: ["ink", "clay"]}; a line without a colon is left out. */
export function variables(text) {
  const found = {};
  for (const line of lines(text)) {
    const colon = line.indexOf(":");
    if (colon < 1) continue;
    const values = line
      .slice(colon + 1)
      .split(",")
      .map((value) => value.trim())
      .filter((value) => value !== "");
    if (values.length) found[line.slice(0, colon).trim()] = values;
  }
  return found;
}

/** The variables as lines. */
export function variablesText(found) {
  return Object.entries(found)
    .map(([name, values]) => `${name}: ${values.join(", ")}`)
    .join("\n");
}

/** "1, 2, 5-8" as numbers, each once; what is no number is left out, and a range is at most 1,000. */
export function seeds(text) {
  const found = new Set();
  for (const part of text.split(/[\s,]+/)) {
    const range = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(part);
    if (range === null) continue;
    const [first, last] = [Number(range[1]), Number(range[2] ?? range[1])];
    for (let seed = first; seed <= last && seed < first + 1000; seed++) found.add(seed);
  }
  return [...found];
}

/** Numbers as short text: runs of three and more as ranges. */
export function seedsText(numbers) {
  const parts = [];
  for (let i = 0; i < numbers.length; ) {
    let end = i;
    while (numbers[end + 1] === numbers[end] + 1) end++;
    if (end - i >= 2) parts.push(`${numbers[i]}-${numbers[end]}`);
    else parts.push(...numbers.slice(i, end + 1));
    i = end + 1;
  }
  return parts.join(", ");
}

/** Whether two values of a trait are the same. */
export function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
