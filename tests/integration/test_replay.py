"""The replay against the live line: what the program did on its own, the replay of its log says it would do."""

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.config.policy import Policy
from bot.graduation.backtest import replay
from store.graduation.case_kinds import get_case_kind
from store.graduation.past_cases import draw_secret, kinds
from store.models import CaseKindState, OutcomeKind, Verdict
from store.models.reasons import ChangeCause, ChangeCode
from tests.fixtures.past_cases import Past, all_past, past

_STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.2, 2, 9, 30, 80, 24 * 9]),  # hours since the one before
        st.integers(0, 11),  # customer
        st.sampled_from([300, 900, 1100, 1900]),  # amount
        st.sampled_from(["yes"] * 8 + ["no", "undone", "reversed", "expired", "expired"]),
    ),
    min_size=5,
    max_size=60,
)
_EARNED: list[tuple[bytes, timedelta, int]] = []


@given(steps=_STEPS)
@settings(max_examples=25)
def test_the_replay_of_a_past_judges_each_case_as_the_program_did(
    steps: list[tuple[float, int, int, str]],
) -> None:
    asyncio.run(_compare(steps))


async def _compare(steps: list[tuple[float, int, int, str]]) -> None:
    policy = Policy()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        await _earned(folder)
        async with past(folder, policy) as made:
            _, made.now, made._number = _EARNED[0]
            for hours, customer, amount, came in steps:
                made.now += timedelta(hours=hours)
                id_ = await made.case(customer, amount)
                if came == "expired":
                    await made.lapses(id_)
                else:
                    await made.says(id_, Verdict.DECLINE if came == "no" else Verdict.APPROVE)
                if came in ("undone", "reversed"):
                    await made.comes(id_, OutcomeKind(came))
            found = await made.modes()
            walked = await _walk(made)
    assert walked == found


async def _walk(made: Past) -> dict[str, str]:
    cases, case_kinds = await made.store.do(all_past), await made.store.do(kinds)
    secret = await made.store.do(draw_secret)
    assert secret is not None
    return {
        run.case.proposal.id: run.mode for run in replay(cases, case_kinds, made.policy, secret=secret).runs
    }


async def _earned(folder: Path) -> None:
    """A kind of case that has just earned its trust; made once."""
    path = folder / "past.db"
    if not _EARNED:
        async with past(folder) as made:
            await made.earn()
            now, number = made.now, made._number
        _EARNED.append((path.read_bytes(), now, number))
    path.write_bytes(_EARNED[0][0])


async def test_the_replay_demotes_at_the_same_two_lapses_as_the_program() -> None:
    with tempfile.TemporaryDirectory() as name:
        await _earned(Path(name))
        async with past(Path(name)) as made:
            _, made.now, made._number = _EARNED[0]
            for number in range(60):
                made.now += timedelta(hours=26)
                id_ = await made.case(number % 5)
                if number % 3:
                    await made.lapses(id_)
                else:
                    await made.says(id_)
            cases, case_kinds = await made.store.do(all_past), await made.store.do(kinds)
            secret = await made.store.do(draw_secret)
            assert secret is not None
            [kind] = replay(cases, case_kinds, made.policy, secret=secret).kinds.values()
            live = await made.store.do(get_case_kind, kind.kind.hash)
            found, walked = await made.modes(), await _walk(made)
    assert live is not None
    assert (live.generation, live.state) == (1, CaseKindState.ASKING)
    assert kind.kind.generation_at == live.generation_at
    assert (
        kind.kind.cause
        == live.cause
        == ChangeCause(ChangeCode.SPOT_CHECKS_LAPSED, live.cause.args if live.cause else {})
    )
    assert walked == found
