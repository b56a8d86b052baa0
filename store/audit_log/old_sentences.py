"""Read the sentences that were stored where a reason is stored now: for rows of the log and the migration.

What is not recognised stays a text. Nothing writes such sentences any more.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from store.models.reasons import Reason, ReasonCode

DELETED = "(deleted) "  # stood before the text of a comment whose Slack message was deleted
_C = ReasonCode
_NOTHING = {"Nothing was done.": {}, "This call was not made.": {"partly": True}}
_TEXTS: Mapping[str, Reason] = {
    "Its event or its rule is no longer here.": Reason(_C.RULE_GONE),
    "It was changed at Polar since. Propose what you want with /polar propose.": Reason(_C.CHANGED_AT_POLAR),
    "Its deadline has passed without a decision.": Reason(_C.DEADLINE_PASSED),
    "Nobody has decided it for too long.": Reason(_C.EXPIRED),
    "It was about to run on its own; trust was taken back or paused, or it waited too long.": (
        Reason(_C.TRUST_LOST)
    ),
    "It took too long.": Reason(_C.TOOK_TOO_LONG),
    "The program stopped while Polar was being called.": Reason(_C.STRANDED),
    "It was already so.": Reason(_C.ALREADY_SO),
    "Done, but the link could not be shown to whoever approved, and it is not kept.": (
        Reason(_C.LINK_NOT_SHOWN)
    ),
    "There is no Undo: what it was before could not be read.": Reason(_C.CANNOT_BE_UNDONE),
    "Turned on. Cases of this kind run on their own from now on, under the caps and with audits.": (
        Reason(_C.TURNED_ON)
    ),
    "There was no answer, but Polar shows that it was done.": Reason(_C.FOUND_DONE),
    "A person says that it was not done.": Reason(_C.NOT_DONE_BY_HAND),
    "Checked just before the call: it no longer applies.": Reason(_C.NO_LONGER_APPLIES, {"checked": "call"}),
    "Read again at the tap: it no longer applies.": Reason(_C.NO_LONGER_APPLIES, {"checked": "tap"}),
    "Checked just before the call: none of its calls applies any more.": (
        Reason(_C.NOTHING_LEFT, {"checked": "call"})
    ),
    "Read again at the tap: there is nothing left to do.": Reason(_C.NOTHING_LEFT, {"checked": "tap"}),
    "Polar gave no clear answer. Nobody knows whether it was done: look before trying again.": (
        Reason(_C.POLAR_NO_ANSWER)
    ),
    "Too many calls to Polar in this minute. Nothing was done; it is safe to try again in a moment.": (
        Reason(_C.POLAR_BUDGET)
    ),
    "Polar takes no more calls for now. Nothing was done; it is safe to try again later.": (
        Reason(_C.POLAR_RATE_LIMITED, {"status": 429})
    ),
}
# How a sentence of Polar's client begins, up to what was or was not done.
_POLAR: Mapping[str, Reason] = {
    "Polar could not be reached.": Reason(_C.POLAR_UNREACHABLE),
    "Polar refused this.": Reason(_C.POLAR_REFUSED),
    "Polar does not have this object in this organization.": Reason(_C.POLAR_NOT_FOUND, {"status": 404}),
    "The object's state in Polar does not allow this now.": Reason(_C.POLAR_CONFLICT, {"status": 409}),
}
_CHECKED = {"Checked just before the call": "call", "Read again at the tap": "tap"}
_WHEN = rf"(?P<checked>{'|'.join(_CHECKED)})"
_USER = r"(?P<actor>[UW][A-Z0-9]{2,})"
_SCOPES = r"the scope (?P<scopes>[^ ]+(?: or [^ ]+)*)"
_DONE_OR_NOT = r"(?P<nothing>Nothing was done\.|This call was not made\.)"


def read_sentence(text: str) -> Reason:
    """The reason that the whole sentence says."""
    if text in _TEXTS:
        return _TEXTS[text]
    for pattern, make in _PATTERNS.items():
        if (found := re.fullmatch(pattern, text, re.DOTALL)) is not None:
            return make(found)
    return _several(text) or Reason.of(_C.TEXT, text=text)


def read_transition(from_: str | None, to: str, text: str) -> Reason:
    """The reason of a change of state: of a decision it is what the person said with it."""
    if from_ == "pending" and to in ("approved", "declined"):
        return Reason.of(_C.GIVEN, text=text)
    return read_sentence(text)


def _several(text: str) -> Reason | None:
    """Sentences one after the other, each known."""
    found: list[Reason] = []
    rest = text
    while rest:
        known = next((one for one in _SUCCESSES if rest.startswith(one)), None)
        counted = _COUNTED.match(rest)
        if known is None and counted is None:
            return None
        said = known or (counted[0] if counted else "")
        found.append(read_sentence(said))
        rest = rest[len(said) :].lstrip()
    return Reason.of(_C.SEVERAL, *found)


def _polar(found: re.Match[str]) -> Reason:
    start = _POLAR[found["start"]]
    return Reason(start.code, {**start.args, **_NOTHING[found["nothing"]]})


def _with(code: ReasonCode, *names: str, **fixed: Any) -> Callable[[re.Match[str]], Reason]:
    """A reason whose arguments are the named groups, and `nothing` as what it says."""

    def make(found: re.Match[str]) -> Reason:
        groups = found.groupdict()
        partly = _NOTHING[groups["nothing"]] if "nothing" in groups else {}
        return Reason.of(code, **{name: groups[name] for name in names}, **fixed, **partly)

    return make


def _numbers(code: ReasonCode, *names: str) -> Callable[[re.Match[str]], Reason]:
    return lambda found: Reason.of(code, **{name: int(found[name]) for name in names})


def _behind(code: ReasonCode, **fixed: Any) -> Callable[[re.Match[str]], Reason]:
    return lambda found: Reason.of(code, read_sentence(found["cause"]), **fixed)


def _not_sent(found: re.Match[str]) -> Reason:
    cause = read_sentence(found["cause"])
    if cause.code is _C.TEXT:
        return Reason.of(_C.POLAR_INVALID_CALL, problems=[found["cause"]])
    return Reason.of(_C.NOT_SENT, cause)


def _gone(found: re.Match[str]) -> Reason:
    cause = read_sentence(found["cause"])
    if cause.code is _C.TEXT:
        cause = Reason.of(_C.POLAR_NOT_FOUND, message=found["cause"], status=404)
    return Reason.of(_C.GONE_AT_POLAR, cause, checked=_CHECKED[found["checked"]])


def _no_longer(found: re.Match[str]) -> Reason:
    checked = _CHECKED[found["checked"]]
    return Reason.of(_C.NO_LONGER_APPLIES, condition=found["condition"], checked=checked)


def _refused(found: re.Match[str]) -> Reason:
    cause = read_sentence(found["cause"])
    if cause.code is _C.TEXT:
        cause = Reason.of(_C.POLAR_REFUSED, message=found["cause"])
    return Reason.of(_C.CALLS_REFUSED, cause)


def _scopes(found: re.Match[str]) -> Reason:
    named = found["scopes"].split(" or ") if found["scopes"] else None
    return Reason.of(_C.POLAR_SCOPE_MISSING, scopes=named, status=403, **_NOTHING[found["nothing"]])


def _redirected(found: re.Match[str]) -> Reason:
    to = None if found["location"] == "nowhere" else found["location"]
    return Reason.of(_C.POLAR_REDIRECTED, status=int(found["status"]), location=to)


_COUNTED = re.compile(r"Of (?P<of>\d+) calls, (?P<count>\d+) found it already so\.")
_SUCCESSES = tuple(
    text
    for text, reason in _TEXTS.items()
    if reason.code in (_C.ALREADY_SO, _C.LINK_NOT_SHOWN, _C.CANNOT_BE_UNDONE)
)
_PATTERNS: Mapping[str, Callable[[re.Match[str]], Reason]] = {
    r"Undone by (?P<actor>\S+) in time\b.*": _with(_C.UNDONE_IN_TIME, "actor"),
    rf"{_USER} says that it was done\.": _with(_C.DONE_BY_HAND, "actor"),
    rf"{_USER} says that it was not done\.": _with(_C.NOT_DONE_BY_HAND, "actor"),
    rf"{_WHEN}: it no longer applies \((?P<condition>.*)\)\.": _no_longer,
    rf"{_WHEN}: (?P<cause>.+)": _gone,
    r"Not sent: whether it still applies cannot be told \((?P<problem>.*)\)\.": _with(
        _C.CANNOT_TELL, "problem"
    ),
    r"Not sent: (?P<cause>.+)": _not_sent,
    r"Done in part; the next call was not sent \((?P<problem>.*)\)\.": _with(_C.PARTLY_DONE, "problem"),
    r"Checking whether it still applies: (?P<cause>.+)": _behind(_C.CHECK_FAILED),
    r"Given up after a day\. (?P<cause>.+)": _behind(_C.GAVE_UP),
    r"It no longer meets its bar: (?P<missing>.*)\. It goes on asking\.": lambda found: Reason.of(
        _C.THRESHOLD_NOT_MET, missing=[found["missing"]]
    ),
    rf"Polar could not be reached \((?P<why>.*)\)\. {_DONE_OR_NOT}": _with(_C.POLAR_UNREACHABLE, "why"),
    rf"(?P<start>{'|'.join(map(re.escape, _POLAR))}) {_DONE_OR_NOT}": _polar,
    r"Polar refused this \(status (?P<status>\d+)\) without saying why\. Nothing was done\.": _numbers(
        _C.POLAR_REFUSED, "status"
    ),
    r"Polar failed \(status (?P<status>\d+)\)\. Nobody knows whether it was done: look before .*": _numbers(
        _C.POLAR_NO_ANSWER, "status"
    ),
    rf"Polar does not accept the access token: it is wrong, .* {_DONE_OR_NOT} Make an .*": _with(
        _C.POLAR_TOKEN_REFUSED, status=401
    ),
    rf"The access token may not do this\. {_DONE_OR_NOT} It lacks (?:a scope|{_SCOPES})\. Add .*": _scopes,
    r"Polar does not know this address, or no longer speaks this version of its interface\. .*": _with(
        _C.POLAR_UNKNOWN_ROUTE, status=404
    ),
    r"Polar's address answered (?P<status>\d+) and points to (?P<location>\S+)\. The call .*": _redirected,
    r"Polar refused: (?P<cause>.+)": _refused,
    _COUNTED.pattern: _numbers(_C.ALREADY_SO, "count", "of"),
}


def old_comment(body: dict[str, Any]) -> dict[str, Any]:
    """A comment whose text said that its Slack message was deleted."""
    text = body.get("text", "")
    if "deleted" in body or body.get("kind") != "thread" or not text.startswith(DELETED):
        return body
    return body | {"text": text.removeprefix(DELETED), "deleted": 1}
