// Keys of a live panel. A notebook has keys of its own ("d" twice deletes the cell), so nothing that
// is pressed in here may leave, and every key is also a button's.

const TYPING = "input:not([type=range]):not([type=checkbox]), textarea, select";

/** What a key press asks for, or null: letters only outside of boxes, never with a modifier. */
export function wanted(event, table) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  if (event.target?.matches?.(TYPING)) return null;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return table[event.shiftKey ? `Shift+${key.toUpperCase()}` : key] ?? null;
}

/** Keep keys inside an element, and call what they ask for. */
export function keepKeys(root, table) {
  // JupyterLab listens on the document before anybody, and asks this attribute.
  root.dataset.lmSuppressShortcuts = "true";
  root.addEventListener("keydown", (event) => {
    event.stopPropagation();
    const act = event.repeat ? null : wanted(event, table);
    if (act === null) return;
    event.preventDefault();
    act();
  });
  for (const name of ["keyup", "keypress"]) root.addEventListener(name, (event) => event.stopPropagation());
}
