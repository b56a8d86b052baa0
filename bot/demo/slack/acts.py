"""Turns what the page asks for, `{"user", "kind", …}`, into acts of people."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from bot.demo.slack.interactions import CannotAct, Clicked, Interactions
from bot.demo.slack.payloads import VALUE_KEYS
from bot.demo.slack.state import BROKEN, Json, Refused

NAMES = ("user", "channel", "ts", "thread_ts", "view_id", "block_id", "action_id", "command")
CHOICES = frozenset(VALUE_KEYS.values()) | {"values"}
# Errors of a transport, which a person sees as one sentence.
UNANSWERED = frozenset(
    {"timeout", "http_timeout", "http_error", "connection_failed", "connection_lost", "not_connected"}
)


class Encode(Protocol):
    """Typed text to Slack's encoding."""

    def __call__(self, typed: str, *, labels: bool = False) -> str: ...


async def page_act(people: Interactions, body: Json, encode: Encode) -> Json:
    """Carries out one act. A fault in what the page sent is an answer, not an exception."""
    kind = body.get("kind")
    act = ACTS.get(kind) if isinstance(kind, str) else None
    if act is None:
        return {"ok": False, "error": f"The stand-in knows no act {kind!r}."}
    if wrong := [name for name in NAMES if not isinstance(body.get(name, ""), str | None)]:
        return {"ok": False, "error": f"The act {kind} takes text as {wrong[0]}."}
    try:
        return await act(people, body, encode)
    except KeyError as missing:
        return {"ok": False, "error": f"The act {kind} needs {missing}."}
    except (CannotAct, Refused) as problem:
        return {"ok": False, "error": str(problem)}


def _answer(clicked: Clicked) -> Json:
    if clicked.error is None:
        return {"ok": True, "ms": round(clicked.ms, 1)}
    return {
        "ok": False,
        "error": BROKEN if clicked.error in UNANSWERED else clicked.error,
        "ms": round(clicked.ms, 1),
    }


def _chosen(body: Json) -> dict[str, Any]:
    chosen = {key: body[key] for key in CHOICES if body.get(key) is not None}
    return chosen if isinstance(chosen.get("values", {}), dict) else {}


async def _click(people: Interactions, body: Json, encode: Encode) -> Json:
    del encode
    where = (body["user"], body["channel"], body["ts"], body["action_id"], body.get("block_id"))
    return _answer(await people.click(*where, **_chosen(body)))


async def _view_click(people: Interactions, body: Json, encode: Encode) -> Json:
    del encode
    where = (body["user"], body["view_id"], body["action_id"], body.get("block_id"))
    return _answer(await people.view_click(*where, **_chosen(body)))


async def _submit(people: Interactions, body: Json, encode: Encode) -> Json:
    del encode
    values = body.get("values")
    return _answer(
        await people.submit(body["user"], body["view_id"], values if isinstance(values, dict) else {})
    )


async def _close(people: Interactions, body: Json, encode: Encode) -> Json:
    del encode
    return _answer(await people.close(body["user"], body["view_id"]))


async def _suggest(people: Interactions, body: Json, encode: Encode) -> Json:
    del encode
    where = (body["user"], body["view_id"], body["action_id"], str(body["value"]), body.get("block_id"))
    offered = await people.suggest(*where)
    answer = _answer(offered.clicked) | {"options": offered.options}
    return answer | {"option_groups": offered.option_groups} if offered.option_groups else answer


async def _command(people: Interactions, body: Json, encode: Encode) -> Json:
    text = encode(str(body.get("text") or ""), labels=True)
    return _answer(await people.command(body["user"], body["command"], text))


async def _message(people: Interactions, body: Json, encode: Encode) -> Json:
    text = str(body["text"])
    if not text.strip():
        return {"ok": False, "error": "There is nothing to send."}
    return {"ok": True, "ts": people.say(body["user"], encode(text), body.get("thread_ts"))}


async def _open_home(people: Interactions, body: Json, encode: Encode) -> Json:
    del encode
    people.open_home(body["user"])
    return {"ok": True}


Act = Callable[[Interactions, Json, Encode], Awaitable[Json]]
ACTS: dict[str, Act] = {
    "click": _click,
    "close": _close,
    "command": _command,
    "message": _message,
    "open_home": _open_home,
    "submit": _submit,
    "suggest": _suggest,
    "view_click": _view_click,
}
