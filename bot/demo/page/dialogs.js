/** Opens what lies above the page: menus (a sheet on a phone) and confirm dialogs. */

import { el } from "./dom.js";
import { plain, textNode } from "./text.js";

const GAP = 6;

/** Opens a menu at its anchor; the caller fills and closes it. A tap outside or Escape closes it too. */
export function openMenu(anchor, label, ...content) {
  const menu = el("dialog", { class: "menu", "aria-label": label }, ...content);
  const from = anchor.getBoundingClientRect();
  const follow = new ResizeObserver(() => place(menu, from));
  menu.addEventListener("click", (event) => {
    if (event.target === menu) menu.close();
  });
  menu.addEventListener("close", () => {
    follow.disconnect();
    menu.remove();
  });
  menu.style.setProperty("--menu-width", `${from.width}px`);
  document.body.append(menu);
  menu.showModal();
  place(menu, from);
  follow.observe(menu); // suggestions come later and need room
  return menu;
}

/** Below the anchor, above it when there is no room, never outside the window. A phone's sheet ignores this. */
function place(menu, from) {
  const { offsetWidth: width, offsetHeight: height } = menu;
  const below = from.bottom + GAP + height <= innerHeight;
  const top = below ? from.bottom + GAP : Math.max(GAP, from.top - GAP - height);
  menu.style.setProperty("--menu-top", `${top}px`);
  menu.style.setProperty("--menu-left", `${Math.max(GAP, Math.min(from.left, innerWidth - width - GAP))}px`);
}

/** Moves among `[role=option]` and `[role=menuitem]` with the arrow keys. */
export function arrowKeys(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const rows = [...event.currentTarget.querySelectorAll("[role=option], [role=menuitem]")];
  const next = rows[rows.indexOf(document.activeElement) + step] ?? rows[step > 0 ? 0 : rows.length - 1];
  next?.focus();
  event.preventDefault();
}

function choice(classes, text, onclick) {
  return el("button", { type: "button", class: classes, onclick }, el("span", { class: "label" }, plain(text)));
}

/** Asks Slack's confirm object; true when the person agreed. */
export function confirmed(confirm) {
  return new Promise((resolve) => {
    const finish = (agreed) => () => {
      resolve(agreed);
      dialog.close();
    };
    const style = confirm.style === "danger" ? "button-danger" : "button-primary";
    const dialog = el(
      "dialog",
      { class: "confirm", "aria-label": plain(confirm.title) },
      el("h2", {}, plain(confirm.title)),
      el("div", { class: "confirm-text" }, textNode(confirm.text)),
      el(
        "div",
        { class: "confirm-buttons" },
        choice("button", confirm.deny, finish(false)),
        choice(`button ${style}`, confirm.confirm, finish(true)),
      ),
    );
    dialog.addEventListener("close", () => {
      resolve(false);
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
