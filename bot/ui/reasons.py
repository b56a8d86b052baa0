"""The words for the reasons that the store keeps as codes: one table for cards, lists, threads and texts.

Pure. The arguments of a reason hold text of customers and of Polar; it is escaped here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from string import Formatter

from bot.ui.elements import Element, glue, person, words
from bot.ui.graduation_words import lack_words
from polar.errors import NOTHING_DONE, problem
from polar.text.words import clean
from store.models.reasons import Reason, ReasonCode, read_lack

_C = ReasonCode
_ENDS = ".!?…"
_ERASED = "…"  # in the place of an argument that was erased
_NOT_THIS_ONE = "This call was not made."
_NOT_AGAIN = "It was not sent again, and nobody knows whether it was carried out before."


@dataclass(frozen=True, slots=True)
class ActorPart:
    """A person in a sentence: a mention where Slack shows elements."""

    id: str


Part = str | ActorPart
Say = Callable[[Reason], Sequence[Part]]


def elements(reason: Reason, limit: int) -> list[Element]:
    """The reason as elements of a rich text, with at most `limit` characters of text."""
    shown: list[Element] = []
    left = limit
    for part in _joined(_parts(reason)):
        if isinstance(part, ActorPart):
            shown.append(person(part.id))
            continue
        text = words(part, max(left, 1))["text"]
        left -= len(text)
        shown.append({"type": "text", "text": f"{_edge(part[:1])}{text}{_edge(part[-1:])}"})
    return shown


def because(reason: Reason | None, limit: int) -> list[Element]:
    """The reason after a colon; nothing without one."""
    return [glue(": "), *elements(reason, limit)] if reason else []


def sentence(reason: Reason, limit: int) -> list[Element]:
    """The result of `elements`, with a full stop when it has no end of its own."""
    shown = elements(reason, limit)
    if not shown:
        return shown
    last = shown[-1].get("text", "")
    return shown if last[-1:] in _ENDS else [*shown[:-1], shown[-1] | {"text": f"{last}."}]


def plain(reason: Reason, limit: int, somebody: str | None = None) -> str:
    """The reason on one line. `somebody` replaces the person, where an id would mean nothing."""
    named = (part if isinstance(part, str) else somebody or part.id for part in _parts(reason))
    return clean("".join(named), limit)


def condition(reason: Reason | None) -> str | None:
    """The part of the rule that is no longer true, as its author wrote it."""
    found = None if reason is None else reason.args.get("condition")
    return None if found is None else f"No longer true: {found}"


def _parts(reason: Reason) -> Sequence[Part]:
    said = _WORDS[reason.code]
    return _filled(said, reason) if isinstance(said, str) else said(reason)


def _edge(text: str) -> str:
    return " " if text.isspace() else ""


def _joined(parts: Iterable[Part]) -> list[Part]:
    """The same parts, with neighbouring texts joined."""
    found: list[Part] = []
    for is_text, group in groupby(parts, lambda part: isinstance(part, str)):
        same = list(group)
        found += ["".join(map(str, same))] if is_text else same
    return found


# --- The sentences, made from the arguments of a reason ---------------------------------------------------


def _filled(sentences: str, reason: Reason) -> Sequence[Part]:
    """The sentences with the arguments of the reason in their {places}, its person, or its {causes}."""
    found: list[Part] = []
    for literal, name, _, _ in Formatter().parse(sentences):
        found += [literal] if literal else []
        if name == "actor":
            found.append(ActorPart(str(reason.args.get(name) or "Somebody")))
        elif name == "causes":
            found += _causes(reason)
        elif name is not None:
            found.append(str(reason.args.get(name, "")) or _ERASED)
    return found or [""]


def _in_a_row(said: Iterable[Sequence[Part]], between: str) -> list[Part]:
    return [part for number, parts in enumerate(said) for part in (*([between] if number else []), *parts)]


def _causes(reason: Reason) -> list[Part]:
    return _in_a_row(map(_parts, reason.causes), " ")


def _checked(at_the_tap: str, before_the_call: str, otherwise: str) -> Say:
    """The sentence by the time of the new read of Polar, and then the causes of the reason."""
    leads = {
        "tap": f"Read again at the tap: {at_the_tap}",
        "call": f"Checked just before the call: {before_the_call}",
        "delay": f"Read after the delay: {at_the_tap}",
    }
    return lambda reason: (leads.get(str(reason.args.get("checked")), otherwise), *_causes(reason))


def _refusals(reason: Reason) -> Sequence[Part]:
    """The answers of Polar to the refused calls, the same words only once."""
    said = dict.fromkeys(tuple(_joined(_parts(cause))) for cause in reason.causes)
    return ("Polar refused: ", *_in_a_row(said, "; "))


def _already_so(reason: Reason) -> Sequence[Part]:
    count, of = reason.args.get("count"), reason.args.get("of")
    return (
        "Polar already had this state."
        if count == of
        else f"For {count} of {of} calls, Polar already had this state.",
    )


def _missing(reason: Reason) -> Sequence[Part]:
    # An earlier version stored the words instead of a code.
    lacks = reason.args.get("missing", ())
    missing = "; ".join(one if isinstance(one, str) else lack_words(read_lack(one)) for one in lacks)
    return (f"The kind no longer meets its threshold: {missing}. Its cases still ask a person.",)


def nothing_done(reason: Reason | None, *, doubt: bool = False) -> str:
    """The sentence about a call that was not sent. `doubt`: an earlier one may have been carried out."""
    return _NOT_AGAIN if doubt or (reason is not None and reason.args.get("doubt")) else NOTHING_DONE


def _like_it(reason: Reason) -> Sequence[Part]:
    count = reason.args.get("count", 1)
    many = "one like it" if count == 1 else f"{count} like it"
    return (f"Polar shows {many}, so it was not sent again. Look in Polar whether that was this one.",)


def _until(reason: Reason) -> Sequence[Part]:
    try:
        at = datetime.fromisoformat(str(reason.args.get("until")))
    except ValueError:
        return ("waits",)
    return (f"waits until {at:%d %b %H:%M} UTC",)


def _polar(reason: Reason) -> Sequence[Part]:
    nothing = _NOT_THIS_ONE if reason.args.get("partly") else NOTHING_DONE
    return (problem(reason.code.value, reason.args, nothing=nothing),)


_SINCE_GONE = _checked("", "", "")
_WORDS: Mapping[ReasonCode, str | Say] = {
    _C.TEXT: "{text}",
    _C.GIVEN: "{text}",
    _C.SEVERAL: "{causes}",
    _C.UNDONE_IN_TIME: lambda reason: _filled(f"Undone by {{actor}} in time. {nothing_done(reason)}", reason),
    _C.LIKE_IT_THERE: _like_it,
    _C.STILL_IN_DOUBT: f"{_NOT_AGAIN} {{causes}}",
    _C.NO_LONGER_APPLIES: _checked("it no longer applies.", "it no longer applies.", "It no longer applies."),
    _C.NOTHING_LEFT: _checked(
        "there is nothing left to do.", "none of its calls applies any more.", "There is nothing left to do."
    ),
    _C.GONE_AT_POLAR: lambda reason: _SINCE_GONE(reason) if reason.causes else ("Polar no longer has it.",),
    _C.CHANGED_AT_POLAR: "It was changed at Polar since. Propose what you want with /polar propose.",
    _C.RULE_GONE: "Its event or its rule is no longer here.",
    _C.DEADLINE_PASSED: "Its deadline has passed without a decision.",
    _C.EXPIRED: "Nobody has decided it for too long.",
    _C.THRESHOLD_NOT_MET: _missing,
    _C.TRUST_LOST: "Automatic run cancelled: the kind was demoted or paused, or the approval expired.",
    _C.ERASED: "Its texts were erased.",
    _C.STRANGER: "{actor} may not decide here, so what they stopped goes on.",
    _C.CANNOT_TELL: "Not sent: the program could not check whether it still applies ({problem}).",
    _C.NOT_SENT: "Not sent: {causes}",
    _C.CHECK_FAILED: "The program could not check whether it still applies: {causes}",
    _C.GAVE_UP: "Given up after a day. {causes}",
    _C.TOOK_TOO_LONG: "It took too long.",
    _C.PARTLY_DONE: "Done in part; the next call was not sent ({problem}).",
    _C.CALLS_REFUSED: _refusals,
    _C.STRANDED: lambda reason: (
        "The program did not note Polar's answer in time: it may still come."
        if "until" in reason.args
        else "The program stopped while Polar was being called.",
    ),
    _C.ALREADY_SO: _already_so,
    _C.LINK_NOT_SHOWN: "Done, but the link could not be shown to whoever approved, and it is not kept.",
    _C.CANNOT_BE_UNDONE: "There is no Undo: the values from before the call could not be read.",
    _C.TURNED_ON: (
        "Turned on. Cases of this kind now run automatically, within the caps and with spot checks."
    ),
    _C.FOUND_DONE: "There was no answer, but Polar shows that it was done.",
    _C.DONE_BY_HAND: "{actor} says that it was done.",
    _C.NOT_DONE_BY_HAND: "{actor} says that it was not done.",
    _C.ECHO: "echo of {proposal}",
    _C.CALL_UNDER_WAY: "a call is under way",
    _C.NO_RULE: "no rule listens to it",
    _C.EVENT_UNREADABLE: "{problem}",
    _C.NOTHING_PROPOSED: "nothing to propose",
    _C.OF_RULE: lambda reason: _filled("{rule}: {causes}" if reason.causes else "{rule}: {state}", reason),
    _C.OF_RULES: lambda reason: _in_a_row(map(_parts, reason.causes), "; ") or ("no rule matched",),
    _C.RULE_FAILED: "{problem}",
    _C.RULE_GIVEN_UP: "given up: {causes}",
    _C.DELAYED: _until,
    _C.ASSESSMENT_FAILED: "{error} in {place} ({step})",
    **dict.fromkeys((code for code in ReasonCode if code.startswith("polar_")), _polar),
}
