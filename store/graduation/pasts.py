"""The pasts of customers when their cases come: their other orders and refunds, and disputes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select, Subquery, bindparam, func, select

from store.engine.dialects import KeyText, SafeText, ask, given, readable
from store.models import NewProposal, SubjectState
from store.models.graduation import Past
from store.schema import subjects

_ENOUGH = 2  # first or returning; none, one, or two and more refunds
_PAID = ("paid", "partially_refunded", "refunded")
_REFUNDED = _PAID[1:]
_REFUND = ("succeeded", "pending")
# A dispute of any other status is money in doubt.
_OVER = ("won", "lost", "prevented")
_COUNTED = ("order", "refund", "dispute")  # the kinds of subjects that a past is made of
_STATUS = subjects.c.state["status"].as_string()
_DISPUTE = subjects.c.state["dispute"]["status"].as_string()
_NEAR = bindparam("near", expanding=True, type_=KeyText())
# Built once, as everything here: building it costs ten times what the database takes for it.
_KNOWN = select(
    subjects.c.subject,
    subjects.c.terminal,
    subjects.c.occurred_at,
    subjects.c.rank,
    subjects.c.customer_id,
    _STATUS.label("status"),
    _DISPUTE.label("dispute"),
).where(subjects.c.subject.in_(_NEAR))


@dataclass(frozen=True, slots=True)
class _Known:
    """A subject's state as far as it counts; the newest `order` stands."""

    subject: str
    order: tuple[int, datetime, int]
    customer_id: str | None
    status: str | None
    dispute: str | None


class Pasts:
    """The pasts of customers while events are told one after the other, as if each were stored at once.

    What is stored of all the customers is read once. The subjects that the events or the proposals are about
    are kept here and counted here.
    """

    def __init__(
        self, connection: Connection, proposals: Iterable[NewProposal], told: Iterable[SubjectState]
    ) -> None:
        """`proposals` are all whose past will be asked for, `told` all states that will be told."""
        wanted = [one for one in proposals if one.customer_id is not None]
        about = [*(one.subject for one in wanted), *(one.subject for one in told if wanted)]
        counted = sorted({one for one in about if one is not None and one.partition(":")[0] in _COUNTED})
        self._near: dict[str, _Known] = {}
        if counted:
            for row in connection.execute(_KNOWN, {"near": counted}):
                order = (row.terminal, row.occurred_at, row.rank)
                words = (_word(row.status), _word(row.dispute))
                self._near[row.subject] = _Known(row.subject, order, row.customer_id, *words)
        customers = [{"customer": one} for one in sorted({one.customer_id or "" for one in wanted})]
        stored = ask(connection, _stored, customers, near=counted)
        self._stored: dict[str, Sequence[int]] = {row.customer: row[1:] for row in stored}

    def of(self, proposal: NewProposal) -> Past:
        """The past of a proposal's customer now; that of a first customer when nobody can tell who it is."""
        if proposal.customer_id is None:
            return Past()
        customer, own = readable(proposal.customer_id), readable(proposal.subject)
        orders, refunded, refunds, disputes = self._stored[customer]
        for one in self._near.values():
            if one.customer_id != customer:
                continue
            kind, other = one.subject.partition(":")[0], one.subject != own
            orders += kind == "order" and other and one.status in _PAID
            refunded += kind == "order" and other and one.status in _REFUNDED
            refunds += kind == "refund" and other and one.status in _REFUND
            # Its own dispute counts too: nothing under dispute runs on its own.
            doubt = {"dispute": one.status, "refund": one.dispute}.get(kind)
            disputes += doubt is not None and doubt not in _OVER
        return Past(min(orders, _ENOUGH), min(max(refunded, refunds), _ENOUGH), dispute=disputes > 0)

    def tell(self, newest: SubjectState) -> None:
        """An event told of its subject: what is newer stands."""
        subject, order = readable(newest.subject), (int(newest.terminal), newest.occurred_at, newest.rank)
        known = self._near.get(subject)
        if subject.partition(":")[0] not in _COUNTED or (known is not None and known.order >= order):
            return
        dispute = newest.state.get("dispute")
        status = dispute.get("status") if isinstance(dispute, Mapping) else None
        words = (_word(newest.state.get("status")), _word(status))
        self._near[subject] = _Known(subject, order, readable(newest.customer_id), *words)


def past_of(connection: Connection, proposal: NewProposal) -> Past:
    """The past of a proposal's customer."""
    return Pasts(connection, [proposal], ()).of(proposal)


def _word(value: Any) -> str | None:
    """A status as the database compares it; whatever is no text is a word that nobody knows."""
    return None if value is None else str(readable(value))


@cache
def _stored(size: int) -> Select[Any]:
    asked = given(size, customer=SafeText())
    doubt = [_count(asked, "dispute", _STATUS.not_in(_OVER)), _count(asked, "refund", _DISPUTE.not_in(_OVER))]
    return select(
        asked.c.customer,
        _count(asked, "order", _STATUS.in_(_PAID)),
        _count(asked, "order", _STATUS.in_(_REFUNDED)),
        _count(asked, "refund", _STATUS.in_(_REFUND)),
        doubt[0] + doubt[1],
    )


def _count(asked: Subquery, kind: str, where: ColumnElement[bool]) -> ScalarSelect[int]:
    # ";" is the character after ":": the range that holds everything of a kind, by the index.
    c = subjects.c
    of_kind = (c.subject >= f"{kind}:", c.subject < f"{kind};", c.subject.not_in(_NEAR))
    own = select(c.subject).where(c.customer_id == asked.c.customer, *of_kind, where)
    found = own.limit(_ENOUGH).correlate(asked).subquery()
    return select(func.count()).select_from(found).scalar_subquery()
