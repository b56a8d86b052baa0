"""The sentences of `explain --check`, one for every fact that it checks."""

from collections.abc import Mapping

from bot.explain.document import WITHHELD
from bot.explain.verify import Fact, Finding

_ROW, _REQUEST, _ANSWER = (
    "row {row} of the log ({kind})",
    "request {number} ({operation})",
    "the answer to request {number}",
)
_SENTENCES: Mapping[Fact, str] = {
    Fact.LOGGED: "the log has no row about this proposal",
    Fact.ROW_HASH: f"{_ROW} has the hash of what it says",
    Fact.ROW_FOLLOWS: f"{_ROW} follows the row before it",
    Fact.ROW_BEFORE_HEAD: f"{_ROW} lies before the newest row, {{head}}",
    Fact.ROW_OPEN: (
        f"{_ROW} cannot be checked here: "
        "compare its hash with a daily digest or run `verify-log --head` {hash}"
    ),
    Fact.ROW_PERSONAL: f"{_ROW}: its personal part has the hash that is in it",
    Fact.ROW_ERASED: f"{_ROW}: its personal part was erased",
    Fact.ROWS_IN_ORDER: "the rows of the log are in their order",
    Fact.ASKED: "what is asked is what the log says{others}",
    Fact.MODE: "it is {mode}, as the policy said",
    Fact.NO_EVENT: "no webhook is behind it",
    Fact.EVENT_READABLE: "the webhook's bytes can be read",
    Fact.EVENT_HASH: "the webhook's bytes have their hash",
    Fact.EVENT_OPEN: (
        "the webhook holds what opens something and is kept out: "
        "its hash is that of the log and is not computed again"
    ),
    Fact.EVENT_TYPE: "the webhook says {type}",
    Fact.EVENT_ID: "it is the webhook that the log names",
    Fact.RULE_HASH: "the rule's version is the hash of its source",
    Fact.RULE_LOGGED: "it is the rule and the version that the log names",
    Fact.NO_CASE_KIND: "it is of no kind of case",
    Fact.CASE_KIND_HASH: "the kind's hash is that of its fields",
    Fact.FAMILY: "its family is made of action and trigger",
    Fact.CASE_KIND_RULE: "the kind is of this rule's version and this risk class",
    Fact.LABEL: "its label is that of the log",
    Fact.WITHHELD: WITHHELD,
    Fact.NO_GATE: "the policy was not asked",
    Fact.GATE_LOGGED: "the judgement of the policy is the one in the log",
    Fact.SCORE: "{cases} cases, {rejections} rejections, generation {generation} give the score {score}",
    Fact.MAY_RUN: "its risk class may run on its own",
    Fact.OVERRIDE_RISK: "by manual override, below its threshold: class R1 only",
    Fact.THRESHOLD: "the score meets the threshold {target:g}",
    Fact.WOULD_RUN: "nothing of the case itself spoke against it",
    Fact.PERSON_LATELY: "a person had decided something within `max_idle`",
    Fact.KIND_RAN: "its kind ran on its own, unpaused",
    Fact.SPOT_CHECKS: "{agreed} agreed spot checks make {probability:g} the chance of another",
    Fact.DRAW_OPEN: "the draw cannot be checked here: only the program has its secret",
    Fact.CAPS: "it stayed under every cap of that moment",
    Fact.RAN_LOGGED: "{verdict} by {actor}: the log says that it ran on its own",
    Fact.DECISION: "{verdict} by {actor} is in the log",
    Fact.DECISIONS_SHOWN: "{missing} decisions of the log are missing here",
    Fact.NOT_SENT: f"{_REQUEST} was not sent",
    Fact.REQUEST_OPEN: (
        f"{_REQUEST} holds what opens something and is kept out: its fingerprint is not checked"
    ),
    Fact.REQUEST_SENT: f"{_REQUEST} is what the log says was sent",
    Fact.REQUEST_ASKED: f"{_REQUEST} is what was asked",
    Fact.NO_ANSWER: f"{_ANSWER} is not there yet",
    Fact.ANSWER: f"{_ANSWER} is in the log",
    Fact.STEPS: "its {count} changes of state are those of the log",
    Fact.OUTCOMES: "what came of it later ({count}) is in the log",
    Fact.STATE: "it is {state}",
}


def sentence(finding: Finding) -> str:
    """The checked fact in words."""
    other = finding.args.get("other")
    others = f": not {', '.join(other)}" if other else ""
    return _SENTENCES[finding.fact].format_map({**finding.args, "others": others})
