"""What must not earn trust, what must cost it, and that an audit looks like any other question until its tap."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, update

from bot.approvals.approve import approve_all
from bot.demo.polar import stock
from bot.demo.polar.orders import tell_order
from bot.explain.document import explanation
from bot.explain.verify import check
from bot.graduation.gate import evaluate
from bot.pipeline.learn import Assessor
from bot.ui.card import card, score_line, spot_check_line
from bot.ui.details import details_view
from bot.ui.lists import row, show_message
from bot.ui.states import CardView
from store.audit_log.verify import verify
from store.events.conclusions import Sought, surroundings
from store.graduation.case_kinds import add_outcome, get_case_kind
from store.graduation.learn import assess
from store.models import (
    CallState,
    CaseKindState,
    Decision,
    Mode,
    OutcomeKind,
    PlannedCall,
    Proposal,
    ProposalCall,
    ProposalState,
    Verdict,
)
from store.models.graduation import CaseKind, GateInputs, Outcome, Spent
from store.models.reasons import LabelReason, Reason, ReasonCode
from store.proposals.actions import Act, restate, undo
from store.proposals.decisions import PendingApproval, decide
from store.proposals.details import decisions_of, explained, proposal_details
from store.proposals.execution import begin_call, claim_approved, end_call, finish_execution
from store.proposals.proposals import get_proposal
from store.schema import proposals
from store.schema.graduation import case_kinds, case_labels
from tests.fixtures.commands import exported
from tests.fixtures.graduation import recompute
from tests.fixtures.line import line
from tests.fixtures.past_cases import MAYA, START, Past, all_past, past

SECOND = timedelta(seconds=1)


async def _says(made: Past, id_: str, at: datetime, **more: Any) -> None:
    won, _ = await made.store.do(decide, Decision(id_, MAYA, Verdict.APPROVE, "button", at, **more))
    assert won


async def _labels(made: Past) -> dict[str, tuple[str, int, int]]:
    while (await made.store.do(assess, Assessor(made.policy), made.now)).more:
        pass
    rows = await made.store.do(lambda c: c.execute(select(case_labels)).all())
    return {row.proposal_id: (row.reason_code, row.is_rejection, row.is_counted) for row in rows}


async def _haste(made: Past) -> set[str]:
    return {one.proposal.id for one in await made.store.do(all_past) if one.hasty}


async def test_yeses_on_the_heels_of_each_other_earn_nothing(tmp_path: Path) -> None:
    async with past(tmp_path) as made:
        ids = [await made.case(number) for number in range(4)]
        made.now += timedelta(hours=1)
        for id_, later in zip(ids, (0, 1.9, 2.1, 4.1), strict=True):
            await _says(made, id_, made.now + later * SECOND)
        found = await _labels(made)
        assert [found[id_][0] for id_ in ids] == [
            LabelReason.APPROVED,
            LabelReason.TOO_FAST,
            LabelReason.TOO_FAST,
            LabelReason.APPROVED,
        ]
        assert await _haste(made) == {ids[1], ids[2]}


async def test_how_fast_somebody_was_is_told_by_when_they_pressed(tmp_path: Path) -> None:
    async with past(tmp_path) as made:
        slow, swift, calm = [await made.case(number) for number in range(3)]
        made.now += timedelta(hours=1)
        at = made.now + 20 * SECOND
        await _says(made, slow, at, clicked_at=made.now, shown_at=made.now - SECOND)
        await _says(made, calm, at + SECOND, clicked_at=made.now + 9 * SECOND)
        await _says(made, swift, at + 10 * SECOND, clicked_at=made.now + 10 * SECOND)
        found = await _labels(made)
        assert {id_: found[id_][0] for id_ in (slow, swift, calm)} == {
            slow: LabelReason.TOO_FAST,
            swift: LabelReason.TOO_FAST,
            calm: LabelReason.APPROVED,
        }
        assert await _haste(made) == {swift}
        assert (await made.store.do(verify)).problems == ()


async def test_one_press_for_several_is_no_haste_and_one_yes(tmp_path: Path) -> None:
    async with past(tmp_path) as made:
        ids = [await made.case(number) for number in range(3)]
        made.now += timedelta(hours=1)
        for id_ in ids:
            await _says(made, id_, made.now + SECOND / 10, interaction_id="t", clicked_at=made.now)
        found = await _labels(made)
        assert [found[id_][0] for id_ in ids] == [LabelReason.APPROVED, LabelReason.BULK, LabelReason.BULK]
        assert await _haste(made) == set()


async def test_a_yes_to_a_question_that_had_changed_does_not_count_for_the_first_one(tmp_path: Path) -> None:
    async with past(tmp_path) as made:
        yes, no = [await made.case(number, 900, "refunds:create") for number in range(2)]
        for id_ in (yes, no):
            await _restate(made, id_)
        made.now += timedelta(hours=1)
        for id_, verdict in ((yes, Verdict.APPROVE), (no, Verdict.DECLINE)):
            await made.store.do(decide, Decision(id_, MAYA, verdict, "button", made.now, None, 2))
        assert await _labels(made) == {yes: (LabelReason.RESTATED, 0, 0), no: (LabelReason.DECLINED, 1, 1)}
        (seen,) = await made.store.do(
            lambda c: c.execute(select(case_kinds.c.approved_values)).scalars().all()
        )
        assert seen == {}
        assert all(one.restated for one in await made.store.do(all_past))


async def _restate(made: Past, id_: str) -> None:
    (asked,) = [one.proposal for one in await made.store.do(all_past) if one.proposal.id == id_]
    call = PlannedCall("refunds:create", body={"amount": 90_000, "reason": "other", "order_id": "o"})
    new = replace(asked, amount=90_000, calls=(call,))
    changed, _ = await made.store.do(restate, 1, new, changes=(("Amount", "$9", "$900"),), at=made.now)
    assert changed


async def _until(made: Past, mode: Mode) -> Proposal:
    """Let a regular customer buy until a case of that mode comes; what asks gets its yes."""
    for _ in range(100):
        made.now += timedelta(hours=7)
        found = await made.store.do(get_proposal, await made.case(3))
        assert found is not None
        if found.mode == mode:
            return found
        await made.says(found.id)
    raise AssertionError(mode)


async def _ran(made: Past, id_: str) -> None:
    lease: dict[str, Any] = {"token": "t", "now": made.now}
    await made.store.do(claim_approved, **lease, until=made.now + timedelta(minutes=5), limit=500)
    await made.store.do(begin_call, id_, 0, **lease)
    await made.store.do(end_call, id_, 0, **lease, state=CallState.DONE)
    await made.store.do(finish_execution, id_, ProposalState.SUCCEEDED, **lease, reason=None)


async def test_a_dispute_that_is_told_late_costs_the_trust_of_today(tmp_path: Path) -> None:
    async with past(tmp_path) as made:
        await made.earn()
        ran = await _until(made, Mode.AUTO)
        for _ in range(3):
            await _until(made, Mode.SPOT_CHECK)
        late = Outcome(ran.id, OutcomeKind.DISPUTED, "evt", ran.created_at + timedelta(hours=1))
        assert await made.store.do(add_outcome, late, made.now)
        case_kind = await made.store.do(get_case_kind, ran.case_kind or "")
        assert case_kind is not None
        assert (case_kind.state, case_kind.generation, case_kind.generation_at, case_kind.cases) == (
            CaseKindState.ASKING,
            1,
            made.now,
            0,
        )
        made.now += timedelta(days=8)
        await _labels(made)
        kept = await made.store.do(_derived)
        assert next(one for one in kept if one[0] == case_kind.hash).cases == 0
        policy = Assessor(made.policy)
        await made.store.do(recompute, case_kind.hash, policy.label, policy.learn, made.now)
        assert await made.store.do(_derived) == kept
        assert (await made.store.do(verify)).problems == ()


def _derived(connection: Connection) -> Sequence[Any]:
    rows = connection.execute(select(case_labels).order_by(case_labels.c.proposal_id)).all()
    return [*rows, *connection.execute(select(case_kinds).order_by(case_kinds.c.hash))]


async def test_whoever_undoes_what_ran_on_its_own_takes_its_trust_back_whether_or_not_it_can_be_undone(
    tmp_path: Path,
) -> None:
    async with past(tmp_path) as made:
        await made.earn()
        ran = await _until(made, Mode.AUTO)
        await _ran(made, ran.id)
        (asked,) = [one.proposal for one in await made.store.do(all_past) if one.proposal.id == ran.id]
        back = replace(asked, event_id=None, rule=None, rule_version=None, case_kind=None, proposer=MAYA)
        pressed, inverse = await made.store.do(undo, Act(ran.id, MAYA, "Undone.", made.now), back)
        assert pressed
        case_kind = await made.store.do(get_case_kind, ran.case_kind or "")
        assert case_kind is not None
        assert (case_kind.state, case_kind.generation) == (CaseKindState.ASKING, 1)
        assert inverse is not None
        await _ran(made, inverse.id)
        again = await made.store.do(get_case_kind, ran.case_kind or "")
        assert again is not None
        assert again.generation == 1


async def test_what_ran_on_its_own_answers_for_half_a_year_and_a_yes_for_the_window(tmp_path: Path) -> None:
    async with past(tmp_path) as made:
        await made.earn()
        ran = await _until(made, Mode.AUTO)
        await _ran(made, ran.id)
        asked = await _until(made, Mode.SPOT_CHECK)
        await made.says(asked.id)
        await _ran(made, asked.id)
        between = made.now - ran.created_at
        assert between < timedelta(days=6)

        async def answers(days: int) -> set[str]:
            now = made.now + timedelta(days=days)
            since = {"done_since": now - timedelta(days=7), "alone_since": now - timedelta(days=180)}
            sought = Sought(sent_since=now, customer_id="c3", **since)
            found = await made.store.do_together(surroundings, sought)
            return {one.proposal_id for one in found.done}

        assert {ran.id, asked.id} <= await answers(0)
        assert ran.id in await answers(170)
        assert asked.id not in await answers(8)
        assert ran.id not in await answers(181)


async def test_an_audit_and_a_case_that_had_to_be_asked_read_alike_until_the_tap(tmp_path: Path) -> None:
    async with past(tmp_path) as made:
        await made.earn()
        audit = await _until(made, Mode.SPOT_CHECK)
        forced = await made.store.do(get_proposal, await made.case(99))
        assert forced is not None
        assert (audit.case_kind, forced.mode, forced.state) == (
            forced.case_kind,
            Mode.ASKED,
            ProposalState.PENDING,
        )
        for state in (ProposalState.PENDING, ProposalState.EXPIRED):
            told = []
            for one in (audit, forced):
                values = {"state": state, "mode": one.mode, "gate": one.gate}
                await made.store.do(_set, audit.id, values)
                told.append(await _everywhere(made, audit.id))
            assert told[0] == told[1]
            assert "Score and why" in told[0]
            assert not [
                word
                for word in ("drawn for", '"verdict"', "first_of_week", "first case of this kind")
                if word in told[0]
            ]


FLOOD = {f"{START + timedelta(days=400, hours=back):%Y-%m-%dT%H}": 900 for back in range(-6, 1)}


OTHERWISE: Sequence[dict[str, Any]] = (
    {"customer": Spent(5, 4_500)},
    {"case_kind_day": Spent(50, 100)},
    {"day": Spent(200, 20_000)},
    {"human_at": None},
    {"paused_by": MAYA},
    {"hours": FLOOD, "now": START + timedelta(days=400)},
    {"first_this_week": True},
    {"approved_values": {}},
    {"set_aside": Reason.of(ReasonCode.NOTHING_LEFT)},
    {"calls": (ProposalCall("refunds:create", body={"order_id": "o"}),)},  # its amount is not known
)


async def test_whatever_else_makes_a_case_ask_reads_like_an_audit(tmp_path: Path) -> None:
    async with past(tmp_path) as made:
        await made.earn()
        audit = await _until(made, Mode.SPOT_CHECK)
        kind = await made.store.do(get_case_kind, audit.case_kind or "")
        assert kind is not None
        told = await _everywhere(made, audit.id)
        for otherwise in OTHERWISE:
            kept, case, rest = (
                {name: value for name, value in otherwise.items() if name in names}
                for names in (CaseKind.__slots__, ("calls",), GateInputs.__slots__)
            )
            given = GateInputs(replace(kind, **kept), audit.created_at, b"1", human_at=audit.created_at)
            inputs = replace(given, **{"first_this_week": False, **rest})
            found = evaluate(replace(audit, **case), inputs, made.policy)
            assert (found.mode, found.gate["state"]) == (Mode.ASKED, CaseKindState.GRADUATED)
            await made.store.do(_set, audit.id, {"mode": found.mode, "gate": dict(found.gate)})
            assert await _everywhere(made, audit.id) == told


def _set(connection: Connection, id_: str, values: dict[str, Any]) -> None:
    connection.execute(update(proposals).where(proposals.c.id == id_).values(values))


async def _everywhere(made: Past, id_: str) -> str:
    """All that anybody is told of a proposal."""
    found, whole = await made.store.do(proposal_details, id_), await made.store.do(explained, id_)
    assert found is not None
    assert whole is not None
    p = found.proposal
    case_kind = await made.store.do(get_case_kind, p.case_kind or "")
    trust = made.policy.graduation
    drawn = card(
        p,
        CardView(
            "Maya may decide",
            score=score_line(p, case_kind, trust, made.now),
            spot_check=spot_check_line(p, case_kind),
        ),
    )
    why = explanation(whole, made.now)
    if p.state == ProposalState.PENDING:  # it is made to look expired, which the log does not say
        assert not [each for each in check(json.loads(json.dumps(why))) if each.fits is False]
    lines = [row for row in await exported(made.store, "proposals") if row["id"] == id_]
    assert lines[0]["withheld"]
    said = [
        [details_view(found, "Maya", {}, page) for page in range(1, 6)],
        asdict(drawn),
        asdict(show_message(p, drawn, found.trail, None)),
        row(p, None, made.now),
        why,
    ]
    return json.dumps(said) + json.dumps(lines)


class _Anybody:
    """Who may decide: whoever taps."""

    async def refusal(self, *asked: object, by_id: bool) -> None:
        return None


async def test_a_yes_is_as_fast_as_its_press_however_long_polar_took(tmp_path: Path) -> None:
    async with line(tmp_path) as made:
        rows, product = made.shop, made.polar.order()["product_id"]
        buyer = stock.add_customer(rows, "Ada", "ada@example.com", address={"country": "DE"})
        order = stock.add_order(rows, buyer, rows.get("products", product))
        rows.take()
        tell_order(rows, "order.paid", order)
        await made.deliver()
        (asked,) = await made.proposals()
        pressed = made.clock()
        made.clock.advance(seconds=20)
        tap = PendingApproval("t:1", asked.id, asked.revision, MAYA, "button", pressed, "t")
        [answer] = await approve_all(replace(made.services, authority=_Anybody()), [tap], None)  # type: ignore[arg-type]  # a fake
        assert answer.proposal is not None
        (said,) = await made.store.do(decisions_of, asked.id)
        assert said.clicked_at == pressed
        assert said.at - pressed >= 20 * SECOND
