/** Shows who the reader acts as, and lets them be someone else. */

import { el } from "./dom.js";
import { reconcile } from "./keyed.js";
import { avatar } from "./message.js";

const ROLES = {
  approver: ["Operator", "May approve and decline"],
  second: ["Second approver", "May approve and decline too"],
  member: ["Stranger", "A colleague who may not decide"],
  guest: ["Guest", "A guest of the workspace"],
  outside: ["Outside", "From another workspace (Slack Connect)"],
  deactivated: ["Deactivated", "Has left the team and cannot act"],
};

/** The key into `ROLES` of one of the snapshot's users: the first approver is the operator. */
function roleOf(user, users) {
  const first = users.find((other) => other.role === "approver");
  return user.role === "approver" && user !== first ? "second" : user.role;
}

/** Draws the list of people and every pill that names the reader. */
export class People {
  #lists;
  #pills;
  #choose;

  constructor(lists, pills, choose) {
    this.#lists = lists;
    this.#pills = pills;
    this.#choose = choose;
  }

  draw(users, viewer) {
    for (const list of this.#lists) this.#drawList(list, users, viewer);
    const user = users.find((other) => other.id === viewer);
    for (const pill of this.#pills) {
      const role = user && roleOf(user, users);
      pill.className = `pill role-${role}`;
      pill.replaceChildren(user ? `${user.real_name} · ${ROLES[role][0]}` : viewer);
      pill.title = user ? `You act as ${user.real_name}: ${ROLES[role][1]}` : viewer;
    }
  }

  #drawList(list, users, viewer) {
    const items = users.map((user) => ({ key: user.id, print: JSON.stringify([user, user.id === viewer]), user }));
    reconcile(list, items, ({ user }) => this.#row(user, roleOf(user, users), user.id === viewer), (node, { user }) => {
      node.setAttribute("aria-checked", String(user.id === viewer));
    });
  }

  #row(user, role, chosen) {
    const [title, meaning] = ROLES[role];
    return el(
      "button",
      {
        type: "button",
        role: "radio",
        class: "person",
        "aria-checked": String(chosen),
        "data-user": user.id,
        disabled: role === "deactivated",
        title: meaning,
        onclick: () => this.#choose(user.id),
      },
      avatar(user.id),
      el("span", { class: "person-name" }, user.real_name, el("span", { class: "person-meaning" }, meaning)),
      el("span", { class: `pill role-${role}` }, title),
    );
  }
}
