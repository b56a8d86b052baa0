"""Stored reasons are codes: each has words, and any arguments are harmless."""

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polar.errors
from bot.demo.blockkit import lint_message
from bot.proposals.call_results import reason_of
from bot.ui import reasons
from bot.ui.card import outbox_message
from bot.ui.elements import Message, line, rich
from polar.errors import CODES, problem
from store.audit_log.log import normalize
from store.audit_log.old_sentences import read_sentence, read_transition
from store.models.details import OutboxCode
from store.models.reasons import Reason, ReasonCode, columns_of, read_reason
from tests.fixtures.card_strategies import assert_harmless, payload
from tests.fixtures.card_strategies import reasons as any_reason

ROOT = Path(__file__).parents[2]
SOURCES = [path for room in ("bot", "polar", "store") for path in sorted((ROOT / room).rglob("*.py"))]

# --- Each code has words and is used ----------------------------------------------------------------------


def _named_codes(path: Path, enum: str) -> set[str]:
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == enum
    }


def test_every_code_that_is_used_exists_and_every_code_is_used() -> None:
    written = set().union(*(_named_codes(path, "ReasonCode") for path in SOURCES))
    read_only = {ROOT / "bot/ui/reasons.py", ROOT / "store/audit_log/old_sentences.py"}
    produced = set().union(*(_named_codes(path, "ReasonCode") for path in SOURCES if path not in read_only))
    by_the_client = {code.name for code in ReasonCode if code in CODES}
    by_the_migration = {ReasonCode.TEXT.name}

    assert written <= set(ReasonCode.__members__)
    assert set(ReasonCode.__members__) - produced - by_the_client - by_the_migration == set()


def test_every_code_has_words() -> None:
    assert set(reasons._WORDS) == set(ReasonCode)
    assert all(reasons.plain(Reason(code), 600) for code in ReasonCode if code not in EMPTY_ALONE)


# These consist of what stands in their arguments.
EMPTY_ALONE = {
    ReasonCode.TEXT,
    ReasonCode.GIVEN,
    ReasonCode.SEVERAL,
    ReasonCode.EVENT_UNREADABLE,
    ReasonCode.RULE_FAILED,
}


def _errors() -> list[type[polar.errors.PolarError]]:
    found = [polar.errors.PolarError]
    for one in found:
        found += one.__subclasses__()
    return [one for one in found if one.__module__ == "polar.errors"]


ERRORS: list[polar.errors.PolarError] = [
    polar.errors.NotSent(),
    polar.errors.NotSent("no route to host"),
    polar.errors.RateBudgetExhausted(2.0),
    polar.errors.Refused(),
    polar.errors.Refused(status=400),
    polar.errors.Refused("Order is already fully refunded", status=403),
    polar.errors.InvalidCall(["`body.amount` is missing", "`x` is unknown"]),
    polar.errors.RateLimited(9.0),
    polar.errors.Unauthorized(),
    polar.errors.MissingScope(["orders:write", "orders:read"]),
    polar.errors.MissingScope([]),
    polar.errors.NotFound(),
    polar.errors.NotFound("It is gone"),
    polar.errors.UnsupportedVersionOrRoute(),
    polar.errors.Redirected(307, "https://user@x.test/v1?token=1"),
    polar.errors.Redirected(302, ""),
    polar.errors.Conflict(),
    polar.errors.NoAnswer(),
    polar.errors.NoAnswer(status=502),
]


def test_every_error_of_polars_client_is_a_reason() -> None:
    assert {type(error) for error in ERRORS} | {polar.errors.PolarError} == set(_errors())
    assert (
        {error.code for error in ERRORS} == set(CODES) == {one for one in ReasonCode if one[:6] == "polar_"}
    )


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_the_words_of_an_errors_reason_are_its_own(error: polar.errors.PolarError) -> None:
    assert reasons.plain(reason_of(error), polar.errors.PLAIN_LIMIT) == error.plain


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_after_other_calls_only_this_one_was_not_made(error: polar.errors.PolarError) -> None:
    said = reasons.plain(reason_of(error, partly=True), 600)

    assert "othing was done" not in said
    assert ("his call was not made" in said) == ("othing was done" in error.plain)


# --- Any arguments are harmless ---------------------------------------------------------------------------


@settings(max_examples=300)
@given(any_reason(), st.sampled_from([75, 300, 1_000]))
def test_any_reason_fits_and_is_harmless(reason: Reason, limit: int) -> None:
    for shown in (reasons.elements(reason, limit), reasons.sentence(reason, limit)):
        texts = [one["text"] for one in shown if one["type"] == "text"]
        # Every part is shown by one character at least, and a name between two parts has spaces around it.
        assert sum(map(len, texts)) <= limit + 4 * len(shown) + 80
        message = Message("x", (rich("reason", line(*shown)),))
        assert lint_message(payload(message)) == []
        assert_harmless(list(message.blocks))
    assert len(reasons.plain(reason, limit)) <= limit


@given(any_reason())
def test_a_reason_is_the_same_after_it_was_stored(reason: Reason) -> None:
    columns = columns_of(reason)

    assert read_reason(columns["reason_code"], columns["reason_args"]) == reason
    assert [one.code for one in reason.causes] == [one["code"] for one in reason.args.get("causes", ())]


@pytest.mark.parametrize("code", OutboxCode)
@pytest.mark.parametrize("actor", ["U0ANNA", "cli:anna"])
def test_what_the_store_puts_into_the_outbox_has_words(code: OutboxCode, actor: str) -> None:
    message = outbox_message({"code": code.value, "args": {"actor": actor}})

    assert message.text
    assert lint_message(payload(message)) == []


def test_a_message_that_was_made_before_goes_out_as_it_is() -> None:
    block = rich("b", line({"type": "text", "text": "x"}))

    assert outbox_message({"text": "x", "blocks": [block]}) == Message("x", (block,))


# --- What earlier versions stored -------------------------------------------------------------------------

SCOPE = "Add the scope in Polar's settings, under the organization's access tokens, or set POLAR_ACCESS_TOKEN to a token that has it."
C = ReasonCode
OLD: dict[str, ReasonCode] = {
    "Undone by U0ANNA in time. Nothing was done.": C.UNDONE_IN_TIME,
    "U0ANNA says that it was done.": C.DONE_BY_HAND,
    "U0ANNA says that it was not done.": C.NOT_DONE_BY_HAND,
    "Checked just before the call: it no longer applies.": C.NO_LONGER_APPLIES,
    "Read again at the tap: it no longer applies.": C.NO_LONGER_APPLIES,
    "Checked just before the call: none of its calls applies any more.": C.NOTHING_LEFT,
    "Read again at the tap: there is nothing left to do.": C.NOTHING_LEFT,
    "Checked just before the call: Polar does not have this object in this organization. Nothing was done.": C.GONE_AT_POLAR,
    "Read again at the tap: It is gone": C.GONE_AT_POLAR,
    "Its event or its rule is no longer here.": C.RULE_GONE,
    "It was changed at Polar since. Propose what you want with /polar propose.": C.CHANGED_AT_POLAR,
    "Its deadline has passed without a decision.": C.DEADLINE_PASSED,
    "Nobody has decided it for too long.": C.EXPIRED,
    "Not sent: whether it still applies cannot be told (rule 'a', `still`: no such field).": C.CANNOT_TELL,
    "Not sent: The access token may not do this. Nothing was done. It lacks the scope a:b or c. " + SCOPE: C.NOT_SENT,
    "Not sent: `body.amount` is missing; and more": C.POLAR_INVALID_CALL,
    "Checking whether it still applies: Polar could not be reached (timed out). Nothing was done.": C.CHECK_FAILED,
    "Given up after a day. Polar takes no more calls for now. Nothing was done; it is safe to try again later.": C.GAVE_UP,
    "Given up after a day. Checking whether it still applies: Polar could not be reached. Nothing was done.": C.GAVE_UP,
    "It took too long.": C.TOOK_TOO_LONG,
    "Done in part; the next call was not sent (rule 'a', `then`: no answer).": C.PARTLY_DONE,
    "Polar refused: Order is already fully refunded; It is gone": C.CALLS_REFUSED,
    "Polar refused: Polar refused this (status 400) without saying why. Nothing was done.": C.CALLS_REFUSED,
    "The program stopped while Polar was being called.": C.STRANDED,
    "It was already so.": C.ALREADY_SO,
    "Of 3 calls, 2 found it already so.": C.ALREADY_SO,
    "Done, but the link could not be shown to whoever approved, and it is not kept.": C.LINK_NOT_SHOWN,
    "There is no Undo: what it was before could not be read.": C.CANNOT_BE_UNDONE,
    "Of 3 calls, 2 found it already so. There is no Undo: what it was before could not be read.": C.SEVERAL,
    "Turned on. Cases of this kind run on their own from now on, under the caps and with audits.": C.TURNED_ON,
    "There was no answer, but Polar shows that it was done.": C.FOUND_DONE,
    "Polar could not be reached (timed out). This call was not made.": C.POLAR_UNREACHABLE,
    "Polar could not be reached. Nothing was done.": C.POLAR_UNREACHABLE,
    "Polar gave no clear answer. Nobody knows whether it was done: look before trying again.": C.POLAR_NO_ANSWER,
    "Polar failed (status 502). Nobody knows whether it was done: look before trying again.": C.POLAR_NO_ANSWER,
    "The object's state in Polar does not allow this now. Nothing was done.": C.POLAR_CONFLICT,
    "The order is under dispute": C.TEXT,
    "Undone by nobody": C.TEXT,
}  # fmt: skip


# Words of an old sentence that are others today.
REWORDED = {
    "Not sent: whether it still applies cannot be told (": "Not sent: the program could not check whether it still applies (",
    "Checking whether it still applies: ": "The program could not check whether it still applies: ",
    "It was already so.": "Polar already had this state.",
    "Of 3 calls, 2 found it already so.": "For 2 of 3 calls, Polar already had this state.",
    "There is no Undo: what it was before could not be read.": "There is no Undo: the values from before the call could not be read.",
    "Turned on. Cases of this kind run on their own from now on, under the caps and with audits.": (
        "Turned on. Cases of this kind now run automatically, within the caps and with spot checks."
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sentence", "code"), OLD.items(), ids=list(OLD))
def test_an_old_sentence_becomes_a_code_that_says_the_same(sentence: str, code: ReasonCode) -> None:
    reason = read_sentence(sentence)

    assert reason.code is code
    for before, today in REWORDED.items():
        sentence = sentence.replace(before, today)
    assert reasons.plain(reason, 600) == sentence


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_old_sentence_of_polars_client_says_the_same(error: polar.errors.PolarError) -> None:
    assert reasons.plain(read_sentence(error.plain), 300) == error.plain


def test_old_sentences_in_new_words_are_known_too() -> None:
    lost = "It was about to run on its own; trust was taken back or paused, or it waited too long."
    below = read_sentence("It no longer meets its bar: 3 more to 95; one no. It goes on asking.")

    assert read_sentence(lost) == Reason(C.TRUST_LOST)
    assert below == Reason(C.THRESHOLD_NOT_MET, {"missing": ["3 more to 95; one no"]})
    assert read_sentence("A person says that it was not done.") == Reason(C.NOT_DONE_BY_HAND)
    assert read_sentence("Checked just before the call: it no longer applies (size(each) > 0).") == Reason.of(
        C.NO_LONGER_APPLIES, checked="call", condition="size(each) > 0"
    )


@given(
    st.text(max_size=300)
    | st.sampled_from(list(OLD)).flatmap(lambda one: st.text(max_size=9).map(one.__add__))
)
def test_any_old_text_stays_readable(text: str) -> None:
    reason = read_sentence(text)

    assert read_reason(*columns_of(reason).values()) == reason
    assert (
        reasons.plain(reason, 400) == reasons.plain(Reason.of(C.TEXT, text=text), 400)
        or reason.code is not C.TEXT
    )


def test_what_somebody_said_with_a_decision_is_theirs_whatever_it_is() -> None:
    assert read_transition("pending", "declined", "It took too long.") == Reason(
        C.GIVEN, {"text": "It took too long."}
    )
    assert read_transition("executing", "approved", "It took too long.") == Reason(C.TOOK_TOO_LONG)


def test_old_rows_of_the_log_are_read_as_new_ones() -> None:
    moved = {"from": "approved", "to": "withdrawn", "actor": "U1", "row_version": 3}
    answer = {"number": 0, "state": "refused", "status": 409, "answer": None}

    assert normalize("transition", moved | {"reason": None}) == moved | columns_of(None)
    assert normalize("transition", moved | {"reason": "It was already so."}) == moved | columns_of(
        Reason(C.ALREADY_SO)
    )
    assert normalize("answer", answer | {"error": "No"}) == answer | columns_of(
        Reason(C.TEXT, {"text": "No"})
    )
    assert normalize("answer", answer | columns_of(None)) == answer | columns_of(None)
    assert normalize("decision", {"reason": "so"}) == {"reason": "so"}


def test_polars_sentences_need_no_facts() -> None:
    assert all(problem(code, {}) for code in CODES)
