"""The Block Kit linter: what Slack would refuse in a message or a view, as JSON pointers; pure.

Only the blocks and elements this program sends are known: anything else is a finding.
Limits: https://docs.slack.dev/reference/block-kit and the method pages of `chat.*` and `views.*`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from bot.demo.blockkit_models import CHANGED_MESSAGE, NEW_MESSAGE, SUGGESTED, TAG, VIEW

METADATA_BYTES = 16_000
VIEW_BYTES = 250_000
SENTENCES = {  # by pydantic's name of an error, where its own words are less plain
    "missing": "is missing",
    "extra_forbidden": "is not a key we know here",
    "model_type": "must be an object",
    "union_tag_not_found": "must be an object",
    "union_tag_invalid": "must be one of {expected_tags}",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: where (RFC 6901 pointer) and what Slack would say."""

    pointer: str
    message: str


def lint_message(payload: Mapping[str, Any], *, update: bool = False) -> list[Finding]:
    """The faults of one message's arguments (`chat.postMessage`, or `chat.update` when `update`).

    Empty when Slack would take it. Pointers start at the payload: `/blocks/0/text/text`.
    """
    faults = _faults(CHANGED_MESSAGE if update else NEW_MESSAGE, dict(payload))
    return faults or _too_large(payload.get("metadata"), METADATA_BYTES, "/metadata")


def lint_view(view: Mapping[str, Any]) -> list[Finding]:
    """The faults of a modal or a home view; pointers start at the view."""
    return _faults(VIEW, dict(view)) or _too_large(view, VIEW_BYTES, "")


def lint_options(answer: Mapping[str, Any]) -> list[Finding]:
    """The faults of an answer to a block suggestion (`options` or `option_groups`)."""
    return _faults(SUGGESTED, {"type": "static_select", **answer})


def _faults(model: TypeAdapter[Any], value: Any) -> list[Finding]:
    try:
        model.validate_python(value)
    except ValidationError as error:
        found = error.errors(include_url=False)
        if all(each["type"] != "string_unicode" for each in found):
            return [_finding(each) for each in found]
        # JSON may hold half a surrogate pair and pydantic may not: a "?" is as long.
        return _faults(model, json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace")))
    return []


def _finding(error: ErrorDetails) -> Finding:
    """The error in Slack's terms: without the steps that say which object of a union it is."""
    kind, context, way = error["type"], error.get("ctx", {}), list(error["loc"])
    last = [way.pop()] if kind == "extra_forbidden" else []  # a key of the app's own, whatever it looks like
    if kind == "union_tag_invalid":
        last = ["type"]
    way = [step for step in way if not str(step).startswith(TAG)] + [*last, *context.get("at", ())]
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in way)
    message = SENTENCES[kind].format(**context).replace(TAG, "") if kind in SENTENCES else error["msg"]
    return Finding("".join(f"/{step}" for step in steps), message)


def _too_large(value: Any, most: int, pointer: str) -> list[Finding]:
    try:
        written = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        fits = len(written.encode("utf-8", "surrogatepass")) <= most
    except (TypeError, ValueError, RecursionError):  # not JSON, or nested past what any parser takes
        fits = False
    return [] if fits else [Finding(pointer, f"must be at most {most} bytes of JSON")]
