"""A past in which every state there is occurs, the same on every database: hostile words, a lot of money."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete

from store.engine.dialects import insert_new
from store.events.events import insert_events, note_sighting
from store.events.rule_matches import keep_rules
from store.graduation.case_kinds import SECRET, change, note_case_kind
from store.graduation.gate import put
from store.graduation.outcomes import add_outcome
from store.messages.bundles import put_in_bundle
from store.messages.cards import card_drawn, claim_cards
from store.messages.home_viewers import opened_home
from store.messages.outbox import add_notice
from store.models import (
    CallState,
    CaseKindState,
    CommentKind,
    Decision,
    Mode,
    NewEvent,
    NewProposal,
    OutcomeKind,
    PlannedCall,
    ProposalState,
    Sighting,
    Verdict,
)
from store.models.graduation import CaseHistory, GateInputs, Judged, Label, NewCaseKind, Outcome, Past
from store.proposals.actions import Act, NewRevision, assign, edit, hold, snooze
from store.proposals.comments import add_comment
from store.proposals.decisions import Terms, decide
from store.proposals.execution import begin_call, claim_approved, end_call, finish_execution
from store.proposals.pending_approvals import PendingApproval, add_pending_approval
from store.schema import marks, viewers

NOW = datetime.fromisoformat("2026-11-21T12:00:00+00:00")
HOUR, SOON = timedelta(hours=1), NOW + timedelta(minutes=5)
KIND = NewCaseKind(
    "5a9e", "invoice", {"operation": "orders:generate_invoice", "amount": [1, "idr"]}, "An invoice", "R1"
)
RICH = 3_000_000_000  # minor units: more than 32 bits hold
MESSAGE: Mapping[str, Any] = {"text": "Hello", "blocks": []}


class Willing:
    """A judge that lets everything run, an assessor that learns nothing new, a labeller: what queries ask back."""

    def case_kind(self, proposal: NewProposal, past: Past) -> NewCaseKind | None:
        return KIND

    def judge(self, proposal: NewProposal, past: Past, inputs: GateInputs | None) -> Judged:
        assert inputs is not None
        mode = Mode.AUTO if inputs.case_kind.state == CaseKindState.GRADUATED else Mode.ASKED
        return Judged(
            mode, {"generation": inputs.case_kind.generation, "amount": RICH, "currency": "idr"}, RICH, "idr"
        )

    def label(self, case: CaseHistory) -> Label | None:
        if not case.decisions:
            return None
        at = case.decisions[-1].at
        return Label(case.proposal_id, case.case_kind, bool(case.outcomes), True, "a yes", False, at, at)

    def learn(self, approved: Sequence[Sequence[PlannedCall]]) -> Mapping[str, Any]:
        return {"cases": len(approved), "most": RICH * 1_000}

    def lacks(self, case_kind: Any, now: datetime) -> list[str]:
        return ["everything"]

    def notice(self, told: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
        return ("case_kind", MESSAGE)


class Asking(Willing):
    """A judge that has everything asked."""

    def judge(self, proposal: NewProposal, past: Past, inputs: GateInputs | None) -> Judged:
        return replace(super().judge(proposal, past, inputs), mode=Mode.ASKED)


WILLING, ASKING = Willing(), Asking()


def new(name: str, second: int = 0, **fields: Any) -> NewProposal:
    """A proposal of this name, of one customer, about a lot of money."""
    made = NewProposal(
        id=name,
        fact_key=f"fact {name}",
        event_id="evt_1",
        rule="a-rule",
        rule_version="v1",
        subject=f"order:{name}",
        title=f"Do it for Ada\0 of {name}?",
        because=("The order is paid\0",),
        facts=(("Customer", "Ada \ud800\0 \U0001f600"),),
        risk="R1",
        always_asks=None,
        calls=(
            PlannedCall(
                "orders:generate_invoice", path={"id": name}, body={"amount": RICH, "note": "\0\ud800"}
            ),
        ),
        created_at=NOW + timedelta(seconds=second),
        expires_at=NOW + 24 * HOUR + timedelta(seconds=second),
        amount=RICH,
        currency="idr",
        customer_id="c1",
        customer="ada@example.com",
        digest="d1",
    )
    return replace(made, **fields)


REVISION = NewRevision(
    1, "Do it twice\0?", (("Customer", "Ada"),), (PlannedCall("orders:generate_invoice", path={"id": "e"}),),
    (("Question", "once", "twice"),), "d2", "R1", None, RICH, "idr",
)  # fmt: skip
NAMES = ("pending", "held", "snoozed", "edited", "first", "tapped", "bundled", "approved", "declined", "running",
         "unknown", "failed", "done", "ran", "missing")  # fmt: skip


def prepare(connection: Connection) -> None:
    """Make the past in an empty database."""
    connection.execute(delete(marks))
    insert_new(connection, marks, [{"name": SECRET, "value": "17" * 32}])
    events = [
        NewEvent(f"evt_{n}", "order.paid", b"{}", "", NOW, NOW + timedelta(seconds=n)) for n in (1, 2, 3)
    ]
    insert_events(connection, events)
    keep_rules(connection, {"v1": ("a-rule", {"name": "a-rule"})}, NOW)
    for subject, status in (("order:old", "paid"), ("refund:old", "succeeded"), ("dispute:old", "lost")):
        told = {"status": status, "customer_id": "c1", "note": "\0\ud800"}
        note_sighting(connection, "evt_1", Sighting(subject, True, NOW, 1, told, "c1"))
    note_case_kind(connection, KIND, NOW)
    change(
        connection, KIND.hash, CaseKindState.GRADUATED, actor="U1", cause="t", at=NOW, manual_override=True
    )
    for number, name in enumerate(NAMES[:-1]):
        # Some have a deadline: what has none comes neither first nor last by chance.
        ends = NOW + (20 - number) * HOUR if number % 3 == 0 else None
        put(connection, new(name, number, deadline=ends), WILLING if name == "ran" else ASKING)
    for number, name in enumerate(("approved", "running", "unknown", "failed", "done")):
        at = SOON + timedelta(seconds=number)
        decide(connection, Decision(name, "U1", Verdict.APPROVE, "button", at, interaction_id="press"))
    decide(connection, Decision("declined", "U2", Verdict.DECLINE, "button", SOON - HOUR / 60, reason="No\0"))
    decide(connection, Decision("first", "U1", Verdict.APPROVE, "button", SOON), Terms(2))
    add_pending_approval(
        connection, PendingApproval("tap_1", "tapped", 1, "U1", "button", SOON, channel="C1")
    )
    hold(connection, Act("held", "U1", "Held.", SOON, MESSAGE))
    snooze(connection, Act("snoozed", "U1", "Snoozed.", SOON), SOON + HOUR)
    assign(connection, Act("pending", "U1", "Assigned.", SOON), "U2")
    edit(connection, Act("edited", "U1", "Edited.", SOON), REVISION)
    put_in_bundle(connection, "b1", "a kind\0", ["bundled"], SOON)
    _run(connection)
    at = SOON + HOUR / 30
    for shown in claim_cards(connection, token="d", now=at, until=SOON + HOUR, redraws=9, posts=4):
        where: Any = {"version": shown.row_version, "revision": shown.revision, "channel": "C1", "at": SOON}
        where |= {"ts": f"1.{shown.id}"}
        card_drawn(connection, shown.id, token="d", lines={shown.row_version: MESSAGE}, **where)
    add_notice(connection, "note\0", kind="digest", message=MESSAGE, at=NOW)
    add_comment(connection, "pending", CommentKind.THREAD, "U1", "Why\0?", at=NOW, channel="C1", ts="1")
    add_outcome(connection, Outcome("done", OutcomeKind.UNDONE, "an event", SOON), SOON)
    opened_home(connection, "U1", NOW)
    insert_new(connection, viewers, [{"user_id": "U2", "opened_at": NOW, "drawn_at": None}])


def _run(connection: Connection) -> None:
    at = SOON + HOUR / 60
    claim_approved(connection, token="t", now=at, until=SOON + HOUR, limit=9)
    for second, (name, state, to) in enumerate(
        (
            ("unknown", CallState.UNKNOWN, ProposalState.UNKNOWN),
            ("failed", CallState.REFUSED, ProposalState.FAILED),
            ("done", CallState.DONE, ProposalState.SUCCEEDED),
            ("ran", CallState.DONE, ProposalState.SUCCEEDED),
            ("approved", CallState.PLANNED, ProposalState.APPROVED),
        )
    ):
        mine: Any = {"token": "t", "now": at + timedelta(seconds=second)}
        if name != "approved":
            begin_call(connection, name, 0, before={"was": "\0"}, **mine)
            end_call(connection, name, 0, state=state, answer={"currency": "IDR", "note": "\0"}, **mine)
        finish_execution(connection, name, to, reason=None, **mine)
