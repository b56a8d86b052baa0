"""Every column of every table is known to hold what may tell of a person, or not to."""

from collections.abc import Mapping

import pytest

from store.erasure.texts import PERSONAL, reason_without_texts, state_without_texts, without_texts
from store.models.reasons import Reason, ReasonCode
from store.schema.graduation import metadata

# What holds keys, states, times, numbers, people of the team, the merchant's own words (rules, products, kinds
# of case) or words of this program.
NOT_PERSONAL: Mapping[str, str] = {
    "alembic_version": "version_num",
    "audit_log": "seq at kind subject hash",
    "bundles": "id key created_at closed_at row_version channel card_ts first_shown_at rendered_version card_due_at "
    "card_sent_at card_lease_token card_lease_expires_at one_by_one",
    "calls": "proposal_id number operation state status reason_code started_at finished_at",
    "cap_usage": "scope day currency count amount",
    "case_kinds": "hash family fields label risk state manual_override generation generation_at cases rejections "
    "customers first_at last_rejection_at approvals_since_rejection spot_checks_agreed spot_checks approved_values "
    "offered_at offered_generation offered_cases last_case_at changed_at cause_code cause_args set_aside_code "
    "set_aside_args set_aside_at retry_at",
    "case_labels": "proposal_id case_kind generation is_rejection is_counted reason_code is_spot_check decided_at "
    "matures_at customer_id in_score is_learnt",
    "channel_welcomes": "channel at",
    "decisions": "id proposal_id actor verdict via at revision interaction_id shown_at clicked_at",
    "erased_customers": "customer_id erased_at",
    "events": "id type sent_at received_at state reason_code attempts due_at lease_token lease_expires_at subject "
    "occurred_at",
    "home_tab_viewers": "user_id opened_at drawn_at",
    "outbox": "id kind proposal_id created_at due_at attempts ts sent_at note lease_token lease_expires_at",
    "outcomes": "id proposal_id kind source at",
    "pause": "id paused_by paused_at reason",
    "pending_approvals": "id proposal_id revision actor via interaction_id channel at closed_at result lease_token "
    "lease_expires_at",
    "poll_cursors": "name due_at read_until",
    "proposal_comments": "id proposal_id kind author preset channel ts at deleted",
    "proposals": "id fact_key event_id rule rule_version proposer subject risk always_asks created_at state "
    "row_version reason_code attempts verify_attempts decided_by decided_at due_at lease_token lease_expires_at "
    "channel card_ts rendered_version card_due_at card_sent_at card_lease_token card_lease_expires_at kind revision "
    "edited_by approval_checking_by cancellable_until held_by snoozed_until snoozed_by assignee deadline expires_at "
    "reminded_at escalated_at amount currency customer_id bundle_id undo_of_id undo_id undone_at first_shown_at "
    "has_card mode case_kind gate retry_by erased_at ends_at worth",
    "revisions": "proposal_id revision superseded_by superseded_at",
    "failed_matches": "event_id rule rule_version fact_key reason_code failed_at attempts",
    "wishes": "id kind proposal_id revision actor via interaction_id channel at took_effect would_run_at lease_token "
    "lease_expires_at",
    "rule_matches": "fact_key rule rule_version event_id state due_at reason_code attempts lease_token "
    "lease_expires_at matched_at",
    "rule_versions": "version name source first_seen_at",
    "settings_kv": "name value",
    "shared_pace": "key full_at",
    "subjects": "subject terminal occurred_at rank event_id customer_id",
    "transitions": "proposal_id row_version from_state to_state actor reason_code at announced",
    "unlearned_cases": "proposal_id case_kind",
}  # fmt: skip


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_every_column_is_personal_or_not(table: str) -> None:
    known = {*NOT_PERSONAL.get(table, "").split(), *PERSONAL.get(table, ())}
    columns = {column.name for column in metadata.tables[table].c}
    assert columns - known == set(), "list it in PERSONAL (and erase it) or in NOT_PERSONAL"
    assert known - columns == set()
    assert not set(NOT_PERSONAL.get(table, "").split()) & PERSONAL.get(table, frozenset())


def test_numbers_ids_times_and_words_of_the_api_stay() -> None:
    id_ = "11111111-2222-3333-4444-555555555555"
    value = {
        "id": id_, "order_id": id_, "external_id": id_, "amount": 7, "ok": True, "none": None, "name": "Ada",
        "at": "2026-11-21T09:00:00Z", "reason": "duplicate", "comment": "for Ada", "metadata": {"Ada": 1},
        "items": [{"id": id_, "email": "ada@example.com"}],
    }  # fmt: skip

    assert without_texts(value, {"reason"}) == {
        "id": id_, "order_id": id_, "external_id": "", "amount": 7, "ok": True, "none": None, "name": "",
        "at": "2026-11-21T09:00:00Z", "reason": "duplicate", "comment": "", "metadata": {},
        "items": [{"id": id_, "email": ""}],
    }  # fmt: skip


@pytest.mark.parametrize("code", ReasonCode)
def test_of_a_reason_the_code_and_numbers_stay_and_a_persons_words_go(code: ReasonCode) -> None:
    names = ("text", "message", "problem", "problems", "why", "location", "until", "missing")
    inner = Reason.of(ReasonCode.POLAR_REFUSED, message="Ada said", status=422)
    reason = Reason.of(code, inner, **dict.fromkeys(names, "Ada said"), count=3, actor="U0MAYA")

    left = reason_without_texts(code.value, reason.args)

    assert "Ada" not in str(left)
    if code not in (ReasonCode.TEXT, ReasonCode.GIVEN):
        assert (left["reason_code"], left["reason_args"]["count"]) == (code, 3)
        assert left["reason_args"]["actor"] == "U0MAYA"
        assert left["reason_args"]["causes"][0]["args"]["status"] == 422


def test_of_a_state_only_what_a_past_is_counted_from_stays() -> None:
    state = {"status": "refunded", "dispute": {"status": "lost", "note": "Ada"}, "name": "Ada"}

    assert state_without_texts(state) == {"status": "refunded", "dispute": {"status": "lost"}}
    assert state_without_texts({"name": "Ada", "status": None}) == {}
