/** What people chose and typed in one message or view, in the shape of Slack's `state.values`. */

const INITIAL = {
  plain_text_input: (element) => ({ value: element.initial_value || null }),
  number_input: (element) => ({ value: element.initial_value || null }),
  datepicker: (element) => ({ selected_date: element.initial_date ?? null }),
  datetimepicker: (element) => ({ selected_date_time: element.initial_date_time ?? null }),
  checkboxes: (element) => ({ selected_options: element.initial_options ?? [] }),
  radio_buttons: (element) => ({ selected_option: element.initial_option ?? null }),
  static_select: (element) => ({ selected_option: element.initial_option ?? null }),
  external_select: (element) => ({ selected_option: element.initial_option ?? null }),
  users_select: (element) => ({ selected_user: element.initial_user ?? null }),
  multi_static_select: (element) => ({ selected_options: element.initial_options ?? [] }),
  multi_external_select: (element) => ({ selected_options: element.initial_options ?? [] }),
};

export class Form {
  #answers = new Map();

  /** The state of one element: what was entered, else its initial value. */
  read(block, element) {
    return this.#answers.get(name(block, element)) ?? INITIAL[element.type](element);
  }

  write(block, element, answer) {
    this.#answers.set(name(block, element), answer);
  }

  /** `{block_id: {action_id: {type, …}}}` of every element of the view that holds something. */
  values(blocks) {
    const values = {};
    for (const [block, element] of held(blocks)) {
      values[block.block_id] ??= {};
      values[block.block_id][element.action_id] = { type: element.type, ...this.read(block, element) };
    }
    return values;
  }

  /** `{block_id: text}` for what Slack's client itself would not let through. */
  faults(blocks) {
    const faults = {};
    for (const [block, element] of held(blocks)) {
      if (block.type !== "input") continue;
      const fault = faultOf(element, Object.values(this.read(block, element))[0], block.optional === true);
      if (fault) faults[block.block_id] = fault;
    }
    return faults;
  }
}

const name = (block, element) => `${block.block_id}/${element.action_id}`;

function held(blocks) {
  return blocks.flatMap((block) =>
    [block.element, block.accessory, ...(block.type === "actions" ? block.elements : [])]
      .filter((element) => element && Object.hasOwn(INITIAL, element.type))
      .map((element) => [block, element]),
  );
}

function faultOf(element, answer, optional) {
  if (answer === null || answer.length === 0) return optional ? null : "Please complete this required field.";
  if (element.type === "number_input") return faultOfNumber(element, answer);
  if (answer.length < element.min_length) return `Please enter at least ${element.min_length} characters.`;
  if (answer.length > element.max_length) return `Please enter at most ${element.max_length} characters.`;
  return null;
}

function faultOfNumber(element, answer) {
  const shape = element.is_decimal_allowed ? /^-?\d+(\.\d+)?$/ : /^-?\d+$/;
  const { is_decimal_allowed: decimal, min_value: least, max_value: most } = element;
  if (!shape.test(answer)) return decimal ? "Please enter a number." : "Please enter a whole number.";
  if (Number(answer) < Number(least)) return `Please enter ${least} or more.`; // no limit is NaN: never true
  if (Number(answer) > Number(most)) return `Please enter ${most} or less.`;
  return null;
}

const forms = new Map();

/** The form of a message (by ts) or a view (by id); it outlives every redraw. */
export function formOf(owner) {
  if (!forms.has(owner)) forms.set(owner, new Form());
  return forms.get(owner);
}

/** Forgets a view that was closed, so that it opens empty the next time. */
export function forgetForm(owner) {
  forms.delete(owner);
}
