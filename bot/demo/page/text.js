/** Draws Slack's text objects. */

import { el } from "./dom.js";
import { withEmoji } from "./emoji.js";
import { mrkdwn } from "./mrkdwn.js";

/** A `plain_text` or `mrkdwn` object as a node; any other type throws, which draws the red box. */
export function textNode(text) {
  if (text?.type === "mrkdwn") return mrkdwn(text.text, { links: text.verbatim !== true });
  return document.createTextNode(plain(text));
}

/** A `plain_text` object as a string, exactly as written; only emoji names become emoji. */
export function plain(text) {
  if (text?.type !== "plain_text") throw new TypeError(`text object of type ${text?.type}`);
  return text.emoji === false ? text.text : withEmoji(text.text);
}

/** What an option says, and its description in small. */
export function optionText(option) {
  const more = option.description ? el("span", { class: "option-more" }, textNode(option.description)) : null;
  return el("span", { class: "option-text" }, textNode(option.text), more);
}
