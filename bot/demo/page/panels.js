/** The panels around Polar: send an event, what Polar received, webhooks sent, Slack's traffic. */

import { sendEvent } from "./act.js";
import { clockWithSeconds } from "./dates.js";
import { el } from "./dom.js";
import { keepingFocus, reconcile } from "./keyed.js";

const GROUPS = [
  ["story", "The story of a small shop"],
  ["recorded", "Recorded deliveries"],
];

const UUID = /([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f-]{22}/g; // its first eight tell it apart on a narrow panel

/** Draws the events that can be sent. They change rarely, so each keeps its own answer line. */
export function drawEvents(root, events) {
  const groups = GROUPS.map(([group, title]) => ({ title, events: events.filter((event) => event.group === group) }));
  const items = groups
    .filter((group) => group.events.length)
    .map((group) => ({ key: group.title, print: JSON.stringify(group.events), ...group }));
  reconcile(root, items, makeGroup, fillGroup);
}

function makeGroup(group) {
  return fillGroup(el("section", { class: "event-group" }, el("h3", {}, group.title), el("div", {})), group);
}

function fillGroup(node, { events }) {
  const items = events.map((event) => ({ key: event.name + event.title, print: "", event }));
  reconcile(node.lastElementChild, items, ({ event }) => eventRow(event));
  return node;
}

function eventRow({ name, title }) {
  const said = el("span", { class: "event-answer", role: "status" });
  const row = el(
    "button",
    { type: "button", class: "event-row", "data-event": name },
    el("span", { class: "event-title" }, title || name, title ? el("code", { class: "event-name" }, name) : null),
    said,
    el("span", { class: "event-send", "aria-hidden": "true" }, "Send"),
  );
  row.onclick = async () => {
    row.classList.add("is-busy");
    const answer = await sendEvent(name);
    row.classList.remove("is-busy");
    said.className = `event-answer ${answer.ok ? "is-good" : "is-bad"}`;
    said.textContent = answer.ok ? `✓ ${answer.status}` : answer.error;
  };
  return row;
}

/** Draws the calls Polar received, newest first; a write stands out and says what it changed. */
export function drawReceived(root, calls) {
  drawRows(root, calls, "Nothing yet. Approve a card and its call appears here.", (call) => ({
    key: `${call.at} ${call.method} ${call.path}`,
    classes: call.write ? (isDone(call) ? "row-write" : "row-refused") : "",
    head: [
      el("b", { class: "row-method" }, call.method),
      el("span", { class: "row-what", title: call.path }, call.path.replace(UUID, "$1…")),
      status(call.status || "dropped", isDone(call)),
    ],
    more: outcomeOf(call),
    details: [
      ["Path", call.path],
      ["Query", isEmpty(call.query) ? null : shown(call.query)],
      ["Body", call.body === null || call.body === undefined ? null : shown(call.body)],
      ["Answer", call.answer || null],
    ],
  }));
}

/** What a write changed, or why it was refused. */
function outcomeOf(call) {
  if (call.changed) return el("div", { class: "row-changed" }, call.changed);
  return call.write && !isDone(call) && call.answer ? el("div", { class: "row-more" }, call.answer) : null;
}

/** Draws the webhooks Polar sent, newest first; `echo` marks those our own writes caused. */
export function drawSent(root, webhooks) {
  drawRows(root, webhooks, "Nothing yet. Send an event and its webhook appears here.", (webhook) => ({
    key: `${webhook.at} ${webhook.webhook_id}`,
    classes: "",
    head: [
      el("span", { class: "row-what" }, webhook.type),
      webhook.echo ? el("span", { class: "echo", title: "Caused by our own write" }, "echo") : null,
      status(webhook.status ?? "…", webhook.status === null || (webhook.status >= 200 && webhook.status < 300)),
    ],
    more: webhook.title ? el("div", { class: "row-more" }, webhook.title) : null,
    details: [["webhook-id", webhook.webhook_id]],
  }));
}

/** Draws what the app and Slack said to each other, newest first. */
export function drawTraffic(root, calls) {
  drawRows(root, calls, "Nothing yet.", (call) => ({
    key: `${call.at} ${call.direction} ${call.what}`,
    classes: "",
    head: [
      el("span", { class: "row-direction", title: call.direction }, call.direction.startsWith("app") ? "→" : "←"),
      el("span", { class: "row-what" }, call.what),
      status(call.ok ? "ok" : call.error, call.ok),
    ],
    more: null,
    details: [
      ["Direction", call.direction],
      ["Took", typeof call.ms === "number" ? `${call.ms.toFixed(1)} ms` : null],
      ["Error", call.error],
    ],
  }));
}

function status(said, good) {
  return el("span", { class: good ? "status is-good" : "status is-bad" }, String(said));
}

const isDone = (call) => call.status > 0 && call.status < 400; // 0: the connection was dropped
const isEmpty = (record) => !record || Object.keys(record).length === 0;
const shown = (content) => JSON.stringify(content, null, 2);

function drawRows(root, entries, nothing, describe) {
  const newestFirst = entries.toSorted((one, other) => other.at.localeCompare(one.at));
  const items = newestFirst.map((entry) => ({ key: describe(entry).key, print: JSON.stringify(entry), entry }));
  if (items.length === 0) items.push({ key: "nothing", print: nothing });
  const make = ({ entry }) => (entry ? row(entry, describe(entry)) : el("p", { class: "faint empty-row" }, nothing));
  keepingFocus(() => reconcile(root, items, make));
}

function row(entry, { classes, head, more, details }) {
  const opened = details
    .filter(([, content]) => content !== null && content !== undefined)
    .map(([title, content]) => detail(title, content));
  const time = el("time", { class: "faint row-time" }, clockWithSeconds(entry.at));
  return el(
    "details",
    { class: `row ${classes}` },
    el("summary", {}, el("div", { class: "row-head" }, ...head, time), more),
    ...opened,
  );
}

function detail(title, content) {
  return el("div", { class: "row-detail" }, el("div", { class: "faint" }, title), el("pre", {}, content));
}
