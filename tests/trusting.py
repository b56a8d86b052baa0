"""The shop of the machine of trust: what may come, under which caps, and what the store then holds."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from bot.config.policy import Caps, Policy, Trust
from polar.events import Event
from store.engine.dialects import insert_new
from store.graduation.caps import cases_of, hour
from store.graduation.case_kinds import SECRET, all_case_kinds
from store.models import NewProposal, PlannedCall, Proposal
from store.proposals.proposals import all_proposals
from store.schema import decisions, marks, proposals, subjects
from store.schema.graduation import case_kinds, labels, spending

CAPS = Caps(
    action_amount={"usd": 2_000},
    customer_amount={"usd": 4_000},
    customer_count=4,
    case_kind_amount={"usd": 5_000},
    case_kind_count=3,
    day_amount={"usd": 6_000},
    day_count=5,
)
POLICY = Policy(caps=CAPS, graduation=Trust(opt_in=("refunds:create",), ask_first_of_week=False))
AMOUNTS = (1_100, 1_900)
# An event, its operation, and whether it may ever run on its own.
CASES = {
    "invoice": ("order.paid", "orders:generate_invoice", True),
    "refund": ("order.created", "refunds:create", True),
    "revoke": ("order.paid", "subscriptions:revoke", False),
    "lost access": ("benefit_grant.revoked", "orders:generate_invoice", False),
    "lost seat": ("customer_seat.revoked", "orders:generate_invoice", False),
    "state": ("customer.state_changed", "orders:generate_invoice", False),
    "not opted in": ("order.paid", "subscriptions:update", False),
    "by hand": ("order.paid", "orders:generate_invoice", False),
}
STRICTER = Policy(caps=CAPS, graduation=Trust(never=("orders:generate_invoice",), ask_first_of_week=False))


def case(kind: str, number: int, who: int, amount: int, now: datetime) -> tuple[NewProposal, Event]:
    event_type, operation, _ = CASES[kind]
    body = {
        "refunds:create": {"order_id": f"order_{number}", "amount": amount, "reason": "duplicate"},
        "subscriptions:update": {"product_id": "another"},
    }.get(operation)
    by_hand = kind == "by hand"
    data = {
        "id": f"order_{number}",
        "customer_id": f"customer_{who}",
        "product_id": "pro",
        "refundable_amount": 5_000,
    }
    proposal = NewProposal(
        id=f"p{number}",
        fact_key=f"{event_type}|{number}",
        event_id=None if by_hand else f"evt_{number}",
        rule=None if by_hand else "a-rule",
        rule_version=None if by_hand else "v1",
        subject=f"order:order_{number}",
        title="Do it?",
        because=(),
        facts=(),
        risk={"refunds:create": "R3", "subscriptions:revoke": "R1", "subscriptions:update": "R3"}.get(
            operation, "R1"
        ),
        always_asks=None,  # as if a rule had got it wrong: the gate looks for itself
        calls=(PlannedCall(operation, path={} if operation == "refunds:create" else {"id": "x"}, body=body),),
        created_at=now,
        proposer="U2" if by_hand else None,
        amount=amount,
        currency="usd",
        customer_id=f"customer_{who}",
    )
    return proposal, Event(type=event_type, timestamp=now, raw={"type": event_type, "data": data})


def moved(one: Any) -> int:
    return one.amount if one.is_refund else 0


def fix_draw(connection: Connection) -> None:
    insert_new(connection, marks, [{"name": SECRET, "value": "17" * 32}])


def busy(connection: Connection, now: datetime) -> None:
    """A busy shop: what comes in one go here is no flood."""
    hours = [hour(now - timedelta(hours=back)) for back in range(170)]
    rows = [
        {"scope": cases_of(case_kind.hash), "day": one, "currency": "", "count": 50, "amount": 0}
        for case_kind in all_case_kinds(connection)
        for one in hours
    ]
    insert_new(connection, spending, rows)


def everything(connection: Connection) -> list[Proposal]:
    return list(all_proposals(connection))


def ran(connection: Connection) -> list[Any]:
    """Everything the policy has ever let run, whatever became of it."""
    refund = (proposals.c.fact_key.startswith("order.created")).label("is_refund")
    rows = connection.execute(
        select(
            proposals.c.id,
            proposals.c.case_kind,
            proposals.c.customer_id,
            proposals.c.amount,
            decisions.c.at,
            refund,
        )
        .join_from(decisions, proposals, proposals.c.id == decisions.c.proposal_id)
        .where(decisions.c.actor == "policy")
    )
    return list(rows)


def derived(connection: Connection) -> list[Any]:
    found = [*connection.execute(select(labels).order_by(labels.c.proposal_id))]
    return [
        tuple(row) for row in [*found, *connection.execute(select(case_kinds).order_by(case_kinds.c.hash))]
    ]


def dispute(connection: Connection, who: int, event_id: str, now: datetime) -> None:
    """Money of a customer's comes under dispute, as an event of theirs tells."""
    row = {
        "subject": f"dispute:{event_id}",
        "terminal": 0,
        "occurred_at": now,
        "rank": 0,
        "event_id": event_id,
    }
    row |= {"state": {"status": "needs_response"}, "customer_id": f"customer_{who}"}
    insert_new(connection, subjects, [row])
