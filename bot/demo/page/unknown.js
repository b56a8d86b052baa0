/** The red box: what the page cannot draw must be seen, never skipped. */

import { el } from "./dom.js";

/** A loud box that names what nobody here can draw. */
export function unknown(what, name) {
  return el("span", { class: "unknown", role: "alert" }, `Unknown ${what}: ${name}`);
}
