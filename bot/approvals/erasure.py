"""Erasing what is kept of a customer: at the command line, after an approval, and every night."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from bot.proposals.build import customer_of
from bot.services import Queue, Services
from bot.ui.states import erased_title, erasure_title
from polar.catalog import Risk, operations
from polar.events import Event
from store import Store
from store.erasure.erase import (
    Erasure,
    drop_messages,
    erase_events,
    erase_offer_reasons,
    erase_proposals,
    erase_subjects,
    finish_erasure,
    last_night,
    note_erased,
    note_night,
)
from store.erasure.find import (
    Customer,
    Held,
    Look,
    approved_erasures,
    being_done,
    customer_of_proposals,
    customers_in,
    events_of,
    is_id,
    offers_naming,
    overdue_events,
    overdue_proposals,
    overdue_subjects,
    proposals_of,
    subjects_of,
    undoing,
    unsent_naming,
)
from store.models import Actor, NewProposal, ProposalKind, proposal_id, sha256
from store.models.reasons import AlwaysAsk
from store.proposals.proposals import propose_by_hand

log = logging.getLogger(__name__)

DELETED = "customer.deleted"  # the event after which a card offers to erase
RETENTION = "retention"  # who erases what is older than RETENTION_DAYS
_AT = time(3)  # where the team is
_AT_ONCE = 25  # proposals in one transaction, and in a minute of the night: each has a card to be drawn again
_ROWS = 100  # other rows in one transaction
_TRANSACTIONS = 50  # a minute of the night
# Kinds of subjects that customers share; their ids tell of nobody.
_SHARED = ("product", "benefit", "discount", "organization", "checkout_link")


@dataclass(frozen=True, slots=True)
class Erased:
    """The number of rows whose texts were erased; `left` are proposals whose calls may be on their way."""

    proposals: int
    events: int
    left: int


def words_of(operation: str) -> frozenset[str]:
    """The fields of an operation's body that hold one of a list of words of Polar's API."""
    known = operations().get(operation)
    if known is None or known.body is None:
        return frozenset()
    fields = [pair for variant in known.body.variants for pair in variant.fields.items()]
    return frozenset(name for name, one in fields if any(each.enum for each in (one, *one.options)))


def erasure_of(by: str, at: datetime) -> Erasure:
    """An erasure by somebody."""
    return Erasure(by, at, erased_title, words_of)


def typed(text: str) -> Customer:
    """The customer with this id, e-mail address or external id."""
    emails = frozenset({text.lower()} if "@" in text else ())
    return Customer(frozenset({text}), emails, frozenset({text}))


# --- One customer -------------------------------------------------------------------------------------------


async def erase_customer(
    store: Store, wanted: Customer, erasure: Erasure, *, question: str | None = None
) -> Erased | None:
    """Erase all that is kept of a customer; None when nothing is. `question` is the proposal that asked for
    it, which is still needed. Raises StoreError.
    """
    customer = await _known(store, wanted)
    held, look = await _held(store, customer)
    held.proposals.discard(question or "")
    if not (held.proposals or held.events or held.subjects):
        return None
    await store.do(note_erased, customer.ids, erasure.at)
    offers = await store.read(offers_naming, held.titles)
    await store.do(erase_offer_reasons, offers, held.titles, erasure.at)
    await store.do(drop_messages, await store.read(unsent_naming, look, held.titles), erasure.at)
    erased = 0
    for part in _parts(held.proposals, _AT_ONCE):
        erased += len(await store.do(erase_proposals, part, erasure))
    left = await store.read(being_done, held.proposals)
    for part in _parts(held.events - {one.event_id for one in left}, _ROWS):
        await store.do(erase_events, part)
    for part in _parts(held.subjects, _ROWS):
        await store.do(erase_subjects, part)
    return Erased(erased, len(held.events), len(left))


async def _known(store: Store, wanted: Customer) -> Customer:
    """The customer with all ids and addresses under which they are known."""
    found = await _told(store, wanted)
    ids = found.ids | {one for one in wanted.ids if is_id(one)}
    told = await _told(store, Customer(ids))
    return Customer(ids, told.emails | wanted.emails, told.external_ids)


async def _told(store: Store, wanted: Customer) -> Customer:
    """All ids and addresses of whoever has one of these, from subjects and proposals."""
    told = await store.read(customer_of_proposals, wanted)
    after: str | None = ""
    while after is not None:
        found, after = await store.read(customers_in, wanted, after)
        told |= found
    return told


async def _held(store: Store, customer: Customer) -> tuple[Held, Look]:
    """All that is kept of the customer."""
    held, look = Held(), Look(customer)
    after: str | None = ""
    while after is not None:
        subjects, after = await store.read(subjects_of, customer, look, after)
        held.subjects |= subjects
    after = ""
    while after is not None:
        events, after = await store.read(events_of, held, look, after)
        held.events |= events
    own = {one.partition(":") for one in held.subjects}
    look = Look(
        customer, {identity for kind, _, identity in own if kind not in _SHARED and len(identity) > 8}
    )
    titles: dict[str, str] = {}
    after = ""
    while after is not None:
        proposals, after = await store.read(proposals_of, customer, held, look, after)
        titles |= proposals
    titles |= await store.read(undoing, titles)
    held.proposals, held.titles = set(titles), set(titles.values()) - {""}
    return held, look


def _parts(keys: Collection[str], size: int) -> list[Sequence[str]]:
    ordered = sorted(keys)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


# --- A card that asks ---------------------------------------------------------------------------------------


async def ask_to_erase(services: Services, event: Event) -> None:
    """Ask whether to erase what is kept of a customer whom Polar has deleted; once for each."""
    customer_id, email = customer_of(event)
    if customer_id is None:
        return
    expires_after = services.rules.policy.schedule.expires_after
    asked = _question(customer_id, email, services.clock(), expires_after)
    if await services.store.do(propose_by_hand, asked):
        services.notify(Queue.ANNOUNCE)


def _question(customer_id: str, email: str | None, now: datetime, expires_after: timedelta) -> NewProposal:
    key = f"erasure|{customer_id}"
    return NewProposal(
        id=proposal_id(key),
        fact_key=key,
        event_id=None,
        rule=None,
        rule_version=None,
        subject=f"customer:{customer_id}",
        title=erasure_title(email),
        reasons=(),
        facts=(),
        risk=Risk.R3,
        always_asks=AlwaysAsk.IRREVERSIBLE,
        calls=(),
        created_at=now,
        proposer=Actor.PROGRAM,
        kind=ProposalKind.ERASURE,
        content_hash=sha256(key)[:16],
        expires_at=now + expires_after,
        customer_id=customer_id,
        customer=email,
    )


async def carry_out_approved(services: Services) -> None:
    """Erase the customers whose erasure somebody has approved."""
    for row in await services.store.read(approved_erasures, services.clock()):
        wanted = Customer(frozenset({row.customer_id}), frozenset({row.customer} - {None}))
        erasure = erasure_of(row.decided_by or Actor.PROGRAM, services.clock())
        found = await erase_customer(services.store, wanted, erasure, question=row.id)
        if await services.store.do(finish_erasure, row.id, erasure):
            log.info("customer %s is erased: %s", row.customer_id, found)
        services.notify(Queue.ANNOUNCE, Queue.HOME)


# --- Every night --------------------------------------------------------------------------------------------


async def erase_nightly(services: Services, days: int | None) -> None:
    """Erase what came of erased customers since, and what is older than so many days.

    Once a night, a part each minute until nothing is left.
    """
    zone, now, store = services.rules.policy.schedule.timezone, services.clock(), services.store
    due = datetime.combine(now.astimezone(zone).date(), _AT, zone)
    done = await store.read(last_night)
    if now < due or (done is not None and done >= due):
        return
    before = None if days is None else now - timedelta(days=days)
    erasure = erasure_of(RETENTION, now)
    proposals = await store.read(overdue_proposals, before, _AT_ONCE)
    if proposals:
        await store.do(erase_proposals, proposals, erasure)
        services.notify(Queue.ANNOUNCE, Queue.HOME)
        return
    for _ in range(_TRANSACTIONS):
        events, subjects = (
            await store.read(overdue_events, before),
            await store.read(overdue_subjects, before),
        )
        if not (events or subjects):
            await store.do(note_night, now)
            return
        for part in _parts(events, _ROWS):
            await store.do(erase_events, part)
        for part in _parts(subjects, _ROWS):
            await store.do(erase_subjects, part)
