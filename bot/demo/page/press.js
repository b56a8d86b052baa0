/** A tap on a Block Kit element: confirm, spin until the app acknowledged, warn when it did not. */

import { act } from "./act.js";
import { confirmed } from "./dialogs.js";
import { formOf } from "./form.js";

const busy = new Set();
const warnings = new Map();
let changed = () => {};

/** Calls back when a warning came or went. */
export function onWarning(callback) {
  changed = callback;
}

/** What the last failed tap in that message or view says, or null. */
export function warningOf(owner) {
  return warnings.get(owner) ?? null;
}

/** How the elements of one message reach the app. */
export function messageSurface(channel, ts) {
  const send = (block, action) => act("click", { channel, ts, block_id: block.block_id, ...action });
  const suggest = () => ({ ok: false, error: "Suggestions work in modals only." });
  return { owner: ts, form: formOf(ts), errors: {}, send, suggest };
}

/** How the elements of one view reach the app; `errors` is `{block_id: text}`. */
export function viewSurface(id, errors) {
  const ask = (kind) => (block, action) => act(kind, { view_id: id, block_id: block.block_id, ...action });
  return { owner: id, form: formOf(id), errors, send: ask("view_click"), suggest: ask("suggest") };
}

/** The name by which focus and spinner find an element again after a redraw. */
export function focusName(surface, block, element, extra = "") {
  return `${surface.owner}/${block.block_id}/${element.action_id}/${extra}`;
}

export function isBusy(name) {
  return busy.has(name);
}

/** Sends one action of an element; `action` adds what was chosen. False when the person said no. */
export async function press(surface, block, element, action = {}) {
  const name = focusName(surface, block, element);
  if (busy.has(name)) return false;
  if (element.confirm && !(await confirmed(element.confirm))) return false;
  mark(name, true);
  warn(surface.owner, null);
  const answer = await surface.send(block, { action_id: element.action_id, ...action });
  mark(name, false);
  if (!answer.ok) warn(surface.owner, answer.error);
  return true;
}

/** Sets or takes away the warning of a message or view. */
export function warn(owner, text) {
  if (text === null) warnings.delete(owner);
  else warnings.set(owner, text);
  changed();
}

function mark(name, on) {
  if (on) busy.add(name);
  else busy.delete(name);
  for (const node of document.querySelectorAll(`[data-focus="${CSS.escape(name)}"]`)) {
    node.classList.toggle("is-busy", on);
    node.setAttribute("aria-busy", String(on));
  }
}
