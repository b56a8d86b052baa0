"""Counts that move by the difference are what a recount says, and cost the same however long the history is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, event, insert, select, update

from bot.config.policy import Policy
from bot.graduation.case_kind import case_kind_of
from bot.pipeline.learn import Assessor
from store.audit_log.log import append
from store.engine.settings_kv import Setting, hold_or_set
from store.graduation.case_kinds import change, note_case_kind
from store.graduation.count_check import Difference, check_counts, mend_counts
from store.graduation.labels import COUNTED, kept_counts, move_counts, recount, relabel, ripen, ripening
from store.graduation.learn import MOST_POSTPONED, assess, last_offer, postpone, set_aside, set_aside_kinds
from store.graduation.pages import kinds_page
from store.graduation.reducer import CaseTotals, LabelSum, TrustChange
from store.models import CaseKindState, Mode, ProposalState, Verdict
from store.models.graduation import CaseHistory, Label, Past
from store.models.reasons import ChangeCause, ChangeCode, LabelReason, Reason, ReasonCode
from store.schema import calls, decisions, metadata, proposals
from store.schema.graduation import case_kinds, case_labels
from tests.fixtures.full_database import NOW, new
from tests.fixtures.past_cases import EVENT

KIND = case_kind_of(new("p"), EVENT, Past(orders=2), environment="production")
HOUR, WINDOW = timedelta(hours=1), timedelta(hours=7)
CASES = 8
ENGINE = create_engine("sqlite://")
metadata.create_all(ENGINE)


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as opened:
        note_case_kind(opened, KIND, NOW - HOUR)
        yield opened
    engine.dispose()


def _put(connection: Connection, numbers: range, customers: int) -> None:
    """Cases that a person approved, an hour apart, a tenth of them spot checks."""
    rows = []
    for number in numbers:
        case = new(f"p{number}", case_kind=KIND.hash, customer_id=f"c{number % customers}")
        row = {name: getattr(case, name) for name in case.__dataclass_fields__ if name != "calls"}
        row |= {
            "reasons": [],
            "facts": [],
            "state": ProposalState.SUCCEEDED,
            "due_at": NOW,
            "card_due_at": NOW,
        }
        rows.append(row | {"mode": Mode.SPOT_CHECK if number % 10 == 0 else Mode.ASKED})
    connection.execute(insert(proposals), rows)
    asked = {"number": 0, "operation": "orders:generate_invoice", "path": {"id": "o"}, "query": {}}
    connection.execute(insert(calls), [{"proposal_id": row["id"], **asked} for row in rows])


@dataclass
class Said:
    """What is said of each case at present; the labeller of the test."""

    labels: dict[str, Label]

    def label(self, case: CaseHistory) -> Label | None:
        return self.labels.get(case.proposal_id)


@dataclass
class Live:
    """A kind of case to which things happen."""

    connection: Connection
    said: Said
    now: datetime

    def learn(self, ids: Sequence[str]) -> None:
        ripe = ripening(self.connection, self.now)
        changed = relabel(self.connection, ids, self.said.label, ripe.until)
        rest = set(ripe.ids.get(KIND.hash, ())) - set(ids)
        move_counts(self.connection, KIND.hash, changed + ripen(self.connection, sorted(rest)))

    def begins_anew(self) -> None:
        fall = TrustChange(CaseKindState.ASKING, ChangeCause(ChangeCode.IDLE), new_generation=True)
        change(self.connection, KIND.hash, fall, actor="U1", at=self.now)

    def is_exact(self) -> None:
        kept = kept_counts(self.connection, KIND.hash)
        assert kept is not None
        own = {name: getattr(kept, name) for name in COUNTED}
        assert own == self.added_up(kept.generation)
        assert own == recount(self.connection, KIND.hash, kept.generation)

    def added_up(self, generation: int) -> dict[str, Any]:
        """The counts by the reducer of the back-test, from every label there is."""
        made, since = CaseTotals(), []
        for row in self.connection.execute(
            select(case_labels, proposals.c.customer_id.label("customer")).join(
                proposals, proposals.c.id == case_labels.c.proposal_id
            )
        ):
            assert row.in_score == int(row.is_counted and (row.is_rejection or row.matures_at <= self.now))
            if row.is_counted and row.generation == generation:
                flags = bool(row.is_rejection), bool(row.is_spot_check), row.matures_at <= self.now
                made.add(LabelSum(*flags, row.customer, 1, row.decided_at, row.decided_at))
                since += [] if row.is_rejection else [row.decided_at]
        last = made.last_rejection_at
        return made.counts(sum(last is None or at > last for at in since))


_labels = st.none() | st.builds(
    lambda rejected, counted, back: (rejected, rejected or counted, back),
    st.booleans(),
    st.sampled_from([True, True, True, False]),
    st.integers(0, 20),
)
_steps = st.one_of(
    st.tuples(st.just("says"), st.dictionaries(st.integers(0, CASES - 1), _labels, min_size=1, max_size=4)),
    st.tuples(st.just("later"), st.integers(1, 12)),
    st.tuples(st.just("anew"), st.none()),
)


@given(steps=st.lists(_steps, max_size=25))
@settings(max_examples=80)
def test_after_anything_the_kept_counts_are_the_recount(steps: list[tuple[str, Any]]) -> None:
    with ENGINE.connect() as connection:
        note_case_kind(connection, KIND, NOW - HOUR)
        _put(connection, range(CASES), 3)
        live = Live(connection, Said({}), NOW)
        for what, given_ in steps:
            if what == "says":
                for number, label in given_.items():
                    _say(live, f"p{number}", label)
                live.learn([f"p{number}" for number in given_])
            elif what == "later":
                live.now += given_ * HOUR
                live.learn([])
            else:
                live.begins_anew()
            live.is_exact()
        connection.rollback()


def _say(live: Live, id_: str, label: tuple[bool, bool, int] | None) -> None:
    if label is None:
        live.said.labels.pop(id_, None)
        return
    rejected, counted, back = label
    at = live.now - back * HOUR
    reason = LabelReason.DECLINED if rejected else LabelReason.APPROVED if counted else LabelReason.BULK
    matures_at = at if rejected else at + WINDOW
    spot_check = id_ in ("p0", "p3")
    live.said.labels[id_] = Label(id_, KIND.hash, rejected, counted, reason, spot_check, at, matures_at)


def test_a_wrong_count_is_found_and_mended_unless_it_has_changed_meanwhile(connection: Connection) -> None:
    _put(connection, range(CASES), 3)
    live = Live(connection, Said({}), NOW)
    for number in range(4):
        _say(live, f"p{number}", (number == 1, True, 10 + number))
    live.learn([f"p{number}" for number in range(4)])
    assert check_counts(connection, KIND.hash) is None

    connection.exec_driver_sql("UPDATE case_kinds SET cases = 17, customers = 1")
    found = check_counts(connection, KIND.hash)
    assert isinstance(found, Difference)
    assert (found.label, found.wrong) == (KIND.label, {"cases": (17, 4), "customers": (1, 3)})
    connection.exec_driver_sql("UPDATE case_kinds SET cases = 18")
    assert not mend_counts(connection, found)
    connection.exec_driver_sql("UPDATE case_kinds SET cases = 17")
    assert mend_counts(connection, found)
    live.is_exact()
    assert check_counts(connection, KIND.hash) is None


def test_a_kind_that_missed_many_cases_learns_them_in_several_passes(connection: Connection) -> None:
    cases = MOST_POSTPONED + 100
    reason = Reason.of(ReasonCode.ASSESSMENT_FAILED, step="learn", error="ValueError", place="a.py:1")
    set_aside(connection, KIND.hash, reason, NOW)
    _put(connection, range(cases), 1_000)
    said = [
        {"proposal_id": f"p{n}", "actor": "U1", "verdict": Verdict.APPROVE, "via": "b", "at": NOW + n * HOUR}
        for n in range(cases)
    ]
    connection.execute(insert(decisions), said)
    postpone(connection, KIND.hash, [f"p{number}" for number in range(cases)])
    now, assessor = NOW + 2 * HOUR, Assessor(Policy())
    assert assess(connection, assessor, now).more
    assert len(set_aside_kinds(connection)) == 1
    assert not assess(connection, assessor, now).more
    assert set_aside_kinds(connection) == []
    assert len(connection.execute(select(case_labels)).all()) == cases
    kept = kept_counts(connection, KIND.hash)
    assert kept is not None
    assert {name: getattr(kept, name) for name in COUNTED} == recount(connection, KIND.hash, 0)


# --- However long the history is ----------------------------------------------------------------------------


def _history(connection: Connection, cases: int) -> None:
    """A kind with so many approvals, each an hour after the one before, all of them mature, and learnt from."""
    _put(connection, range(cases), 1_000)
    said, labels = [], []
    for number in range(cases):
        at = NOW - (cases - number + 200) * HOUR
        said.append(
            {"proposal_id": f"p{number}", "actor": "U1", "verdict": Verdict.APPROVE, "via": "b", "at": at}
        )
        labels.append(
            {
                "proposal_id": f"p{number}", "case_kind": KIND.hash, "generation": 0, "is_rejection": 0,
                "is_counted": 1, "reason_code": LabelReason.APPROVED, "decided_at": at, "matures_at": at + HOUR,
                "customer_id": f"c{number % 1_000}", "in_score": 1, "is_learnt": 1,
            }
        )  # fmt: skip
    connection.execute(insert(decisions), said)
    connection.execute(insert(case_labels), labels)
    connection.execute(update(case_kinds).values(recount(connection, KIND.hash, 0)))
    hold_or_set(connection, Setting.LEARNED_AT, NOW.isoformat())
    hold_or_set(connection, Setting.LEARNED_ROW, "0")


def _decided(connection: Connection, number: int, verdict: Verdict, at: datetime) -> None:
    _put(connection, range(number, number + 1), 1_000)
    row = {"proposal_id": f"p{number}", "actor": "U1", "verdict": verdict, "via": "b", "at": at}
    connection.execute(insert(decisions), [row])
    append(connection, "decision", f"p{number}", {"verdict": verdict.value}, at)


class Watch:
    """Counts what SQLite does: statements, steps of its machine, and the plans of what was asked."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self.statements, self.steps = connection, list[tuple[str, Any]](), 0

    def __enter__(self) -> "Watch":
        event.listen(self._connection, "before_cursor_execute", self._asked)
        self._driver.set_progress_handler(self._stepped, 1)
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.set_progress_handler(None, 1)
        event.remove(self._connection, "before_cursor_execute", self._asked)

    @property
    def _driver(self) -> Any:
        return self._connection.connection.driver_connection

    def _asked(self, _c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        self.statements.append((statement, parameters))

    def _stepped(self) -> int:
        self.steps += 1
        return 0

    def plans(self) -> list[str]:
        """How the labels, proposals and log were looked through."""
        found = []
        for statement, parameters in self.statements:
            if statement.startswith(("SELECT", "UPDATE", "DELETE")):
                rows = self._driver.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                found += [f"{row[3]} | {statement}" for row in rows]
        return found


def _learnt(connection: Connection, cases: int) -> dict[str, tuple[int, int]]:
    """The statements and steps of learning from an approval, a rejection, a late outcome and a maturity."""
    _history(connection, cases)
    assessor = Assessor(Policy())
    found = {}
    for name, number, verdict, after in (
        ("warm", cases, Verdict.APPROVE, 0),
        ("approval", cases + 1, Verdict.APPROVE, 1),
        ("rejection", cases + 2, Verdict.DECLINE, 2),
        ("approval after it", cases + 3, Verdict.APPROVE, 3),
        ("mature", cases + 4, Verdict.APPROVE, 24 * 8),
    ):
        now = NOW + after * HOUR
        _decided(connection, number, verdict, now)
        with Watch(connection) as watch:
            assert not assess(connection, assessor, now).failed
        found[name] = (len(watch.statements), watch.steps)
        whole = [plan for plan in watch.plans() if _is_whole(plan)]
        assert whole == []
    kept = kept_counts(connection, KIND.hash)
    assert kept is not None
    assert {name: getattr(kept, name) for name in COUNTED} == recount(connection, KIND.hash, 0)
    assert (kept.rejections, kept.approvals_since_rejection) == (1, 2)
    return found


def _is_whole(plan: str) -> bool:
    """Tell whether a whole table is looked through, or a whole kind is sorted."""
    how, _, statement = plan.partition(" | ")
    # At most 300 are the newest; the partial index holds nothing but what is set aside.
    few = ("SCAN CONSTANT", "SCAN (subquery", "SCAN newest")
    scans = how.startswith("SCAN") and not how.startswith(few) and "ix_case_kinds_retry_at" not in how
    return scans or ("TEMP B-TREE" in how and "case_labels" in statement)


def test_learning_from_one_label_costs_the_same_however_many_there_are() -> None:
    found = []
    for cases in (400, 10_000):
        engine = create_engine("sqlite://")
        metadata.create_all(engine)
        with engine.connect() as connection:
            note_case_kind(connection, KIND, NOW - 20_000 * HOUR)
            found.append(_learnt(connection, cases))
        engine.dispose()
    few, many = found
    for name, (statements, steps) in many.items():
        assert statements == few[name][0], name
        assert steps <= few[name][1] * 1.05, (name, few[name], many[name])


def test_a_page_counts_the_spot_checks_of_a_kind_and_no_other_label(connection: Connection) -> None:
    _history(connection, 400)
    with Watch(connection) as watch:
        page = kinds_page(connection, [], page=1, size=6, now=NOW)
    assert page.found[0].spot_checks == (0, 0)
    steps = (each.partition(" | ")[0] for each in watch.plans())
    decided, lapsed = [each for each in steps if "case_labels" in each]
    assert "USING INDEX ix_case_labels_spot_checks" in decided
    assert "USING INDEX ix_case_labels_learnt (case_kind=? AND is_learnt=?)" in lapsed


def test_the_newest_offer_is_found_without_looking_at_the_cases(connection: Connection) -> None:
    with Watch(connection) as watch:
        assert last_offer(connection, KIND.hash) is None
    [plan] = watch.plans()
    assert "ix_proposals_offers" in plan
    assert "TEMP" not in plan
