"""What a tried rule said, in lines for a terminal; whatever a customer wrote is made harmless first."""

import json
from typing import Any

from bot.cli.rules_try import Said
from bot.rules.expression import LATE
from polar.catalog import Call, operations


def said_in_words(said: Said) -> str:
    """RuleMatch or not and why; then the question, its reasons, risk and calls."""
    if said.proposal is None:
        lines = [f"{said.rule.name}: proposes nothing, because {said.why}"]
        lines += [f"  needs {one}" for one in said.missing]
        return _joined(lines + [f"  note: {note}" for note in said.notes])
    proposal = said.proposal
    lines = [f"{said.rule.name}: would ask", f"  {proposal.title}"]
    lines += [f"  - {reason}" for reason in proposal.reasons]
    asks = f"; always asks a person: {proposal.always_asks}" if proposal.always_asks else ""
    lines.append(f"  risk {proposal.risk}{asks}")
    for call in proposal.calls:
        lines += _call(
            Call.from_json(
                {"operation": call.operation, "path": call.path, "query": call.query, "body": call.body}
            )
        )
    if said.rule.private_message is not None:
        lines.append(f"  private message to whoever approves: {said.rule.private_message.source}")
    if said.change is not None:
        lines.append(f"  dedupe key: {said.change}")
    return _joined(lines + [f"  note: {note}" for note in said.notes])


def _call(call: Call) -> list[str]:
    operation = operations()[call.operation].describe(call)
    path = operation.path
    for name, value in call.path.items():
        path = path.replace(f"{{{name}}}", str(_shown(value)))
    lines = [f"  call {operation.method} {path}  ({operation.title})"]
    for name, part in (("query", call.query), ("body", call.body)):
        lines += [f"       {name} {_json(part)}"] if part else []
    return lines


def _json(value: Any) -> str:
    return json.dumps(_shown(value), ensure_ascii=False)


def _shown(value: Any) -> Any:
    """A value that only the answer to an earlier call will give is shown as the rule has it."""
    if isinstance(value, dict):
        return value[LATE] if value.keys() == {LATE} else {name: _shown(one) for name, one in value.items()}
    return [_shown(one) for one in value] if isinstance(value, list) else value


def _joined(lines: list[str]) -> str:
    return "\n".join("".join(char if char.isprintable() else " " for char in line) for line in lines)
