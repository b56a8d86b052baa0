/** Keeps a scrolling list of messages in line with the snapshot, without losing the reader's place. */

import { dayOf } from "./dates.js";
import { el } from "./dom.js";
import { keepingFocus, reconcile } from "./keyed.js";
import { makeMessage, messageItem, patchMessage, spoken } from "./message.js";

const NEAR_END = 60; // pixels from the end that still count as being there
const TOGETHER = 300; // seconds within which one person's messages share a face

export class MessageList {
  #scroller;
  #list;
  #announcer;
  #newer;
  #openThread;
  #atEnd = true;
  #last = null;

  /** @param {Element} root  holds `.scroller > .messages`, `.newer` (a button) and `.aside-voice` */
  constructor(root, openThread) {
    this.#scroller = root.querySelector(".scroller");
    this.#list = root.querySelector(".messages");
    this.#announcer = root.querySelector(".aside-voice");
    this.#newer = root.querySelector(".newer");
    this.#openThread = openThread;
    this.#newer.addEventListener("click", () => this.toEnd());
    this.#scroller.addEventListener("scroll", () => this.#notePlace(), { passive: true });
    const follow = new ResizeObserver(() => this.#atEnd && this.toEnd());
    follow.observe(this.#scroller);
    follow.observe(this.#list);
  }

  /** Draws the messages; `surroundings` say `{channel, inThread, repliers}`. */
  draw(messages, surroundings) {
    const items = this.#items(messages, surroundings);
    const newest = messages.at(-1);
    const arrived = this.#last !== null && newest !== undefined && newest.ts > this.#last;
    this.#keepingPlace(() => {
      keepingFocus(() => reconcile(this.#list, items, (item) => item.make(), (node, item) => item.patch?.(node)));
    });
    if (arrived) {
      this.#announcer.textContent = spoken(newest);
      this.#newer.hidden = this.#atEnd;
    }
    this.#last = newest?.ts ?? this.#last ?? "";
  }

  /** Shows the newest message. */
  toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#atEnd = true;
    this.#newer.hidden = true;
  }

  #notePlace() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    if (this.#atEnd) this.#newer.hidden = true;
  }

  #keepingPlace(change) {
    const top = this.#scroller.getBoundingClientRect().top;
    const inSight = (node) => node.getBoundingClientRect().bottom > top;
    const seen = this.#atEnd ? null : [...this.#list.children].find(inSight);
    const before = seen?.getBoundingClientRect().top;
    change();
    if (this.#atEnd) this.toEnd();
    else if (seen?.isConnected) this.#scroller.scrollTop += seen.getBoundingClientRect().top - before;
  }

  #items(messages, surroundings) {
    const items = [];
    let previous = null;
    for (const message of messages) {
      const day = dayOf(message.ts);
      if (previous === null || dayOf(previous.ts) !== day) {
        items.push(dayItem(day));
        previous = null;
      }
      const item = messageItem(message, { ...surroundings, compact: follows(message, previous) });
      item.make = () => makeMessage(item, this.#openThread);
      item.patch = (node) => patchMessage(node, item);
      items.push(item);
      previous = message;
    }
    if (surroundings.inThread && messages.length > 1) {
      const root = items.findIndex((item) => item.key === messages[0].ts);
      items.splice(root + 1, 0, countItem(messages.length - 1));
    }
    return items;
  }
}

function dayItem(day) {
  const make = () => el("div", { class: "day" }, el("span", {}, day));
  return { key: `day ${day}`, print: day, make };
}

/** The line between a thread's first message and its replies. */
function countItem(count) {
  const said = count === 1 ? "1 reply" : `${count} replies`;
  const patch = (node) => {
    node.textContent = said;
  };
  return { key: "count", print: said, make: () => el("div", { class: "count" }, said), patch };
}

/** Whether a person simply went on writing; cards and notes always show who speaks. */
function follows(message, previous) {
  if (previous === null || message.bot || message.ephemeral || previous.ephemeral) return false;
  return message.user === previous.user && Number(message.ts) - Number(previous.ts) < TOGETHER;
}
