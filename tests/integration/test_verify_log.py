"""The log proves itself: whatever is altered, removed, moved or added afterwards is found and said."""

import asyncio
import base64
import json
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.__main__ import main
from bot.cli import explain_words
from bot.cli.verify_log import sentence
from bot.demo.polar import stock
from bot.demo.polar.orders import tell_order
from bot.explain.document import explanation
from bot.explain.verify import check
from store import open_store
from store.audit_log.log import head
from store.audit_log.verify import ProblemCode, Verified, verify
from store.models import Decision, Mode, ProposalState, Verdict
from store.proposals.decisions import decide
from store.proposals.details import explained
from tests.fixtures.line import MAYA, START, Line, line
from tests.fixtures.past_cases import past

_REAL: dict[str, tuple[bytes, list[str]]] = {}


async def _a_day(folder: Path) -> list[str]:
    """Three orders are paid; two cases are approved and carried out, one is declined. The proposals' ids."""
    async with line(folder) as shop:
        for number in range(3):
            await _paid(shop, f"customer{number}@example.com")
        first, second, third = await shop.proposals()
        await shop.approve(first)
        await shop.approve(second)
        decision = Decision(third.id, MAYA, Verdict.DECLINE, "button", shop.clock(), reason="not this one")
        await shop.store.do(decide, decision)
        await shop.assess()
        return [first.id, second.id, third.id]


async def _paid(shop: Line, address: str) -> None:
    rows = shop.shop
    buyer = stock.add_customer(rows, "Ada", address)
    order = stock.add_order(rows, buyer, rows.get("products", shop.polar.order()["product_id"]))
    rows.take()
    tell_order(rows, "order.paid", order)
    await shop.deliver()


def _database(folder: Path) -> tuple[Path, list[str]]:
    """A copy of a real day's database; the day is lived once."""
    path = folder / "line.db"
    if not _REAL:
        ids = asyncio.run(_a_day(folder))
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _REAL["day"] = (path.read_bytes(), ids)
    path.write_bytes(_REAL["day"][0])
    return path, _REAL["day"][1]


def _verified(path: Path) -> Verified:
    async def look() -> Verified:
        async with open_store(f"sqlite+aiosqlite:///{path}", exclusive=False) as store:
            return await store.do(verify)

    return asyncio.run(look())


def _after(tamper: Callable[[sqlite3.Connection, list[str]], Any]) -> tuple[str, ...]:
    """What is found once somebody has been at the database."""
    with tempfile.TemporaryDirectory() as name:
        path, ids = _database(Path(name))
        with sqlite3.connect(path) as connection:
            tamper(connection, ids)
        connection.close()
        return tuple(map(sentence, _verified(path).problems))


def test_a_log_that_nobody_touched_has_nothing_wrong() -> None:
    assert _after(lambda connection, ids: None) == ()


_COLUMNS = {"at": 7, "kind": "other", "subject": "pother", "body": '{"a":1}', "hash": "0" * 64, "seq": 999}


@given(place=st.integers(0, 10_000), column=st.sampled_from(sorted(_COLUMNS)))
def test_any_column_of_any_row_that_is_altered_is_found(place: int, column: str) -> None:
    def tamper(connection: sqlite3.Connection, _: list[str]) -> None:
        connection.execute(
            f"UPDATE audit_log SET {column} = ? WHERE seq = ?",  # noqa: S608 - a column of ours
            (_COLUMNS[column], _row(connection, place)),
        )

    assert _after(tamper)


@given(
    place=st.integers(0, 10_000), letter=st.integers(0, 10_000), garbage=st.sampled_from(["x", "0", " ", "é"])
)
def test_one_letter_of_a_row_is_enough(place: int, letter: int, garbage: str) -> None:
    def tamper(connection: sqlite3.Connection, _: list[str]) -> None:
        seq = _row(connection, place)
        (body,) = connection.execute("SELECT body FROM audit_log WHERE seq = ?", (seq,)).fetchone()
        cut = letter % len(body)
        changed = body[:cut] + garbage + body[cut + (body[cut] == garbage) :]
        connection.execute("UPDATE audit_log SET body = ? WHERE seq = ?", (changed + "!", seq))

    assert _after(tamper)


@given(place=st.one_of(st.integers(0, 10_000), st.just(-1)))
@example(place=0)
@example(place=-1)
def test_any_row_that_is_removed_is_missed_the_first_and_the_last_too(place: int) -> None:
    def tamper(connection: sqlite3.Connection, _: list[str]) -> None:
        connection.execute("DELETE FROM audit_log WHERE seq = ?", (_row(connection, place),))

    assert any("missing" in one or "was written" in one for one in _after(tamper))


@given(one=st.integers(0, 10_000), other=st.integers(0, 10_000))
def test_two_rows_that_changed_places_are_said_to_have(one: int, other: int) -> None:
    def tamper(connection: sqlite3.Connection, _: list[str]) -> None:
        pair = (_row(connection, one), _row(connection, other))
        if pair[0] == pair[1]:
            pair = (1, 2)
        for from_, to in ((pair[0], 0), (pair[1], pair[0]), (0, pair[1])):
            connection.execute("UPDATE audit_log SET seq = ? WHERE seq = ?", (to, from_))

    assert any("the order was changed" in problem for problem in _after(tamper))


@pytest.mark.parametrize("seq", [0, -5, "after"])
def test_a_row_that_was_put_in_is_found(seq: int | str) -> None:
    def tamper(connection: sqlite3.Connection, _: list[str]) -> None:
        last = connection.execute("SELECT max(seq) FROM audit_log").fetchone()[0]
        number = last + 1 if seq == "after" else seq
        connection.execute(
            "INSERT INTO audit_log (seq, at, kind, subject, body, hash) "
            "SELECT ?, at, kind, subject, body, hash FROM audit_log WHERE seq = 1",
            (number,),
        )

    assert _after(tamper)


def test_a_log_emptied_to_nothing_is_found() -> None:
    (problem,) = _after(lambda connection, _: connection.execute("DELETE FROM audit_log"))
    assert problem.startswith("the log ends at row 0, but row ")


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("events", "UPDATE events SET body = replace(body, 'Ada', 'Eve')", "was altered after"),
        ("events", "DELETE FROM events", "is gone"),
        (
            "calls",
            """UPDATE calls SET path = '{"id": "another"}' WHERE started_at IS NOT NULL""",
            "is not what was sent",
        ),
        ("calls", "DELETE FROM calls", "is not what was sent"),
        ("calls", "UPDATE calls SET path = 'no JSON' WHERE started_at IS NOT NULL", "cannot be read"),
        (
            "decisions",
            "UPDATE decisions SET verdict = 'approve' WHERE verdict = 'decline'",
            "altered or removed",
        ),
        ("decisions", "UPDATE decisions SET actor = 'U0EVE'", "altered or removed"),
        (
            "decisions",
            "UPDATE decisions SET reason = 'because' WHERE reason IS NOT NULL",
            "altered or removed",
        ),
        ("decisions", "DELETE FROM decisions", "altered or removed"),
        (
            "decisions",
            """INSERT INTO decisions (proposal_id, actor, verdict, via, at, revision)
            SELECT id, 'U0EVE', 'approve', 'button', 17, 1 FROM proposals""",
            "is in no row of the log",
        ),
    ],
)
def test_what_the_log_speaks_of_is_checked_as_well(table: str, change: str, words: str) -> None:
    problems = _after(lambda connection, _: connection.executescript(f"PRAGMA foreign_keys=OFF; {change}"))
    assert any(words in problem for problem in problems), problems


async def test_a_call_changed_before_it_is_decided_is_found(tmp_path: Path) -> None:
    async with line(tmp_path) as shop:
        await _paid(shop, "ada@example.com")
        assert (await shop.store.do(verify)).problems == ()
        with sqlite3.connect(tmp_path / "line.db") as connection:
            connection.execute("""UPDATE calls SET path = '{"id": "another"}'""")
        connection.close()
        (problem,) = (await shop.store.do(verify)).problems
    assert problem.code == ProblemCode.CALLS


def _row(connection: sqlite3.Connection, place: int) -> int:
    rows = [row[0] for row in connection.execute("SELECT seq FROM audit_log ORDER BY seq")]
    return int(rows[place % len(rows)] if place >= 0 else rows[place])


# --- The command ----------------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """A day's database, and the settings that name it."""
    path, ids = _database(tmp_path)
    for name, value in {
        "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SLACK_CHANNEL": "C0CARDS",
        "POLAR_ACCESS_TOKEN": "polar_oat_1", "POLAR_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "APPROVERS": MAYA, "DATABASE_URL": f"sqlite+aiosqlite:///{path}",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return path, ids


def test_verify_log_says_how_long_the_log_is_and_that_nothing_is_wrong(
    stored: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    found = _verified(stored[0])
    assert main(["verify-log"]) == 0
    assert capsys.readouterr().out == f"Log: {found.rows} rows, newest hash {found.head}\nNothing is wrong.\n"
    assert main(["verify-log", "--head", f"{found.head[:12]}…"]) == 0
    assert f"The hash noted earlier is that of row {found.rows}." in capsys.readouterr().out


def test_verify_log_finds_that_a_noted_hash_is_no_longer_there(
    stored: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify-log", "--head", "0123456789abcdef"]) == 1
    assert "no row has the hash 0123456789abcdef" in capsys.readouterr().err
    with sqlite3.connect(stored[0]) as connection:
        connection.execute("UPDATE audit_log SET body = '{}' WHERE seq = 3")
    connection.close()
    assert main(["verify-log"]) == 1
    assert "row 3 (" in capsys.readouterr().err


def test_explain_tells_the_whole_way_and_its_check_needs_no_database(
    stored: tuple[Path, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, ids = stored
    for id_ in ids:
        assert main(["explain", id_]) == 0
        told = json.loads(capsys.readouterr().out)
        assert json.loads(base64.b64decode(told["webhook"]["body_base64"]))["type"] == "order.paid"
        assert told["policy"]["reason"]["code"] == "kind_asks"
        file = tmp_path / "explanation.json"
        file.write_text(json.dumps(told))
        monkeypatch.setenv("DATABASE_URL", "sqlite+aiosqlite:////nowhere/at-all.db")
        assert main(["explain", "--check", str(file)]) == 0, capsys.readouterr().out
        assert "WRONG" not in capsys.readouterr().out
        monkeypatch.setenv("DATABASE_URL", f"sqlite+aiosqlite:///{stored[0]}")
        assert main(["explain", id_, "--format", "text"]) == 0
        assert "Policy    ask: this kind asks" in capsys.readouterr().out
    assert main(["explain", "pnothing"]) == 1


def test_explain_check_refuses_what_is_no_explanation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.json"
    for text in ("", "[]", "{}", '{"format": "polar-approvals explanation 2"}', "null"):
        file.write_text(text)
        assert main(["explain", "--check", str(file)]) == 1
        assert "is no explanation" in capsys.readouterr().err


# --- An automatic run, and what an explanation cannot hide ------------------------------------------------------


@pytest.fixture(scope="module")
def automatic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The explanation of a case that ran on its own."""

    async def make() -> dict[str, Any]:
        async with past(tmp_path_factory.mktemp("automatic")) as made:
            await made.earn()
            for _ in range(20):
                id_ = await made.case(1)
                if (await made.modes())[id_] == Mode.AUTO:
                    break
                await made.says(id_)
            found = await made.store.do(explained, id_)
            assert found is not None
            return json.loads(json.dumps(explanation(found, made.now)))

    return asyncio.run(make())


def test_an_automatic_run_is_explained_down_to_its_score_caps_and_draw(automatic: dict[str, Any]) -> None:
    assert automatic["proposal"]["mode"] == "auto"
    assert automatic["score"]["cases"] >= 42
    assert automatic["spot_check"] == automatic["spot_check"] | {"probability": 0.5, "drawn": False}
    assert automatic["policy"]["caps"]["case_kind"] == [50, 0]
    findings = check(automatic)
    assert [finding for finding in findings if finding.fits is False] == []
    assert "17" * 32 not in json.dumps(automatic)
    words = [explain_words.sentence(finding) for finding in findings]
    assert "the score meets the threshold 90" in words
    assert "it stayed under every cap of that moment" in words


@given(data=st.data())
def test_whatever_is_changed_in_an_explanation_its_check_notices(
    automatic: dict[str, Any], data: st.DataObject
) -> None:
    changed = json.loads(json.dumps(automatic))
    parts = [
        ("webhook", "body_base64", base64.b64encode(b'{"type":"order.paid"}').decode()),
        ("webhook", "type", "order.created"),
        ("webhook", "id", "another"),
        ("rule", "source", {"name": "another"}),
        ("rule", "name", "another"),
        ("case_kind", "fields", automatic["case_kind"]["fields"] | {"product": "another"}),
        ("case_kind", "hash", "0" * 64),
        ("case_kind", "family", "0" * 64),
        ("score", "cases", 400),
        ("score", "score", 99.9),
        ("policy", "spot_check_probability", 0.1),
        ("policy", "verdict", "ask"),
        ("spot_check", "probability", 0.1),
        ("proposal", "state", "succeeded"),
    ]
    for name, key, value in data.draw(
        st.lists(st.sampled_from(parts), min_size=1, unique_by=lambda part: part[:2])
    ):
        changed[name][key] = value
    assert any(finding.fits is False for finding in check(changed))


@given(
    place=st.integers(0, 100),
    column=st.sampled_from(["seq", "at", "kind", "subject", "body", "previous", "hash"]),
)
def test_whatever_is_changed_in_a_row_of_it_is_noticed(
    automatic: dict[str, Any], place: int, column: str
) -> None:
    changed = json.loads(json.dumps(automatic))
    rows = [*changed["log"]["rows"], *changed["log"]["trust"]]
    row = rows[place % len(rows)]
    other = {
        "seq": row["seq"] + 1,
        "at": "2026-01-01T00:00:00+00:00",
        "body": row["body"].replace("}", ',"a":1}', 1),
    }
    row[column] = other.get(column, "0" * 64)
    assert any(finding.fits is False for finding in check(changed))


async def test_the_head_of_the_log_is_the_newest_row(tmp_path: Path) -> None:
    async with line(tmp_path) as shop:
        assert await shop.store.do(head) == (0, "0" * 64)
        await _paid(shop, "ada@example.com")
        found = await shop.store.do(verify)
        assert await shop.store.do(head) == (found.rows, found.head)
        assert (await shop.proposals())[0].state == ProposalState.PENDING
        assert shop.clock.now > START
