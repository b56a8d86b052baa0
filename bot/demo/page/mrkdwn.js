/** Slack's mrkdwn as DOM nodes: bold, italic, strike, code, quotes, links, mentions, dates, emoji. */

import { formatDate } from "./dates.js";
import { nameOf, reader } from "./directory.js";
import { el, link, webAddress } from "./dom.js";
import { emoji } from "./emoji.js";

const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">" };
const STYLES = { "*": "strong", _: "em", "~": "s" };
const QUOTE = /^(?:>|&gt;) ?/;

/** @returns {DocumentFragment} the text drawn; `links: false` leaves bare addresses alone (`verbatim`). */
export function mrkdwn(text, { links = true } = {}) {
  const fragment = document.createDocumentFragment();
  const parts = text.split(/```([^]+?)```/);
  parts.forEach((part, index) => {
    if (index % 2) fragment.append(el("pre", {}, ...inline(part.replace(/^\n|\n$/g, ""), CODE_RULES, {})));
    else fragment.append(...paragraphs(besidePre(part, index, parts.length), links));
  });
  return fragment;
}

/** A block breaks the line itself, so the newline that touches it goes. */
function besidePre(part, index, count) {
  const opened = index > 0 ? part.replace(/^\n/, "") : part;
  return index < count - 1 ? opened.replace(/\n$/, "") : opened;
}

function paragraphs(text, links) {
  if (text === "") return [];
  const runs = [];
  for (const line of text.split("\n")) {
    const quoted = QUOTE.test(line);
    if (runs.at(-1)?.quoted === quoted) runs.at(-1).lines.push(line);
    else runs.push({ quoted, lines: [line] });
  }
  return runs.flatMap(({ quoted, lines }) => {
    const body = lines.map((line) => (quoted ? line.replace(QUOTE, "") : line)).join("\n");
    const nodes = inline(body, TEXT_RULES, { links });
    return quoted ? [el("blockquote", {}, ...nodes)] : nodes;
  });
}

/** The words `<`, `>`, `&` were written as, decoded once. */
export function decode(text) {
  return text.replace(/&(?:amp|lt|gt);/g, (entity) => ENTITIES[entity]);
}

function inline(text, rules, options) {
  const nodes = [];
  let plain = "";
  let at = 0;
  while (at < text.length) {
    const hit = rules[text[at]]?.(text, at, options);
    if (hit) {
      if (plain) nodes.push(decode(plain));
      plain = "";
      nodes.push(hit.node);
      at = hit.end;
    } else {
      plain += text[at];
      at += 1;
    }
  }
  if (plain) nodes.push(decode(plain));
  return nodes;
}

function styled(text, at, options) {
  const mark = text[at];
  const end = closing(text, at, mark);
  if (end < 0 || /\w/.test(text[at - 1] ?? " ")) return null;
  return { node: el(STYLES[mark], {}, ...inline(text.slice(at + 1, end), TEXT_RULES, options)), end: end + 1 };
}

/** Where the style that opens at `start` closes on its line, or -1. Looks past links and code. */
function closing(text, start, mark) {
  const first = text[start + 1] ?? " ";
  if (first === mark || /\s/.test(first)) return -1;
  for (let at = start + 1; at < text.length && text[at] !== "\n"; at += 1) {
    const beyond = { "<": ">", "`": "`" }[text[at]];
    const end = beyond ? text.indexOf(beyond, at + 1) : -1;
    if (end > at) at = end;
    else if (text[at] === mark && !/\s/.test(text[at - 1]) && !/\w/.test(text[at + 1] ?? " ")) return at;
  }
  return -1;
}

function code(text, at) {
  const end = text.indexOf("`", at + 1);
  if (end <= at + 1 || text.slice(at, end).includes("\n")) return null;
  return { node: el("code", {}, ...inline(text.slice(at + 1, end), CODE_RULES, {})), end: end + 1 };
}

function named(text, at) {
  const [written, name] = matchAt(/:([a-z0-9_+'-]+):/y, text, at) ?? [];
  const sign = name && emoji(name);
  return sign ? { node: el("span", { class: "emoji", title: written }, sign), end: at + written.length } : null;
}

function bareAddress(text, at, { links }) {
  if (!links || /\w/.test(text[at - 1] ?? " ")) return null;
  const [written] = matchAt(/https?:\/\/[^\s<>|`]+/y, text, at) ?? [];
  const address = written?.replace(/[.,!?:;)*_~'"]+$/, "");
  if (!address || !webAddress(decode(address))) return null;
  return { node: link(decode(address), decode(address)), end: at + address.length };
}

function matchAt(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function angle(text, at) {
  const end = text.indexOf(">", at);
  const inside = end < 0 ? "" : text.slice(at + 1, end);
  if (!inside || /[<\n]/.test(inside)) return null;
  return { node: reference(inside), end: end + 1 };
}

/** What stands between `<` and `>`: a person, a channel, a command like `!here`, or a link. */
function reference(inside) {
  const bar = inside.indexOf("|");
  const target = bar < 0 ? inside : inside.slice(0, bar);
  const label = bar < 0 ? null : decode(inside.slice(bar + 1));
  const draw = { "@": person, "#": channel, "!": special }[target[0]];
  if (draw) return draw(target.slice(1), label);
  const address = decode(target);
  if (/^mailto:/i.test(address)) return link(address, label ?? address.slice("mailto:".length));
  if (webAddress(address)) return link(address, label || address);
  return el("span", { class: "not-a-link" }, `<${decode(inside)}>`);
}

/** The name we know behind an id, else what the message calls it. */
function called(id, label) {
  const known = nameOf(id);
  return known === id ? (label ?? id) : known;
}

/** `@Ann` as a pill, stronger when it is the reader. */
export function person(id, label) {
  return el("span", { class: id === reader() ? "mention mention-loud" : "mention" }, `@${called(id, label)}`);
}

/** `#approvals` as a pill. */
export function channel(id, label) {
  return el("span", { class: "mention" }, `#${called(id, label)}`);
}

/** `@ops` as a pill. */
export function group(id, label) {
  return el("span", { class: "mention" }, `@${called(id, label)}`);
}

/** `@here`, `@channel`, `@everyone`: a pill that would have woken people. */
export function broadcast(range) {
  return el("span", { class: "mention mention-loud" }, `@${range}`);
}

function special(command, label) {
  const [kind, ...rest] = command.split("^");
  if (kind === "date") return date(rest, label);
  if (kind === "subteam") return group(rest[0], label?.replace(/^@/, ""));
  if (["here", "channel", "everyone"].includes(kind)) return broadcast(kind);
  return el("span", { class: "mention" }, label ?? `<!${command}>`);
}

function date([seconds, format = "", address], label) {
  const said = formatDate(seconds, decode(format)) ?? label ?? "";
  const node = el("time", { title: label ?? said }, said);
  return address ? link(decode(address), node) : node;
}

const CODE_RULES = { "<": angle };
const TEXT_RULES = {
  "<": angle,
  "`": code,
  ":": named,
  h: bareAddress,
  "*": styled,
  _: styled,
  "~": styled,
};
