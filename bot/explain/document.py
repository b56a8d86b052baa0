"""One proposal explained as one JSON document, from the webhook to the result, with the log. Pure."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from bot.graduation.gate import BLIND, SPOT_CHECK
from polar.catalog import operations
from polar.redaction import redacted, without_secrets
from store.models import Proposal, ProposalCall, StoredEvent, Transition
from store.models.details import Revision
from store.models.graduation import CaseKind
from store.models.reasons import Reason, columns_of
from store.proposals.details import Explained

FORMAT = "polar-approvals explanation 2"
WITHHELD = "What the policy said is shown once the case is decided, so that spot checks stay unbiased."
_DRAW = (
    "HMAC-SHA-256 of the proposal's id with a secret, as a share of all that it can be; below the probability"
)


def explanation(found: Explained, now: datetime) -> dict[str, Any]:
    """The explanation as plain JSON: all stored data without values that give access (`polar.redaction`)."""
    details, proposal = found.details, found.details.proposal
    sent = [call for call in proposal.calls if call.started_at is not None]
    blind = proposal.state in BLIND
    rows = [row for row in found.rows if not (blind and row.kind == "policy")]
    return {
        "format": FORMAT,
        "made_at": now.isoformat(),
        "withheld": WITHHELD if blind else None,
        "proposal": _proposal(proposal) | ({"mode": None} if blind else {}),
        "webhook": _webhook(details.event),
        "rule": {"name": proposal.rule, "version": proposal.rule_version, "source": details.rule_source},
        "case_kind": _case_kind(found.case_kind),
        "score": _score(proposal.gate or {}),
        "spot_check": None if blind else _spot_check(proposal),
        "policy": None if blind else proposal.gate,
        "decisions": [_plain(asdict(one)) for one in details.decisions],
        "revisions": [_revision(one) for one in details.revisions],
        "calls": [_request(call) for call in proposal.calls],
        "requests": [call.number for call in sent],
        "answers": [_answer(call) for call in sent],
        "trail": [_step(one) for one in details.trail],
        "comments": [_plain(asdict(one)) for one in details.comments],
        "outcomes": [_plain(asdict(one)) for one in found.outcomes],
        "log": {
            "head": {"seq": found.head[0], "hash": found.head[1]},
            "rows": [_plain(asdict(row)) for row in rows],
            "trust": [_plain(asdict(row)) for row in found.trust],
        },
    }


def _proposal(proposal: Proposal) -> dict[str, Any]:
    names = (
        "id", "fact_key", "kind", "title", "reasons", "facts", "risk", "always_asks", "created_at",
        "proposer", "subject", "amount", "currency", "customer_id", "revision", "content_hash", "mode",
        "state", "decided_by", "decided_at", "undo_of_id", "undo_id", "reads", "erased_at",
    )  # fmt: skip
    return {name: _plain(getattr(proposal, name)) for name in names} | _reason(proposal.status_reason)


def _webhook(event: StoredEvent | None) -> dict[str, Any] | None:
    if event is None:
        return None
    real = json.loads(event.body)
    shown = without_secrets(real)
    whole = base64.b64encode(event.body).decode()
    return {
        "id": event.id,
        "type": event.type,
        "sent_at": event.sent_at.isoformat(),
        "received_at": event.received_at.isoformat(),
        # With a secret in it the bytes stay here, and their hash cannot be computed again from what is shown.
        **({"body_base64": whole} if shown == real else {"body": shown}),
        "body_sha256": hashlib.sha256(event.body).hexdigest(),
    }


def _case_kind(case_kind: CaseKind | None) -> dict[str, Any] | None:
    if case_kind is None:
        return None
    return {name: _plain(getattr(case_kind, name)) for name in ("hash", "family", "label", "risk", "fields")}


def _score(gate: Mapping[str, Any]) -> dict[str, Any] | None:
    """The inputs of the score when the case arrived."""
    if "score" not in gate:
        return None
    names = ("cases", "rejections", "generation", "score", "target", "state", "manual_override")
    return {name: gate.get(name) for name in names}


def _spot_check(proposal: Proposal) -> dict[str, Any] | None:
    """The draw of the spot check. The secret of the draw is not shown."""
    gate = proposal.gate or {}
    probability = gate.get("spot_check_probability")
    if probability is None:
        return None
    return {"probability": probability, "drawn": gate["verdict"] == SPOT_CHECK, "how": _DRAW}


def _revision(revision: Revision) -> Any:
    calls = [{name: redacted(value, name) for name, value in call.items()} for call in revision.calls]
    return _plain(asdict(revision) | {"calls": calls})


def _request(call: ProposalCall) -> dict[str, Any]:
    """The request of a call. `whole` is True if no value of it was left out."""
    operation = operations().get(call.operation)
    shown = {name: redacted(_plain(getattr(call, name)), name) for name in ("path", "query", "body")}
    real = {name: _plain(getattr(call, name)) for name in shown}
    return {
        "number": call.number,
        "operation": call.operation,
        "method": None if operation is None else operation.method,
        "route": None if operation is None else operation.path,
        **shown,
        "whole": shown == real,
        "started_at": _plain(call.started_at),
    }


def _answer(call: ProposalCall) -> dict[str, Any]:
    names = ("number", "state", "status", "answer", "finished_at")
    return {name: _plain(getattr(call, name)) for name in names} | _reason(call.reason)


def _reason(reason: Reason | None) -> dict[str, Any]:
    """The reason in the form of the log."""
    return {name: _plain(value) for name, value in columns_of(reason).items()}


def _step(step: Transition) -> dict[str, Any]:
    plain: dict[str, Any] = _plain(asdict(step))
    del plain["reason"]
    return plain | _reason(step.reason)


def _plain(value: Any) -> Any:
    """The value with tuples as lists and times as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
