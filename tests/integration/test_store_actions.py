"""What people do beside deciding, in the store: once, only while it is open, and written down."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, update

from store import Store
from store.messages.outbox import claim_outbox
from store.models import Decision, NewProposal, PlannedCall, Proposal, Verdict
from store.models.details import CommentKind
from store.proposals.actions import (
    PINNED,
    Act,
    NewRevision,
    assign,
    due_snoozes,
    edit,
    give_reason,
    hold,
    release,
    snooze,
)
from store.proposals.decisions import ApprovalRequirements, decide
from store.proposals.details import (
    add_comment,
    comments_of,
    in_thread,
    keep_message,
    proposal_details,
    revision_at,
)
from store.proposals.proposals import get_proposal, touch
from store.schema import bundles, proposals
from store.schema.graduation import audit_log

MAYA, JONAS = "U0MAYA00001", "U0JONAS0001"
LINE = {"text": "A line.", "blocks": []}


def act(proposal: NewProposal, at: datetime, said: str = "Did it.", actor: str = MAYA) -> Act:
    return Act(proposal.id, actor, said, at, LINE)


def kinds(connection: Connection, proposal_id: str) -> list[str]:
    rows = connection.execute(
        select(audit_log.c.kind).where(audit_log.c.subject == proposal_id).order_by(audit_log.c.seq)
    )
    return list(rows.scalars())


async def pending(store: Store, store_proposal: Callable[..., NewProposal], made: NewProposal) -> NewProposal:
    await store.do(store_proposal, made)
    await store.do(
        lambda connection: connection.execute(
            update(proposals)
            .where(proposals.c.id == made.id)
            .values(channel="C1", card_ts="1.1", rendered_version=1)
        )
    )
    return made


async def now_is(store: Store, made: NewProposal) -> Proposal:
    found = await store.do(get_proposal, made.id)
    assert found is not None
    return found


async def test_what_is_put_aside_comes_back_once_with_a_line(
    store: Store, store_proposal: Any, new_proposal: Any, now: datetime
) -> None:
    made = await pending(store, store_proposal, new_proposal())
    hour = timedelta(hours=1)
    assert (await store.do(snooze, act(made, now), now + hour))[0]
    assert await store.do(due_snoozes, now + hour - timedelta(seconds=1), "Back.") == []
    assert await store.do(due_snoozes, now + hour, "Back.") == [made.id]
    assert await store.do(due_snoozes, now + hour, "Back.") == []
    found = await now_is(store, made)
    assert (found.snoozed_until, found.snoozed_by, found.state) == (None, None, "pending")
    lines = await store.do(claim_outbox, token="t", now=now + hour, until=now + 2 * hour, limit=9)
    assert lines[0].message["text"] == "A line."
    assert lines[1].message == {"code": "back_from_snooze", "args": {"actor": MAYA}}
    assert (await store.do(kinds, made.id)).count("comment") == 2


async def test_nothing_sleeps_past_its_end(
    store: Store, store_proposal: Any, new_proposal: Any, now: datetime
) -> None:
    end = now + timedelta(days=1)
    made = await pending(
        store, store_proposal, new_proposal(deadline=end, expires_at=end + timedelta(days=1))
    )
    assert not (await store.do(snooze, act(made, now), end))[0]
    assert (await store.do(snooze, act(made, now), end - timedelta(seconds=1)))[0]


async def test_what_is_decided_is_neither_put_aside_nor_assigned(
    store: Store, store_proposal: Any, new_proposal: Any, now: datetime
) -> None:
    made = await pending(store, store_proposal, new_proposal())
    await store.do(decide, Decision(made.id, JONAS, Verdict.DECLINE, "button", now))
    assert not (await store.do(snooze, act(made, now), now + timedelta(hours=1)))[0]
    assert not (await store.do(assign, act(made, now), JONAS))[0]
    assert not (await store.do(hold, act(made, now)))[0]
    assert await store.do(comments_of, made.id) == []
    assert (await store.do(give_reason, act(made, now, "Too early"), "too_early"))[0]
    [reason] = await store.do(comments_of, made.id)
    assert (reason.kind, reason.preset, reason.text) == (CommentKind.REASON, "too_early", "Too early")


async def test_a_hold_keeps_the_rest_of_the_wait(
    store: Store, store_proposal: Any, new_proposal: Any, now: datetime
) -> None:
    made = await pending(store, store_proposal, new_proposal())
    await store.do(
        decide,
        Decision(made.id, JONAS, Verdict.APPROVE, "button", now),
        ApprovalRequirements(hold=timedelta(seconds=15)),
    )
    assert (await store.do(hold, act(made, now + timedelta(seconds=5))))[0]
    held = await now_is(store, made)
    assert held.cancellable_until == PINNED + timedelta(seconds=10)
    assert not (await store.do(hold, act(made, now)))[0]
    later = now + timedelta(days=2)
    assert (await store.do(release, act(made, later)))[0]
    free = await now_is(store, made)
    assert (free.cancellable_until, free.held_by) == (later + timedelta(seconds=10), None)
    assert not (await store.do(release, act(made, later)))[0]


def _revision(made: NewProposal, revision: int) -> NewRevision:
    calls = (PlannedCall("orders:generate_invoice", path={"id": "another"}),)
    return NewRevision(
        revision,
        "Another title",
        made.facts,
        calls,
        (("Order", "one", "another"),),
        "content_hash",
        "R1",
        None,
        None,
        None,
    )


async def test_an_edit_keeps_what_was_asked_and_counts_once(
    store: Store, store_proposal: Any, new_proposal: Any, now: datetime
) -> None:
    made = await pending(store, store_proposal, new_proposal())
    later = now + timedelta(minutes=1)
    assert (await store.do(edit, act(made, later), _revision(made, 1)))[0]
    assert not (await store.do(edit, act(made, later), _revision(made, 1)))[0]
    found = await store.do(proposal_details, made.id)
    assert found is not None
    assert (found.proposal.revision, found.proposal.title, found.proposal.edited_by) == (
        2,
        "Another title",
        MAYA,
    )
    assert found.proposal.changes == (("Order", "one", "another"),)
    assert [call.path for call in found.proposal.calls] == [{"id": "another"}]
    assert [(one.revision, one.title, one.calls[0]["path"]) for one in found.revisions] == [
        (1, made.title, dict(made.calls[0].path))
    ]
    assert await store.do(revision_at, made.id, now) == 1
    assert await store.do(revision_at, made.id, later) == 1  # nobody was shown the second yet
    await store.do(touch, made.id, later, first_shown_at=later)
    assert await store.do(revision_at, made.id, later) == 2
    assert "edited" in await store.do(kinds, made.id)


async def test_nothing_is_edited_while_it_is_being_decided(
    store: Store, store_proposal: Any, new_proposal: Any, now: datetime
) -> None:
    made = await pending(store, store_proposal, new_proposal())
    await store.do(touch, made.id, now, approval_checking_by=JONAS)
    assert not (await store.do(edit, act(made, now), _revision(made, 1)))[0]
    assert (await now_is(store, made)).revision == 1


async def test_a_message_is_kept_once_with_every_proposal_of_its_card(
    store: Store, store_proposal: Any, new_proposal: Any, now: datetime
) -> None:
    first = await pending(store, store_proposal, new_proposal())
    second = await pending(store, store_proposal, new_proposal())

    def bundle(connection: Connection) -> None:
        connection.execute(
            bundles.insert(),
            [
                {
                    "id": "b1",
                    "key": "k",
                    "created_at": now,
                    "row_version": 1,
                    "card_due_at": now,
                    "channel": "C1",
                    "card_ts": "9.9",
                }
            ],
        )
        connection.execute(update(proposals).values(bundle_id="b1", card_ts=None))

    await store.do(bundle)
    thread = await store.do(in_thread, "C1", "9.9")
    assert thread is not None
    assert (set(thread.ids), thread.bundle_id) == ({first.id, second.id}, "b1")
    assert await store.do(in_thread, "C2", "9.9") is None
    where = {"at": now, "channel": "C1", "ts": "9.91"}
    assert await store.do(keep_message, thread.ids, JONAS, "What about these?", **where)
    assert not await store.do(keep_message, thread.ids, JONAS, "What about these?", **where)
    for made in (first, second):
        assert [one.text for one in await store.do(comments_of, made.id)] == ["What about these?"]


async def test_a_comment_of_no_message_is_kept_each_time(
    store: Store, store_proposal: Any, new_proposal: Any, now: datetime
) -> None:
    made = await pending(store, store_proposal, new_proposal())
    for _ in range(2):
        assert await store.do(add_comment, made.id, CommentKind.ACT, MAYA, "x" * 9_000, at=now)
    found = await store.do(comments_of, made.id)
    assert [len(one.text) for one in found] == [4_000, 4_000]
