/** Where the reader is, kept in the address: who they act as, the tab, the open thread. */

const TABS = ["channel", "home", "polar", "you"];

/** `{user, tab, thread}` of the address; user and thread may be null. */
export function here() {
  const asked = new URLSearchParams(location.search);
  const tab = asked.get("tab");
  return { user: asked.get("user"), tab: TABS.includes(tab) ? tab : "channel", thread: asked.get("thread") };
}

/** Goes to a changed place; the browser's back button comes back. */
export function go(change, { replace = false } = {}) {
  const place = { ...here(), ...change };
  if (place.tab === "channel") place.tab = null; // where everyone starts
  const asked = new URLSearchParams(Object.entries(place).filter(([, value]) => value));
  const address = `${location.pathname}?${asked}`;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  dispatchEvent(new Event("place"));
}

/** Opens a message's permalink on this page, where the reader stays who they are. */
export function followPermalinks() {
  document.addEventListener("click", (event) => {
    const { origin, pathname, search } = event.target.closest("a[href]") ?? {};
    const [, seconds, rest] = /^\/archives\/\w+\/p(\d+)(\d{6})$/.exec(pathname ?? "") ?? [];
    if (origin !== location.origin || seconds === undefined) return;
    event.preventDefault();
    go({ tab: null, thread: new URLSearchParams(search).get("thread_ts") ?? `${seconds}.${rest}` });
  });
}

/** Calls back on every move, the back button's too. */
export function onMove(callback) {
  addEventListener("place", callback);
  addEventListener("popstate", callback);
}
