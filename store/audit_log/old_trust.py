"""The words of earlier versions about trust, in the codes of today: rows of the log, and migrated columns.

They stored sentences. A sentence that is not known here stays what it is, under the code `text`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from store.models import Mode
from store.models.reasons import (
    AlwaysAsk,
    ChangeCause,
    ChangeCode,
    Code,
    LabelReason,
    PolicyCode,
    PolicyReason,
)

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


_VOLUME = r"far more cases than usual: (?P<cases>\d+) in (?P<hours>\d+) hours"
_REASONS: Mapping[str, PolicyCode] = {
    "this kind asks": PolicyCode.KIND_ASKS,
    "its kind runs on its own": PolicyCode.RUNS,
    "drawn for an audit": PolicyCode.SPOT_CHECK,
    "always asks: (?P<because>.*)": PolicyCode.ALWAYS_ASKS,
    "this kind is paused: (?P<cause>.*)": PolicyCode.KIND_PAUSED,
    "everything is paused: by (?P<by>.*)": PolicyCode.ALL_PAUSED,
    "nobody has decided anything for too long": PolicyCode.NOBODY_DECIDES,
    "its score is below the bar now": PolicyCode.BELOW_THRESHOLD,
    "new: the first case of this kind for this customer this week": PolicyCode.FIRST_OF_WEEK,
    "nobody knows its customer, so no cap of theirs can hold": PolicyCode.UNKNOWN_CUSTOMER,
    rf"over (?P<cap>{'|'.join(_CAPS)}), (?P<cases>\d+) cases": PolicyCode.OVER_CAP,
    "the money it moves is not known": PolicyCode.UNKNOWN_AMOUNT,
    _VOLUME: PolicyCode.UNUSUAL_VOLUME,
}
_CAUSES: Mapping[str, ChangeCode] = {
    "not seen for half a year": ChangeCode.IDLE,
    r"turned on \((?P<proposal>\w+)\)": ChangeCode.OFFER_ACCEPTED,
    "turned on(?P<again> again)?(?P<manual_override> by decree, below its bar,)? by (?P<by>.*)": (
        ChangeCode.TURNED_ON
    ),
    "turned off by (?P<by>.*)": ChangeCode.TURNED_OFF,
    r"an audited case was declined \((?P<proposal>\w+)\)": ChangeCode.SPOT_CHECK_DECLINED,
    r"an audited case was changed \((?P<proposal>\w+)\)": ChangeCode.SPOT_CHECK_EDITED,
    "two of its family lost their trust within seven days, last: (?P<last>.*)": ChangeCode.FAMILY,
    "over a cap twice within a day, last: (?P<over>.*)": ChangeCode.OVER_CAP_TWICE,
    _VOLUME: ChangeCode.UNUSUAL_VOLUME,
    **{
        rf"(?P<mode>{'|'.join(_WHICH)}) \((?P<proposal>\w+)\) {words}": code
        for words, code in _OUTCOMES.items()
    },
}
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
    return PolicyReason(*(_read(words, _REASONS) or (PolicyCode.TEXT, {"text": words})))


def old_cause(words: str) -> ChangeCause:
    """The cause of a change of trust that was stored in these words."""
    return ChangeCause(*(_read(words, _CAUSES) or (ChangeCode.TEXT, {"text": words})))


def _read(words: str, patterns: Mapping[str, Code]) -> tuple[Code, dict[str, Any]] | None:
    """The code whose pattern these words are, with its named groups as arguments."""
    for pattern, code in patterns.items():
        if (found := re.fullmatch(pattern, words, re.DOTALL)) is not None:
            said = found.groupdict().items()
            return code, {
                "last" if n == "over" else n: _READ[n](one) if n in _READ else one for n, one in said
            }
    return None


# How an argument is read, by the name of its group.
_READ: Mapping[str, Callable[[Any], Any]] = {
    "again": bool,
    "manual_override": bool,
    "cases": int,
    "hours": int,
    "cap": _CAPS.__getitem__,
    "mode": _WHICH.__getitem__,
    "because": old_always,
    "cause": lambda words: old_cause(words).to_json(),
    "last": lambda words: old_cause(words).to_json(),
    "over": lambda words: old_reason(words).to_json(),
}


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
