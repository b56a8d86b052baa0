"""A kind of case whose assessment fails asks and is shown, and the others go on; wrong counts are mended."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from bot.demo.polar.orders import tell_order
from bot.pipeline.count_check import check_counts_nightly
from bot.pipeline.learn import Assessor, offer
from bot.ui.card import outbox_message
from bot.ui.graduation_words import lack_words
from bot.ui.reports import Health, is_well, status_message
from store.audit_log.verify import verify
from store.graduation.case_kinds import change, demote, get_case_kind, graduate
from store.graduation.count_check import check_counts, last_check
from store.graduation.learn import (
    Assessed,
    add_offer,
    assess,
    offer_basis,
    retry_all,
    set_aside,
    set_aside_kinds,
)
from store.graduation.reducer import TrustChange
from store.models import CaseKindState, Decision, Mode, Verdict
from store.models.graduation import CaseKind, ExecutionGuard
from store.models.reasons import ChangeCause, ChangeCode, Lack, LackCode, PolicyCode, Reason, ReasonCode
from store.proposals.decisions import decide
from store.proposals.execution import may_still_run
from store.proposals.proposals import get_proposal
from store.proposals.stats import backlog
from store.schema import outbox
from store.schema.graduation import case_labels, unlearned_cases
from tests.fixtures.graduation import derived, recompute
from tests.fixtures.line import Line, line
from tests.fixtures.past_cases import MAYA, Past, past

HOUR = timedelta(hours=1)
REFUND = "refunds:create"


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Past]:
    async with past(tmp_path) as opened:
        yield opened


async def _says(made: Past, id_: str) -> None:
    made.now += timedelta(minutes=3)
    won, _ = await made.store.do(decide, Decision(id_, MAYA, Verdict.APPROVE, "button", made.now))
    assert won


async def _looks(made: Past) -> Assessed:
    found = await made.store.do(assess, Assessor(made.policy), made.now)
    assert not found.more
    return found


async def _kind(made: Past, id_: str) -> CaseKind:
    found = await made.store.do(get_proposal, id_)
    assert found is not None
    kind = await made.store.do(get_case_kind, found.case_kind or "")
    assert kind is not None
    return kind


async def _run(made: Past, statement: str, **values: Any) -> None:
    await made.store.do(lambda connection: connection.execute(text(statement), values))


def _labelled(connection: Connection) -> set[str]:
    return set(connection.execute(select(case_labels.c.proposal_id)).scalars())


def _waiting(connection: Connection) -> set[str]:
    return set(connection.execute(select(unlearned_cases.c.proposal_id)).scalars())


async def _broken(made: Past) -> tuple[str, str, str]:
    """A refund that was learnt from, whose call then became unreadable; a later one and an invoice, approved."""
    first = await made.case(1, 900, REFUND)
    await _says(made, first)
    await _looks(made)
    second, other = await made.case(2, 900, REFUND), await made.case(3)
    await _run(made, "UPDATE calls SET body = '\"broken\"' WHERE proposal_id = :id", id=first)
    await _says(made, second)
    await _says(made, other)
    return first, second, other


async def _mended(made: Past, id_: str) -> None:
    body = '{"amount": 900, "reason": "other", "order_id": "o"}'
    await _run(made, "UPDATE calls SET body = :body WHERE proposal_id = :id", body=body, id=id_)


async def test_one_kind_that_fails_is_set_aside_and_the_others_are_learnt(made: Past) -> None:
    first, second, other = await _broken(made)

    (failed,) = (await _looks(made)).failed

    assert await made.store.do(_labelled) == {first, other}
    assert await made.store.do(_waiting) == {second}
    kind = await _kind(made, second)
    assert (failed.case_kind, failed.at, failed.retry_at) == (kind.hash, made.now, made.now + HOUR)
    assert kind.set_aside is not None
    assert kind.set_aside.code == ReasonCode.ASSESSMENT_FAILED
    assert (kind.set_aside.args["step"], kind.set_aside.args["error"]) == ("learn", "AttributeError")
    assert kind.set_aside.args["place"].startswith("case_kind.py:")
    assert (await _kind(made, other)).set_aside is None
    await _mended(made, first)
    assert (await made.store.do(verify)).problems == ()


async def test_it_is_assessed_again_after_an_hour_and_has_missed_nothing(made: Past) -> None:
    first, second, other = await _broken(made)
    await _looks(made)
    made.now += HOUR / 2
    third = await made.case(3, 900, REFUND)
    await _says(made, third)
    assert not (await _looks(made)).failed  # it is not tried at each look
    assert await made.store.do(_waiting) == {second, third}

    made.now += timedelta(days=8)  # meanwhile the first became mature
    (again,) = (await _looks(made)).failed
    assert again.at < made.now - timedelta(days=7)
    assert await made.store.do(_waiting) == {first, second, third}

    await _mended(made, first)
    assert not (await _looks(made)).failed
    assert (await _kind(made, first)).set_aside is not None
    made.now += HOUR
    assert not (await _looks(made)).failed
    await _is_learnt(made, {first, second, third, other})


async def test_a_start_tries_at_once(made: Past) -> None:
    first, second, other = await _broken(made)
    await _looks(made)
    await _mended(made, first)
    await made.store.do(retry_all, made.now)
    await _looks(made)
    await _is_learnt(made, {first, second, other})


async def _is_learnt(made: Past, ids: set[str]) -> None:
    kept = await made.store.do(derived)
    for id_ in ids:
        kind, policy = await _kind(made, id_), Assessor(made.policy)
        assert (kind.set_aside, kind.set_aside_at, kind.retry_at) == (None, None, None)
        await made.store.do(recompute, kind.hash, policy.label, policy.learn, made.now)
    assert await made.store.do(derived) == kept
    assert await made.store.do(_labelled) >= ids
    assert await made.store.do(_waiting) == set()
    assert await made.store.do(set_aside_kinds) == []


# --- What a kind that is set aside may not do ---------------------------------------------------------------

ASIDE = Reason.of(ReasonCode.ASSESSMENT_FAILED, step="learn", error="ValueError", place="a.py:1")


async def _trusted(made: Past) -> CaseKind:
    await made.earn()
    return await _kind(made, await made.case(3))


async def test_a_trusted_kind_asks_while_it_is_set_aside(made: Past) -> None:
    kind = await _trusted(made)
    assert kind.state == CaseKindState.GRADUATED
    await made.store.do(set_aside, kind.hash, ASIDE, made.now)

    found = await made.store.do(get_proposal, await made.case(3))

    assert found is not None
    assert found.gate is not None
    assert (found.mode, found.gate["reason"]["code"]) == (Mode.ASKED, PolicyCode.KIND_SET_ASIDE)


async def test_what_was_approved_is_not_sent_once_its_kind_is_set_aside(made: Past) -> None:
    kind = await _trusted(made)
    ran = await _until_one_runs(made)
    assert await made.store.do(may_still_run, ran, made.now, ExecutionGuard())
    await made.store.do(set_aside, kind.hash, ASIDE, made.now)
    assert not await made.store.do(may_still_run, ran, made.now, ExecutionGuard())


async def _until_one_runs(made: Past) -> str:
    for _ in range(60):
        id_ = await made.case(3)
        if (await made.modes())[id_] == Mode.AUTO:
            return id_
        await made.says(id_)
        made.now += 7 * HOUR
    raise AssertionError("none ran")


async def test_nobody_turns_it_on_while_it_is_set_aside(made: Past) -> None:
    kind = await _kind(made, await made.case(1))
    await made.store.do(set_aside, kind.hash, ASIDE, made.now)
    cause = ChangeCause.of(ChangeCode.TURNED_ON, by="Maya", again=False, manual_override=True)
    lacking = await made.store.do(
        graduate, kind.hash, lambda _: (), actor=MAYA, cause=cause, at=made.now, manual_override=True
    )
    assert lacking == [Lack(LackCode.SET_ASIDE)]
    assert "/polar status" in lack_words(lacking[0])
    assert (await _kind(made, await made.case(1))).state == CaseKindState.ASKING


# --- Offers are made beside the writer ----------------------------------------------------------------------


async def _wanting_an_offer(made: Past) -> CaseKind:
    """A kind that meets its threshold and was not offered yet."""
    kind = await _trusted(made)
    off = TrustChange(CaseKindState.ASKING, ChangeCause.of(ChangeCode.TURNED_OFF, by="Maya"))
    await made.store.do(change, kind.hash, off, actor=MAYA, at=made.now)
    await _run(made, "UPDATE case_kinds SET offered_generation = NULL, offered_at = NULL")
    return kind


async def test_an_offer_is_dropped_when_its_kind_changed_during_the_back_test(made: Past) -> None:
    kind, assessor = await _wanting_an_offer(made), Assessor(made.policy)
    basis = await made.store.read(offer_basis, kind.hash, assessor, made.now)
    assert basis is not None
    tried = assessor.backtest(basis.case_kind, basis.past, basis.secret, made.now)
    question = replace(assessor.offer(basis.case_kind, tried, made.now), id="poffer", fact_key="another")

    changed = replace(basis.case_kind, cases=basis.case_kind.cases - 1)
    assert not await made.store.do(add_offer, changed, question, made.now)
    assert await made.store.do(get_proposal, "poffer") is None
    later = replace(basis.case_kind, last_case_at=made.now - HOUR)  # another case came, which counts nothing
    assert await made.store.do(add_offer, later, question, made.now)
    assert await made.store.do(get_proposal, "poffer") is not None


async def test_a_back_test_that_fails_sets_its_kind_aside(made: Past, tmp_path: Path) -> None:
    kind = await _wanting_an_offer(made)
    await _run(made, "UPDATE calls SET body = '\"broken\"'")
    async with line(tmp_path / "line") as shop:
        services = replace(shop.services, store=made.store, clock=lambda: made.now)
        await offer(services, Assessor(made.policy), kind.hash)
    (found,) = [one for one in await made.store.do(set_aside_kinds) if one.case_kind == kind.hash]
    assert (found.reason.args["step"], found.reason.args["error"]) == ("offer", "ValueError")


# --- The nightly check, and what is shown -------------------------------------------------------------------


@pytest.fixture
async def shop(tmp_path: Path, database_url: str) -> AsyncIterator[Line]:
    async with line(tmp_path, url=database_url) as opened:
        yield opened


class _Speechless(Assessor):
    """Knows no words for a change of trust."""

    def notice(self, case_kind: str, change: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
        raise KeyError(change["cause_code"])


async def test_people_hear_that_trust_was_lost_when_nothing_can_say_why(shop: Line) -> None:
    kind, at = await _known_kind(shop), shop.clock()
    on = TrustChange(CaseKindState.GRADUATED, ChangeCause(ChangeCode.THRESHOLD_MET), manual_override=True)
    assert await shop.store.do(change, kind, on, actor=MAYA, at=at)
    await shop.store.do(assess, Assessor(shop.services.rules.policy), at)
    said = len(await shop.store.do(_outbox))
    cause = ChangeCause.of(ChangeCode.TEXT, text="it was wrong")
    assert await shop.store.do(demote, kind, cause=cause, at=at) == [kind]

    found = await shop.store.do(assess, _Speechless(shop.services.rules.policy), at)
    await shop.store.do(assess, _Speechless(shop.services.rules.policy), at)

    label = (await shop.store.do(get_case_kind, kind)).label
    told = (await shop.store.do(_outbox))[said:]
    assert [outbox_message(one).text for one in told] == [
        f"Trust in a kind of case changed: {label}. Why cannot be shown. /polar trust shows how it stands."
    ]
    assert found.notices
    assert [(one.case_kind, one.reason.args["step"]) for one in found.failed] == [(kind, "tell")]


def _outbox(connection: Connection) -> list[Any]:
    return list(connection.execute(select(outbox.c.message).order_by(outbox.c.created_at)).scalars())


async def test_wrong_counts_are_logged_shown_and_mended_once_a_night(
    shop: Line, caplog: pytest.LogCaptureFixture
) -> None:
    kind = await _known_kind(shop)
    await check_counts_nightly(shop.services)
    first = await shop.store.do(last_check)
    assert first is not None
    assert (first.wrong, first.kinds) == ([], 1)
    assert "all are right" in await _status(shop)

    await shop.store.do(lambda c: c.execute(text("UPDATE case_kinds SET cases = 40, customers = 12")))
    await check_counts_nightly(shop.services)
    assert await shop.store.do(last_check) == first  # once a night
    shop.clock.advance(hours=24)
    with caplog.at_level(logging.ERROR):
        await check_counts_nightly(shop.services)

    assert await shop.store.do(check_counts, kind) is None
    assert "cases 40, not 0, customers 12, not 0" in caplog.text
    said = await _status(shop)
    assert "1 were wrong" in said
    assert "was corrected" in said


async def _known_kind(shop: Line) -> str:
    tell_order(shop.shop, "order.paid", shop.polar.order())
    await shop.deliver()
    (asked,) = await shop.proposals()
    assert asked.case_kind is not None
    return asked.case_kind


async def _status(shop: Line) -> str:
    """What `/polar status` says."""
    health = Health(
        version="1",
        now=shop.clock(),
        backlog=await shop.store.read(backlog),
        counts={},
        set_aside=await shop.store.read(set_aside_kinds),
        count_check=await shop.store.read(last_check),
    )
    assert is_well(health) == (not health.set_aside)
    return json.dumps(status_message(health).content, ensure_ascii=False)


async def test_status_names_the_kind_that_is_set_aside_and_what_to_do(shop: Line) -> None:
    kind = await _known_kind(shop)
    await shop.store.do(set_aside, kind, ASIDE, shop.clock())
    said = await _status(shop)
    assert "Needs attention" in said
    assert "ValueError in a.py:1 (learn)" in said
    assert kind[:8] in said
    assert "A restart tries at once" in said
