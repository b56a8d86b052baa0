"""A spot check that ends undecided was not agreed with; two in a row, and the kind asks again."""

from datetime import timedelta
from pathlib import Path

from store.audit_log.verify import verify
from store.graduation.case_kinds import get_case_kind
from store.graduation.count_check import check_counts
from store.graduation.pages import kinds_page
from store.models import CaseKindState, Mode, ProposalState
from store.models.graduation import CaseKind
from store.models.reasons import ChangeCode
from store.proposals.proposals import get_proposal
from tests.fixtures.past_cases import Past, past


async def _spot_check(made: Past) -> str:
    """The next spot check: of a regular customer, so that nothing else makes a case ask."""
    for _ in range(100):
        made.now += timedelta(hours=7)
        id_ = await made.case(3)
        found = await made.store.do(get_proposal, id_)
        assert found is not None
        if found.mode == Mode.SPOT_CHECK:
            return id_
        await made.says(id_)
    raise AssertionError("no spot check")


async def _kind(made: Past, id_: str) -> CaseKind:
    found = await made.store.do(get_proposal, id_)
    assert found is not None
    kind = await made.store.do(get_case_kind, found.case_kind or "")
    assert kind is not None
    return kind


async def _checks(made: Past) -> tuple[int, int]:
    page = await made.store.read(lambda c: kinds_page(c, (), page=1, size=5, now=made.now))
    return page.found[0].spot_checks


async def test_two_in_a_row_take_the_trust_and_one_does_not(tmp_path: Path, database_url: str) -> None:
    async with past(tmp_path, url=database_url) as made:
        await made.earn()
        assert await made.lapses(await _spot_check(made), ProposalState.WITHDRAWN)
        assert await made.says(await _spot_check(made))  # a row ends at an answer
        last = await _spot_check(made)
        before = await _kind(made, last)
        assert await made.lapses(last, ProposalState.EXPIRED)
        after, checks = await _kind(made, last), await _checks(made)
        assert (before.spot_checks, before.spot_checks_agreed) == (2, 1)
        assert (after.spot_checks, after.spot_checks_agreed, after.state) == (3, 1, CaseKindState.GRADUATED)
        assert (after.cases, after.rejections, after.customers) == (
            before.cases,
            before.rejections,
            before.customers,
        )
        assert after.approvals_since_rejection == before.approvals_since_rejection
        assert after.approved_values == before.approved_values
        assert checks == (1, 3)
        assert await made.store.read(check_counts, after.hash) is None

        second = await _spot_check(made)
        assert await made.lapses(second, ProposalState.WITHDRAWN)
        fallen = await _kind(made, second)
        assert (fallen.state, fallen.generation) == (CaseKindState.ASKING, 1)
        assert fallen.cause is not None
        assert (fallen.cause.code, fallen.cause.args) == (
            ChangeCode.SPOT_CHECKS_LAPSED,
            {"proposal": second},
        )
        assert await _checks(made) == (1, 4)
        assert (await made.store.do(verify)).problems == ()


async def test_what_lapses_without_being_a_spot_check_counts_for_nothing(tmp_path: Path) -> None:
    async with past(tmp_path) as made:
        await made.earn()
        for customer in (20, 21, 22):  # the first case of a customer asks
            id_ = await made.case(customer)
            before = await _kind(made, id_)
            assert await made.lapses(id_)
            after = await _kind(made, id_)
            assert (after.state, after.counts, after.spot_checks) == (
                CaseKindState.GRADUATED,
                before.counts,
                before.spot_checks,
            )
