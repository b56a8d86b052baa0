/** Draws the select menus and the list they open. */

import { arrowKeys, openMenu } from "./dialogs.js";
import { people } from "./directory.js";
import { el } from "./dom.js";
import { icon } from "./icons.js";
import { answer } from "./inputs.js";
import { focusName } from "./press.js";
import { optionText, plain } from "./text.js";

const PAUSE = 250; // ms without a key before the app is asked for suggestions
const SEARCHABLE = 8; // options from which on a search field helps
const LEAST_QUERY = 3; // Slack's default for `min_query_length`

/** `static_select`: the options are in the block. */
export function staticSelect(element, block, surface, labelledBy) {
  return single(element, block, surface, labelledBy, fixed(element));
}

/** `external_select`: the app suggests while the person types. */
export function externalSelect(element, block, surface, labelledBy) {
  return single(element, block, surface, labelledBy, suggested(element, block, surface));
}

/** `users_select`: the people of the workspace, as Slack itself offers them. */
export function usersSelect(element, block, surface, labelledBy) {
  const options = people().map(({ id, name }) => ({ value: id, text: { type: "plain_text", text: name } }));
  const chosen = () => options.find((option) => option.value === surface.form.read(block, element).selected_user);
  const face = () => (chosen() ? [plain(chosen().text)] : []);
  const control = anchor(element, block, surface, labelledBy, face, () => {
    openList(control, fixed({ options }), {
      isChosen: (option) => chosen()?.value === option.value,
      choose: (option) => {
        answer(surface, block, element, { selected_user: option.value });
        control.redraw();
      },
    });
  });
  return control;
}

/** `multi_static_select`: every tap adds or takes away one. */
export function multiSelect(element, block, surface, labelledBy) {
  return several(element, block, surface, labelledBy, fixed(element));
}

/** `multi_external_select`: the same, and the app suggests. */
export function multiExternalSelect(element, block, surface, labelledBy) {
  return several(element, block, surface, labelledBy, suggested(element, block, surface));
}

function several(element, block, surface, labelledBy, source) {
  const chosen = () => surface.form.read(block, element).selected_options;
  const most = element.max_selected_items ?? Infinity;
  const face = () => chosen().map((option) => el("span", { class: "token" }, plain(option.text)));
  const control = anchor(element, block, surface, labelledBy, face, () => {
    openList(control, source, {
      multiple: true,
      isChosen: (option) => chosen().some((other) => other.value === option.value),
      choose: (option) => {
        const kept = chosen().filter((other) => other.value !== option.value);
        const added = kept.length === chosen().length && kept.length < most ? [option] : [];
        surface.form.write(block, element, { selected_options: [...kept, ...added] });
        control.redraw();
      },
      closed: () => answer(surface, block, element, { selected_options: chosen() }),
    });
  });
  return control;
}

function single(element, block, surface, labelledBy, source) {
  const chosen = () => surface.form.read(block, element).selected_option;
  const face = () => (chosen() ? [plain(chosen().text)] : []);
  const control = anchor(element, block, surface, labelledBy, face, () => {
    openList(control, source, {
      isChosen: (option) => chosen()?.value === option.value,
      choose: (option) => {
        answer(surface, block, element, { selected_option: option });
        control.redraw();
      },
    });
  });
  return control;
}

/** The closed select: what is chosen, or the placeholder, and an arrow. */
function anchor(element, block, surface, labelledBy, face, onclick) {
  const shown = el("span", { class: "label" });
  const control = el(
    "button",
    {
      type: "button",
      class: "field select",
      "aria-haspopup": "listbox",
      "aria-labelledby": labelledBy,
      "aria-invalid": surface.errors[block.block_id] ? "true" : null,
      "data-focus": focusName(surface, block, element),
      "data-action": element.action_id,
      onclick,
    },
    shown,
    icon("down"),
  );
  const placeholder = element.placeholder ? plain(element.placeholder) : "Select an item";
  control.redraw = () => {
    const parts = face();
    shown.classList.toggle("faint", parts.length === 0);
    shown.replaceChildren(...(parts.length ? parts : [placeholder]));
  };
  control.redraw();
  return control;
}

const groupsOf = ({ option_groups: groups, options }) => groups ?? [{ options: options ?? [] }];

function fixed(element) {
  const groups = groupsOf(element);
  const find = (query) =>
    groups.map((group) => ({ ...group, options: group.options.filter((option) => matches(option, query)) }));
  const count = groups.reduce((sum, group) => sum + group.options.length, 0);
  return { search: count > SEARCHABLE, pause: 0, find };
}

const matches = (option, query) => plain(option.text).toLowerCase().includes(query.toLowerCase());

function suggested(element, block, surface) {
  const least = element.min_query_length ?? LEAST_QUERY;
  const find = async (query) => {
    if (query.length < least) return { note: `Type ${least} or more characters to search.` };
    const reply = await surface.suggest(block, { action_id: element.action_id, value: query });
    return reply.ok ? groupsOf(reply) : { note: reply.error };
  };
  return { search: true, pause: PAUSE, find };
}

function openList(control, source, choice) {
  const list = el("div", { role: "listbox", "aria-multiselectable": choice.multiple ? "true" : null });
  const pick = (option, row) => {
    choice.choose(option);
    if (!choice.multiple) menu.close();
    else row.setAttribute("aria-selected", String(choice.isChosen(option)));
  };
  const show = newest(source.find, (found) => list.replaceChildren(...rows(found, choice, pick)));
  const done = choice.multiple ? doneButton(() => menu.close()) : null;
  const search = source.search ? searchField(source, show) : null;
  const picker = el("div", { class: "picker", onkeydown: arrowKeys }, search, list, done);
  const menu = openMenu(control, "Options", picker);
  menu.addEventListener("close", () => choice.closed?.());
  show("");
}

function searchField(source, show) {
  let timer = 0;
  const oninput = (event) => {
    clearTimeout(timer);
    timer = setTimeout(show, source.pause, event.target.value);
  };
  const attributes = { class: "field", type: "search", placeholder: "Search", "aria-label": "Search the options" };
  return el("input", { ...attributes, oninput });
}

function doneButton(onclick) {
  const label = el("span", { class: "label" }, "Done");
  return el("button", { type: "button", class: "button button-primary menu-done", onclick }, label);
}

/** Asks again and again, and passes on the answer to the latest question only. */
function newest(find, show) {
  let latest = 0;
  return async (query) => {
    latest += 1;
    const mine = latest;
    const found = await find(query);
    if (mine === latest) show(found);
  };
}

function rows(found, choice, pick) {
  if (found.note) return [el("p", { class: "faint menu-note" }, found.note)];
  const drawn = found.flatMap((group) => [
    group.label && group.options.length ? el("div", { class: "group-label" }, plain(group.label)) : null,
    ...group.options.map((option) => optionRow(option, choice, pick)),
  ]);
  return drawn.some(Boolean) ? drawn.filter(Boolean) : [el("p", { class: "faint menu-note" }, "Nothing found.")];
}

function optionRow(option, choice, pick) {
  const chosen = String(choice.isChosen(option));
  const onclick = () => pick(option, row);
  const attributes = { type: "button", role: "option", class: "menu-row", "aria-selected": chosen, onclick };
  const row = el("button", attributes, optionText(option), icon("check"));
  return row;
}
