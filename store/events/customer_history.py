"""A customer's history as events told it, beside the case at hand: a few rows by index."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select, and_, bindparam, func, or_, select

from store.models import CallState, Mode, NewProposal, ProposalCall
from store.models.graduation import Past
from store.proposals.proposals import read_call
from store.schema import calls, proposals, subjects
from store.schema.columns import UtcDateTime

_WEEK = timedelta(days=7)
# Between a proposal and its calls lies a decision, which is seldom later than this.
_LONGEST = timedelta(days=30)
_ENOUGH = 2  # first or returning; none, one, or two and more refunds
_PAID = ("paid", "partially_refunded", "refunded")
_REFUND = ("succeeded", "pending")
# A dispute of any other status is money in doubt.
_OVER = ("won", "lost", "prevented")


def past_of(connection: Connection, proposal: NewProposal) -> Past:
    """The past of a proposal's customer; that of a first customer when nobody can tell who it is."""
    if proposal.customer_id is None:
        return Past()
    known = {"customer": proposal.customer_id, "own": proposal.subject or ""}
    orders, refunded, refunds, disputes, disputed_refunds = connection.execute(_PAST, known).one()
    return Past(orders, max(refunded, refunds), dispute=bool(disputes or disputed_refunds))


def _count(kind: str, *where: ColumnElement[bool]) -> ScalarSelect[int]:
    # ";" is the character after ":": the range that holds everything of a kind, by the index.
    of_kind = [subjects.c.subject >= f"{kind}:", subjects.c.subject < f"{kind};"]
    own = subjects.c.customer_id == bindparam("customer")
    found = select(subjects.c.subject).where(own, *of_kind, *where).limit(_ENOUGH).subquery()
    return select(func.count()).select_from(found).scalar_subquery()


def _past() -> Select[int, int, int, int, int]:
    other = subjects.c.subject != bindparam("own")
    status = subjects.c.state["status"].as_string()
    disputed = subjects.c.state["dispute"]["status"].as_string()
    return select(
        _count("order", other, status.in_(_PAID)),
        _count("order", other, status.in_(_PAID[1:])),
        _count("refund", other, status.in_(_REFUND)),
        # Its own dispute counts too: nothing under dispute runs on its own.
        _count("dispute", status.not_in(_OVER)),
        _count("refund", disputed.not_in(_OVER)),
    )


_PAST = _past()  # built once: building it costs ten times what the database takes for it
_SEEN = (
    select(proposals.c.id)
    .where(
        proposals.c.customer_id == bindparam("customer"),
        proposals.c.created_at > bindparam("since", type_=UtcDateTime),
        proposals.c.case_kind == bindparam("kind"),
        proposals.c.id != bindparam("own"),
    )
    .limit(1)
)


def seen_this_week(connection: Connection, proposal: NewProposal, case_kind: str, now: datetime) -> bool:
    """Tell whether this customer had a case of this kind in the last seven days."""
    if proposal.customer_id is None:
        return False
    known = {"customer": proposal.customer_id, "since": now - _WEEK, "kind": case_kind, "own": proposal.id}
    return connection.execute(_SEEN, known).first() is not None


@dataclass(frozen=True, slots=True)
class Done:
    """A proposal of which something was done, with the calls that were."""

    proposal_id: str
    subject: str | None
    calls: tuple[ProposalCall, ...]


def done_for_customer(
    connection: Connection, customer_id: str, since: datetime, alone_since: datetime
) -> Sequence[Done]:
    """The done proposals of rules about a customer since then; automatic runs since `alone_since`."""
    rows = connection.execute(
        select(proposals.c.id.label("proposal"), proposals.c.subject, calls)
        .join_from(proposals, calls, calls.c.proposal_id == proposals.c.id)
        .where(
            proposals.c.customer_id == customer_id,
            proposals.c.created_at >= min(since, alone_since) - _LONGEST,
            proposals.c.case_kind.is_not(None),
            or_(
                calls.c.started_at >= since,
                and_(calls.c.started_at >= alone_since, proposals.c.mode == Mode.AUTO),
            ),
            calls.c.state == CallState.DONE,
        )
        .order_by(proposals.c.id, calls.c.number)
    ).all()
    made: dict[str, list[ProposalCall]] = {}
    for row in rows:
        made.setdefault(row.proposal, []).append(read_call(row))
    about = {row.proposal: row.subject for row in rows}
    return [Done(one, about[one], tuple(done)) for one, done in made.items()]
