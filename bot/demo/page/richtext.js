/** Draws rich_text blocks; their text is never parsed for markup. */

import { formatDate } from "./dates.js";
import { el, link } from "./dom.js";
import { emoji } from "./emoji.js";
import { broadcast, channel, group, person } from "./mrkdwn.js";
import { unknown } from "./unknown.js";

const STYLES = { bold: "strong", italic: "em", strike: "s", underline: "u", code: "code" };

const PARTS = {
  text: (part) => part.text,
  link: (part) => link(part.url, part.text ?? part.url),
  user: (part) => person(part.user_id),
  usergroup: (part) => group(part.usergroup_id),
  channel: (part) => channel(part.channel_id),
  broadcast: (part) => broadcast(part.range),
  emoji: (part) => el("span", { class: "emoji" }, emoji(part.name) ?? fromHex(part.unicode) ?? `:${part.name}:`),
  date: (part) => {
    const said = el("time", { title: part.fallback }, formatDate(part.timestamp, part.format) ?? part.fallback ?? "");
    return part.url ? link(part.url, said) : said;
  },
  color: (part) => el("code", {}, part.value),
};

const SECTIONS = {
  rich_text_section: (section) => el("div", { class: "rich-section" }, ...parts(section)),
  rich_text_quote: (section) => el("blockquote", {}, ...parts(section)),
  rich_text_preformatted: (section) => el("pre", {}, ...parts(section)),
  rich_text_list: list,
};

/** @returns {Element} */
export function richText(block) {
  const sections = block.elements.map((section) => {
    const draw = SECTIONS[section.type];
    return draw ? draw(section) : unknown("rich text section", section.type);
  });
  return el("div", { class: "block rich-text" }, ...sections);
}

function parts(section) {
  return section.elements.map((part) => {
    const draw = PARTS[part.type];
    if (draw === undefined) return unknown("rich text element", part.type);
    const styles = Object.keys(STYLES).filter((style) => part.style?.[style]);
    return styles.reduce((node, style) => el(STYLES[style], {}, node), draw(part));
  });
}

function list(section) {
  const ordered = section.style === "ordered";
  const items = section.elements.map((item) => el("li", {}, ...parts(item)));
  const start = ordered && section.offset ? section.offset + 1 : null;
  return el(ordered ? "ol" : "ul", { start, class: `rich-list indent-${section.indent ?? 0}` }, ...items);
}

function fromHex(codes) {
  return codes && String.fromCodePoint(...codes.split("-").map((code) => Number.parseInt(code, 16)));
}
