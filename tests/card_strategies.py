"""What to draw cards, modals and views from: hostile text, proposals in every state, and what must hold."""

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from bot.proposals.build import scope_of
from bot.rules import EvaluationError, Rule, load_rules
from bot.ui.card import CardView, Message
from polar.catalog import operations
from polar.events import parse
from polar.text.summaries import facts, summarise
from store.models import (
    Bundle,
    Call,
    CallState,
    CommentKind,
    Decision,
    EventState,
    Mode,
    Proposal,
    ProposalKind,
    ProposalState,
    StoredEvent,
    Transition,
    Verdict,
)
from store.models.details import Comment, Dossier, Revision

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
LINK = "https://example.slack.com/archives/C1/p1"  # to one of our own messages
PEOPLE = ("U0ANNA", "U0BEN", "W0CLEO")  # those whom our own elements may mention
ACTORS = (*PEOPLE, "cli:anna", "policy", "polar-approvals")
_PAYLOADS = Path(__file__).parent / "payloads" / "deliveries.jsonl"
RECORDED = [row["body"] for row in map(json.loads, _PAYLOADS.read_text().splitlines())]
_WRITES = [one.id for one in operations().values() if one.is_write and one.refused is None]
# What a customer or a merchant can type somewhere, wherever in a payload it stands.
_TYPED = re.compile(r"(name|email|description|comment|title|reason_details|label|display_.*|line\d|city)$")

HOSTILE = st.sampled_from(
    [
        "<!channel>",
        "<!subteam^S0OPS|@ops> @here",
        "<@U0OPERATOR>",
        "<https://evil.example|Approve here>",
        "https://evil.example/x?a=1&b=2",
        "`*bold*` _it_ ~no~ ```",
        "\u202eevil\u2066 rtl \u200f",
        "a\nApproved by the boss\r\n:white_check_mark:\u2028b",
        "x" * 3_000,
        "&" * 3_000,
        "٣" * 700 + "\u0301" * 50,
        "👩\u200d💻🏴\u200d☠️" * 50,
        "zero\u200bwidth\ufeff\u00ad",
        "&lt;!here&gt;",
        "\x00\x1b[31m",
        "\ud800",
        "",
        "   ",
    ]
)
TEXT = HOSTILE | st.text(max_size=80)
_SENT = TEXT.map(lambda text: text.encode(errors="ignore").decode())  # no JSON carries half a character
_MAYBE = st.none() | TEXT
_PAIR = st.tuples(TEXT, TEXT)
_ACTOR = st.sampled_from(ACTORS)
_PERSON = st.none() | st.sampled_from(PEOPLE)
_MOMENT = st.none() | st.sampled_from(
    [NOW - timedelta(hours=1), NOW + timedelta(seconds=15), NOW + timedelta(days=9)]
)


def a_proposal(**changes: Any) -> Proposal:
    """An ordinary pending proposal, with these fields changed."""
    call = Call(operation="license_keys:update", path={"id": "k1"}, body={"status": "disabled"}, number=0)
    given = Proposal(
        id="p234567abcdef", fact_key="f", event_id="e", rule="disable-keys-of-refunded-order", rule_version="v",
        subject="order:o", title="Disable 1 license key of Bob, $29.00 refunded?", because=("Refunded in full",),
        facts=(("Customer", "Bob (bob@example.com)"), ("Amount", "$29.00")), risk="R2", always_asks=None,
        created_at=NOW, state=ProposalState.PENDING, row_version=1, note=None, attempts=0, verify_attempts=0, decided_by=None,
        decided_at=None, channel=None, card_ts=None, rendered_version=0, calls=(call,),
    )  # fmt: skip
    return replace(given, **changes)


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """A call of any operation, in any state, with any error."""
    body = draw(
        st.none() | st.dictionaries(st.sampled_from(["amount", "status", "reason"]), TEXT, max_size=2)
    )
    status = draw(st.none() | st.sampled_from([200, 401, 403, 404, 409, 410, 412, 422, 500]))
    return Call(draw(st.sampled_from(_WRITES)), {"id": "k"}, {}, body, draw(st.integers(0, 99)),
                draw(st.sampled_from(list(CallState))), status, draw(_MAYBE))  # fmt: skip


@st.composite
def proposals(draw: st.DrawFn, base: Proposal | None = None) -> Proposal:
    """A proposal in any state with anything in its columns; `base` gives what is asked."""
    asked: dict[str, Any] = {}
    if base is None:
        asked = {
            "title": draw(TEXT), "because": tuple(draw(st.lists(TEXT, max_size=8))),
            "facts": tuple(draw(st.lists(_PAIR, max_size=8))),
            "calls": tuple(draw(st.lists(calls(), max_size=4))) * draw(st.sampled_from([1, 1, 10])),
            "risk": draw(st.sampled_from(["R0", "R1", "R2", "R3", "R4"])),
        }  # fmt: skip
    decided = draw(st.booleans())
    revision = draw(st.integers(1, 3))
    taken_back = f"Undone by {PEOPLE[0]} in time. Nothing was done."
    return replace(
        base or a_proposal(),
        **asked,
        state=draw(st.sampled_from(list(ProposalState))),
        row_version=draw(st.integers(1, 9)),
        note=draw(_MAYBE | st.just(taken_back) | st.just("Checked: it no longer applies (size(each) > 0).")),
        always_asks=draw(_MAYBE),
        kind=draw(st.sampled_from([ProposalKind.CALLS, ProposalKind.CALLS, ProposalKind.GRADUATION])),
        mode=draw(st.sampled_from(list(Mode))),
        revision=revision,
        changes=tuple(draw(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=8))) if revision > 1 else (),
        edited_by=draw(_PERSON) if revision > 1 else None,
        decided_by=draw(_ACTOR) if decided else None,
        decided_at=NOW if decided else None,
        approval_checking_by=draw(_PERSON),
        cancellable_until=draw(_MOMENT),
        held_by=draw(_PERSON),
        snoozed_until=draw(_MOMENT),
        snoozed_by=draw(_PERSON),
        assignee=draw(_PERSON),
        deadline=draw(_MOMENT),
        expires_at=draw(_MOMENT),
        amount=draw(st.none() | st.integers(-(10**9), 10**9)),
        currency=draw(st.none() | st.sampled_from(["usd", "jpy", "<!c"])),
        subject=draw(st.sampled_from([None, "order:o", "dispute:d", "subscription:s", "<!here>:x"])),
        undone_at=draw(_MOMENT),
    )


@st.composite
def views(draw: st.DrawFn) -> CardView:
    """Anything a card may show beside its proposal."""
    return CardView(
        deciders=draw(TEXT),
        approvals=tuple(draw(st.lists(st.sampled_from(PEOPLE), max_size=2, unique=True))),
        needs_two=draw(st.booleans()),
        reasons=tuple(draw(st.lists(TEXT, max_size=3))),
        undo=draw(st.booleans()),
        undone=draw(st.none() | proposals()),
        today=tuple(draw(st.lists(_PAIR, max_size=5))),
        score=draw(_MAYBE),
        audit=draw(_MAYBE),
        now=NOW,
    )


@st.composite
def bundles(draw: st.DrawFn) -> Bundle:
    """Many proposals on one card, in any mixture of states."""
    found = draw(st.lists(proposals(), min_size=1, max_size=5))
    members = [replace(one, id=f"p{number}", customer=draw(_MAYBE)) for number, one in enumerate(found)]
    key = draw(st.sampled_from(["all|generate-invoice", "each|x"]))
    return Bundle("b0123456789ab", key, NOW, None, 3, "C1", None, None, None, tuple(members))


@st.composite
def trails(draw: st.DrawFn) -> list[Transition]:
    """Every change of a proposal, by anybody, for any reason."""
    steps = draw(
        st.lists(st.tuples(st.sampled_from(list(ProposalState)), _ACTOR, _MAYBE), min_size=1, max_size=6)
    )
    return [Transition("p", number, None, to, by, why, NOW) for number, (to, by, why) in enumerate(steps)]


@st.composite
def dossiers(draw: st.DrawFn) -> Dossier:
    """Everything about a proposal, each word of it typed by somebody."""
    said, proposal = draw(st.lists(TEXT, min_size=8, max_size=8)), draw(proposals())
    body = json.dumps({"type": said[0], "data": {said[1]: said[2]}}).encode()
    asked = {"operation": "refunds:create", "path": {}, "query": {}, "body": {said[3]: said[4]}}
    revision = Revision(1, said[5], (said[6],), ((said[7], said[0]),), (asked,), draw(_ACTOR), NOW)
    return Dossier(
        replace(proposal, customer=said[1], customer_id=said[2], gate={"why": said[3], said[4]: [said[5]]}),
        draw(st.none() | st.just(StoredEvent("e", said[6], body, NOW, NOW, EventState.DONE, None, 1))),
        {said[7]: said[0]},
        {"name": said[1], "on": [said[2]], "body": {said[3]: said[4]}},
        tuple(draw(trails())),
        (Decision("p", draw(_ACTOR), Verdict.APPROVE, said[5], NOW, said[6]),),
        (revision,),
        tuple(Comment("p", kind, draw(_ACTOR), said[7], None, "C1", "1.3", NOW) for kind in CommentKind),
        tuple(draw(st.lists(proposals(), max_size=2))),
        {"pending": 1},
    )


@cache
def _rules() -> tuple[Rule, ...]:
    return tuple(load_rules().rules)


@st.composite
def recorded(draw: st.DrawFn) -> Proposal:
    """What is asked about a recorded event full of hostile names."""
    return draw(asked_about(draw(poisoned(json.loads(draw(st.sampled_from(RECORDED)))))))


@st.composite
def poisoned(draw: st.DrawFn, body: dict[str, Any]) -> dict[str, Any]:
    """A payload in which everything that somebody could have typed is hostile."""
    found: dict[str, Any] = _poisoned(body, draw(st.lists(_SENT, min_size=3, max_size=3)))
    return found


@st.composite
def asked_about(draw: st.DrawFn, body: dict[str, Any]) -> Proposal:
    """What a rule that ships (else: made-up words) asks about an event."""
    event = parse(json.dumps(body).encode())
    shown = tuple((fact.label, fact.value) for fact in facts(event))
    plain = a_proposal(title=f"Do it for {draw(TEXT)}?", because=(summarise(event),), facts=shown)
    ours = [rule for rule in _rules() if event.type in rule.on]
    if not ours:
        return plain
    rule = draw(st.sampled_from(ours))
    try:
        draft = rule.draft(scope_of(event, NOW), None)
    except EvaluationError:  # it reads first, or compares, or this event is none of its cases
        return plain
    made = tuple(Call(c.operation, c.path, c.query, c.body, number) for number, c in enumerate(draft.calls))
    return replace(plain, title=draft.title, because=draft.because, calls=made, rule=rule.name)


def _poisoned(value: Any, names: list[str]) -> Any:
    """A payload in which everything somebody could have typed is one of `names`."""
    if isinstance(value, list):
        return [_poisoned(one, names) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: names[len(key) % len(names)] if isinstance(one, str) and _TYPED.search(key) else _poisoned(one, names)
        for key, one in value.items()
    }  # fmt: skip


def payload(message: Message) -> dict[str, Any]:
    """A message as the arguments of chat.postMessage."""
    sent = {"channel": "C1", "text": message.text, "blocks": list(message.blocks)}
    return sent | ({"metadata": message.metadata} if message.metadata is not None else {})


def elements(node: Any) -> Iterator[dict[str, Any]]:
    """Every object inside blocks."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ():
        yield from elements(child)


_LIVE = re.compile(r"[<>]|&(?!amp;|lt;|gt;)")
_MENTIONS = frozenset({"broadcast", "usergroup", "channel"})
_HIDDEN = frozenset({"Cf", "Cc", "Cs", "Co"})


def assert_quiet(text: str) -> None:
    """What one person is told, in Slack's markup: nothing links or pings but mentions of ours."""
    assert not _LIVE.search(re.sub("|".join(f"<@{one}>" for one in PEOPLE), "", text)), text


def assert_harmless(blocks: Any, text: str = "", *, may_mention: tuple[str, ...] = PEOPLE) -> None:
    """Nothing in these blocks or this `text` is markup, a link, a mention but of ours, or hidden."""
    assert not _LIVE.search(text), text
    assert "\n" not in text
    for element in elements(blocks):
        kind = element.get("type")
        assert kind not in ("mrkdwn", "markdown"), element
        assert kind != "link" or element["url"] == LINK, element
        assert kind not in _MENTIONS, element
        assert kind != "user" or element["user_id"] in may_mention, element
        assert kind != "date" or element["fallback"]
        assert kind != "plain_text" or element.get("emoji") is False, element
        if kind in ("text", "plain_text"):
            hidden = {char for char in element["text"] if unicodedata.category(char) in _HIDDEN} - {"\n"}
            assert not hidden, element
