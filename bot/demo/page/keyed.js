/** Brings a container's children in line with a list and leaves alone what did not change. */

const KEY = Symbol("key");
const PRINT = Symbol("print");

/**
 * @param {Element} parent
 * @param {Array<{key: string, print: string}>} items  `print` changes when the item must be drawn again
 * @param {(item) => Element} make
 * @param {(node: Element, item) => void} [patch]  without it a changed item gets a new element
 */
export function reconcile(parent, items, make, patch) {
  const old = new Map([...parent.children].map((node) => [node[KEY], node]));
  const seen = new Map();
  const nodes = items.map((item) => {
    const times = seen.get(item.key) ?? 0;
    seen.set(item.key, times + 1);
    const key = `${item.key}/${times}`;
    const node = current(old.get(key), item, make, patch);
    node[KEY] = key;
    node[PRINT] = item.print;
    return node;
  });
  const kept = new Set(nodes);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  let place = parent.firstElementChild;
  for (const node of nodes) {
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
}

function current(node, item, make, patch) {
  if (node === undefined) return make(item);
  if (node[PRINT] === item.print) return node;
  if (patch === undefined) return make(item);
  patch(node, item);
  return node;
}

/** Runs `change` and gives the focus, and what was selected, back to the element that took the place. */
export function keepingFocus(change) {
  const active = document.activeElement;
  const name = active?.dataset?.focus;
  const holder = active?.closest?.("[tabindex='-1']");
  const selection = [active?.selectionStart, active?.selectionEnd];
  change();
  if (!active || active.isConnected || name === undefined) return;
  const again = document.querySelector(`[data-focus="${CSS.escape(name)}"]`);
  (again ?? holder)?.focus({ preventScroll: true });
  if (typeof selection[0] === "number") again?.setSelectionRange?.(...selection);
}
