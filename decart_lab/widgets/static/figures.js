// Figures with units, as display/html.py writes them; tests hold the two to the same texts.

export const DASH = "–";

function grouped(value, digits) {
  const places = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return value.toLocaleString("en-US", { ...places, roundingMode: "halfEven" }); // as Python's
}

/** An amount in dollars; fractions of a cent keep the digits that matter. */
export function money(value) {
  if (value === null || value === undefined) return DASH;
  const whole = Math.abs(value * 100 - Math.round(value * 100)) < 1e-9;
  const digits = Math.abs(value) >= 0.1 || whole ? 2 : 4;
  return `${value < 0 ? "-" : ""}$${grouped(Math.abs(value), digits)}`;
}

/** A duration to a sensible digit. */
export function seconds(value) {
  if (value === null || value === undefined) return DASH;
  if (value < 0.995) return `${value.toFixed(2)} s`;
  if (value < 99.95) return `${value.toFixed(1)} s`;
  const total = Math.round(value);
  const two = (n) => String(n).padStart(2, "0");
  const minutes = Math.floor(total / 60);
  if (minutes < 60) return `${minutes} min ${two(total % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

/** A count with thousands separated. */
export function count(value) {
  return grouped(value, 0);
}

/** A count with its noun. */
export function plural(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}
