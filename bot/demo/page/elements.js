/** Draws buttons, overflow menus and images, and finds who draws any other element. */

import { arrowKeys, openMenu } from "./dialogs.js";
import { el, link, webAddress } from "./dom.js";
import { icon } from "./icons.js";
import { checkboxes, dateField, momentField, numberField, radioButtons, textField } from "./inputs.js";
import { externalSelect, multiExternalSelect, multiSelect, staticSelect, usersSelect } from "./selects.js";
import { focusName, isBusy, press } from "./press.js";
import { optionText, plain } from "./text.js";
import { unknown } from "./unknown.js";

const ELEMENTS = {
  button,
  overflow,
  image: thumbnail,
  static_select: staticSelect,
  external_select: externalSelect,
  users_select: usersSelect,
  multi_static_select: multiSelect,
  multi_external_select: multiExternalSelect,
  plain_text_input: textField,
  number_input: numberField,
  datepicker: dateField,
  datetimepicker: momentField,
  checkboxes,
  radio_buttons: radioButtons,
};

/** @returns {Node} one Block Kit element; `labelledBy` is the id of an input block's label */
export function drawElement(element, block, surface, labelledBy) {
  const draw = ELEMENTS[element.type];
  return draw ? draw(element, block, surface, labelledBy) : unknown("element", element.type);
}

function button(element, block, surface) {
  const name = focusName(surface, block, element);
  const address = webAddress(element.url);
  const classes = ["button", element.style && `button-${element.style}`, isBusy(name) && "is-busy"];
  return el(
    address ? "a" : "button",
    {
      type: address ? null : "button",
      href: address,
      target: address && "_blank",
      rel: address && "noopener noreferrer",
      class: classes.filter(Boolean).join(" "),
      title: plain(element.text),
      "aria-label": element.accessibility_label,
      "data-focus": name,
      "data-action": element.action_id,
      onclick: () => press(surface, block, element, element.value === undefined ? {} : { value: element.value }),
    },
    el("span", { class: "label" }, plain(element.text)),
  );
}

function overflow(element, block, surface) {
  const open = (event) => {
    const rows = element.options.map((option) => {
      const onclick = () => {
        menu.close();
        if (webAddress(option.url)) window.open(option.url, "_blank", "noopener,noreferrer");
        press(surface, block, element, { selected_option: option });
      };
      return el("button", { type: "button", role: "menuitem", class: "menu-row", onclick }, optionText(option));
    });
    const list = el("div", { role: "menu", onkeydown: arrowKeys }, ...rows);
    const menu = openMenu(event.currentTarget, "More actions", list);
  };
  return el(
    "button",
    {
      type: "button",
      class: "button button-icon",
      "aria-label": "More actions",
      "aria-haspopup": "menu",
      "data-focus": focusName(surface, block, element),
      "data-action": element.action_id,
      onclick: open,
    },
    icon("more"),
  );
}

/** A picture that the app has uploaded; null for one that lies anywhere else: the demo fetches nothing. */
export function uploaded(id, said, classes) {
  if (!/^[A-Z0-9]+$/.test(id ?? "")) return null;
  return el("img", { src: `/slack/files/${id}`, alt: said, class: classes, loading: "lazy" });
}

/** A small image, or a grey place for it. */
export function thumbnail(element) {
  const { alt_text: said } = element;
  const own = uploaded(element.slack_file?.id, said, "thumbnail");
  if (own) return own;
  return el("span", { class: "thumbnail", role: "img", "aria-label": said, title: said }, said);
}

/** A whole image block: the place, its title, and where the picture would come from. */
export function picture(block) {
  return el(
    "figure",
    { class: "block picture" },
    block.title ? el("figcaption", {}, plain(block.title)) : null,
    uploaded(block.slack_file?.id, block.alt_text, "picture-shown") ??
      el("div", { class: "picture-place", role: "img", "aria-label": block.alt_text }, block.alt_text),
    webAddress(block.image_url) ? el("div", { class: "faint" }, link(block.image_url, "Open the image")) : null,
  );
}
