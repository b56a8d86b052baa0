/** Starts the page: listens to the server, and hands each snapshot to the parts that draw it. */

import { actAs } from "./act.js";
import { Composer } from "./composer.js";
import { setClock } from "./dates.js";
import { readDirectory } from "./directory.js";
import { Home } from "./home.js";
import { drawIcons } from "./icons.js";
import { Live } from "./live.js";
import { MessageList } from "./messagelist.js";
import { Modals } from "./modals.js";
import { Month } from "./month.js";
import { drawEvents, drawReceived, drawSent, drawTraffic } from "./panels.js";
import { People } from "./people.js";
import { onWarning } from "./press.js";
import { followPermalinks, go, here, onMove } from "./route.js";
import { watchHint } from "./hint.js";

const find = (name) => document.querySelector(name);
const findAll = (name) => [...document.querySelectorAll(name)];
const openThread = (ts) => go({ thread: ts, tab: "channel" });

const latest = { slack: null, polar: null, month: null };
const channelList = new MessageList(find("#channel"), openThread);
const threadList = new MessageList(find("#thread"), openThread);
const composers = [
  new Composer(find("#channel form"), () => null, () => channelList.toEnd()),
  new Composer(find("#thread form"), () => here().thread, () => threadList.toEnd()),
];
const home = new Home(find("#home"));
const modals = new Modals();
const month = new Month(find("#month"));
const people = new People(findAll("[data-people]"), findAll("[data-pill]"), become);
const live = new Live(take, (up) => {
  find("#stopped").hidden = up;
});

/** Acts as someone else from here on; the phone's list of people gives way to the channel. */
function become(user) {
  const { tab } = here();
  go({ user, tab: tab === "you" ? "channel" : tab });
}

const wide = matchMedia("(min-width: 900px)");
let watched;
let planned = false;
let shownThread = null;
let seenWrite = null;

/** Draws at the browser's next frame, however many snapshots come before it. */
function plan() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    draw();
  });
}

function take(snapshot) {
  if (snapshot.kind === "slack") {
    if (snapshot.viewer !== here().user) {
      watched = snapshot.viewer; // the server chose: an address without a name, or with an unknown one
      go({ user: snapshot.viewer }, { replace: true });
    }
    actAs(snapshot.viewer);
  }
  if (snapshot.kind === "month") setClock(snapshot.at);
  latest[snapshot.kind] = snapshot;
  plan();
}

function move() {
  const { user, tab, thread } = here();
  document.body.dataset.tab = tab;
  document.body.dataset.thread = thread ? "open" : "shut";
  for (const button of findAll("[data-go]")) {
    if (button.dataset.go === tab) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  if (user !== watched) {
    watched = user;
    actAs(user);
    live.watch(user);
  }
  plan();
}

function draw() {
  if (latest.slack) drawSlack(latest.slack);
  if (latest.polar) drawPolar(latest.polar);
  if (latest.month) month.draw(latest.month);
}

function drawSlack(slack) {
  const { tab, thread, user } = here();
  readDirectory(slack);
  for (const place of findAll("[data-team]")) place.textContent = slack.team.name;
  for (const place of findAll("[data-channel]")) place.textContent = slack.channel.name;
  for (const place of findAll("[data-app]")) place.textContent = slack.bot.name;
  find("[data-topic]").textContent = slack.channel.topic ?? "";
  document.title = `#${slack.channel.name} · ${slack.team.name}`;
  people.draw(slack.users, slack.viewer);
  for (const composer of composers) composer.update(slack);
  drawMessages(slack, thread);
  home.visit(user, tab === "home");
  home.draw(slack.home);
  modals.draw(slack.modals);
  drawTraffic(find("#traffic"), slack.traffic);
}

function drawMessages({ messages, channel }, thread) {
  const isRoot = (message) => !message.thread_ts || message.thread_ts === message.ts;
  const repliers = repliersOf(messages.filter((message) => !isRoot(message)));
  const surroundings = (inThread) => ({ channel: channel.id, inThread, repliers });
  const roots = messages.filter(isRoot);
  find("#channel .empty").hidden = roots.length > 0;
  channelList.draw(roots, surroundings(false));
  if (!thread) return;
  const inThread = messages.filter((message) => message.ts === thread || message.thread_ts === thread);
  find("#thread .empty").hidden = inThread.some((message) => message.ts === thread);
  threadList.draw(inThread, surroundings(true));
  if (thread !== shownThread) threadList.toEnd();
  shownThread = thread;
}

function repliersOf(replies) {
  const found = new Map();
  for (const { thread_ts: root, user: id, bot } of replies) {
    const known = found.get(root) ?? [];
    if (!known.some((other) => other.id === id)) found.set(root, [...known, { id, bot }]);
  }
  return found;
}

function drawPolar(polar) {
  drawEvents(find("#events"), polar.events);
  drawReceived(find("#received"), polar.received);
  drawSent(find("#sent"), polar.sent);
  const newest = polar.received.filter((call) => call.write).map((call) => call.at).sort().at(-1) ?? "";
  if (seenWrite === null || here().tab === "polar") seenWrite = newest;
  find("#unseen").hidden = newest <= seenWrite;
}

/** A desktop always shows the events to send, so its tabs start at what they cause. */
function firstPanel() {
  choosePanel(wide.matches ? "received" : "send");
}

function choosePanel(name) {
  document.body.dataset.panel = name;
  for (const tab of findAll("[data-panel-tab]")) {
    tab.setAttribute("aria-selected", String(tab.dataset.panelTab === name));
  }
}

drawIcons(document);
for (const button of findAll("[data-go]")) {
  button.addEventListener("click", () => go({ tab: button.dataset.go, thread: null }));
}
for (const tab of findAll("[data-panel-tab]")) {
  tab.addEventListener("click", () => choosePanel(tab.dataset.panelTab));
}
find("#close-thread").addEventListener("click", () => go({ thread: null }));
wide.addEventListener("change", firstPanel);
firstPanel();
watchHint(find("#hint"));
followPermalinks();
onWarning(plan);
onMove(move);
move();
