/** Draws what is typed, picked from a calendar or ticked. */

import { el } from "./dom.js";
import { focusName, press } from "./press.js";
import { optionText, plain } from "./text.js";

const PAUSE = 400; // ms without a key before `on_character_entered` is sent

/** Elements of an input block keep quiet until the view is submitted, unless it says otherwise. */
export function dispatches(block) {
  return block.type !== "input" || block.dispatch_action === true;
}

/** Keeps an answer and, where Slack would, tells the app at once. */
export function answer(surface, block, element, state) {
  surface.form.write(block, element, state);
  if (dispatches(block)) press(surface, block, element, state);
}

function common(element, block, surface, labelledBy) {
  return {
    "aria-labelledby": labelledBy,
    "aria-label": labelledBy ? null : (element.placeholder && plain(element.placeholder)) || element.action_id,
    "aria-invalid": surface.errors[block.block_id] ? "true" : null,
    "data-focus": focusName(surface, block, element),
    "data-action": element.action_id,
    autofocus: element.focus_on_load === true,
    placeholder: element.placeholder && plain(element.placeholder),
    class: "field",
  };
}

/** `plain_text_input`, one line or several. */
export function textField(element, block, surface, labelledBy) {
  const multiline = element.multiline === true;
  return typed(multiline ? "textarea" : "input", element, block, surface, {
    ...common(element, block, surface, labelledBy),
    type: multiline ? null : "text",
    rows: multiline ? 4 : null,
    maxlength: element.max_length,
  });
}

/** `number_input`; what is no number is refused at submit, so that nothing typed is lost. */
export function numberField(element, block, surface, labelledBy) {
  const inputmode = element.is_decimal_allowed ? "decimal" : "numeric";
  const attributes = { ...common(element, block, surface, labelledBy), type: "text", inputmode };
  return typed("input", element, block, surface, attributes);
}

function typed(tag, element, block, surface, attributes) {
  const triggers = element.dispatch_action_config?.trigger_actions_on ?? ["on_enter_pressed"];
  const tell = () => dispatches(block) && press(surface, block, element, surface.form.read(block, element));
  let timer = 0;
  return el(tag, {
    ...attributes,
    value: surface.form.read(block, element).value ?? "",
    oninput: (event) => {
      surface.form.write(block, element, { value: event.target.value || null });
      clearTimeout(timer);
      if (triggers.includes("on_character_entered")) timer = setTimeout(tell, PAUSE);
    },
    onkeydown: (event) => {
      if (event.key === "Enter" && tag === "input" && triggers.includes("on_enter_pressed")) tell();
    },
  });
}

/** `datepicker`: the browser's own calendar, which a phone shows as its wheel. */
export function dateField(element, block, surface, labelledBy) {
  return el("input", {
    ...common(element, block, surface, labelledBy),
    type: "date",
    value: surface.form.read(block, element).selected_date ?? "",
    onchange: (event) => answer(surface, block, element, { selected_date: event.target.value || null }),
  });
}

/** `datetimepicker`: Unix seconds to the app, local time to the person. */
export function momentField(element, block, surface, labelledBy) {
  const seconds = surface.form.read(block, element).selected_date_time;
  return el("input", {
    ...common(element, block, surface, labelledBy),
    type: "datetime-local",
    value: seconds === null ? "" : localMinute(seconds),
    onchange: (event) => {
      const chosen = event.target.value ? Math.floor(new Date(event.target.value).getTime() / 1000) : null;
      answer(surface, block, element, { selected_date_time: chosen });
    },
  });
}

function localMinute(seconds) {
  const when = new Date(seconds * 1000);
  return new Date(when.getTime() - when.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export function checkboxes(element, block, surface, labelledBy) {
  const chosen = () => surface.form.read(block, element).selected_options;
  return ticks("checkbox", element, block, surface, labelledBy, {
    isChosen: (option) => chosen().some((other) => other.value === option.value),
    choose: (option, on) => {
      const kept = chosen().filter((other) => other.value !== option.value);
      answer(surface, block, element, { selected_options: on ? [...kept, option] : kept });
    },
  });
}

export function radioButtons(element, block, surface, labelledBy) {
  return ticks("radio", element, block, surface, labelledBy, {
    isChosen: (option) => surface.form.read(block, element).selected_option?.value === option.value,
    choose: (option) => answer(surface, block, element, { selected_option: option }),
  });
}

function ticks(type, element, block, surface, labelledBy, { isChosen, choose }) {
  const group = focusName(surface, block, element);
  const rows = element.options.map((option, index) =>
    el(
      "label",
      { class: "tick" },
      el("input", {
        type,
        name: group,
        checked: isChosen(option),
        "data-focus": focusName(surface, block, element, index),
        onchange: (event) => choose(option, event.target.checked),
      }),
      optionText(option),
    ),
  );
  const role = type === "radio" ? "radiogroup" : "group";
  return el("div", { role, class: "ticks", "aria-labelledby": labelledBy, "data-action": element.action_id }, ...rows);
}
