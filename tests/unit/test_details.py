"""The details of a proposal: whatever is in them, Slack takes every page and nothing becomes markup."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.demo.blockkit import lint_message, lint_view
from bot.ui import card_modals, thread_lines
from bot.ui.card_modals import OTHER, presets, reason_select
from bot.ui.details import code, details_view, toml
from bot.ui.elements import notice
from polar import redaction
from polar.catalog import operations
from store.models import (
    Decision,
    EventState,
    Proposal,
    ProposalCall,
    ProposalState,
    StoredEvent,
    Transition,
    Verdict,
)
from store.models.details import Comment, CommentKind, ProposalDetails, Revision
from store.models.reasons import Reason, ReasonCode

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOSTILE = [
    "<!channel>", "<@U0MAYA00001>", "<https://evil.example|Approve here>", "```", "`", "*bold*", ":white_check_mark:",
    "\u202egnp.exe", "\u200b", "a" * 3_000, "🧾" * 400, "line\nbreak\r\n\x00\x1b[31m", "&amp;&lt;", "", "–",
]  # fmt: skip
TEXT = st.sampled_from(HOSTILE) | st.text(max_size=400)
FORBIDDEN = {"mrkdwn", "broadcast", "usergroup", "channel", "link"}


def proposal(**fields: Any) -> Proposal:
    defaults: dict[str, Any] = {
        "id": "pabc", "fact_key": "k", "event_id": "e", "rule": "generate-invoice", "rule_version": "v1",
        "subject": "order:1", "title": "Refund $9.00?", "reasons": ("They asked",), "facts": (("Customer", "Ada"),),
        "risk": "R2", "always_asks": None, "created_at": NOW, "state": ProposalState.PENDING, "row_version": 1,
        "status_reason": None, "attempts": 0, "verify_attempts": 0, "decided_by": None, "decided_at": None, "channel": "C1",
        "card_ts": "1.2", "rendered_version": 1,
        "calls": (ProposalCall("refunds:create", body={"order_id": "o1", "amount": 900, "reason": "other"}),),
    }  # fmt: skip
    return Proposal(**(defaults | fields))


def found(text: str = "x", count: int = 1, **fields: Any) -> ProposalDetails:
    made = proposal(
        title=text, reasons=(text,) * count, facts=((text, text),) * count, status_reason=Reason(ReasonCode.TEXT, {"text": text}), always_asks=text,
        customer_id=text, customer=text, proposer="U0MAYA00001", changes=((text, text, text),) * count,
        deadline=NOW, expires_at=NOW, gate={"why": [text] * count, "score": 97.5, "more": {text: text}}, **fields,
    )  # fmt: skip
    body = json.dumps({"type": text, "data": {text: text, "client_secret": "SECRET", "rows": [text] * count}})
    return ProposalDetails(
        made,
        StoredEvent("e", text, body.encode(), NOW, NOW, EventState.DONE, None, 1),
        {"name": text, "key": "SECRETSECRETSECRET", "portal_url": "https://polar.sh/SECRET"},
        {
            "name": text,
            "on": [text],
            "precondition": text,
            "read": {"orders": {"operation": text}},
            "body": {text: text},
        },
        (
            Transition(
                "pabc",
                1,
                None,
                ProposalState.PENDING,
                text or "x",
                Reason(ReasonCode.TEXT, {"text": text}),
                NOW,
            ),
        )
        * count,
        (Decision("pabc", text or "x", Verdict.APPROVE, text, NOW, text),) * count,
        (
            Revision(
                1,
                text,
                (text,),
                ((text, text),),
                ({"operation": "refunds:create", "path": {}, "query": {}, "body": {text: text}},),
                text,
                NOW,
            ),
        ),
        (Comment("pabc", CommentKind.THREAD, text or "x", text, None, "C1", "1.3", NOW, deleted=1),) * count,
        tuple(proposal(id=f"p{number}", title=text) for number in range(min(count, 10))),
        {"pending": 1, "succeeded": count},
    )


def pages(dossier: ProposalDetails) -> list[dict[str, Any]]:
    views = [details_view(dossier, "maya may decide", {}, 1)]
    while any(each["text"]["text"] == "Next" for each in _buttons(views[-1])):
        views.append(details_view(dossier, "maya may decide", {}, len(views) + 1))
    return views


def _buttons(view: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for block in view["blocks"] if block["type"] == "actions" for each in block["elements"]]


def _types(part: Any) -> set[str]:
    if isinstance(part, list):
        return {each for one in part for each in _types(one)}
    if not isinstance(part, dict):
        return set()
    own = {str(part["type"])} if "type" in part else set()
    return own | {each for one in part.values() for each in _types(one)}


@settings(max_examples=40, deadline=None)
@given(TEXT, st.sampled_from([1, 7, 70]), st.sampled_from(list(ProposalState)))
def test_slack_takes_every_page_and_nothing_becomes_markup(
    text: str, count: int, state: ProposalState
) -> None:
    for view in pages(found(text, count, state=state)):
        assert lint_view(view) == []
        assert not _types(view["blocks"]) & FORBIDDEN
        assert "SECRET" not in json.dumps(view)


@pytest.mark.parametrize("state", ProposalState)
def test_each_part_is_there(state: ProposalState) -> None:
    said = json.dumps(pages(found("Ada", state=state)), ensure_ascii=False)
    for part in (
        "The question",
        "Because",
        "What is sent to Polar",
        "Trail",
        "Score and why",
        "The webhook",
        "97.5",
        "(in the thread): (deleted) ",
    ):
        assert part in said
    assert ("No longer true" in said) == (state == ProposalState.WITHDRAWN)


def test_a_page_that_is_not_there_is_the_nearest_one() -> None:
    assert details_view(found(), "", {}, 99)["blocks"]
    assert details_view(found(), "", {}, 0)["blocks"]


@given(
    st.recursive(st.none() | st.booleans() | TEXT, lambda each: st.lists(each) | st.dictionaries(TEXT, each))
)
def test_code_is_in_pieces_that_slack_takes(value: Any) -> None:
    for part in code(json.dumps(redaction.public(value), indent=2, ensure_ascii=False)):
        assert all(0 < len(element["text"]) <= 3_000 for element in part["elements"])


def test_a_rule_is_shown_much_as_in_its_file() -> None:
    shown = toml(
        {
            "name": "x",
            "on": ["order.paid"],
            "when": "a\n&& b",
            "read": {"orders": {"operation": "orders:get"}},
        }
    )
    assert 'name = "x"' in shown
    assert 'on = ["order.paid"]' in shown
    assert "'''\na\n&& b'''" in shown
    assert "[read]" in shown


@pytest.mark.parametrize("operation", [one.id for one in operations().values() if one.is_write])
def test_every_kind_of_case_has_reasons(operation: str) -> None:
    made = proposal(calls=(ProposalCall(operation),))
    element = reason_select(made)
    values = [option["value"] for option in element["options"]]
    assert 4 <= len(presets(made)) <= 12
    assert len(set(values)) == len(values)
    assert all(value.startswith("pabc:1:") for value in values)
    assert values[-1].endswith(OTHER)
    assert lint_message({"text": "x", "blocks": [{"type": "actions", "elements": [element]}]}) == []


@given(TEXT)
def test_slack_takes_every_small_modal_and_every_line(text: str) -> None:
    made = proposal(title=text, assignee="U0MAYA00001")
    offered = {"1h": "1 hour"}
    for view in (
        card_modals.snooze_view(made, offered, NOW), card_modals.assign_view(made), card_modals.ask_view(made), card_modals.reason_view(made),
        notice("Snooze", text),
    ):  # fmt: skip
        assert lint_view(view) == []
        assert not _types(view["blocks"]) & FORBIDDEN
        assert view.get("private_metadata", "pabc:1") == "pabc:1"
    for line in (
        thread_lines.snoozed_line("U1", NOW), thread_lines.assigned_line("U1", "U2", made), thread_lines.asked_line("U1", None, text),
        thread_lines.held_line("U1"), thread_lines.released_line("U1", runs=True), thread_lines.reason_line("U1", text),
        thread_lines.edited_line("U1", ((text, text, text),)),
    ):  # fmt: skip
        assert lint_message(line) == []
        assert not _types(line["blocks"]) & FORBIDDEN
        assert "<" not in line["text"]
