"""Every function that draws something for Slack, with hostile words in it: Slack takes it, nothing is markup.

A renderer that is in no table here fails `test_no_renderer_is_left_out`.
"""

import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bot.ui
from bot.approvals.results import Answer, Came
from bot.config.policy import Caps
from bot.demo.blockkit import lint_message, lint_view
from bot.forms import modal as forms
from bot.forms.search import proposable
from bot.listeners.bundles import _summed
from bot.listeners.thread_commands import Asked
from bot.listeners.threads import Said, Threads
from bot.ui import bundle as on_bundle
from bot.ui import (
    bundle_review,
    card_buttons,
    card_modals,
    card_status,
    code,
    decline_reasons,
    details,
    digest,
    elements,
    ephemeral,
    graduation_notices,
    graduation_page,
    home,
    lists,
    rules_page,
    status_page,
    text,
)
from bot.ui.card import card, copy_of, thread_line
from bot.ui.message import Message
from store.graduation.reducer import first_seen
from store.models import CaseKindState, Numbers, ProposalState
from store.models.graduation import AutomaticRuns, CaseKind, NewCaseKind, Spent
from tests.fixtures.card_strategies import (
    ACTORS,
    LINK,
    NOW,
    PEOPLE,
    TEXT,
    assert_harmless,
    assert_quiet,
    bundles,
    dossiers,
    payload,
    proposals,
    recorded,
    trails,
    views,
)
from tests.unit.test_screens import healths, homes

Strategy = st.SearchStrategy[Any]
_LATER = NOW + timedelta(days=3)
_PERSON = st.sampled_from(PEOPLE)
_WAITING = st.lists(proposals(), min_size=1, max_size=4)
_COUNT = st.integers(0, 10**6)
_LINKS = st.just({"p234567abcdef": LINK})
_PAUSE = st.builds(status_page.Pause, _PERSON, st.just(NOW), TEXT)
_PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=4)
_CHANGES = st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=5).map(tuple)
_SHOWN = st.builds(card, proposals(), views())
_PAGES = st.builds(
    lists.Pages, st.sampled_from(["queue", "history"]), st.just("x"), st.integers(1, 2_000), st.booleans()
)


def _kind_of(label: str) -> CaseKind:
    return first_seen(NewCaseKind("a" * 64, "f", {"amount": [9, "usd"]}, label, "R1"), NOW)


@st.composite
def _kinds(draw: st.DrawFn) -> graduation_page.KindLine:
    return graduation_page.KindLine(
        hash=f"{draw(st.integers(0, 2**64)):064x}",
        label=draw(TEXT),
        risk="R1",
        score=draw(TEXT),
        state=draw(st.sampled_from(list(CaseKindState))),
        manual_override=draw(st.booleans()),
        spot_checks=draw(st.tuples(_COUNT, _COUNT)),
        bound=draw(st.none() | st.floats(0, 1)),
        left=draw(TEXT),
        changed_at=draw(st.none() | st.just(NOW)),
        cause=draw(TEXT),
        button=draw(st.sampled_from(["", graduation_page.TURN_ON, graduation_page.TURN_OFF])),
        below=draw(st.booleans()),
        demotion=draw(st.none() | st.tuples(st.just(NOW), TEXT)),
    )


_KINDS = st.lists(_kinds(), max_size=graduation_page.PAGE, unique_by=lambda kind: kind.hash[:12])
_TRUST = st.builds(
    graduation_page.TrustPage, _KINDS, _COUNT, _COUNT, st.booleans(), _COUNT,
    about=TEXT.map(lambda said: " ".join(said.split())[:100]), paused_by=st.none() | _PERSON,
    rules=st.lists(TEXT, max_size=3), told=TEXT,
)  # fmt: skip
_CHANGE = st.fixed_dictionaries({
    "label": TEXT, "from": st.sampled_from(list(CaseKindState)), "to": st.sampled_from(list(CaseKindState)),
    "cause_code": st.just("text"), "cause_args": st.fixed_dictionaries({"text": TEXT}),
    "generation": st.integers(0, 9),
})  # fmt: skip
_RAN = st.lists(
    st.builds(
        AutomaticRuns, TEXT.map(_kind_of), _COUNT, _COUNT, _COUNT,
        st.dictionaries(st.sampled_from(["usd", "jpy", "<!c"]), _COUNT), st.builds(Spent, _COUNT, _COUNT),
    ),
    max_size=4,
)  # fmt: skip
_NUMBERS = st.builds(
    Numbers, _COUNT, st.dictionaries(st.sampled_from(list(ProposalState)), _COUNT),
    st.dictionaries(_PERSON | st.just("cli:anna"), _COUNT), st.lists(st.floats(0, 10**6)).map(sorted).map(tuple),
)  # fmt: skip
_DAYS = st.lists(st.builds(digest.Day, st.just(date(2026, 11, 20)), _COUNT), max_size=7)
_REVIEW = st.builds(bundle_review.Review, st.just("b1"), st.just(1), st.booleans(), st.integers(-1, 4))
_RULE = st.builds(
    rules_page.RuleLine, TEXT, st.lists(TEXT, max_size=3).map(tuple), TEXT, _COUNT, _COUNT, _COUNT, _COUNT,
    st.none() | st.just(NOW),
)  # fmt: skip


def _calls(function: Callable[..., Any], *arguments: Strategy, **named: Strategy) -> Strategy:
    """What it draws from any of these."""
    given_all = st.tuples(st.tuples(*arguments), st.fixed_dictionaries(named))
    return given_all.map(lambda both: function(*both[0], **both[1]))


# Whole messages, modals, Home views, blocks and what stands in them, by who draws them.
RENDERERS: Mapping[Callable[..., Any], Strategy] = {
    function: _calls(function, *arguments)
    for function, *arguments in (
        (card_buttons.actions, proposals(), views()),
        (card, recorded(), views()),
        (copy_of, recorded(), st.just(LINK)),
        (code.code, TEXT),
        (details.details_view, dossiers(), TEXT, _LINKS, st.integers(-1, 6)),
        (details.view, st.just("Details"), st.just([text.rich("x", text.line(text.words("x")))]), st.just("p1")),
        (details.loading,),
        (digest.reminder, _WAITING, _LINKS),
        (digest.escalation, _WAITING, st.lists(_PERSON, max_size=2), _LINKS),
        (digest.digest, st.just(date(2026, 11, 20)), _NUMBERS, _COUNT, _DAYS),
        (status_page.status_message, healths()),
        (status_page.feed_line, healths()),
        (status_page.automatic, st.none() | _PAUSE),
        (status_page.paused_message, _PAUSE),
        (status_page.resumed_message, _PERSON, _PAUSE),
        (status_page.nothing_to_resume,),
        (status_page.refused_message, TEXT.map(lambda said: ephemeral.refusal(said, said))),
        (home.home_view, homes()),
        (home.outside_view, TEXT),
        (home.help_message, st.just({"queue": "what waits"}), TEXT, st.just("queue")),
        (card_modals.form, st.just("x"), TEXT, proposals(), st.just([]), TEXT),
        (card_modals.said_view, TEXT, TEXT),
        (card_modals.snooze_view, recorded(), st.just({"4h": "Four hours"}), st.none() | st.just(_LATER)),
        (card_modals.assign_view, proposals()),
        (card_modals.ask_view, proposals()),
        (card_modals.reason_view, proposals()),
        (card_modals.thread_message, TEXT, TEXT.map(text.words)),
        (card_modals.snoozed_line, _PERSON, st.just(_LATER)),
        (card_modals.assigned_line, _PERSON, _PERSON, proposals()),
        (card_modals.asked_line, _PERSON, st.none() | _PERSON, TEXT),
        (card_modals.held_line, _PERSON),
        (card_modals.reason_line, _PERSON, TEXT),
        (card_modals.edited_line, _PERSON, _CHANGES),
        (on_bundle.bundle_line, bundles()),
        (lists.listed, _WAITING, _LINKS, st.just(NOW)),
        (lists.row, proposals(), st.sampled_from([None, LINK]), st.just(NOW)),
        (lists.turn, _PAGES),
        (lists.content, _SHOWN.map(lambda message: message.blocks), st.just("tag")),
        (lists.show_message, proposals(), _SHOWN, trails(), st.sampled_from([None, LINK])),
        (lists.not_found_message, TEXT, st.lists(st.just("p1"), max_size=7)),
        (decline_reasons.reason_select, proposals()),
        (decline_reasons.reasons_select, proposals(), st.just("b1")),
        (bundle_review.review_view, _REVIEW, bundles().map(lambda found: found.members),
         st.just([]) | bundles().map(lambda found: found.members)),
        (bundle_review.said_view, TEXT, TEXT),
        (rules_page.rules_message, st.lists(_RULE, max_size=8), _PAIRS, st.integers(-1, 3)),
        (card_status.status, proposals(), views(), st.sampled_from([75, 300])),
        (thread_line, recorded(), trails().map(lambda found: found[-1])),
        (graduation_notices.change_notice, st.just("a" * 64), _CHANGE),
        (graduation_notices.runs_block, _RAN, st.just(Caps()), st.just("tag")),
        (graduation_page.trust_message, _TRUST),
        (graduation_page.home_section, _KINDS, _COUNT, _COUNT),
        (elements.plain, TEXT, st.just(75)),
        (forms.notice, TEXT),
        (forms.modal, TEXT, st.just([]), st.just("d1"), TEXT),
        (forms.opening, st.just("d1"), st.none() | st.just(proposable()), TEXT),
    )
} | {
    on_bundle.bundle_card: _calls(on_bundle.bundle_card, bundles(), deciders=TEXT, now=st.just(NOW), reasons=st.lists(TEXT, max_size=3)),
    home.greeting: _calls(home.greeting, TEXT, here=st.booleans()),
    card_modals.released_line: _calls(card_modals.released_line, _PERSON, runs=st.booleans()),
    lists.queue_message: _calls(
        lists.queue_message, _WAITING, _LINKS, pages=_PAGES, total=_COUNT, counts=st.just({}), now=st.just(NOW)
    ),
    lists.mine_message: _calls(
        lists.mine_message, st.lists(st.tuples(TEXT, _WAITING), max_size=2), _LINKS, pages=_PAGES, now=st.just(NOW)
    ),
    lists.history_message: _calls(
        lists.history_message, TEXT, _WAITING, _LINKS, pages=_PAGES, now=st.just(NOW)
    ),
}  # fmt: skip
WHISPERS: Mapping[Callable[..., str], Strategy] = {
    function: _calls(function, *arguments)
    for function, *arguments in (
        (ephemeral.refusal, TEXT, TEXT),
        (ephemeral.already_decided, proposals(), st.none() | _PERSON),
        (ephemeral.approved, proposals()),
        (ephemeral.too_late_to_undo, proposals()),
        (ephemeral.withdrawn, TEXT),
        (ephemeral.untold, st.just("Slack did not say who you are; tap again in a moment.")),
        (ephemeral.other_untold, st.sampled_from(ACTORS)),
        (ephemeral.on_hold, proposals()),
        (ephemeral.gone,),
        (ephemeral.not_stored, TEXT),
        (ephemeral.handed, TEXT),
    )
} | {ephemeral.first_yes: _calls(ephemeral.first_yes, st.sets(st.sampled_from(ACTORS)), alone=st.booleans())}
# Options and questions: they are drawn inside the pages of forms, see test_hostile_forms.
_IN_A_FORM = frozenset(
    {
        elements.option,
        elements.options,
        forms.operation_options,
        forms.page_view,
        forms.leaf_block,
        forms.choices,
    }
)
_PARTS = frozenset({text})  # what all the others are made of
_SLOW_TO_DRAW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def _public(module: Any) -> Iterator[Callable[..., Any]]:
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__ and not name.startswith("_"):
            yield function


def _draws(function: Callable[..., Any]) -> bool:
    """Whether it returns a message, a view, blocks or elements."""
    told = str(inspect.signature(function, eval_str=True).return_annotation)
    return any(
        name in told for name in (Message.__qualname__, "dict[str, typing.Any]", "Mapping[str, typing")
    )


def test_no_renderer_is_left_out() -> None:
    modules = [import_module(f"bot.ui.{each.name}") for each in pkgutil.iter_modules(bot.ui.__path__)]
    drawing = {
        one for module in (*modules, forms) if module not in _PARTS for one in _public(module) if _draws(one)
    }
    assert {one.__qualname__ for one in drawing - set(RENDERERS) - _IN_A_FORM} == set()
    assert {one.__qualname__ for one in set(_public(ephemeral)) - set(WHISPERS)} == set()


@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda one: f"{one.__module__}.{one.__name__}")
@settings(max_examples=25, deadline=None, suppress_health_check=_SLOW_TO_DRAW)
@given(data=st.data())
def test_whatever_is_drawn_slack_takes_it_and_nothing_in_it_is_markup(
    renderer: Callable[..., Any], data: st.DataObject
) -> None:
    assert_drawn(data.draw(RENDERERS[renderer]))


@pytest.mark.parametrize("whisper", WHISPERS, ids=lambda one: one.__name__)
@settings(max_examples=25, deadline=None, suppress_health_check=_SLOW_TO_DRAW)
@given(data=st.data())
def test_whatever_one_person_is_told_nothing_in_it_is_markup(
    whisper: Callable[..., str], data: st.DataObject
) -> None:
    told = data.draw(WHISPERS[whisper])

    assert_quiet(told)
    assert lint_message({"channel": "C1", "text": told or "-"}) == []


def assert_drawn(drawn: Any) -> None:
    """Slack takes it, whatever it is, and no word in it is markup, a link, a mention, or hidden."""
    if isinstance(drawn, Message):
        assert lint_message(payload(drawn)) == []
        assert_harmless(list(drawn.blocks), drawn.text)
    elif isinstance(drawn, tuple) and drawn and isinstance(drawn[0], str):  # the kind of a notice, and it
        assert_drawn(drawn[1])
    elif isinstance(drawn, Mapping):
        _assert_object(dict(drawn))
    elif drawn:
        _assert_several(list(drawn))


def _assert_object(drawn: dict[str, Any]) -> None:
    kind = drawn.get("type")
    if kind is None:  # a notice
        assert lint_message({"channel": "C1", **drawn}) == []
        assert_harmless(drawn["blocks"], drawn["text"])
    elif kind in ("modal", "home"):
        assert (
            lint_view(drawn | {"blocks": drawn["blocks"] or [text.rich("x", text.line(text.words("x")))]})
            == []
        )
        assert_harmless([drawn])
    elif kind in ("rich_text", "actions", "context", "section", "header", "input"):
        _assert_several([drawn])
    elif kind == "plain_text":
        assert_harmless([drawn])
    elif kind == "static_select":
        _assert_several([{"type": "actions", "block_id": "x", "elements": [drawn]}])
    else:
        _assert_several([text.rich("x", drawn)])


def _assert_several(drawn: list[dict[str, Any]]) -> None:
    if drawn[0]["type"].startswith("rich_text_"):
        drawn = [text.rich("x", *drawn)]
    elif drawn[0]["type"] in ("text", "user", "emoji", "date", "link"):
        drawn = [text.rich("x", text.line(*drawn))]
    assert lint_message({"text": "x", "blocks": drawn}) == []
    assert_harmless(drawn)


# --- What is said outside of the cards ----------------------------------------------------------------------


class Nobody:
    """Says who may decide, in words that people chose."""

    def __init__(self, said: str) -> None:
        self._said = said

    async def describe(self, _: object) -> str:
        return self._said


@pytest.mark.parametrize("word", ["why", "who", "details"])
@settings(max_examples=40, deadline=None)
@given(found=recorded() | proposals(), said=TEXT)
async def test_what_a_thread_is_answered_is_harmless(word: str, found: Any, said: str) -> None:
    parts: Any = SimpleNamespace(authority=Nobody(said), store=None)
    threads = Threads(parts, None)  # type: ignore[arg-type] - no decision is taken
    asked: Any = Said(None, "C1", "1.2", "1.1", Asked(word), None)  # type: ignore[arg-type] - not looked at

    assert_drawn(await threads._does[word](asked, found))


@settings(max_examples=60, deadline=None)
@given(bundles(), TEXT, st.sampled_from(list(Came)))
def test_what_a_bundle_came_to_is_harmless(bundle: Any, said: str, came: Came) -> None:
    answers = [(one, Answer(came, ephemeral.refusal(said, said), one)) for one in bundle.members]
    told = _summed("approved", bundle, 0, answers)

    assert_quiet(told or "")
    assert lint_message({"channel": "C1", "text": told or "-"}) == []
