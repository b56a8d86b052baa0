"""The words for the codes of graduation: reasons to ask, unmet requirements, changes of trust. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from bot.graduation.gate import ASK, BLIND, RUN, SPOT_CHECK
from bot.graduation.score import shown_score
from polar.text.words import clean, format_money
from store.models import CaseKindState, Mode, Proposal
from store.models.reasons import (
    AlwaysAsk,
    CaseResult,
    ChangeCause,
    ChangeCode,
    Lack,
    LackCode,
    PolicyCode,
    PolicyReason,
    SwitchCode,
    Switched,
    read_cause,
    read_lack,
    read_policy_reason,
)

_Arguments = Mapping[str, Any]
_Words = str | Callable[[_Arguments], str]

_ALWAYS: Mapping[str, str] = {
    AlwaysAsk.IRREVERSIBLE: "irreversible",
    AlwaysAsk.HANDS_OUT_LINK: "somebody is handed a link",
    AlwaysAsk.ABOUT_TRUST: "it is about automatic runs themselves",
    AlwaysAsk.BY_HAND: "a person proposed it",
    AlwaysAsk.EDITED: "a person edited it",
    AlwaysAsk.TAKES_BACK: "it takes something back",
    AlwaysAsk.LOST_ACCESS: "a customer lost access",
    AlwaysAsk.LOST_SEAT: "somebody lost a seat",
    AlwaysAsk.STATE_CHANGED: "it says that something changed, not what",
    AlwaysAsk.MONEY_DISPUTED: "money is under dispute",
    AlwaysAsk.NO_CASE_KIND: "no kind of case fits it",
    AlwaysAsk.UNKNOWN_CALLS: "this version does not know its calls",
    AlwaysAsk.DISPUTED: "the customer's money is under dispute",
    AlwaysAsk.FORBIDDEN: "the rules file says so",
    AlwaysAsk.NO_THRESHOLD: "its risk class has no threshold",
    AlwaysAsk.NOT_OPTED_IN: "high risk, and not opted in",
    AlwaysAsk.TWO_PEOPLE: "it takes two people",
    AlwaysAsk.UNKNOWN_AMOUNT: "the money it moves is not known",
}
RESULTS: Mapping[CaseResult, str] = {
    CaseResult.DECLINED: "declined",
    CaseResult.EDITED: "edited",
    CaseResult.TAKEN_BACK: "taken back",
    CaseResult.FAILED: "failed",
    CaseResult.UNDECIDED: "undecided",
    CaseResult.FINE: "fine",
}


def because_words(because: str) -> str:
    """The reason why a case always asks. `because` is an AlwaysAsk, or words of an earlier version."""
    return _ALWAYS.get(because, because)


def always_words(because: str) -> str:
    """The words `always asks: irreversible`."""
    return f"always asks: {because_words(because)}"


def reason_words(reason: PolicyReason) -> str:
    """The reason why the policy runs a case, or asks."""
    return _said(_REASONS[reason.code], reason.args)


def cause_words(cause: ChangeCause) -> str:
    """The reason why the trust in a kind of case changed."""
    return _said(_CAUSES[cause.code], cause.args)


def lack_words(lack: Lack) -> str:
    """The unmet requirement of a kind of case."""
    return _said(_LACKS[lack.code], lack.args)


def _said(words: _Words, args: _Arguments) -> str:
    return words.format(**args) if isinstance(words, str) else words(args)


# --- The reasons why the policy runs a case, or asks --------------------------------------------------------


def _paused(args: _Arguments) -> str:
    cause = args["cause"]
    found = None if cause is None else read_cause(cause["code"], cause["args"])
    return f"this kind is paused: {'no reason is known' if found is None else cause_words(found)}"


def _value(says: str) -> Callable[[_Arguments], str]:
    def words(args: _Arguments) -> str:
        plain = {
            name: clean(value, 60) if isinstance(value, str) else f"{value:,}" for name, value in args.items()
        }
        return f"new: {clean(args['name'], 40)} is {says.format(**plain)}"

    return words


def _choice(args: _Arguments) -> str:
    value = args["value"]
    if isinstance(value, str):
        named = f"“{clean(value, 60)}”"
    else:
        named = {True: "true", False: "false", None: "empty"}[value]
    return f"new: {clean(args['name'], 40)} is {named}, which was not approved before"


def _named(says: str) -> Callable[[_Arguments], str]:
    return lambda args: f"new: {clean(args['name'], 40)} {says}"


_VOLUME = "far more cases than usual: {cases} in {hours} hours"
_CAPS = {
    "case": "the cap of one case",
    "customer": "the customer's cap of 30 days",
    "case_kind": "this kind's cap of today",
    "day": "the cap of today",
}


def _over(args: _Arguments) -> str:
    most = f"{args['cases']} cases" if "cases" in args else format_money(args["amount"], args["currency"])
    return f"over {_CAPS[args['cap']]}, {most}"


_REASONS: Mapping[PolicyCode, _Words] = {
    PolicyCode.RUNS: "its kind runs on its own",
    PolicyCode.SPOT_CHECK: "drawn for a spot check",
    PolicyCode.ALWAYS_ASKS: lambda args: always_words(args["because"]),
    PolicyCode.KIND_ASKS: "this kind asks",
    PolicyCode.KIND_PAUSED: _paused,
    PolicyCode.KIND_SET_ASIDE: "this kind is set aside: its cases could not be counted (/polar status)",
    PolicyCode.ALL_PAUSED: "everything is paused by {by}",
    PolicyCode.NOBODY_DECIDES: "nobody has decided anything for too long",
    PolicyCode.BELOW_THRESHOLD: "its score is below the threshold now",
    PolicyCode.UNUSUAL_VOLUME: _VOLUME,
    PolicyCode.FIRST_NUMBER: _value("{value}, and no number was approved here before"),
    PolicyCode.OUT_OF_RANGE: _value("{value}, outside what was approved so far ({low} to {high})"),
    PolicyCode.RARE_NUMBER: _value(
        "{value}; only {as_large} of the last {approved} approved values were as large"
    ),
    PolicyCode.NEW_CHOICE: _choice,
    PolicyCode.NEW_TEXT: _named("is a text that was not approved before"),
    PolicyCode.NEW_ID: _named("is the id of something that was not approved before"),
    PolicyCode.NOT_COMPARABLE: _named("cannot be compared with what was approved"),
    PolicyCode.FIRST_OF_WEEK: "new: the first case of this kind for this customer this week",
    PolicyCode.UNKNOWN_CUSTOMER: "its customer is not known, so the cap of one customer cannot be checked",
    PolicyCode.UNKNOWN_AMOUNT: "the money it moves is not known",
    PolicyCode.OVER_CAP: _over,
    PolicyCode.UNKNOWN_KIND: "of no known kind",
    PolicyCode.TEXT: "{text}",
}

# --- The reasons why the trust in a kind of case changed ----------------------------------------------------


def _turned_on(args: _Arguments) -> str:
    again = " again" if args["again"] else ""
    below = " by manual override, below its threshold," if args["manual_override"] else ""
    return f"turned on{again}{below} by {args['by']}"


def _outcome(happened: str) -> Callable[[_Arguments], str]:
    def words(args: _Arguments) -> str:
        which = "a case that ran on its own" if args["mode"] == Mode.AUTO else "a spot check"
        return f"{which} ({args['proposal']}) {happened}"

    return words


def _family(args: _Arguments) -> str:
    last = read_cause(args["last"]["code"], args["last"]["args"])
    words = "" if last is None else cause_words(last)
    return f"two of its family were demoted within seven days, last: {words}"


_CAUSES: Mapping[ChangeCode, _Words] = {
    ChangeCode.TURNED_ON: _turned_on,
    ChangeCode.TURNED_OFF: "turned off by {by}",
    ChangeCode.OFFER_ACCEPTED: "turned on ({proposal})",
    ChangeCode.SPOT_CHECK_DECLINED: "a spot check was declined ({proposal})",
    ChangeCode.SPOT_CHECK_EDITED: "a spot check was edited ({proposal})",
    ChangeCode.SPOT_CHECKS_LAPSED: "two spot checks in a row ended undecided, last {proposal}",
    ChangeCode.UNDONE: _outcome("was undone"),
    ChangeCode.REVERSED: _outcome("was reversed"),
    ChangeCode.DISPUTED: _outcome("is under dispute"),
    ChangeCode.FAILED: _outcome("went wrong"),
    ChangeCode.FAMILY: _family,
    ChangeCode.IDLE: "no case for half a year",
    ChangeCode.UNUSUAL_VOLUME: _VOLUME,
    ChangeCode.OVER_CAP_TWICE: lambda args: (
        f"over a cap twice within a day, last: {reason_words(read_policy_reason(args['last']))}"
    ),
    ChangeCode.THRESHOLD_MET: "reached its threshold",
    ChangeCode.RESUMED: "turned on again after a pause",
    ChangeCode.TEXT: lambda args: str(args["text"]),
}

# --- The unmet requirements of a kind of case ---------------------------------------------------------------


def _score_short(args: _Arguments) -> str:
    now = shown_score(args["score"], args["target"])
    return f"score {now} of {args['target']:g}: {args['more']} more approvals"


_LACKS: Mapping[LackCode, _Words] = {
    LackCode.ALWAYS_ASKS: lambda args: always_words(args["because"]),
    LackCode.NO_THRESHOLD: "always asks: no history lets cases of this risk class run on their own",
    LackCode.SCORE: _score_short,
    LackCode.UNREACHABLE_SCORE: "score 100 is asked, which no number of cases reaches",
    LackCode.CUSTOMERS: "{have} of {need} customers",
    LackCode.DAYS: "{have} of {need} days",
    LackCode.RECENT_REJECTION: "a rejection in the last {among} cases: {more} more approvals",
    LackCode.NOT_OPTED_IN: (
        "not opted in: cases of this risk class run on their own only for operations named in `opt_in`"
    ),
    LackCode.UNKNOWN_KIND: "this kind of case is no longer known",
    LackCode.SET_ASIDE: "it is set aside: its cases could not be counted (/polar status)",
    LackCode.CHANGED_MEANWHILE: "meanwhile it has changed, and it is {state} now: look again",
}

# --- The results of turning a kind on or off ----------------------------------------------------------------


def switch_words(switched: Switched) -> str:
    """The answer to the person who turned a kind on or off."""
    return _said(_SWITCHED[switched.code], switched.args)


def _now_on(args: _Arguments) -> str:
    below = (
        " It is below its threshold: only caps and spot checks limit it." if args["manual_override"] else ""
    )
    return f"Turned on: {args['label']}.{below}"


def _lacking(args: _Arguments) -> str:
    lacks = (lack_words(read_lack(one)) for one in args["lacks"])
    return f"Not turned on: {'; '.join(lacks)}."


_SWITCHED: Mapping[SwitchCode, _Words] = {
    SwitchCode.TURNED_ON: _now_on,
    SwitchCode.TURNED_OFF: "Turned off: {label}. Every such case asks a person.",
    SwitchCode.NO_SUCH_KIND: (
        "There is no such kind of case, and nothing was changed. /polar trust lists them."
    ),
    SwitchCode.LOW_RISK_ONLY: (
        "Only kinds of low risk (R1) can be turned on below their threshold. Nothing was changed."
    ),
    SwitchCode.ALWAYS_ASKS: lambda args: f"This kind {always_words(args['because'])}. Nothing was changed.",
    SwitchCode.NOT_PAUSED: "This kind is not paused: it is {state}. Nothing was changed.",
    SwitchCode.ASKS_ALREADY: "This kind asks already. Nothing was changed.",
    SwitchCode.LACKING: _lacking,
    SwitchCode.NOT_STORED: "It could not be stored, and nothing was changed. Try again in a moment.",
}


Gate = Mapping[str, Any]
_VERDICTS = {ASK: "asked a person", SPOT_CHECK: "asked a person, as a spot check", RUN: "ran on its own"}
# What tells a spot check from another question of its kind, or lets it be worked out. The rest is the kind's.
_TELLING = frozenset({"Verdict", "Why", "Chance of a spot check", "Money it moves", "Caps used"})


def gate_rows(proposal: Proposal) -> list[tuple[str, str]]:
    """The pairs (label, words) for the facts that the gate kept; `bot.graduation.gate` lists them."""
    gate = proposal.gate or {}
    # A kind that asks has no spot checks, so its reason to ask reveals none.
    hidden = proposal.state in BLIND and gate.get("state") == CaseKindState.GRADUATED
    rows = [(label, said(gate)) for label, needs, said in _ROWS if set(needs) <= gate.keys()]
    return [(label, said) for label, said in rows if said and not (hidden and label in _TELLING)]


def _points(gate: Gate) -> str:
    target = gate.get("target")
    of = f", the threshold is {target:g}" if isinstance(target, int | float) else ""
    return f"{gate['score']:.1f}{of}"


def _spot_checks(gate: Gate) -> str:
    agreed, total = gate["spot_checks"]
    return f"{agreed:,} of {total:,} agreed" if total else ""


def _chance(gate: Gate) -> str:
    chance = gate["spot_check_probability"]
    return "" if chance is None else f"{chance:.0%}"


def _moved(gate: Gate) -> str:
    amount, currency = gate["amount"], gate["currency"]
    return format_money(amount, currency) if amount and currency else ""


def _spent(gate: Gate) -> str:
    """The used part of each cap when the case arrived."""
    named = (("customer", "for this customer"), ("case_kind", "of this kind today"), ("day", "in all today"))
    return ", ".join(f"{gate['spent'][key][0]:,} of {gate['caps'][key][0]:,} {whose}" for key, whose in named)


# The label, the names it needs, the words.
_ROWS: tuple[tuple[str, tuple[str, ...], Callable[[Gate], str]], ...] = (
    ("Verdict", ("verdict",), lambda gate: _VERDICTS.get(gate["verdict"], str(gate["verdict"]))),
    ("Why", ("reason",), lambda gate: reason_words(read_policy_reason(gate["reason"]))),
    ("Score", ("score",), _points),
    (
        "Said",
        ("cases", "rejections"),
        lambda g: f"{g['cases'] - g['rejections']:,} yes, {g['rejections']:,} no",
    ),
    ("Spot checks", ("spot_checks",), _spot_checks),
    ("Chance of a spot check", ("spot_check_probability",), _chance),
    ("Money it moves", ("amount", "currency"), _moved),
    ("Caps used", ("spent", "caps"), _spent),
)
