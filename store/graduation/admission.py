"""Admission: the policy looks at cases and the pasts of their customers, and they are stored, at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    Subquery,
    Text,
    bindparam,
    func,
    insert,
    select,
)

from store.audit_log.log import Entry, append_all
from store.engine.dialects import KeyText, SafeText, UtcDateTime, ask, given, readable
from store.graduation.case_kinds import (
    came_lately,
    change,
    get_case_kinds,
    hold_trust,
    last_human,
    note_case_kind,
    paused,
    spend,
    usage,
)
from store.graduation.reducer import WEEK, Counter, TrustChange, Wanted, counted, first_seen, is_idle
from store.models import Actor, CaseKindState, Mode, NewProposal, SubjectState, Verdict
from store.models.graduation import CaseKind, Evaluation, Evaluator, GateInputs, NewCaseKind, Past
from store.proposals.proposals import Born, insert_proposals, proposed, transition_entry
from store.schema import decisions, proposals, subjects

_DECIDED = insert(decisions)  # built once: every case that comes needs it


@dataclass(frozen=True, slots=True)
class Case:
    """A proposal that comes, the policy over it, and the past of its customer."""

    proposal: NewProposal
    evaluator: Evaluator
    past: Past

    def case_kind(self) -> NewCaseKind | None:
        """Its kind of case; None for what never has one."""
        return self.evaluator.case_kind(self.proposal, self.past)


def insert_with_policy(connection: Connection, proposal: NewProposal, evaluator: Evaluator) -> None:
    """Store a proposal as the policy evaluates it: it asks, or it is approved and due at once."""
    insert_all_with_policy(connection, [Case(proposal, evaluator, past_of(connection, proposal))])


def insert_all_with_policy(connection: Connection, cases: Sequence[Case]) -> None:
    """Store proposals as the policy evaluates them, each as if those before it were stored already."""
    if not cases:
        return
    _Admission(connection, cases).store_all()


def evaluate(
    connection: Connection, proposal: NewProposal, evaluator: Evaluator
) -> tuple[NewCaseKind | None, Evaluation]:
    """The kind of a case and what the policy says of it now; from here on no rival changes either."""
    admission = _Admission(connection, [Case(proposal, evaluator, past_of(connection, proposal))])
    return admission.kinds_of[0], admission.evaluate(0)


class _Admission:
    """Cases that are stored together. What the policy asks about them is read once, and kept up to date while
    one after the other is admitted. What they write is written once, in their order.
    """

    def __init__(self, connection: Connection, cases: Sequence[Case]) -> None:
        self._connection, self._cases = connection, cases
        self.kinds_of = [one.case_kind() for one in cases]
        self._born: list[Born] = []
        self._entries: list[Entry] = []
        self._spent: list[Counter] = []
        known = [(one.proposal, kind) for one, kind in zip(cases, self.kinds_of, strict=True) if kind]
        if known:
            self._look(known)

    def _look(self, known: Sequence[tuple[NewProposal, NewCaseKind]]) -> None:
        """Read what the policy asks about these cases: a few reads by key, however long the history."""
        connection = self._connection
        self._secret = hold_trust(connection)  # from here on no rival spends, demotes or graduates
        self._kinds = get_case_kinds(connection, {kind.hash for _, kind in known})
        self._stopped = paused(connection)
        self._human_at = last_human(connection, max(one.created_at for one, _ in known))
        of = [(one, self._kinds.get(new.hash) or first_seen(new, one.created_at)) for one, new in known]
        self._usage = usage(connection, [each for one, kind in of for each in Wanted.of(one, kind).all()])
        self._newest = _newest_cases(connection, known)

    def evaluate(self, number: int) -> Evaluation:
        """The word of the policy on a case when those before it are admitted."""
        case, new = self._cases[number], self.kinds_of[number]
        inputs = None if new is None else self._inputs(case.proposal, new)
        return case.evaluator.evaluate(case.proposal, inputs)

    def _inputs(self, proposal: NewProposal, new: NewCaseKind) -> GateInputs:
        now = proposal.created_at
        kind = self._kind(new, now)
        if self._human_at is not None and self._human_at > now:
            self._human_at = last_human(self._connection, now)
        met = self._newest.get((readable(proposal.customer_id), kind.hash))
        return Wanted.of(proposal, kind).inputs(
            self._usage,
            proposal,
            kind,
            secret=self._secret,
            paused_by=None if self._stopped is None else self._stopped.by,
            human_at=self._human_at,
            first_this_week=proposal.customer_id is None or met is None or met <= now - WEEK,
        )

    def _kind(self, new: NewCaseKind, now: datetime) -> CaseKind:
        known = self._kinds.get(new.hash)
        if known is not None and came_lately(known, now):
            return known
        if known is not None and is_idle(known.state, known.cases, known.last_case_at, now):
            self._log()  # that it begins anew is the next row
        kind = self._kinds[new.hash] = note_case_kind(self._connection, new, now)
        return kind

    def store_all(self) -> None:
        """Store the cases one after the other."""
        named = [
            replace(one.proposal, case_kind=None if kind is None else kind.hash)
            for one, kind in zip(self._cases, self.kinds_of, strict=True)
        ]
        entries = proposed(self._connection, named)
        for number, proposal in enumerate(named):
            found = self.evaluate(number)
            self._entries.append(entries[number])
            self._admit(proposal, found)
        self._log()
        insert_proposals(self._connection, self._born)
        runs = [_decision(one.proposal) for one in self._born if one.mode == Mode.AUTO]
        if runs:
            self._connection.execute(_DECIDED, runs)
        spend(self._connection, self._spent)

    def _admit(self, proposal: NewProposal, found: Evaluation) -> None:
        """Note what a case writes, and what those after it see of it."""
        kind, at, gate = proposal.case_kind, proposal.created_at, dict(found.gate)
        born = Born(proposal, found.mode, gate, has_card=found.mode != Mode.AUTO)
        self._born.append(born)
        logged = {"case_kind": kind, "mode": found.mode, "gate": gate}
        self._entries.append(Entry("policy", proposal.id, logged, at))
        if kind is not None:
            for counter in counted(proposal, kind, found):
                self._spent.append(counter)
                self._usage.add(counter)
            key = (readable(proposal.customer_id), kind)
            self._newest[key] = max(at, self._newest.get(key, at))
            if found.pause is not None:
                self._log()  # that it pauses is the next row
                paused_kind = TrustChange(CaseKindState.PAUSED, found.pause)
                change(self._connection, kind, paused_kind, actor=Actor.POLICY, at=at)
                self._kinds |= get_case_kinds(self._connection, [kind])
        if born.approved is not None:
            self._entries.append(transition_entry(born.approved))

    def _log(self) -> None:
        append_all(self._connection, self._entries)
        self._entries.clear()


def _decision(proposal: NewProposal) -> dict[str, Any]:
    """The policy's decision, in the transaction that has just counted it against every cap."""
    policy, at = Actor.POLICY, proposal.created_at
    row = {"proposal_id": proposal.id, "actor": policy, "verdict": Verdict.APPROVE, "via": policy, "at": at}
    return row | {"revision": 1}


# --- When a customer had such a case ----------------------------------------------------------------------


def _newest_cases(
    connection: Connection, cases: Sequence[tuple[NewProposal, NewCaseKind]]
) -> dict[tuple[Any, str], datetime]:
    """The newest case of the last week by customer and kind of case, of these customers and kinds."""
    since = min(one.created_at for one, _ in cases) - WEEK
    asked = {(one.customer_id, kind.hash) for one, kind in cases if one.customer_id is not None}
    rows = [{"customer": customer, "kind": kind, "since": since} for customer, kind in sorted(asked)]
    found = ask(connection, _newest, rows)
    return {(row.customer, row.kind): row.newest for row in found if row.newest is not None}


@cache
def _newest(size: int) -> Select[Any]:
    asked = given(size, customer=SafeText(), kind=Text(), since=UtcDateTime())
    c = proposals.c
    own = (c.customer_id == asked.c.customer, c.created_at > asked.c.since, c.case_kind == asked.c.kind)
    newest = select(c.created_at).where(*own).order_by(c.created_at.desc()).limit(1).scalar_subquery()
    return select(asked.c.customer, asked.c.kind, newest.label("newest"))


# --- The pasts of customers -------------------------------------------------------------------------------


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
