/** Draws a list of Block Kit blocks, each by the function of its type. */

import { today } from "./dates.js";
import { reader } from "./directory.js";
import { el, freshId } from "./dom.js";
import { drawElement, picture, thumbnail } from "./elements.js";
import { reconcile } from "./keyed.js";
import { richText } from "./richtext.js";
import { plain, textNode } from "./text.js";
import { unknown } from "./unknown.js";

const LONG = 700; // characters after which Slack folds a section behind "See more"
const BESIDE = new Set(["button", "overflow", "image"]); // accessories that stay at the right on a phone

const BLOCKS = {
  section,
  rich_text: richText,
  context,
  divider: () => el("hr", { class: "block" }),
  header: (block) => el("h3", { class: "block block-header" }, plain(block.text)),
  actions: (block, surface) =>
    el("div", { class: "block actions" }, ...block.elements.map((element) => drawElement(element, block, surface))),
  image: picture,
  input,
};

/** Brings `container` in line with the blocks; unchanged blocks keep their elements and what is typed in them. */
export function drawBlocks(container, blocks, surface) {
  const items = blocks.map((block, index) => ({
    key: block.block_id ?? `#${index}`,
    print: JSON.stringify([block, surface.errors[block.block_id], reader(), today()]),
    block,
  }));
  reconcile(container, items, (item) => drawBlock(item.block, surface));
}

function drawBlock(block, surface) {
  const draw = BLOCKS[block.type];
  if (draw === undefined) return boxed(unknown("block", block.type));
  try {
    return draw(block, surface);
  } catch (error) {
    console.error(error);
    return boxed(unknown(`content of the block ${block.type}`, error.message));
  }
}

const boxed = (content) => el("div", { class: "block" }, content);

function section(block, surface) {
  const body = el(
    "div",
    { class: "section-body" },
    block.text ? foldable(block) : null,
    block.fields ? el("div", { class: "fields" }, ...block.fields.map((field) => words(field))) : null,
  );
  const accessory = block.accessory && el("div", { class: "accessory" }, drawElement(block.accessory, block, surface));
  const beside = BESIDE.has(block.accessory?.type) ? " section-beside" : "";
  return el("div", { class: `block section${beside}` }, body, accessory);
}

const words = (text) => el("div", { class: "words" }, textNode(text));

function foldable(block) {
  const body = words(block.text);
  if (block.expand === true || block.text.text.length <= LONG) return body;
  body.classList.add("is-folded");
  const more = el("button", { type: "button", class: "link-button", "aria-expanded": "false" }, "See more");
  more.onclick = () => {
    const folded = body.classList.toggle("is-folded");
    more.textContent = folded ? "See more" : "See less";
    more.setAttribute("aria-expanded", String(!folded));
  };
  return el("div", {}, body, more);
}

function context(block) {
  const draw = (element) => (element.type === "image" ? thumbnail(element) : words(element));
  return el("div", { class: "block context" }, ...block.elements.map(draw));
}

function input(block, surface) {
  const label = freshId();
  const error = surface.errors[block.block_id];
  const optional = block.optional ? el("span", { class: "faint" }, " (optional)") : null;
  return el(
    "div",
    { class: error ? "block input has-error" : "block input", "data-block": block.block_id },
    el("div", { class: "input-label", id: label }, plain(block.label), optional),
    drawElement(block.element, block, surface, label),
    error ? el("div", { class: "input-error", role: "alert" }, error) : null,
    block.hint ? el("div", { class: "faint input-hint" }, plain(block.hint)) : null,
  );
}
