"""The check of an explanation: every hash, score and fingerprint is computed again, offline. Pure."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.explain.document import FORMAT, WITHHELD
from bot.graduation import score
from bot.graduation.gate import BLIND, RUN, SPOT_CHECK, probability
from bot.graduation.score import STANDARDS
from bot.rules.load import version_of
from polar.catalog import Risk
from store.audit_log.log import fingerprint, kinds_of, normalize, read_row, row_hash
from store.engine.dialects import readable
from store.models import Actor, CaseKindState, Mode
from store.models.reasons import canonical_json, sha256

_CLOSE = 1e-5


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked fact. `fits` is None if it cannot be checked here, and the words give the reason."""

    fits: bool | None
    words: str


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
    return [(row, read_row(row["kind"], row["body"])[1]) for row in rows]


def _asked(document: Mapping[str, Any]) -> dict[str, Any]:
    return next((body for _, body in _rows(document, "proposed")), {})


def _log(document: Mapping[str, Any]) -> Iterator[Finding]:
    rows = document["log"]["rows"]
    if not rows:
        yield Finding(False, "the log has no row about this proposal")
    by_number = {row["seq"]: row["hash"] for row in [*rows, *document["log"]["trust"]]}
    head = document["log"]["head"]
    by_number.setdefault(head["seq"], head["hash"])
    for row in sorted([*rows, *document["log"]["trust"]], key=lambda row: row["seq"]):
        at, name = datetime.fromisoformat(row["at"]), f"row {row['seq']} of the log ({row['kind']})"
        made = row_hash(
            row["previous"], seq=row["seq"], at=at, kind=row["kind"], subject=row["subject"], body=row["body"]
        )
        yield Finding(made == row["hash"], f"{name} has the hash of what it says")
        if by_number.get(row["seq"] - 1, row["previous"]) != row["previous"]:
            yield Finding(False, f"{name} follows the row before it")
        if row["seq"] > head["seq"]:
            yield Finding(False, f"{name} lies before the newest row, {head['seq']}")
        if row["seq"] + 1 not in by_number:  # its hash also covers the rows right before it
            where = "compare its hash with a daily digest or run `verify-log --head`"
            yield Finding(None, f"{name} cannot be checked here: {where} {row['hash']}")
    if [row["seq"] for row in rows] != sorted({row["seq"] for row in rows}):
        yield Finding(False, "the rows of the log are in their order")


def _withheld(document: Mapping[str, Any]) -> bool:
    return document.get("withheld") is not None and document["proposal"]["state"] in BLIND


def _shown(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Compare the proposal with the rows of the log in which it was proposed, edited and restated."""
    told: dict[str, Any] = {}
    for _, body in _rows(document, "proposed", "edited", "restated"):
        told |= body
    names = (
        "kind", "title", "risk", "always_asks", "subject", "amount", "currency", "customer_id",
        "content_hash",
    )  # fmt: skip
    shown = document["proposal"]
    other = [name for name in names if name in told and readable(told[name]) != shown[name]]
    words = f"what is asked is what the log says{': not ' + ', '.join(other) if other else ''}"
    yield Finding(bool(told) and not other, words)
    if _withheld(document):
        return
    steps = [(body["actor"], body["to"]) for _, body in _rows(document, "transition")]
    instead = (Actor.POLICY, "pending") in steps
    judged = next((body["mode"] for _, body in _rows(document, "policy")), Mode.ASKED)
    fits = shown["mode"] == (Mode.ASKED if instead else judged)
    yield Finding(fits, f"it is {shown['mode']}, as the policy said")


def _webhook(document: Mapping[str, Any]) -> Iterator[Finding]:
    told, asked = document["webhook"], _asked(document)
    if told is None:
        yield Finding(asked.get("event_id") is None, "no webhook is behind it")
        return
    try:
        body = base64.b64decode(told["body_base64"], validate=True)
    except binascii.Error:
        yield Finding(False, "the webhook's bytes can be read")
        return
    fits = hashlib.sha256(body).hexdigest() == told["body_sha256"] == asked.get("body_sha256")
    yield Finding(fits, "the webhook's bytes have their hash")
    yield Finding(json.loads(body).get("type") == told["type"], f"the webhook says {told['type']}")
    yield Finding(told["id"] == asked.get("event_id"), "it is the webhook that the log names")


def _rule(document: Mapping[str, Any]) -> Iterator[Finding]:
    rule, asked = document["rule"], _asked(document)
    if rule["version"] is None:
        return
    made = version_of(rule["source"])
    yield Finding(made == rule["version"], "the rule's version is the hash of its source")
    same = (rule["name"], rule["version"]) == (asked.get("rule"), asked.get("rule_version"))
    yield Finding(same, "it is the rule and the version that the log names")


def _case_kind(document: Mapping[str, Any]) -> Iterator[Finding]:
    case_kind, asked = document["case_kind"], _asked(document)
    if case_kind is None:
        yield Finding(asked.get("case_kind") is None, "it is of no kind of case")
        return
    fields = case_kind["fields"]
    made = sha256(canonical_json(fields))
    fits = made == case_kind["hash"] == asked.get("case_kind")
    yield Finding(fits, "the kind's hash is that of its fields")
    family = sha256(canonical_json({name: fields[name] for name in ("action", "trigger")}))
    yield Finding(family == case_kind["family"], "its family is made of action and trigger")
    fits = (fields["rule"], fields["risk"]) == (document["rule"]["version"], case_kind["risk"])
    yield Finding(fits, "the kind is of this rule's version and this risk class")
    changes = [row for row in document["log"]["trust"] if row["kind"] in kinds_of("case_kind")]
    labels = {read_row(row["kind"], row["body"])[1]["label"] for row in changes}
    if labels:
        yield Finding(case_kind["label"] in labels, "its label is that of the log")


def _policy(document: Mapping[str, Any]) -> Iterator[Finding]:
    gate = document["policy"]
    told = [body for _, body in _rows(document, "policy")]
    if gate is None:
        withheld = _withheld(document) and not told
        yield Finding(None if withheld else not told, WITHHELD if withheld else "the policy was not asked")
        return
    yield Finding(bool(told) and told[0]["gate"] == gate, "what the policy said is what the log says it said")
    said = document["score"]
    if said is not None:
        same = all(gate[name] == value for name, value in said.items())
        made = score.score(said["cases"], said["rejections"], said["generation"])
        fits = same and abs(made - said["score"]) < _CLOSE
        given = f"{said['cases']} cases, {said['rejections']} rejections, generation {said['generation']}"
        yield Finding(fits, f"{given} give the score {said['score']}")
    if gate["verdict"] in (RUN, SPOT_CHECK):
        yield from _ran(document, gate)


def _ran(document: Mapping[str, Any], gate: Mapping[str, Any]) -> Iterator[Finding]:
    """Check the requirements of a case for a run or a spot check."""
    standard = STANDARDS.get(Risk(document["case_kind"]["risk"]))
    if standard is None or gate["target"] is None:
        yield Finding(False, "its risk class may run on its own")
        return
    limit = (100 - gate["target"]) / 100
    if gate["manual_override"]:
        low = document["case_kind"]["risk"] == Risk.R1
        yield Finding(low, "by manual override, below its threshold: class R1 only")
    else:
        met = score.reached(gate["cases"], gate["rejections"], gate["generation"], limit)
        yield Finding(met, f"the score meets the threshold {gate['target']:g}")
    yield Finding(gate["would_run"] is True, "nothing of the case itself spoke against it")
    yield Finding(_was_there(gate), "a person had decided something lately enough")
    running = gate["state"] == CaseKindState.GRADUATED and gate["paused_by"] is None
    yield Finding(running, "its kind ran on its own, unpaused")
    agreed = gate["spot_checks"][0]
    chance = probability(agreed, standard.spot_check_floor)
    same = chance == gate["spot_check_probability"] == document["spot_check"]["probability"]
    yield Finding(same, f"{agreed} agreed spot checks make {chance:g} the chance of another")
    yield Finding(None, "the draw cannot be checked here: only the program has its secret")
    yield Finding(_under_caps(gate), "it stayed under every cap of that moment")


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
        what = f"{one['verdict']} by {one['actor']}"
        if one["actor"] == Actor.POLICY:
            ran = any(body["mode"] == Mode.AUTO for _, body in _rows(document, "policy"))
            yield Finding(ran, f"{what}: the log says that it ran on its own")
            continue
        told = rows.pop((one["at"], one["actor"]), None)
        names = ("verdict", "via", "revision", "interaction_id", "reason")
        fits = told is not None and all(told[name] == one[name] for name in names)
        yield Finding(fits, f"{what} is in the log")
    if rows:
        yield Finding(False, f"{len(rows)} decisions of the log are missing here")


def _requests(document: Mapping[str, Any]) -> Iterator[Finding]:
    rows = {body.pop("number"): body for _, body in _rows(document, "request")}  # the newest of each counts
    asked = _rows(document, "proposed", "edited", "restated")
    planned = [body["calls"] for _, body in asked if "calls" in body]
    for call in document["calls"]:
        number, name = call["number"], f"request {call['number']} ({call['operation']})"
        told = rows.get(number)
        if told is None:
            yield Finding(number not in document["requests"], f"{name} was not sent")
            continue
        made = fingerprint(call["operation"], call["path"], call["query"], call["body"])
        if not call["whole"]:
            why = "holds what opens something and is kept out: its fingerprint is not checked"
            yield Finding(None, f"{name} {why}")
        else:
            yield Finding(made == told, f"{name} is what the log says was sent")
        if planned and number < len(planned[-1]) and "${" not in canonical_json(planned[-1][number]):
            yield Finding(planned[-1][number] == told, f"{name} is what was asked")


def _answers(document: Mapping[str, Any]) -> Iterator[Finding]:
    rows = {body["number"]: body for _, body in _rows(document, "answer")}
    for one in document["answers"]:
        told = rows.get(one["number"])
        name = f"the answer to request {one['number']}"
        shown = normalize("answer", one)  # a document of an earlier version also holds sentences
        if told is None:
            yield Finding(one["finished_at"] is None, f"{name} is not there yet")
            continue
        names = ("state", "status", "answer", "reason_code", "reason_args")
        yield Finding(all(told[each] == shown[each] for each in names), f"{name} is in the log")


def _steps(document: Mapping[str, Any]) -> Iterator[Finding]:
    rows, trail = _rows(document, "transition"), document["trail"]
    told = {body["row_version"]: (body["from"], body["to"], body["actor"]) for _, body in rows}
    steps = {step["row_version"]: (step["from_"], step["to"], step["actor"]) for step in trail[1:]}
    yield Finding(told == steps, f"its {len(steps)} changes of state are those of the log")
    came = [(body["at"], body["kind"], body["source"]) for _, body in _rows(document, "outcome")]
    listed = [(one["at"], one["kind"], one["source"]) for one in document["outcomes"]]
    yield Finding(sorted(came) == sorted(listed), f"what came of it later ({len(listed)}) is in the log")
    last = trail[-1]["to"] if trail else "pending"
    yield Finding(last == document["proposal"]["state"], f"it is {document['proposal']['state']}")


_LOOKS: tuple[Callable[[Mapping[str, Any]], Iterator[Finding]], ...] = (
    _log, _shown, _webhook, _rule, _case_kind, _policy, _decisions, _requests, _answers, _steps,
)  # fmt: skip
