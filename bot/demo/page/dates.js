/** Slack's date formats, in the reader's own time zone. */

const LANGUAGE = "en-US"; // the page speaks English, and so does Slack's reader of it
const DAY = 86_400_000;
let ahead = 0; // ms by which the story's clock is before the browser's

/** From now on "today" is that of the story: `iso` is its present moment. */
export function setClock(iso) {
  ahead = new Date(iso).getTime() - Date.now();
}

const present = () => new Date(Date.now() + ahead);

const shape = (options) => {
  const format = new Intl.DateTimeFormat(LANGUAGE, options);
  return (when) => format.format(when);
};

const time = shape({ hour: "numeric", minute: "2-digit" });
const date = shape({ month: "long", day: "numeric", year: "numeric" });
const short = shape({ month: "short", day: "numeric", year: "numeric" });
const long = shape({ weekday: "long", month: "long", day: "numeric", year: "numeric" });
const weekday = shape({ weekday: "short", month: "short", day: "numeric" });
const divider = shape({ weekday: "long", month: "long", day: "numeric" });

const TOKENS = {
  date_num: (when) =>
    [when.getFullYear(), when.getMonth() + 1, when.getDate()].map((part) => String(part).padStart(2, "0")).join("-"),
  date_slash: shape({ year: "numeric", month: "2-digit", day: "2-digit" }),
  date,
  date_short: short,
  date_long: long,
  date_long_full: long,
  date_pretty: (when, now) => near(when, now) ?? date(when),
  date_short_pretty: (when, now) => near(when, now) ?? short(when),
  date_long_pretty: (when, now) => near(when, now) ?? long(when),
  day_divider_pretty: (when, now) => capital(near(when, now)) ?? divider(when),
  time,
  time_secs: shape({ hour: "numeric", minute: "2-digit", second: "2-digit" }),
  ago,
};

/** `{date_short_pretty} at {time}` filled for a Unix time in seconds; null when no date can be made of it. */
export function formatDate(seconds, format, now = present()) {
  const when = new Date(Number(seconds) * 1000);
  if (Number.isNaN(when.getTime())) return null;
  let first = true;
  return format.replace(/\{([a-z_]+)\}/g, (written, token) => {
    const said = Object.hasOwn(TOKENS, token) ? TOKENS[token](when, now) : written;
    const opens = first;
    first = false;
    return opens && format.startsWith("{") ? capital(said) : said;
  });
}

/** "2:34 PM" of a message's ts. */
export function clock(ts) {
  return time(new Date(Number(ts) * 1000));
}

/** "Today", "Yesterday" or "Friday, November 20" of a message's ts. */
export function dayOf(ts, now = present()) {
  return TOKENS.day_divider_pretty(new Date(Number(ts) * 1000), now);
}

/** The day it is: what is said of "today" has to be drawn again when it is over. */
export function today() {
  return date(present());
}

/** "Thu, Dec 3" of an ISO time. */
export function storyDay(iso) {
  return weekday(new Date(iso));
}

/** "14:03:21" of an ISO time, for the panels. */
export function clockWithSeconds(iso) {
  return new Date(iso).toLocaleTimeString("en-GB");
}

function near(when, now) {
  const days = Math.round((midnight(when) - midnight(now)) / DAY);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days];
}

function midnight(when) {
  return new Date(when.getFullYear(), when.getMonth(), when.getDate()).getTime();
}

function capital(text) {
  return text && text[0].toUpperCase() + text.slice(1);
}

const STEPS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

function ago(when, now) {
  const seconds = Math.round((when - now) / 1000);
  const [unit, size] = STEPS.find(([, step]) => Math.abs(seconds) >= step) ?? STEPS.at(-1);
  return new Intl.RelativeTimeFormat(LANGUAGE).format(Math.trunc(seconds / size), unit);
}
