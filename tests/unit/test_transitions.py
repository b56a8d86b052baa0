"""Every move between two states, allowed or not, through `advance` on a real SQLite file."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, insert, update

from store.models import TRANSITIONS, NewProposal, PlannedCall, ProposalState
from store.models.reasons import Reason, ReasonCode
from store.proposals.proposals import advance, get_proposal, insert_proposal, trail
from store.schema import events, metadata, proposals, rule_versions

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
WHY = Reason(ReasonCode.TEXT, {"text": "why"})
README = Path(__file__).parents[2] / "store/README.md"


def mermaid() -> str:
    """The states as the README shows them: what stands between ```mermaid and ```, without a last newline."""
    lines = ["stateDiagram-v2", f"    [*] --> {ProposalState.PENDING}"]
    for state, following in TRANSITIONS.items():
        lines += [f"    {state} --> {after}" for after in ProposalState if after in following]
        lines += [] if following else [f"    {state} --> [*]"]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path_factory.mktemp('states')}/states.db")
    metadata.create_all(made)
    with made.begin() as connection:
        row = {"id": "evt", "type": "t", "body": b"", "signature": "", "sent_at": NOW, "received_at": NOW}
        connection.execute(insert(events), [row | {"due_at": NOW}])
        version = {"version": "v1", "name": "r", "source": {}, "first_seen_at": NOW}
        connection.execute(insert(rule_versions), [version])
    yield made
    made.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as opened:
        yield opened  # never committed: each test finds the file as it was


def _standing_in(connection: Connection, state: ProposalState) -> str:
    insert_proposal(
        connection,
        NewProposal(
            id="prop",
            fact_key="fact",
            event_id="evt",
            rule="r",
            rule_version="v1",
            subject=None,
            title="?",
            reasons=(),
            facts=(),
            risk="low",
            always_asks=None,
            calls=(PlannedCall("orders:get"),),
            created_at=NOW,
        ),
    )
    connection.execute(update(proposals).values(state=state, lease_token="mine"))
    return "prop"


def _state(connection: Connection, proposal_id: str) -> tuple[ProposalState, int]:
    found = get_proposal(connection, proposal_id)
    assert found is not None
    return found.state, found.row_version


@pytest.mark.parametrize(("from_", "to"), list(product(ProposalState, repeat=2)))
def test_a_move_is_made_and_noted_exactly_when_the_table_allows_it(
    connection: Connection, from_: ProposalState, to: ProposalState
) -> None:
    proposal_id = _standing_in(connection, from_)
    if to in TRANSITIONS[from_]:
        assert advance(connection, proposal_id, from_, to, actor="U1", at=NOW, reason=WHY, token="mine") == 2
        assert _state(connection, proposal_id) == (to, 2)
        last = trail(connection, proposal_id)[-1]
        assert (last.row_version, last.from_, last.to, last.actor, last.reason) == (2, from_, to, "U1", WHY)
    else:
        with pytest.raises(ValueError, match=f"from {from_} to {to}"):
            advance(connection, proposal_id, from_, to, actor="U1", at=NOW)
        assert _state(connection, proposal_id) == (from_, 1)
    assert len(trail(connection, proposal_id)) == _state(connection, proposal_id)[1]


@pytest.mark.parametrize(
    ("actual", "believed"),
    [pair for pair in product(ProposalState, repeat=2) if pair[0] is not pair[1] and TRANSITIONS[pair[1]]],
)
def test_a_move_from_a_state_it_is_no_longer_in_changes_nothing(
    connection: Connection, actual: ProposalState, believed: ProposalState
) -> None:
    proposal_id = _standing_in(connection, actual)
    for to in TRANSITIONS[believed]:
        assert advance(connection, proposal_id, believed, to, actor="U1", at=NOW) is None
    assert _state(connection, proposal_id) == (actual, 1)
    assert len(trail(connection, proposal_id)) == 1


@pytest.mark.parametrize("to", sorted(TRANSITIONS[ProposalState.EXECUTING]))
def test_nobody_leaves_executing_with_a_token_that_holds_no_claim(
    connection: Connection, to: ProposalState
) -> None:
    proposal_id = _standing_in(connection, ProposalState.EXECUTING)
    moved = advance(connection, proposal_id, ProposalState.EXECUTING, to, actor="w", at=NOW, token="yours")
    assert moved is None
    assert _state(connection, proposal_id) == (ProposalState.EXECUTING, 1)


def test_a_move_of_a_proposal_that_does_not_exist_is_no_error() -> None:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as connection:
        states = (ProposalState.PENDING, ProposalState.APPROVED)
        assert advance(connection, "nowhere", *states, actor="U1", at=NOW) is None
    engine.dispose()


def test_every_state_is_in_the_table_and_can_be_reached_from_pending() -> None:
    assert set(TRANSITIONS) == set(ProposalState)
    reached = {ProposalState.PENDING}
    while more := {after for state in reached for after in TRANSITIONS[state]} - reached:
        reached |= more
    assert reached == set(ProposalState)


def test_the_readme_shows_the_states_as_they_are() -> None:
    assert f"```mermaid\n{mermaid()}\n```" in README.read_text(encoding="utf-8"), mermaid()
