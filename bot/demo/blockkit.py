"""The Block Kit linter: what Slack would refuse in a message or a view, as JSON pointers; pure.

Only the blocks and elements this program sends are known: anything else is a finding.
Limits: https://docs.slack.dev/reference/block-kit and the method pages of `chat.*` and `views.*`.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from bot.demo.blockkit_grammar import (
    BLOCKS,
    INPUTS,
    MESSAGE,
    METADATA,
    VIEWS,
)
from bot.demo.blockkit_nodes import Finding, Path, found

__all__ = ["Finding", "lint_blocks", "lint_message", "lint_options", "lint_view"]

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
MESSAGE_TEXT = 40_000
UPDATE_TEXT = 4_000
METADATA_BYTES = 16_000
VIEW_BYTES = 250_000


def lint_message(payload: Mapping[str, Any], *, update: bool = False) -> list[Finding]:
    """The faults of one message's arguments (`chat.postMessage`, or `chat.update` when `update`).

    Empty when Slack would take it. Pointers start at the payload: `/blocks/0/text/text`.
    """
    findings: list[Finding] = []
    MESSAGE.check(dict(payload), (), findings)
    text, blocks = payload.get("text"), payload.get("blocks")
    if not text and not blocks and not update:
        findings.append(found((), "needs text or blocks"))
    limit = UPDATE_TEXT if update else MESSAGE_TEXT
    if isinstance(text, str) and len(text) > limit:
        findings.append(found(("text",), f"must be at most {limit} characters, not {len(text)}"))
    if blocks is not None:
        findings += lint_blocks(blocks)
    if payload.get("metadata") is not None:
        findings += _lint_metadata(payload["metadata"])
    return findings


def lint_blocks(blocks: Any, *, most: int = MESSAGE_BLOCKS, at: Path = ("blocks",)) -> list[Finding]:
    """The faults of a message's `blocks`."""
    findings: list[Finding] = []
    BLOCKS.check(blocks, at, findings)
    if not isinstance(blocks, list):
        return findings
    if len(blocks) > most:
        findings.append(found(at, f"must be at most {most} blocks, not {len(blocks)}"))
    if most == MESSAGE_BLOCKS:
        findings += _blocks_out_of_place(blocks, at)
    findings += _repeated_ids(blocks, at)
    return findings


def lint_view(view: Mapping[str, Any]) -> list[Finding]:
    """The faults of a modal or a home view; pointers start at the view."""
    findings: list[Finding] = []
    VIEWS.check(dict(view), (), findings)
    blocks = view.get("blocks")
    findings += lint_blocks(blocks, most=VIEW_BLOCKS)
    if not isinstance(blocks, list):
        return findings
    if view.get("type") == "modal" and "submit" not in view and _kinds(blocks)["input"]:
        findings.append(found(("submit",), "is required when the modal has an input block"))
    focused = sum(element.get("focus_on_load") is True for _, element in _elements(blocks))
    if focused > 1:
        findings.append(found(("blocks",), "only one element may have focus_on_load"))
    size = _bytes(view)
    if size is None or size > VIEW_BYTES:
        findings.append(found((), f"must be at most {VIEW_BYTES} bytes of JSON"))
    return findings


def lint_options(answer: Mapping[str, Any]) -> list[Finding]:
    """The faults of an answer to a block suggestion (`options` or `option_groups`)."""
    findings: list[Finding] = []
    INPUTS["static_select"].check({"type": "static_select", **answer}, (), findings)
    return findings


def _lint_metadata(metadata: Any) -> list[Finding]:
    findings: list[Finding] = []
    METADATA.check(metadata, ("metadata",), findings)
    size = _bytes(metadata)
    if size is None or size > METADATA_BYTES:
        findings.append(found(("metadata",), f"must be at most {METADATA_BYTES} bytes of JSON"))
    return findings


def _bytes(value: Any) -> int | None:
    try:
        return len(
            json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        )
    except (TypeError, ValueError, RecursionError):  # not JSON, or nested past what any parser takes
        return None


def _kinds(blocks: list[Any]) -> Counter[str]:
    return Counter(str(block.get("type")) for block in blocks if isinstance(block, dict))


def _blocks_out_of_place(blocks: list[Any], at: Path) -> Iterator[Finding]:
    for index, block in enumerate(blocks):
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "input":
            yield found((*at, index, "type"), "an input block belongs in a modal or a home view")


def _repeated_ids(blocks: list[Any], at: Path) -> Iterator[Finding]:
    seen_blocks: set[str] = set()
    for index, block in enumerate(blocks):
        block_id = block.get("block_id") if isinstance(block, dict) else None
        if isinstance(block_id, str):
            if block_id in seen_blocks:
                yield found((*at, index, "block_id"), f"{block_id!r} is used twice")
            seen_blocks.add(block_id)
    seen_actions: set[tuple[int, str]] = set()
    for path, element in _elements(blocks):
        action_id = element.get("action_id")
        if not isinstance(action_id, str):
            continue
        key = (int(path[0]), action_id)
        if key in seen_actions:
            yield found((*at, *path, "action_id"), f"{action_id!r} is used twice in one block")
        seen_actions.add(key)


def _elements(blocks: list[Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The interactive elements with their path inside `blocks`."""
    for index, block in enumerate(blocks):
        if not isinstance(block, dict):
            continue
        if block.get("type") == "actions" and isinstance(block.get("elements"), list):
            for place, element in enumerate(block["elements"]):
                if isinstance(element, dict):
                    yield (index, "elements", place), element
        for key in ("accessory", "element"):
            if isinstance(block.get(key), dict):
                yield (index, key), block[key]
