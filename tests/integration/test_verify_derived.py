"""What is derived from the log is held against it: states, trust, outcomes, and an explanation's own words."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.cli import explain_words
from bot.cli.verify_log import sentence
from bot.explain.document import explanation
from bot.explain.verify import check
from bot.graduation import score
from store import open_store
from store.audit_log.log import row_hash
from store.audit_log.verify import verify
from store.graduation.case_kinds import add_outcome, pause
from store.models import Mode, OutcomeKind, ProposalState, canonical_json
from store.models.graduation import Outcome
from store.proposals.details import explained
from store.proposals.execution import begin_call, claim_approved, finish_execution, revert_to_manual
from tests.fixtures.past_cases import MAYA, Past, past


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str, dict[str, Any]]:
    """A database in which a case ran on its own and was undone, its id, and its explanation from before that."""
    folder = tmp_path_factory.mktemp("lived")

    async def live() -> tuple[str, dict[str, Any]]:
        async with past(folder) as made:
            await made.earn()
            instead = await _runs(made)
            assert await made.store.do(revert_to_manual, instead, made.now)
            id_ = await _runs(made)
            until = made.now + timedelta(minutes=5)
            await made.store.do(claim_approved, token="t", now=made.now, until=until, limit=99)
            assert await made.store.do(begin_call, id_, 0, token="t", now=made.now)
            await made.store.do(
                finish_execution, id_, ProposalState.SUCCEEDED, token="t", now=made.now, reason=None
            )
            found = await made.store.do(explained, id_)
            assert found is not None
            told = json.loads(json.dumps(explanation(found, made.now)))
            late = Outcome(id_, OutcomeKind.UNDONE, "an event", made.now - timedelta(hours=1))
            await made.store.do(add_outcome, late, made.now)
            later = await made.store.do(explained, id_)
            assert later is not None
            findings = check(json.loads(json.dumps(explanation(later, made.now))))
            assert [explain_words.sentence(one) for one in findings if one.fits is False] == []
            await made.store.do(pause, by=MAYA, why="a look", at=made.now)
            return id_, told

    id_, told = asyncio.run(live())
    (path,) = folder.glob("*.db")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.read_bytes(), id_, told


async def _runs(made: Past) -> str:
    """Cases come until one runs on its own; its id."""
    for customer in range(1, 40):
        id_ = await made.case(customer % 12)
        if (await made.modes())[id_] == Mode.AUTO:
            return id_
        await made.says(id_)
        made.now += timedelta(hours=3)
    raise AssertionError("none ran")


def _problems(lived: tuple[bytes, str, Any], folder: Path, *changes: str) -> tuple[str, ...]:
    path = folder / "copy.db"
    path.write_bytes(lived[0])
    with sqlite3.connect(path) as connection:
        for change in changes:
            connection.execute(change, {"ran": lived[1]} if ":ran" in change else {})
    connection.close()

    async def look() -> tuple[str, ...]:
        async with open_store(f"sqlite+aiosqlite:///{path}") as store:
            return tuple(map(sentence, (await store.do(verify)).problems))

    return asyncio.run(look())


def test_a_case_that_ran_one_that_asked_instead_an_undo_and_a_pause_are_as_the_log_says(
    lived: tuple[bytes, str, Any], tmp_path: Path
) -> None:
    assert _problems(lived, tmp_path) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "UPDATE case_kinds SET state = 'graduated'",
            "is graduated in generation 1, but the log says asking",
        ),
        ("UPDATE case_kinds SET generation = 0", "is asking in generation 0, but the log says"),
        ("UPDATE case_kinds SET manual_override = 1", "by manual override, but the log says"),
        ("DELETE FROM outcomes", "the outcome “undone” of … was altered or removed"),
        ("UPDATE outcomes SET kind = 'failed'", "the outcome “undone” of … was altered or removed"),
        ("UPDATE outcomes SET at = at + 1", "was altered or removed"),
        (
            "INSERT INTO outcomes (proposal_id, kind, source, at) VALUES (:ran, 'disputed', 'x', 17)",
            "the outcome “disputed” of … is in no row of the log",
        ),
        ("UPDATE proposals SET mode = 'asked' WHERE id = :ran", "is asked, but the policy said auto"),
        ("UPDATE proposals SET mode = 'spot_check'", "is spot_check, but the policy said"),
        ("UPDATE proposals SET gate = '{}' WHERE id = :ran", "what the policy said of"),
        ("UPDATE proposals SET case_kind = NULL WHERE id = :ran", "what the policy said of"),
        (
            "UPDATE proposals SET state = 'declined' WHERE id = :ran",
            "is declined, but the log says succeeded",
        ),
        ("DELETE FROM pause", "it is not paused, but the log says otherwise"),
    ],
)
def test_what_is_derived_from_the_log_and_altered_is_found(
    lived: tuple[bytes, str, Any], tmp_path: Path, change: str, words: str
) -> None:
    problems = _problems(lived, tmp_path, change)
    parts = words.split(" … ")
    assert any(all(part in one for part in parts) for one in problems), problems


# --- An explanation that somebody has written anew ----------------------------------------------------------


def test_an_explanation_says_what_it_cannot_show(lived: tuple[bytes, str, dict[str, Any]]) -> None:
    findings = check(lived[2])
    assert [explain_words.sentence(one) for one in findings if one.fits is False] == []
    open_ = [explain_words.sentence(one) for one in findings if one.fits is None]
    newest = lived[2]["log"]["rows"][-1]["hash"]
    assert any("`verify-log --head`" in one and newest in one for one in open_), open_


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("proposal", "title", "Harmless?"),
        ("proposal", "risk", "R0"),
        ("proposal", "amount", 1),
        ("proposal", "currency", "eur"),
        ("proposal", "customer_id", "nobody"),
        ("proposal", "mode", "asked"),
        ("case_kind", "hash", "0" * 64),
        ("case_kind", "label", "Nothing at all"),
    ],
)
def test_what_an_explanation_shows_is_held_against_the_log(
    lived: tuple[bytes, str, dict[str, Any]], part: str, name: str, value: Any
) -> None:
    told = json.loads(json.dumps(lived[2]))
    told[part][name] = value
    assert any(one.fits is False for one in check(told))


def _forged(told: dict[str, Any], alter: Callable[[dict[str, Any]], Any]) -> list[str]:
    """What is wrong once the policy's row says something else and every hash was made anew."""
    told = json.loads(json.dumps(told))
    made: dict[int, str] = {}
    for row in sorted([*told["log"]["rows"], *told["log"]["trust"]], key=lambda one: one["seq"]):
        if row["kind"] == "policy":
            body = json.loads(row["body"])
            alter(body["gate"])
            row["body"], told["policy"] = canonical_json(body), body["gate"]
            told["score"] = {name: body["gate"][name] for name in told["score"]}
        row["previous"] = made.get(row["seq"] - 1, row["previous"])
        at = datetime.fromisoformat(row["at"])
        said = {name: row[name] for name in ("seq", "kind", "subject", "body")}
        row["hash"] = made[row["seq"]] = row_hash(row["previous"], at=at, **said)
    head = told["log"]["head"]
    head["hash"] = made.get(head["seq"], head["hash"])
    return [explain_words.sentence(one) for one in check(told) if one.fits is False]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"human_at": "2020-01-01T00:00:00+00:00"}, "a person had decided something within `max_idle`"),
        ({"human_at": None}, "a person had decided something within `max_idle`"),
        ({"would_run": False}, "nothing of the case itself spoke against it"),
        ({"cases": 3, "score": round(score.score(3, 0, 0), 6)}, "the score meets the threshold 90"),
    ],
)
def test_a_run_that_could_not_have_been_is_wrong_however_well_it_is_hashed(
    lived: tuple[bytes, str, dict[str, Any]], values: dict[str, Any], words: str
) -> None:
    assert _forged(lived[2], lambda gate: None) == []
    assert words in _forged(lived[2], lambda gate: gate.update(values))


def test_a_decree_is_for_low_risk_only(lived: tuple[bytes, str, dict[str, Any]]) -> None:
    told = json.loads(json.dumps(lived[2]))
    told["case_kind"]["risk"] = "R2"
    wrong = _forged(told, lambda gate: gate.update(manual_override=True))
    assert "by manual override, below its threshold: class R1 only" in wrong
