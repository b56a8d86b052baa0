"""The texts that may tell of a person: in which columns they are, and what of a value is none. Pure."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from store.models.reasons import ReasonCode, columns_of, read_reason

# Columns whose values are erased, or stripped of their texts. `NOT_PERSONAL` names the columns of all tables
# that are not; a test knows every column.
PERSONAL: Mapping[str, frozenset[str]] = {
    "events": frozenset({"body", "signature", "reason_args"}),
    "subjects": frozenset({"state"}),
    "rule_matches": frozenset({"reason_args"}),
    "proposals": frozenset(
        {"title", "reasons", "facts", "reason_args", "content_hash", "changes", "customer", "reads"}
    ),
    "calls": frozenset({"path", "query", "body", "reason_args", "answer", "before"}),
    "decisions": frozenset({"reason"}),
    "transitions": frozenset({"reason_args"}),
    "pending_approvals": frozenset({"reason"}),
    "wishes": frozenset({"reason"}),
    "failed_matches": frozenset({"reason_args"}),
    "revisions": frozenset({"title", "reasons", "facts", "calls"}),
    "proposal_comments": frozenset({"text"}),
    "outbox": frozenset({"message"}),
    "audit_log": frozenset({"personal", "body"}),  # the body only of rows of before `personal`
}

# Texts that are words of this program, of Polar's API or of the rules file, by the name of their argument.
_ARGUMENTS = frozenset(
    {
        "actor", "because", "by", "cap", "checked", "code", "condition", "currency", "error", "mode", "name",
        "paused_by", "place", "proposal", "rule", "scopes", "state", "step", "verdict",
    }
)  # fmt: skip
_STATUS = frozenset({"status"})
_FREE_FORM = ("metadata", "custom_field_data")  # and "user_metadata", …: names and values are anybody's
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ][\d:.]+(Z|[+-]\d\d:?\d\d)?)?")
_SAID = (ReasonCode.TEXT, ReasonCode.GIVEN)  # a person's words and nothing else


def without_texts(value: Any, words: Collection[str] = (), name: str = "") -> Any:
    """A JSON value with "" for its texts. Ids of Polar's objects and times are none; neither are the `words`
    under these names.
    """
    if isinstance(value, Mapping):
        free = name.endswith(_FREE_FORM)
        return {} if free else {key: without_texts(each, words, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_texts(each, words, name) for each in value]
    if not isinstance(value, str) or name in words or _TIME.fullmatch(value):
        return value
    is_id = name.endswith(("id", "ids")) and not name.startswith("external") and _ID.fullmatch(value)
    return value if is_id else ""


def reason_without_texts(code: str | None, args: Mapping[str, Any] | None) -> dict[str, Any]:
    """The columns of a reason, of which the code and its numbers stay."""
    reason = read_reason(code, args)
    if reason is None:
        return columns_of(None)
    if reason.code in _SAID:
        return {"reason_code": ReasonCode.ERASED.value, "reason_args": {}}
    return {"reason_code": code, "reason_args": without_texts(reason.args, _ARGUMENTS)}


def state_without_texts(state: Any) -> dict[str, Any]:
    """The state of a subject as far as a customer's past is counted from it: its status, its dispute's."""
    if not isinstance(state, Mapping):
        return {}
    status, dispute = state.get("status"), state.get("dispute")
    kept: dict[str, Any] = {} if not isinstance(status, str) else {"status": status[:40]}
    if isinstance(dispute, Mapping) and isinstance(dispute.get("status"), str):
        kept["dispute"] = {"status": dispute["status"][:40]}
    return kept
