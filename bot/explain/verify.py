"""The check of an explanation: every hash, score and fingerprint is computed again, offline. Pure."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from bot.explain.document import FORMAT
from bot.graduation import score
from bot.graduation.gate import BLIND, RUN, SPOT_CHECK, probability
from bot.graduation.score import STANDARDS
from bot.rules.load import version_of
from polar.catalog import Risk
from store.audit_log.log import (
    ERASED,
    fingerprint,
    kinds_of,
    normalize,
    personal_hash,
    read_row,
    row_hash,
)
from store.engine.dialects import readable
from store.models import Actor, CaseKindState, Mode, canonical_json, sha256

_CLOSE = 1e-5


class Fact(StrEnum):
    """The facts that are checked. The arguments are named beside each fact; `row` is a number in the log."""

    LOGGED = "logged"  # the log has a row about this proposal
    ROW_HASH = "row_hash"  # row, kind
    ROW_FOLLOWS = "row_follows"  # row, kind: it follows the row before it
    ROW_BEFORE_HEAD = "row_before_head"  # row, kind, head
    ROW_OPEN = "row_open"  # row, kind, hash: its hash also covers rows that are not here
    ROW_PERSONAL = "row_personal"  # row, kind: what it says of a person has the hash in it
    ROW_ERASED = "row_erased"  # row, kind: what it said of a person was erased
    ROWS_IN_ORDER = "rows_in_order"
    ASKED = "asked"  # other: names of fields that are not as in the log
    MODE = "mode"  # mode
    NO_EVENT = "no_event"
    EVENT_READABLE = "event_readable"
    EVENT_HASH = "event_hash"
    EVENT_OPEN = "event_open"  # its hash covers secrets that are not here
    EVENT_TYPE = "event_type"  # type
    EVENT_ID = "event_id"
    RULE_HASH = "rule_hash"
    RULE_LOGGED = "rule_logged"
    NO_CASE_KIND = "no_case_kind"
    CASE_KIND_HASH = "case_kind_hash"
    FAMILY = "family"
    CASE_KIND_RULE = "case_kind_rule"
    LABEL = "label"
    WITHHELD = "withheld"
    NO_GATE = "no_gate"
    GATE_LOGGED = "gate_logged"
    SCORE = "score"  # cases, rejections, generation, score
    MAY_RUN = "may_run"
    OVERRIDE_RISK = "override_risk"
    THRESHOLD = "threshold"  # target
    WOULD_RUN = "would_run"
    PERSON_LATELY = "person_lately"
    KIND_RAN = "kind_ran"
    SPOT_CHECKS = "spot_checks"  # agreed, probability
    DRAW_OPEN = "draw_open"
    CAPS = "caps"
    RAN_LOGGED = "ran_logged"  # verdict, actor
    DECISION = "decision"  # verdict, actor
    DECISIONS_SHOWN = "decisions_shown"  # missing: their number
    NOT_SENT = "not_sent"  # number, operation
    REQUEST_OPEN = "request_open"  # number, operation
    REQUEST_SENT = "request_sent"  # number, operation
    REQUEST_ASKED = "request_asked"  # number, operation
    NO_ANSWER = "no_answer"  # number
    ANSWER = "answer"  # number
    STEPS = "steps"  # count
    OUTCOMES = "outcomes"  # count
    STATE = "state"  # state


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked fact. `fits` is None if it cannot be checked here."""

    fits: bool | None
    fact: Fact
    args: Mapping[str, Any]


def _found(fits: bool | None, fact: Fact, **args: Any) -> Finding:
    return Finding(fits, fact, args)


class NoExplanation(Exception):
    """The document is not an explanation, or it has another format."""


def check(document: Any) -> list[Finding]:
    """Check every fact that can be computed again from an explanation. Raises NoExplanation."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NoExplanation
    try:
        return [finding for look in _LOOKS for finding in look(document)]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise NoExplanation from error


def _rows(document: Mapping[str, Any], *kinds: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The rows of the log about the proposal, with their bodies in the names of today."""
    wanted = {name for kind in kinds for name in kinds_of(kind)}
    rows = [row for row in document["log"]["rows"] if row["kind"] in wanted]
    return [(row, read_row(row["kind"], row["body"], row.get("personal"))[1]) for row in rows]


def _asked(document: Mapping[str, Any]) -> dict[str, Any]:
    return next((body for _, body in _rows(document, "proposed")), {})


def _log(document: Mapping[str, Any]) -> Iterator[Finding]:
    rows = document["log"]["rows"]
    if not rows:
        yield _found(False, Fact.LOGGED)
    by_number = {row["seq"]: row["hash"] for row in [*rows, *document["log"]["trust"]]}
    head = document["log"]["head"]
    by_number.setdefault(head["seq"], head["hash"])
    for row in sorted([*rows, *document["log"]["trust"]], key=lambda row: row["seq"]):
        at, named = datetime.fromisoformat(row["at"]), {"row": row["seq"], "kind": row["kind"]}
        made = row_hash(
            row["previous"], seq=row["seq"], at=at, kind=row["kind"], subject=row["subject"], body=row["body"]
        )
        if made != row["hash"] and _vouched_for(document, row):
            yield _found(None, Fact.ROW_ERASED, **named)
        else:
            yield _found(made == row["hash"], Fact.ROW_HASH, **named)
        yield from _personal(row, named)
        if by_number.get(row["seq"] - 1, row["previous"]) != row["previous"]:
            yield _found(False, Fact.ROW_FOLLOWS, **named)
        if row["seq"] > head["seq"]:
            yield _found(False, Fact.ROW_BEFORE_HEAD, **named, head=head["seq"])
        if row["seq"] + 1 not in by_number:  # its hash also covers the rows right before it
            yield _found(None, Fact.ROW_OPEN, **named, hash=row["hash"])
    if [row["seq"] for row in rows] != sorted({row["seq"] for row in rows}):
        yield _found(False, Fact.ROWS_IN_ORDER)


def _vouched_for(document: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """True if a row of before `personal` was redacted by an erasure that a later row vouches for."""
    own = [row["seq"], row["hash"], sha256(row["body"])]
    return any(own in body["rows"] for later, body in _rows(document, ERASED) if later["seq"] > row["seq"])


def _personal(row: Mapping[str, Any], named: Mapping[str, Any]) -> Iterator[Finding]:
    """Check what a row says of a person against the hash in it."""
    held, logged = row.get("personal"), personal_hash(row["body"])
    if held is not None:
        yield _found(sha256(held) == logged, Fact.ROW_PERSONAL, **named)
    elif logged is not None:
        yield _found(None, Fact.ROW_ERASED, **named)


def _withheld(document: Mapping[str, Any]) -> bool:
    return document.get("withheld") is not None and document["proposal"]["state"] in BLIND


def _shown(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Compare the proposal with the rows of the log in which it was proposed, edited and restated."""
    logged: dict[str, Any] = {}
    for _, body in _rows(document, "proposed", "edited", "restated"):
        logged |= body
    names = (
        "kind", "title", "risk", "always_asks", "subject", "amount", "currency", "customer_id",
        "content_hash",
    )  # fmt: skip
    shown = document["proposal"]
    other = [name for name in names if name in logged and readable(logged[name]) != shown[name]]
    yield _found(bool(logged) and not other, Fact.ASKED, other=other)
    if _withheld(document):
        return
    steps = [(body["actor"], body["to"]) for _, body in _rows(document, "transition")]
    instead = (Actor.POLICY, "pending") in steps
    judged = next((body["mode"] for _, body in _rows(document, "policy")), Mode.ASKED)
    fits = shown["mode"] == (Mode.ASKED if instead else judged)
    yield _found(fits, Fact.MODE, mode=shown["mode"])


def _webhook(document: Mapping[str, Any]) -> Iterator[Finding]:
    logged, asked = document["webhook"], _asked(document)
    if logged is None:
        yield _found(asked.get("event_id") is None, Fact.NO_EVENT)
        return
    # An erased row of the log has no hash.
    same = logged["body_sha256"] == asked.get("body_sha256", logged["body_sha256"])
    if "body" in logged:  # without its secrets
        yield _found(None if same else False, Fact.EVENT_OPEN)
        body = logged["body"]
    else:
        try:
            whole = base64.b64decode(logged["body_base64"], validate=True)
        except binascii.Error:
            yield _found(False, Fact.EVENT_READABLE)
            return
        yield _found(same and hashlib.sha256(whole).hexdigest() == logged["body_sha256"], Fact.EVENT_HASH)
        body = json.loads(whole)
    yield _found(body.get("type") == logged["type"], Fact.EVENT_TYPE, type=logged["type"])
    yield _found(logged["id"] == asked.get("event_id"), Fact.EVENT_ID)


def _rule(document: Mapping[str, Any]) -> Iterator[Finding]:
    rule, asked = document["rule"], _asked(document)
    if rule["version"] is None:
        return
    made = version_of(rule["source"])
    yield _found(made == rule["version"], Fact.RULE_HASH)
    same = (rule["name"], rule["version"]) == (asked.get("rule"), asked.get("rule_version"))
    yield _found(same, Fact.RULE_LOGGED)


def _case_kind(document: Mapping[str, Any]) -> Iterator[Finding]:
    case_kind, asked = document["case_kind"], _asked(document)
    if case_kind is None:
        yield _found(asked.get("case_kind") is None, Fact.NO_CASE_KIND)
        return
    fields = case_kind["fields"]
    made = sha256(canonical_json(fields))
    fits = made == case_kind["hash"] == asked.get("case_kind")
    yield _found(fits, Fact.CASE_KIND_HASH)
    family = sha256(canonical_json({name: fields[name] for name in ("action", "trigger")}))
    yield _found(family == case_kind["family"], Fact.FAMILY)
    fits = (fields["rule"], fields["risk"]) == (document["rule"]["version"], case_kind["risk"])
    yield _found(fits, Fact.CASE_KIND_RULE)
    changes = [row for row in document["log"]["trust"] if row["kind"] in kinds_of("case_kind")]
    labels = {read_row(row["kind"], row["body"])[1]["label"] for row in changes}
    if labels:
        yield _found(case_kind["label"] in labels, Fact.LABEL)


def _policy(document: Mapping[str, Any]) -> Iterator[Finding]:
    gate = document["policy"]
    logged = [body for _, body in _rows(document, "policy")]
    if gate is None:
        withheld = _withheld(document) and not logged
        yield _found(None, Fact.WITHHELD) if withheld else _found(not logged, Fact.NO_GATE)
        return
    yield _found(bool(logged) and logged[0]["gate"] == gate, Fact.GATE_LOGGED)
    said = document["score"]
    if said is not None:
        same = all(gate[name] == value for name, value in said.items())
        made = score.score(said["cases"], said["rejections"], said["generation"])
        fits = same and abs(made - said["score"]) < _CLOSE
        names = ("cases", "rejections", "generation", "score")
        yield _found(fits, Fact.SCORE, **{name: said[name] for name in names})
    if gate["verdict"] in (RUN, SPOT_CHECK):
        yield from _ran(document, gate)


def _ran(document: Mapping[str, Any], gate: Mapping[str, Any]) -> Iterator[Finding]:
    """Check the requirements of a case for a run or a spot check."""
    standard = STANDARDS.get(Risk(document["case_kind"]["risk"]))
    if standard is None or gate["target"] is None:
        yield _found(False, Fact.MAY_RUN)
        return
    limit = (100 - gate["target"]) / 100
    if gate["manual_override"]:
        low = document["case_kind"]["risk"] == Risk.R1
        yield _found(low, Fact.OVERRIDE_RISK)
    else:
        met = score.reached(gate["cases"], gate["rejections"], gate["generation"], limit)
        yield _found(met, Fact.THRESHOLD, target=gate["target"])
    yield _found(gate["would_run"] is True, Fact.WOULD_RUN)
    yield _found(_was_there(gate), Fact.PERSON_LATELY)
    running = gate["state"] == CaseKindState.GRADUATED and gate["paused_by"] is None
    yield _found(running, Fact.KIND_RAN)
    agreed, of = gate["spot_checks"]
    chance = probability(agreed, standard.spot_check_floor, of=of)
    same = chance == gate["spot_check_probability"] == document["spot_check"]["probability"]
    yield _found(same, Fact.SPOT_CHECKS, agreed=agreed, probability=chance)
    yield _found(None, Fact.DRAW_OPEN)
    yield _found(_under_caps(gate), Fact.CAPS)


def _was_there(gate: Mapping[str, Any]) -> bool:
    if gate["human_at"] is None:
        return False
    alone = datetime.fromisoformat(gate["at"]) - datetime.fromisoformat(gate["human_at"])
    return bool(alone.total_seconds() <= gate["max_idle"])


def _under_caps(gate: Mapping[str, Any]) -> bool:
    caps, amount = gate["caps"], gate["amount"]
    if amount > caps["case"] > 0 or (amount and not caps["case"]):
        return False
    for name in ("customer", "case_kind", "day"):
        (count, spent), (most, money) = gate["spent"][name], caps[name]
        if count + 1 > most or (amount and spent + amount > money):
            return False
    return True


def _decisions(document: Mapping[str, Any]) -> Iterator[Finding]:
    rows = {(row["at"], body["actor"]): body for row, body in _rows(document, "decision")}
    for one in document["decisions"]:
        what = {"verdict": one["verdict"], "actor": one["actor"]}
        if one["actor"] == Actor.POLICY:
            ran = any(body["mode"] == Mode.AUTO for _, body in _rows(document, "policy"))
            yield _found(ran, Fact.RAN_LOGGED, **what)
            continue
        logged = rows.pop((one["at"], one["actor"]), None)
        names = ("verdict", "via", "revision", "interaction_id", "reason")
        fits = logged is not None and all(logged[name] == one[name] for name in names if name in logged)
        yield _found(fits, Fact.DECISION, **what)
    if rows:
        yield _found(False, Fact.DECISIONS_SHOWN, missing=len(rows))


def _requests(document: Mapping[str, Any]) -> Iterator[Finding]:
    rows = {body.pop("number"): body for _, body in _rows(document, "request")}  # the newest of each counts
    asked = _rows(document, "proposed", "edited", "restated")
    planned = [body["calls"] for _, body in asked if "calls" in body]
    for call in document["calls"]:
        number, named = call["number"], {"number": call["number"], "operation": call["operation"]}
        logged = rows.get(number)
        if logged is None:
            yield _found(number not in document["requests"], Fact.NOT_SENT, **named)
            continue
        made = fingerprint(call["operation"], call["path"], call["query"], call["body"])
        if not call["whole"]:
            yield _found(None, Fact.REQUEST_OPEN, **named)
        else:
            same = all(made[name] == value for name, value in logged.items())
            yield _found(same, Fact.REQUEST_SENT, **named)
        if planned and number < len(planned[-1]) and "${" not in canonical_json(planned[-1][number]):
            yield _found(planned[-1][number] == logged, Fact.REQUEST_ASKED, **named)


def _answers(document: Mapping[str, Any]) -> Iterator[Finding]:
    rows = {body["number"]: body for _, body in _rows(document, "answer")}
    for one in document["answers"]:
        logged = rows.get(one["number"])
        shown = normalize("answer", one)  # a document of an earlier version also holds sentences
        if logged is None:
            yield _found(one["finished_at"] is None, Fact.NO_ANSWER, number=one["number"])
            continue
        names = ("state", "status", "answer", "reason_code", "reason_args")
        fits = all(logged[each] == shown[each] for each in names if each in logged)
        yield _found(fits, Fact.ANSWER, number=one["number"])


def _steps(document: Mapping[str, Any]) -> Iterator[Finding]:
    rows, trail = _rows(document, "transition"), document["trail"]
    logged = {body["row_version"]: (body["from"], body["to"], body["actor"]) for _, body in rows}
    steps = {step["row_version"]: (step["from_"], step["to"], step["actor"]) for step in trail[1:]}
    yield _found(logged == steps, Fact.STEPS, count=len(steps))
    outcomes = [(body["at"], body["kind"], body["source"]) for _, body in _rows(document, "outcome")]
    listed = [(one["at"], one["kind"], one["source"]) for one in document["outcomes"]]
    yield _found(sorted(outcomes) == sorted(listed), Fact.OUTCOMES, count=len(listed))
    last = trail[-1]["to"] if trail else "pending"
    yield _found(last == document["proposal"]["state"], Fact.STATE, state=document["proposal"]["state"])


_LOOKS: tuple[Callable[[Mapping[str, Any]], Iterator[Finding]], ...] = (
    _log, _shown, _webhook, _rule, _case_kind, _policy, _decisions, _requests, _answers, _steps,
)  # fmt: skip
