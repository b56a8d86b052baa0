/** The bar above everything: starts the month, shows how far it is, and tells what happened when. */

import { orderMonth } from "./act.js";
import { storyDay } from "./dates.js";
import { el } from "./dom.js";
import { icon } from "./icons.js";
import { reconcile } from "./keyed.js";

const INVITATION = "30 days of a small shop, in about a minute.";
const OVER = {
  played: "The month is over. Go on yourself: everything can be tapped.",
  stopped: "Stopped. Go on yourself, or play another month.",
  broken: "The story broke off. Everything can still be tapped.",
};

export class Month {
  #root;
  #said;
  #told;

  /** @param {Element} root  the bar: `.month-row`, a progress bar, and the list that opens below it */
  constructor(root) {
    this.#root = root;
    this.#said = root.querySelector(".month-said");
    this.#told = root.querySelector(".month-told");
    this.#said.addEventListener("click", () => this.#open(this.#told.hidden));
    root.addEventListener("keydown", (event) => event.key === "Escape" && this.#open(false));
    document.addEventListener("pointerdown", (event) => root.contains(event.target) || this.#open(false));
    for (const button of root.querySelectorAll("[data-order]")) {
      button.addEventListener("click", () => this.#order(button));
    }
  }

  draw(month) {
    const runs = month.state === "playing" || month.state === "paused";
    this.#root.hidden = false;
    this.#root.dataset.state = month.state;
    this.#show("play", !runs, month.state === "ready" ? "Play a month" : "Play again");
    this.#show("pause", month.state === "playing");
    this.#show("resume", month.state === "paused");
    this.#show("stop", runs);
    const bar = this.#root.querySelector("progress");
    bar.hidden = month.day === 0;
    bar.max = month.days;
    bar.value = month.day;
    this.#said.disabled = month.told.length === 0;
    this.#said.replaceChildren(...this.#summary(month, runs));
    const items = month.told.map((one, place) => ({ key: String(place), print: one.text, one })).reverse();
    reconcile(this.#told, items, ({ one }) =>
      el("li", {}, el("b", {}, `Day ${one.day}`), el("span", { class: "faint" }, storyDay(one.at)), el("p", {}, one.text)),
    );
    if (items.length === 0) this.#open(false);
  }

  #summary(month, runs) {
    if (month.state === "ready") return [el("span", { class: "month-text" }, INVITATION)];
    const where = `Day ${Math.max(month.day, 1)} of ${month.days}`;
    const head = [el("b", {}, where), el("span", { class: "faint" }, storyDay(month.at)), icon("down")];
    const text = runs ? (month.told.at(-1)?.text ?? "The shop opens.") : OVER[month.state];
    return [el("span", { class: "month-where" }, ...head), el("span", { class: "month-text" }, text)];
  }

  #show(order, shown, label) {
    const button = this.#root.querySelector(`[data-order="${order}"]`);
    button.hidden = !shown;
    if (label) button.textContent = label;
  }

  #open(open) {
    this.#told.hidden = !open;
    this.#said.setAttribute("aria-expanded", String(open));
  }

  async #order(button) {
    button.disabled = true;
    const answer = await orderMonth(button.dataset.order);
    button.disabled = false;
    if (!answer.ok) this.#said.replaceChildren(el("span", { class: "month-text is-bad" }, answer.error));
  }
}
