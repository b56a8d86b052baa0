"""Turns what the page asks for, `{"user", "kind", …}`, into acts of people."""

from typing import Any

from bot.demo.slack.interactions import CannotAct, Clicked, Interactions
from bot.demo.slack.payloads import VALUE_KEYS
from bot.demo.slack.state import BROKEN, Json, Refused

ACTS = {
    "click": ("user", "channel", "ts", "action_id"),
    "close": ("user", "view_id"),
    "command": ("user", "command"),
    "message": ("user", "text"),
    "open_home": ("user",),
    "submit": ("user", "view_id"),
    "suggest": ("user", "view_id", "action_id", "value"),
    "view_click": ("user", "view_id", "action_id"),
}
"""The acts, and what each needs."""

NAMES = ("user", "channel", "ts", "thread_ts", "view_id", "block_id", "action_id", "command")
CHOICES = frozenset(VALUE_KEYS.values()) | {"values"}
# Errors of a transport, which a person sees as one sentence.
UNANSWERED = frozenset(
    {"timeout", "http_timeout", "http_error", "connection_failed", "connection_lost", "not_connected"}
)


async def page_act(people: Interactions, body: Json) -> Json:
    """Carries out one act. A fault in what the page sent is an answer, not an exception."""
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in ACTS:
        return {"ok": False, "error": f"The stand-in knows no act {kind!r}."}
    if wrong := [name for name in NAMES if not isinstance(body.get(name, ""), str | None)]:
        return {"ok": False, "error": f"The act {kind} takes text as {wrong[0]}."}
    try:
        return await _carried_out(people, kind, {name: body[name] for name in ACTS[kind]}, body)
    except KeyError as missing:
        return {"ok": False, "error": f"The act {kind} needs {missing}."}
    except (CannotAct, Refused) as problem:
        return {"ok": False, "error": str(problem)}


async def _carried_out(people: Interactions, kind: str, needed: Json, body: Json) -> Json:
    match kind:
        case "message":
            text = str(body["text"])
            if not text.strip():
                return {"ok": False, "error": "There is nothing to send."}
            return {"ok": True, "ts": people.say(body["user"], people.encode(text), body.get("thread_ts"))}
        case "open_home":
            people.open_home(body["user"])
            return {"ok": True}
        case "command":
            text = people.encode(str(body.get("text") or ""), labels=True)
            return _answer(await people.command(body["user"], body["command"], text))
        case "close":
            return _answer(await people.close(**needed))
        case "submit":
            values = body.get("values")
            return _answer(await people.submit(**needed, values=values if isinstance(values, dict) else {}))
    needed["block_id"] = body.get("block_id")
    if kind == "suggest":
        offered = await people.suggest(**needed | {"value": str(body["value"])})
        groups = {"option_groups": offered.option_groups} if offered.option_groups else {}
        return _answer(offered) | {"options": offered.options} | groups
    tap = people.click if kind == "click" else people.view_click
    return _answer(await tap(**needed, **_chosen(body)))


def _answer(clicked: Clicked) -> Json:
    answer: Json = {"ok": clicked.error is None, "ms": round(clicked.ms, 1)}
    if clicked.error is not None:
        answer["error"] = BROKEN if clicked.error in UNANSWERED else clicked.error
    return answer


def _chosen(body: Json) -> dict[str, Any]:
    chosen = {key: body[key] for key in CHOICES if body.get(key) is not None}
    return chosen if isinstance(chosen.get("values", {}), dict) else {}
