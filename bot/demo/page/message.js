/** Draws one message as Slack does: avatar, name, time, blocks, replies. */

import { drawBlocks } from "./blocks.js";
import { clock, formatDate, today } from "./dates.js";
import { colourOf, initialsOf, nameOf, reader } from "./directory.js";
import { el } from "./dom.js";
import { uploaded } from "./elements.js";
import { withEmoji } from "./emoji.js";
import { icon } from "./icons.js";
import { mrkdwn } from "./mrkdwn.js";
import { messageSurface, warningOf } from "./press.js";

const FACES = 3;
const TOUCH = matchMedia("(max-width: 899px)"); // where a tap on a message opens its thread, as in Slack's app

/** A coloured square with initials; the app's own has a bolt. */
export function avatar(id, { bot = false, small = false } = {}) {
  const classes = `avatar ${bot ? "avatar-app" : `avatar-${colourOf(id)}`}${small ? " avatar-small" : ""}`;
  return el("span", { class: classes, "aria-hidden": "true" }, bot ? icon("bolt") : initialsOf(nameOf(id)));
}

/** The name, and the APP badge of the bot. */
function author(message) {
  const badge = message.bot ? el("span", { class: "badge" }, "APP") : null;
  return [el("span", { class: "name" }, nameOf(message.user)), badge];
}

/** What the list needs to draw this message, and to know when to draw it again. */
export function messageItem(message, { channel, repliers, compact, inThread }) {
  const warning = message.warning ?? warningOf(message.ts);
  const faces = repliers.get(message.ts) ?? [];
  return {
    key: message.ts,
    print: JSON.stringify([message, warning, faces, compact, nameOf(message.user), reader(), today()]),
    message,
    warning,
    faces,
    compact,
    inThread,
    surface: messageSurface(channel, message.ts),
  };
}

/** An empty message; `patchMessage` fills it. `openThread` is called with its ts. */
export function makeMessage(item, openThread) {
  const { message, inThread } = item;
  const node = el("article", { class: "message", tabindex: "-1", "data-ts": message.ts });
  const open = () => openThread(message.thread_ts ?? message.ts);
  node.parts = {
    note: el("div", { class: "only-you" }),
    face: el("div", { class: "message-face" }),
    head: el("div", { class: "message-head" }),
    blocks: el("div", { class: "blocks" }),
    foot: el("div", { class: "message-foot" }),
    open,
  };
  const { note, face, head, blocks, foot } = node.parts;
  node.append(note, face, el("div", { class: "message-body" }, head, blocks, foot));
  if (!inThread && !message.ephemeral) {
    node.classList.add("is-rootable");
    const reply = { type: "button", class: "reply-button", "aria-label": "Reply in thread", onclick: open };
    node.append(el("button", reply, icon("chat")));
    node.addEventListener("click", (event) => {
      const onControl = event.target.closest("a, button, input, label, textarea");
      if (TOUCH.matches && !onControl && getSelection().isCollapsed) open();
    });
  }
  patchMessage(node, item);
  return node;
}

/** Brings an element made by `makeMessage` in line with its message. */
export function patchMessage(node, { message, warning, faces, compact, surface, inThread }) {
  const { note, face, head, blocks, foot, open } = node.parts;
  node.classList.toggle("is-compact", compact);
  node.classList.toggle("is-ephemeral", message.ephemeral);
  note.replaceChildren(...(message.ephemeral ? [icon("eye"), "Only visible to you"] : []));
  face.replaceChildren(compact ? "" : avatar(message.user, message));
  head.replaceChildren(...[...author(message), when(message), edited(message)].filter(Boolean));
  drawBlocks(blocks, message.blocks?.length ? message.blocks : [wordsOf(message)], surface);
  blocks.append(...picturesOf(message));
  const replies = !inThread && message.reply_count > 0 ? replyBar(message, faces, open) : null;
  foot.replaceChildren(...[reactionRow(message), warning ? warningLine(warning) : null, replies].filter(Boolean));
}

/** What was uploaded with it; other files than pictures are named in its text. */
function picturesOf({ files }) {
  const shown = (files ?? []).filter((file) => file.picture);
  return shown.map((file) => el("figure", { class: "block picture" }, uploaded(file.id, file.title, "picture-shown")));
}

/** A message without blocks is its text. */
function wordsOf(message) {
  return { type: "section", block_id: "text", expand: true, text: { type: "mrkdwn", text: message.text ?? "" } };
}

function when(message) {
  const full = formatDate(message.ts, "{date_long} at {time_secs}");
  return el("time", { class: "faint", title: full }, clock(message.ts));
}

function edited(message) {
  return message.edited === true ? el("span", { class: "faint edited" }, "(edited)") : null;
}

function reactionRow({ reactions }) {
  if (!reactions?.length) return null;
  const pills = reactions.map((name) => el("span", { class: "reaction" }, withEmoji(`:${name}:`)));
  return el("div", { class: "reactions" }, ...pills);
}

/** Slack's warning sign with what went wrong. */
export function warningLine(text) {
  return el("div", { class: "warning", role: "alert" }, icon("warning"), el("span", {}, text));
}

function replyBar(message, faces, open) {
  const count = message.reply_count;
  return el(
    "button",
    { type: "button", class: "replies", onclick: open, "data-focus": `${message.ts}/replies` },
    ...faces.slice(0, FACES).map(({ id, bot }) => avatar(id, { bot, small: true })),
    el("span", { class: "link" }, `${count} ${count === 1 ? "reply" : "replies"}`),
    el("span", { class: "faint" }, "View thread"),
  );
}

/** The text of a message with nothing to draw it in but a line, for a screen reader. */
export function spoken(message) {
  const line = el("span", {});
  line.append(mrkdwn(message.text ?? ""));
  return `${nameOf(message.user)}: ${line.textContent}`;
}
