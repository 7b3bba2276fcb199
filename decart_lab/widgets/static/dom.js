// Elements from data, and nothing else: text becomes text nodes, never markup, so that a prompt or
// an error message can only be read.

/** An element with attributes, listeners ("on…" functions) and children; null children are left out. */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Replace what an element holds. */
export function fill(node, ...children) {
  node.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

/** Put text into a node, unless it says that already: what does not change is not announced again. */
export function say(node, text, tone) {
  if (node.textContent !== text) node.textContent = text;
  if (tone !== undefined && node.dataset.tone !== tone) node.dataset.tone = tone;
}

/** An address for bytes that came with a message; the caller revokes it when it is not shown. */
export function blobUrl(buffer, mime) {
  return URL.createObjectURL(new Blob([buffer], { type: mime }));
}
