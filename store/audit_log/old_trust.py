"""The words of earlier versions about trust, in the codes of today: rows of the log, and migrated columns.

They stored sentences. A sentence that is not known here stays what it is, under the code `text`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from store.models import Mode
from store.models.reasons import AlwaysAsk, ChangeCause, ChangeCode, LabelReason, PolicyCode, PolicyReason

_Arguments = Callable[[re.Match[str]], dict[str, Any]]

ALWAYS: Mapping[str, AlwaysAsk] = {
    "somebody is handed a link": AlwaysAsk.HANDS_OUT_LINK,
    "it is about trust itself": AlwaysAsk.ABOUT_TRUST,
    "proposed by hand": AlwaysAsk.BY_HAND,
    "a person proposed it": AlwaysAsk.BY_HAND,
    "a person edited it": AlwaysAsk.EDITED,
    "it takes something back": AlwaysAsk.TAKES_BACK,
    "a customer lost access": AlwaysAsk.LOST_ACCESS,
    "somebody lost a seat": AlwaysAsk.LOST_SEAT,
    "it says that something changed, not what": AlwaysAsk.STATE_CHANGED,
    "money is under dispute": AlwaysAsk.MONEY_DISPUTED,
    "no kind of case fits it": AlwaysAsk.NO_CASE_KIND,
    "this version does not know its calls": AlwaysAsk.UNKNOWN_CALLS,
    "the customer's money is under dispute": AlwaysAsk.DISPUTED,
    "the rules file says so": AlwaysAsk.FORBIDDEN,
    "irreversible": AlwaysAsk.IRREVERSIBLE,
    "its risk class has no bar": AlwaysAsk.NO_THRESHOLD,
    "high risk, and not opted in": AlwaysAsk.NOT_OPTED_IN,
    "it takes two people": AlwaysAsk.TWO_PEOPLE,
}
LABELS: Mapping[str, LabelReason] = {
    "yes": LabelReason.APPROVED,
    "yes in less than 2 s": LabelReason.TOO_FAST,
    "yes by one tap for several": LabelReason.BULK,
    "yes to an unusual case": LabelReason.UNUSUAL,
    "yes to a question that had changed": LabelReason.RESTATED,
    "yes, but it was not done": LabelReason.NOT_DONE,
    "declined": LabelReason.DECLINED,
    "changed before it was approved": LabelReason.EDITED,
    "undone": LabelReason.UNDONE,
    "reversed": LabelReason.REVERSED,
    "disputed": LabelReason.DISPUTED,
    "went wrong": LabelReason.FAILED,
}
_OUTCOMES = {
    "was undone": ChangeCode.UNDONE,
    "was reversed": ChangeCode.REVERSED,
    "is under dispute": ChangeCode.DISPUTED,
    "went wrong": ChangeCode.FAILED,
}
_CAPS = {
    "the customer's cap of 30 days": "customer",
    "this kind's cap of today": "case_kind",
    "the cap of today": "day",
}
_WHICH = {"a case that ran on its own": Mode.AUTO, "an audited case": Mode.SPOT_CHECK}


def _nothing(_: re.Match[str]) -> dict[str, Any]:
    return {}


def _named(found: re.Match[str]) -> dict[str, Any]:
    return found.groupdict()


def _volume(found: re.Match[str]) -> dict[str, Any]:
    return {name: int(value) for name, value in found.groupdict().items()}


def _over(found: re.Match[str]) -> dict[str, Any]:
    return {"cap": _CAPS[found["cap"]], "cases": int(found["cases"])}


def _on(found: re.Match[str]) -> dict[str, Any]:
    flags = {"again": found["again"] is not None, "manual_override": found["below"] is not None}
    return {"by": found["by"]} | flags


_REASONS: tuple[tuple[str, PolicyCode, _Arguments], ...] = (
    ("this kind asks", PolicyCode.KIND_ASKS, _nothing),
    ("its kind runs on its own", PolicyCode.RUNS, _nothing),
    ("drawn for an audit", PolicyCode.SPOT_CHECK, _nothing),
    ("always asks: (.*)", PolicyCode.ALWAYS_ASKS, lambda one: {"because": old_always(one[1])}),
    ("this kind is paused: (.*)", PolicyCode.KIND_PAUSED, lambda one: {"cause": old_cause(one[1]).to_json()}),
    ("everything is paused: by (?P<by>.*)", PolicyCode.ALL_PAUSED, _named),
    ("nobody has decided anything for too long", PolicyCode.NOBODY_DECIDES, _nothing),
    ("its score is below the bar now", PolicyCode.BELOW_THRESHOLD, _nothing),
    ("new: the first case of this kind for this customer this week", PolicyCode.FIRST_OF_WEEK, _nothing),
    ("nobody knows its customer, so no cap of theirs can hold", PolicyCode.UNKNOWN_CUSTOMER, _nothing),
    (rf"over (?P<cap>{'|'.join(_CAPS)}), (?P<cases>\d+) cases", PolicyCode.OVER_CAP, _over),
    ("the money it moves is not known", PolicyCode.UNKNOWN_AMOUNT, _nothing),
    (
        r"far more cases than usual: (?P<cases>\d+) in (?P<hours>\d+) hours",
        PolicyCode.UNUSUAL_VOLUME,
        _volume,
    ),
)
_CAUSES: tuple[tuple[str, ChangeCode, _Arguments], ...] = (
    ("not seen for half a year", ChangeCode.IDLE, _nothing),
    (r"turned on \((?P<proposal>\w+)\)", ChangeCode.OFFER_ACCEPTED, _named),
    (
        "turned on(?P<again> again)?(?P<below> by decree, below its bar,)? by (?P<by>.*)",
        ChangeCode.TURNED_ON,
        _on,
    ),
    ("turned off by (?P<by>.*)", ChangeCode.TURNED_OFF, _named),
    (r"an audited case was declined \((?P<proposal>\w+)\)", ChangeCode.SPOT_CHECK_DECLINED, _named),
    (r"an audited case was changed \((?P<proposal>\w+)\)", ChangeCode.SPOT_CHECK_EDITED, _named),
    (
        "two of its family lost their trust within seven days, last: (.*)",
        ChangeCode.FAMILY,
        lambda one: {"last": old_cause(one[1]).to_json()},
    ),
    (
        "over a cap twice within a day, last: (.*)",
        ChangeCode.OVER_CAP_TWICE,
        lambda one: {"last": old_reason(one[1]).to_json()},
    ),
    (
        r"far more cases than usual: (?P<cases>\d+) in (?P<hours>\d+) hours",
        ChangeCode.UNUSUAL_VOLUME,
        _volume,
    ),
    *(
        (
            rf"{which} \((?P<proposal>\w+)\) {words}",
            code,
            lambda one, mode=mode: {**one.groupdict(), "mode": mode},
        )
        for which, mode in _WHICH.items()
        for words, code in _OUTCOMES.items()
    ),
)
_GATE_NAMES = {
    "pi": "spot_check_probability",
    "epoch": "generation",
    "decree": "manual_override",
    "n": "cases",
    "k": "rejections",
    "audits": "spot_checks",
    "dead_man": "max_idle",
}


def old_always(words: str) -> str:
    """The reason why a proposal always asks."""
    return ALWAYS.get(words, words)


def old_proposal(body: dict[str, Any]) -> dict[str, Any]:
    """A row of the log about what a proposal asks."""
    always = body.get("always_asks")
    return body if always is None else body | {"always_asks": old_always(always)}


def old_reason(words: str) -> PolicyReason:
    """The policy's reason that was stored in these words."""
    for pattern, code, arguments in _REASONS:
        if (found := re.fullmatch(pattern, words, re.DOTALL)) is not None:
            return PolicyReason(code, arguments(found))
    return PolicyReason.of(PolicyCode.TEXT, text=words)


def old_cause(words: str) -> ChangeCause:
    """The cause of a change of trust that was stored in these words."""
    for pattern, code, arguments in _CAUSES:
        if (found := re.fullmatch(pattern, words, re.DOTALL)) is not None:
            return ChangeCause(code, arguments(found))
    return ChangeCause.of(ChangeCode.TEXT, text=words)


def old_gate(gate: Mapping[str, Any]) -> dict[str, Any]:
    """The stored verdict of the gate, with the names of today. A verdict that has them stays as it is."""
    if "why" not in gate:
        return dict(gate)
    known = {_GATE_NAMES.get(name, name): value for name, value in gate.items()}
    why, would_why, paused = known.pop("why"), known.pop("would_why", ""), known.pop("paused", None)
    known["reason"] = old_reason(str(why)).to_json()
    known["would_reason"] = None if known.get("would_run") else old_reason(str(would_why)).to_json()
    if known["verdict"] == "audit":
        known["verdict"] = "spot_check"
    if "state" in known:
        known["paused_by"] = None if paused is None else str(paused).removeprefix("by ")
    for name in ("spent", "caps"):
        if name in known:
            of = known[name]
            known[name] = {"case_kind" if one == "shape" else one: value for one, value in of.items()}
    return known


def old_policy(body: dict[str, Any]) -> dict[str, Any]:
    """A row of the log about what the policy said."""
    mode = Mode.SPOT_CHECK.value if body["mode"] == "audit" else body["mode"]
    return body | {"mode": mode, "gate": old_gate(body["gate"])}


def old_change(body: dict[str, Any]) -> dict[str, Any]:
    """A row of the log about a change of trust."""
    if "cause" not in body:
        return body
    cause = old_cause(str(body["cause"]))
    kept = {name: value for name, value in body.items() if name != "cause"}
    return kept | {"cause_code": cause.code.value, "cause_args": dict(cause.args)}
