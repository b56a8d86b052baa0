/** The line where people write: messages, `/commands` with hints, and `@names`. */

import { act } from "./act.js";
import { nameOf } from "./directory.js";
import { el } from "./dom.js";

const HINTS = 6;

export class Composer {
  #form;
  #text;
  #error;
  #hints;
  #thread;
  #sent;
  #known = { commands: [], people: [] };

  /**
   * @param {HTMLFormElement} form  holds a textarea, `.composer-error` and `.hints`
   * @param {() => string|null} thread  the ts of the thread it writes to, null for the channel
   * @param {() => void} sent  called when something was sent: whoever writes wants to see what comes of it
   */
  constructor(form, thread, sent) {
    this.#sent = sent;
    this.#form = form;
    this.#text = form.querySelector("textarea");
    this.#error = form.querySelector(".composer-error");
    this.#hints = form.querySelector(".hints");
    this.#thread = thread;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#text.addEventListener("input", () => this.#typed());
    this.#text.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Takes the commands and people it can offer from a slack snapshot. */
  update({ commands, users, bot, channel }) {
    this.#known = {
      commands,
      people: [{ id: bot.user_id, handle: bot.name }, ...users.map((user) => ({ id: user.id, handle: user.name }))],
    };
    this.#text.placeholder = this.#thread() === null ? `Message #${channel.name}` : "Reply…";
  }

  async #send() {
    const text = this.#text.value.trim();
    if (!text) return;
    const [command, ...rest] = text.split(" ");
    const thread = this.#thread();
    if (command.startsWith("/") && thread !== null) {
      return this.#say(`${command} cannot be used in a thread. Use it in the channel.`);
    }
    this.#put("");
    this.#sent();
    this.#form.classList.add("is-busy");
    const answer = command.startsWith("/")
      ? await act("command", { command, text: rest.join(" ") })
      : await act("message", { text, ...(thread === null ? {} : { thread_ts: thread }) });
    this.#form.classList.remove("is-busy");
    if (answer.ok) return;
    if (this.#text.value === "") this.#put(text); // nothing typed is lost
    this.#say(answer.error);
  }

  #put(text) {
    this.#text.value = text;
    this.#typed();
  }

  #say(error) {
    this.#error.textContent = error;
    this.#error.hidden = !error;
  }

  #typed() {
    this.#say("");
    this.#text.style.height = "auto";
    this.#text.style.height = `${this.#text.scrollHeight}px`;
    const offers = this.#offers(this.#text.value);
    this.#hints.hidden = offers.length === 0;
    this.#hints.replaceChildren(...offers.slice(0, HINTS).map((offer) => this.#hint(offer)));
  }

  #offers(text) {
    if (text.startsWith("/")) {
      const typed = text.split(" ")[0];
      const whole = text.includes(" ");
      return this.#known.commands
        .filter(({ command }) => (whole ? command === typed : command.startsWith(typed)))
        .map(({ command, usage }) => ({ put: whole ? null : `${command} `, name: command, more: usage }));
    }
    const start = /(^|\s)@([\w.-]*)$/.exec(text)?.[2].toLowerCase();
    if (start === undefined) return [];
    const before = text.slice(0, text.length - start.length);
    return this.#known.people
      .filter(({ handle }) => handle.toLowerCase().startsWith(start))
      .map(({ id, handle }) => ({ put: `${before}${handle} `, name: `@${handle}`, more: nameOf(id) }));
  }

  #hint({ put, name, more }) {
    const words = [el("b", {}, name), " ", el("span", { class: "faint" }, more ?? "")];
    if (put === null) return el("div", { class: "hint-row" }, ...words);
    return el("button", { type: "button", class: "hint-row", onclick: () => this.#complete(put) }, ...words);
  }

  #complete(text) {
    this.#put(text);
    this.#text.focus();
  }

  #key(event) {
    if (event.isComposing) return;
    const first = this.#hints.querySelector("button.hint-row");
    if (event.key === "Tab" && !event.shiftKey && first) {
      event.preventDefault();
      first.click();
    } else if (event.key === "Enter" && !event.shiftKey && !matchMedia("(pointer: coarse)").matches) {
      event.preventDefault();
      this.#send();
    }
  }
}
