/** Everything the page asks of the server. */

const STOPPED = "The demo did not answer. Is it still running?";
let user = null;

/** From now on every act is this person's. */
export function actAs(id) {
  user = id;
}

/** Does one thing as the chosen person: `{ok: true, …}` or `{ok: false, error}`; never throws. */
export function act(kind, details = {}) {
  return post("/page/act", { user, kind, ...details });
}

/** Lets Polar send that event as a freshly signed webhook. */
export function sendEvent(name) {
  return post("/page/polar/send", { name });
}

/** Plays, pauses, resumes or stops the month. */
export function orderMonth(order) {
  return post(`/page/month/${order}`, {});
}

async function post(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return await answer.json();
  } catch {
    return { ok: false, error: STOPPED };
  }
}
