"""Find what is kept of a customer, and what is older than it may be kept. All reads, in pages."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, LargeBinary, Select, func, or_, select

from store.engine.dialects import spelled
from store.erasure.erase import BEING_DONE
from store.models import ERASED_BODY, EventState, ProposalKind, ProposalState, RuleMatchState
from store.schema import calls, erased_customers, events, outbox, proposals, rule_matches, subjects

PAGE = 200
_OPEN = (ProposalState.PENDING, ProposalState.APPROVED, *BEING_DONE)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_P, _E, _S = proposals.c, events.c, subjects.c


@dataclass(frozen=True, slots=True)
class Customer:
    """A person as Polar knows them: `ids` of the customer, e-mail addresses, ids of the merchant's own."""

    ids: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    external_ids: frozenset[str] = frozenset()

    def __or__(self, other: "Customer") -> "Customer":
        return Customer(
            self.ids | other.ids, self.emails | other.emails, self.external_ids | other.external_ids
        )

    def __bool__(self) -> bool:
        return bool(self.ids or self.emails or self.external_ids)


@dataclass(slots=True)
class Held:
    """The keys of rows about a customer, by table; `titles` are those of the proposals."""

    subjects: set[str] = field(default_factory=set)
    events: set[str] = field(default_factory=set)
    proposals: set[str] = field(default_factory=set)
    titles: set[str] = field(default_factory=set)


class Look:
    """Recognizes a customer in JSON values, by whole ids and addresses only."""

    def __init__(self, customer: Customer, objects: Collection[str] = ()) -> None:
        """`objects` are ids of what belongs to the customer."""
        names = [_whole(one, r"[0-9a-z_-]") for one in sorted(customer.ids | set(objects))]
        names += [_whole(one, r"[\w.+%-]") for one in sorted(customer.emails)]
        names += [
            rf'"(?:external_id|external_customer_id|customer_external_id)": {re.escape(_plain(one))}'
            for one in sorted(customer.external_ids)
        ]
        self._pattern = re.compile("|".join(names) or r"(?!)")

    def sees(self, value: Any) -> bool:
        """Tell whether the customer is named in a JSON value."""
        return self._pattern.search(_plain(value)) is not None

    def sees_in(self, body: bytes) -> bool:
        """Tell whether the customer is named in the body of a webhook."""
        try:
            return self.sees(json.loads(body))
        except ValueError:
            return self._pattern.search(body.decode(errors="replace").lower()) is not None


def _whole(text: str, inside: str) -> str:
    """A pattern of the text where it is no part of a longer one; a full stop may end a sentence."""
    return rf"(?<!{inside}){re.escape(text.lower())}(?!{inside.replace('.', '')}|\.\w)"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).lower()


def is_id(text: str) -> bool:
    """Tell whether a text is an id as Polar gives them."""
    return _ID.fullmatch(text) is not None


# --- A customer by what somebody types ----------------------------------------------------------------------


def customers_in(connection: Connection, wanted: Customer, after: str) -> tuple[Customer, str | None]:
    """Further ids and addresses of the customer in the subjects after this key; the last key read, None at
    the end.
    """
    found, last = Customer(), None
    for row in connection.execute(_page(select(_S.subject, _S.customer_id, _S.state), _S.subject, after)):
        last = row.subject
        for one in _people(row.subject, row.customer_id, row.state):
            if _is_same(one, wanted):
                found |= one
    return found, last


def customer_of_proposals(connection: Connection, wanted: Customer) -> Customer:
    """The ids and addresses of the customer in proposals."""
    either = or_(_P.customer_id.in_(wanted.ids), _P.customer.in_(wanted.emails))
    rows = connection.execute(select(_P.customer_id, _P.customer).where(either).distinct())
    found = Customer()
    for row in rows:
        found |= Customer(frozenset(_texts(row.customer_id)), frozenset(_texts(row.customer)))
    return found


def _people(subject: str, customer_id: str | None, state: Any) -> Iterator[Customer]:
    """The customers that a subject's state tells of; a checkout may tell of one without an id."""
    if not isinstance(state, Mapping):
        return
    own = state if subject.startswith(("customer:", "customer_state:")) else state.get("customer")
    person: Mapping[str, Any] = own if isinstance(own, Mapping) else {}
    for one, name in ((person, ""), (state, "customer_")):
        ids = _texts(one.get(f"{name}id"), customer_id)
        emails = [email.lower() for email in _texts(one.get(f"{name}email"))]
        yield Customer(
            frozenset(ids[:1]), frozenset(emails), frozenset(_texts(one.get(f"{name}external_id")))
        )


def _is_same(one: Customer, wanted: Customer) -> bool:
    return bool(one.ids & wanted.ids or one.emails & wanted.emails or one.external_ids & wanted.external_ids)


def _texts(*values: Any) -> list[str]:
    return [one for one in values if isinstance(one, str) and one]


# --- Everything that is kept of a customer ------------------------------------------------------------------


def subjects_of(
    connection: Connection, customer: Customer, look: Look, after: str
) -> tuple[set[str], str | None]:
    """The subjects after this key that are of the customer or name them; the last key read."""
    found, last = set(), None
    for row in connection.execute(_page(select(_S.subject, _S.customer_id, _S.state), _S.subject, after)):
        last = row.subject
        if row.customer_id in customer.ids or look.sees(row.state):
            found.add(row.subject)
    return found, last


def events_of(connection: Connection, held: Held, look: Look, after: str) -> tuple[set[str], str | None]:
    """The webhooks after this id that are about one of the subjects or name the customer; the last id."""
    found, last = set(), None
    for row in connection.execute(_page(select(_E.id, _E.subject, _E.body), _E.id, after)):
        last = row.id
        if row.subject in held.subjects or look.sees_in(row.body):
            found.add(row.id)
    return found, last


_ASKED = (
    "id", "event_id", "customer_id", "customer", "subject", "title", "reasons", "facts", "reads", "kind",
)  # fmt: skip


def proposals_of(
    connection: Connection, customer: Customer, held: Held, look: Look, after: str
) -> tuple[dict[str, str], str | None]:
    """The titles of the proposals after this id that are about the customer, by id; the last id read."""
    page = select(*(_P[name] for name in _ASKED)).where(_P.erased_at.is_(None))
    rows = connection.execute(_page(page, _P.id, after)).all()
    planned = _values_of_calls(connection, [row.id for row in rows])
    found = {}
    for row in rows:
        own = (
            row.customer_id in customer.ids or row.customer in customer.emails or row.subject in held.subjects
        )
        shown = [row.title, row.reasons, row.facts, row.reads, planned.get(row.id)]
        offer = row.kind == ProposalKind.GRADUATION
        if not offer and (own or row.event_id in held.events or look.sees(shown)):
            found[row.id] = row.title
    return found, rows[-1].id if rows else None


def _values_of_calls(connection: Connection, ids: Sequence[str]) -> dict[str, list[Any]]:
    columns = (calls.c.proposal_id, calls.c.path, calls.c.query, calls.c.body, calls.c.answer)
    found: dict[str, list[Any]] = {}
    for row in connection.execute(select(*columns).where(calls.c.proposal_id.in_(ids))):
        found.setdefault(row.proposal_id, []).append([row.path, row.query, row.body, row.answer])
    return found


def being_done(connection: Connection, ids: Collection[str]) -> Sequence[Any]:
    """Of these proposals those whose calls may be on their way, with their events."""
    own = (_P.id.in_(ids), _P.state.in_(BEING_DONE))
    return connection.execute(select(_P.id, _P.event_id).where(*own)).all()


def undoing(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """The titles of the proposals that undo these, by id."""
    own = select(_P.id, _P.title).where(_P.undo_of_id.in_(ids), _P.erased_at.is_(None))
    return {row.id: row.title for row in connection.execute(own)}


def offers_naming(connection: Connection, titles: Collection[str]) -> list[str]:
    """The offers to let a kind of case run on its own that name a proposal by one of these titles."""
    own = select(_P.id, _P.reasons.label("shown")).where(
        spelled(_P.kind, ProposalKind.GRADUATION), _P.case_kind > ""
    )
    return [
        row.id
        for row in connection.execute(own)
        if any(title in one for one in row.shown for title in titles)
    ]


def unsent_naming(connection: Connection, look: Look, titles: Collection[str]) -> list[str]:
    """The messages that wait to be sent and name the customer or one of these proposals."""
    own = select(outbox.c.id, outbox.c.message).where(
        outbox.c.sent_at.is_(None), outbox.c.proposal_id.is_(None)
    )
    found = []
    for row in connection.execute(own):
        text = _plain(row.message)
        if look.sees(row.message) or any(_plain(title)[1:-1] in text for title in titles):
            found.append(row.id)
    return found


def _page(query: Select[Any], key: ColumnElement[str], after: str) -> Select[Any]:
    return query.where(key > after).order_by(key).limit(PAGE)


# --- What may no longer be kept -----------------------------------------------------------------------------

_CLOSED = (_P.erased_at.is_(None), _P.state.not_in(_OPEN))
_NEEDED = or_(
    select(_P.id).where(_P.event_id == _E.id, _P.state.in_(_OPEN)).exists(),
    # Few wait, and these are found by their own index.
    _E.id.in_(select(rule_matches.c.event_id).where(rule_matches.c.state == RuleMatchState.WAITING)),
)
_START = func.substr(_E.body, 1, len(ERASED_BODY), type_=LargeBinary)
_WHOLE = (_E.state != EventState.NEW, _START != ERASED_BODY, ~_NEEDED)
_HAS_DATA = _S.state["id"].as_string().is_not(None)  # every state has one until it is erased
_ERASED = select(erased_customers.c.customer_id)


def overdue_proposals(connection: Connection, before: datetime | None, limit: int) -> Sequence[str]:
    """Closed proposals of erased customers and, with `before`, those made and decided before that."""
    theirs = select(_P.id).where(*_CLOSED, _P.customer_id.in_(_ERASED), _P.kind != ProposalKind.GRADUATION)
    found = connection.execute(theirs.limit(limit)).scalars().all()
    if found or before is None:
        return found
    decided = or_(_P.decided_at.is_(None), _P.decided_at < before)
    old = select(_P.id).where(*_CLOSED, _P.created_at < before, decided).order_by(_P.created_at)
    return connection.execute(old.limit(limit)).scalars().all()


def overdue_events(connection: Connection, before: datetime | None) -> Sequence[str]:
    """Webhooks of erased customers and, with `before`, older ones; none that an open proposal needs."""
    theirs = select(_S.subject).where(_S.customer_id.in_(_ERASED))
    found = (
        connection.execute(select(_E.id).where(*_WHOLE, _E.subject.in_(theirs)).limit(PAGE)).scalars().all()
    )
    if found or before is None:
        return found
    old = select(_E.id).where(*_WHOLE, _E.received_at < before).order_by(_E.received_at)
    return connection.execute(old.limit(PAGE)).scalars().all()


def overdue_subjects(connection: Connection, before: datetime | None) -> Sequence[str]:
    """Subjects of erased customers and, with `before`, those of which nothing was told since then."""
    of_erased: ColumnElement[bool] = _S.customer_id.in_(_ERASED)
    due = of_erased if before is None else or_(of_erased, _S.occurred_at < before)
    return connection.execute(select(_S.subject).where(_HAS_DATA, due).limit(PAGE)).scalars().all()


# --- Questions that somebody has approved -------------------------------------------------------------------


def approved_erasures(connection: Connection, now: datetime) -> Sequence[Any]:
    """The approved questions whether to erase a customer: id, customer, their address, and who approved."""
    own = (_P.kind == ProposalKind.ERASURE, _P.state == ProposalState.APPROVED)
    due = (_P.due_at <= now, _P.held_by.is_(None))
    return connection.execute(
        select(_P.id, _P.customer_id, _P.customer, _P.decided_by).where(*own, *due)
    ).all()
