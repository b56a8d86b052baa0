/** Shows the top of the viewer's stack of modals, submits it and closes it. */

import { act } from "./act.js";
import { el } from "./dom.js";
import { forgetForm, formOf } from "./form.js";
import { icon } from "./icons.js";
import { warn } from "./press.js";
import { plain } from "./text.js";
import { drawView } from "./view.js";

export class Modals {
  #dialog = null;
  #shown = null; // the id of the view in the dialog
  #top = null;
  #faults = {}; // what the page itself found wrong with the shown view
  #known = new Set();

  /** Brings the screen in line with the snapshot's stack, `[{view, id, errors}]`, top last. */
  draw(stack) {
    for (const id of this.#known) if (!stack.some((modal) => modal.id === id)) forgetForm(id);
    this.#known = new Set(stack.map((modal) => modal.id));
    this.#top = stack.at(-1) ?? null;
    if ((this.#top?.id ?? null) !== this.#shown) this.#replace();
    else if (this.#top) this.#fill();
  }

  #replace() {
    const old = this.#dialog;
    this.#shown = this.#top?.id ?? null;
    this.#dialog = null;
    this.#faults = {};
    old?.remove();
    if (this.#top === null) return;
    this.#dialog = this.#make();
    document.body.append(this.#dialog);
    this.#fill();
    this.#dialog.showModal();
    (this.#dialog.querySelector("[autofocus]") ?? this.#dialog).focus(); // not the X, and no keyboard on a phone
  }

  #make() {
    const close = (event) => {
      event.preventDefault();
      this.#close();
    };
    const form = el(
      "form",
      { class: "modal-form", novalidate: true, onsubmit: (event) => this.#submit(event) },
      el("button", { type: "button", class: "modal-x", "aria-label": "Close", onclick: close }, icon("close")),
      el("h2", { class: "modal-title", id: "modal-title" }),
      el("div", { class: "modal-body" }, el("div", { class: "view-warning" }), el("div", { class: "blocks" })),
      el("button", { type: "button", class: "button modal-cancel", onclick: close }, el("span", { class: "label" })),
      el("button", { type: "submit", class: "button button-primary modal-submit" }, el("span", { class: "label" })),
    );
    return el("dialog", { class: "modal", tabindex: "-1", "aria-labelledby": "modal-title", oncancel: close }, form);
  }

  #fill() {
    const { view, id, errors } = this.#top;
    const find = (name) => this.#dialog.querySelector(name);
    find(".modal-title").textContent = plain(view.title);
    find(".modal-cancel .label").textContent = view.close ? plain(view.close) : "Close";
    find(".modal-submit").hidden = !view.submit;
    find(".modal-submit .label").textContent = view.submit ? plain(view.submit) : "";
    drawView(this.#dialog, id, view.blocks, { ...errors, ...this.#faults });
  }

  async #submit(event) {
    event.preventDefault();
    const { view, id } = this.#top;
    if (!view.submit) return;
    const form = formOf(id);
    this.#faults = form.faults(view.blocks);
    warn(id, null);
    if (Object.keys(this.#faults).length) return this.#showFaults();
    const button = this.#dialog.querySelector(".modal-submit");
    if (button.classList.contains("is-busy")) return;
    button.classList.add("is-busy");
    const answer = await act("submit", { view_id: id, values: form.values(view.blocks) });
    button.classList.remove("is-busy");
    if (!answer.ok) warn(id, answer.error);
  }

  #showFaults() {
    this.#fill();
    this.#dialog.querySelector("[aria-invalid]")?.focus();
  }

  async #close() {
    const { id } = this.#top;
    const answer = await act("close", { view_id: id });
    if (!answer.ok) warn(id, answer.error);
  }
}
