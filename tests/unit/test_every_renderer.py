"""Every function that draws something for Slack, with hostile words in it: Slack takes it, nothing is markup.

A renderer that is in no table here fails `test_no_renderer_is_left_out`.
"""

import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bot.ui
from bot.config.policy import Caps, Policy
from bot.demo.blockkit import lint_message, lint_view
from bot.forms import modal as forms
from bot.forms.names import proposable
from bot.listeners.threads import ThreadCommand, ThreadMessage, Threads
from bot.results import (
    ActionResult,
    ActionStatus,
    ApproverNames,
    DecisionResult,
    DecisionStatus,
    FollowupResult,
    FollowupStatus,
    PauseResult,
    PauseStatus,
    Purpose,
    Refusal,
    RefusalCode,
)
from bot.rules import Origin
from bot.ui import bundle as on_bundle
from bot.ui import (
    card_modals,
    details,
    digest,
    elements,
    ephemeral,
    graduation,
    home,
    lists,
    reasons,
    reports,
    states,
    thread_lines,
)
from bot.ui.card import buttons, card, copy_of, outbox_message, thread_line
from bot.ui.elements import Message
from store.graduation.reducer import first_seen
from store.models import CaseKindState, ProposalState, RuleMatchState
from store.models.details import DailyStats, OutboxCode, RuleActivity
from store.models.graduation import (
    AutomaticRuns,
    CaseKind,
    Change,
    KindsPage,
    KindStanding,
    NewCaseKind,
    Paused,
    Spent,
)
from store.models.reasons import ChangeCause, ChangeCode
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
from tests.fixtures.card_strategies import (
    reasons as any_reason,
)
from tests.unit.test_screens import healths, homes

Strategy = st.SearchStrategy[Any]
_LATER = NOW + timedelta(days=3)
_PERSON = st.sampled_from(PEOPLE)
_WAITING = st.lists(proposals(), min_size=1, max_size=4)
_COUNT = st.integers(0, 10**6)
_LINKS = st.just({"p234567abcdef": LINK})
_PAUSE = st.builds(Paused, _PERSON, st.just(NOW), TEXT)
_PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=4)
_CHANGES = st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=5).map(tuple)
_SHOWN = st.builds(card, proposals(), views())
_PAGES = st.builds(
    lists.Pages, st.sampled_from(["queue", "history"]), st.just("x"), st.integers(1, 2_000), st.booleans()
)


def _kind_of(label: str) -> CaseKind:
    return first_seen(NewCaseKind("a" * 64, "f", {"action": [], "amount": [9, "usd"]}, label, "R1"), NOW)


_CAUSES = TEXT.map(lambda said: ChangeCause(ChangeCode.TEXT, {"text": said}))


@st.composite
def _kinds(draw: st.DrawFn) -> KindStanding:
    kind = replace(
        _kind_of(draw(TEXT)),
        hash=f"{draw(st.integers(0, 2**64)):064x}",
        state=draw(st.sampled_from(list(CaseKindState))),
        manual_override=draw(st.booleans()),
        cases=draw(st.integers(0, 900)),
        changed_at=draw(st.none() | st.just(NOW)),
        cause=draw(st.none() | _CAUSES),
    )
    fell = Change(NOW, CaseKindState.GRADUATED, CaseKindState.ASKING, draw(_CAUSES), False, 1, True)
    agreed = draw(_COUNT)
    checks = (agreed, agreed + draw(_COUNT))
    return KindStanding(kind, draw(st.builds(Spent, _COUNT, _COUNT)), checks, draw(st.none() | st.just(fell)))


_KINDS = st.builds(
    KindsPage, st.lists(_kinds(), max_size=graduation.PAGE, unique_by=lambda one: one.case_kind.hash[:12]),
    _COUNT, _COUNT, st.booleans(), _COUNT, st.none() | st.builds(Paused, _PERSON, st.just(NOW), TEXT),
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
    DailyStats, _COUNT, st.dictionaries(st.sampled_from(list(ProposalState)), _COUNT),
    st.dictionaries(_PERSON | st.just("cli:anna"), _COUNT), st.lists(st.floats(0, 10**6)).map(sorted).map(tuple),
)  # fmt: skip
# The text of what was undone names somebody in Slack's markup: see test_reasons.
_CODED = st.fixed_dictionaries({
    "code": st.sampled_from(sorted(set(OutboxCode) - {OutboxCode.UNDONE})),
    "args": st.fixed_dictionaries({"actor": st.sampled_from(ACTORS)}),
})  # fmt: skip
_DAYS = st.lists(st.tuples(st.just(date(2026, 11, 20)), _COUNT), max_size=7)
_REVIEW = st.builds(on_bundle.Review, st.just("b1"), st.just(1), st.booleans(), st.integers(-1, 4))
_RULE = st.builds(
    lists.RuleLine, TEXT, st.lists(TEXT, max_size=3).map(tuple), st.sampled_from(Origin),
    st.builds(RuleActivity, st.dictionaries(st.sampled_from(list(RuleMatchState)), _COUNT), st.none() | st.just(NOW)),
)  # fmt: skip


_APPROVERS = st.builds(ApproverNames, st.lists(TEXT, max_size=7).map(tuple), TEXT)
# The one that names somebody, and the others.
_NAMING = RefusalCode.EARLIER_APPROVER_UNKNOWN
_NAMELESS = st.builds(
    Refusal, st.sampled_from(sorted(set(RefusalCode) - {_NAMING})), st.sampled_from(Purpose), TEXT,
    st.none() | _APPROVERS,
)  # fmt: skip
_REFUSALS = _NAMELESS | st.builds(
    Refusal, st.just(_NAMING), st.sampled_from(Purpose), st.sampled_from(ACTORS)
)
_PAUSED = st.builds(
    PauseResult, st.sampled_from(PauseStatus), st.none() | _PAUSE, _PERSON, st.none() | _NAMELESS
)
_DECISIONS = st.builds(
    DecisionResult, st.sampled_from(DecisionStatus), st.none() | proposals(), _PERSON, st.none() | _REFUSALS,
    st.sets(st.sampled_from(ACTORS)).map(frozenset), st.booleans(), TEXT,
)  # fmt: skip
_FOLLOWUPS = st.builds(FollowupResult, st.sampled_from(FollowupStatus), st.none() | _REFUSALS, TEXT)
_ACTIONS = st.builds(
    ActionResult, st.sampled_from(ActionStatus), st.none() | _REFUSALS, st.none() | st.just(_LATER), TEXT, _COUNT,
    st.none() | _APPROVERS, TEXT,
)  # fmt: skip


def _calls(function: Callable[..., Any], *arguments: Strategy, **named: Strategy) -> Strategy:
    """What it draws from any of these."""
    given_all = st.tuples(st.tuples(*arguments), st.fixed_dictionaries(named))
    return given_all.map(lambda both: function(*both[0], **both[1]))


# Whole messages, modals, Home views, blocks and what stands in them, by who draws them.
RENDERERS: Mapping[Callable[..., Any], Strategy] = {
    function: _calls(function, *arguments)
    for function, *arguments in (
        (buttons, proposals(), views()),
        (card, recorded(), views()),
        (copy_of, recorded(), st.just(LINK)),
        (details.code, TEXT),
        (details.details_view, dossiers(), TEXT, _LINKS, st.integers(-1, 6)),
        (details.loading,),
        (digest.reminder, _WAITING, _LINKS),
        (digest.doubt, _WAITING, st.lists(_PERSON, max_size=2), _LINKS),
        (digest.escalation, _WAITING, st.lists(_PERSON, max_size=2), _LINKS),
        (digest.digest, st.just(date(2026, 11, 20)), _NUMBERS, _COUNT, _DAYS),
        (reports.status_message, healths()),
        (reports.feed_line, healths()),
        (reports.automatic, st.none() | _PAUSE),
        (reports.paused_message, _PAUSE),
        (reports.resumed_message, _PERSON, _PAUSE),
        (reports.nothing_to_resume,),
        (reports.pause_ended_message, _PAUSE),
        (reports.retried_message, TEXT, st.lists(TEXT, max_size=3)),
        (reports.pause_result, _PAUSED),
        (home.home_view, homes()),
        (home.outside_view, TEXT),
        (home.help_message, st.just({"queue": "what waits"}), TEXT, st.just("queue")),
        (card_modals.form, st.just("x"), TEXT, proposals(), st.just([]), TEXT),
        (card_modals.snooze_view, recorded(), st.just({"4h": "Four hours"}), st.none() | st.just(_LATER)),
        (card_modals.assign_view, proposals()),
        (card_modals.ask_view, proposals()),
        (card_modals.reason_view, proposals()),
        (thread_lines.snoozed_line, _PERSON, st.just(_LATER)),
        (thread_lines.assigned_line, _PERSON, _PERSON, proposals()),
        (thread_lines.asked_line, _PERSON, st.none() | _PERSON, TEXT),
        (thread_lines.held_line, _PERSON),
        (thread_lines.stranger_line, _PERSON),
        (thread_lines.reason_line, _PERSON, TEXT),
        (thread_lines.edited_line, _PERSON, _CHANGES),
        (thread_lines.why_answer, recorded()),
        (thread_lines.who_answer, proposals(), _APPROVERS),
        (thread_lines.details_answer, proposals()),
        (on_bundle.bundle_line, bundles()),
        (lists.row, proposals(), st.sampled_from([None, LINK]), st.just(NOW)),
        (lists.turn, _PAGES),
        (lists.content, _SHOWN.map(lambda message: message.blocks), st.just("tag")),
        (lists.show_message, proposals(), _SHOWN, trails(), st.sampled_from([None, LINK])),
        (lists.not_found_message, TEXT, st.lists(st.just("p1"), max_size=7)),
        (card_modals.reason_select, proposals()),
        (card_modals.reasons_select, proposals(), st.just("b1")),
        (on_bundle.review_view, _REVIEW, bundles().map(lambda found: found.members),
         st.just([]) | bundles().map(lambda found: found.members)),
        (lists.rules_message, st.lists(_RULE, max_size=8), _PAIRS, st.integers(-1, 3)),
        (states.status, proposals(), views(), st.sampled_from([75, 300])),
        (thread_line, recorded(), trails().map(lambda found: found[-1])),
        (graduation.change_notice, st.just("a" * 64), _CHANGE),
        (graduation.runs_block, _RAN, st.just(Caps()), st.just("tag")),
        (graduation.home_section, _KINDS, st.just(Policy())),
        (reasons.elements, any_reason(), st.sampled_from([120, 600])),
        (reasons.because, st.none() | any_reason(), st.sampled_from([120, 600])),
        (reasons.sentence, any_reason(), st.sampled_from([120, 600])),
        (outbox_message, _CODED),
        (elements.plain, TEXT, st.just(75)),
        (elements.button, st.just("x"), TEXT),
        (elements.header, st.just("x"), TEXT),
        (elements.section, st.just("x"), TEXT),
        (elements.notice, TEXT, TEXT),
        (forms.opening, st.just("d1"), st.none() | st.just(proposable()), TEXT),
    )
} | {
    on_bundle.bundle_card: _calls(on_bundle.bundle_card, bundles(), deciders=TEXT, now=st.just(NOW), reasons=st.lists(TEXT, max_size=3)),
    graduation.trust_message: _calls(
        graduation.trust_message, _KINDS, st.just(Policy()), st.just(NOW),
        about=TEXT.map(lambda said: " ".join(said.split())[:100]), result=TEXT,
    ),
    home.greeting: _calls(home.greeting, TEXT, here=st.booleans()),
    thread_lines.released_line: _calls(thread_lines.released_line, _PERSON, runs=st.booleans()),
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
EPHEMERAL: Mapping[Callable[..., Any], Strategy] = {
    function: _calls(function, *arguments)
    for function, *arguments in (
        (ephemeral.refused, _REFUSALS),
        (ephemeral.refused_command, _REFUSALS),
        (ephemeral.decision, _DECISIONS),
        (ephemeral.about, proposals(), _DECISIONS.map(ephemeral.decision)),
        (ephemeral.followup, _FOLLOWUPS),
        (ephemeral.action, _ACTIONS),
        (ephemeral.several, st.just(DecisionStatus.APPROVED), st.lists(st.tuples(proposals(), _DECISIONS)), _COUNT),
        (ephemeral.all_approved, _COUNT),
        (ephemeral.not_opened, TEXT),
        (ephemeral.not_shown, TEXT),
        (ephemeral.handed, TEXT),
        (ephemeral.form_not_opened, TEXT),
        (graduation.plot_comment, _PERSON),
    )
}  # fmt: skip
# Options and questions: they are drawn inside the pages of forms, see test_hostile_forms.
_IN_A_FORM = frozenset(
    {
        elements.option,
        elements.options,
        forms.operation_options,
        forms.page_view,
        forms.leaf_block,
        forms.choices,
        elements.select,
        elements.actions,
        elements.input_block,
        elements.modal,
    }
)
# What all the others are made of.
_PARTS = frozenset(
    {
        elements.bullets,
        elements.context,
        elements.emoji,
        elements.filled,
        elements.glue,
        elements.labelled,
        elements.bullet_list,
        elements.joined,
        elements.line,
        elements.link_to,
        elements.opens,
        elements.mention,
        elements.person,
        elements.preformatted,
        elements.rich,
        elements.struck,
        elements.when,
        elements.words,
    }
)
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
    drawing = {one for module in (*modules, forms) for one in _public(module) if _draws(one)}
    assert {one.__qualname__ for one in drawing - set(RENDERERS) - _IN_A_FORM - _PARTS} == set()
    assert {one.__qualname__ for one in set(_public(ephemeral)) - set(EPHEMERAL)} == set()


@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda one: f"{one.__module__}.{one.__name__}")
@settings(max_examples=25, deadline=None, suppress_health_check=_SLOW_TO_DRAW)
@given(data=st.data())
def test_whatever_is_drawn_slack_takes_it_and_nothing_in_it_is_markup(
    renderer: Callable[..., Any], data: st.DataObject
) -> None:
    assert_drawn(data.draw(RENDERERS[renderer]))


@pytest.mark.parametrize("made", EPHEMERAL, ids=lambda one: one.__name__)
@settings(max_examples=25, deadline=None, suppress_health_check=_SLOW_TO_DRAW)
@given(data=st.data())
def test_whatever_one_person_is_told_nothing_in_it_is_markup(
    made: Callable[..., Any], data: st.DataObject
) -> None:
    drawn = data.draw(EPHEMERAL[made])
    for one in drawn if isinstance(drawn, list) else [drawn]:
        told = one if isinstance(one, str) else one.mrkdwn
        assert_quiet(told)
        assert lint_message({"channel": "C1", "text": told or "-"}) == []
        if not isinstance(one, str):
            assert_told(one.message)


def assert_told(said: Message) -> None:
    """Slack takes it, and no word in it but our mentions is markup."""
    assert_quiet(said.text)
    assert lint_message(payload(said)) == []
    assert_harmless(list(said.blocks))


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
            lint_view(
                drawn
                | {"blocks": drawn["blocks"] or [elements.rich("x", elements.line(elements.words("x")))]}
            )
            == []
        )
        assert_harmless([drawn])
    elif kind in ("rich_text", "actions", "context", "section", "header", "input"):
        _assert_several([drawn])
    elif kind == "plain_text":
        assert_harmless([drawn])
    elif kind in ("static_select", "button"):
        _assert_several([{"type": "actions", "block_id": "x", "elements": [drawn]}])
    else:
        _assert_several([elements.rich("x", drawn)])


def _assert_several(drawn: list[dict[str, Any]]) -> None:
    if drawn[0]["type"].startswith("rich_text_"):
        drawn = [elements.rich("x", *drawn)]
    elif drawn[0]["type"] in ("text", "user", "emoji", "date", "link"):
        drawn = [elements.rich("x", elements.line(*drawn))]
    assert lint_message({"text": "x", "blocks": drawn}) == []
    assert_harmless(drawn)


# --- What is said outside of the cards ----------------------------------------------------------------------


class Nobody:
    """Says who may decide, in words that people chose."""

    def __init__(self, found: ApproverNames) -> None:
        self._found = found

    async def describe(self, _: object) -> ApproverNames:
        return self._found


@pytest.mark.parametrize("word", ["why", "who", "details"])
@settings(max_examples=40, deadline=None)
@given(found=recorded() | proposals(), approvers=_APPROVERS)
async def test_what_a_thread_is_answered_is_harmless(word: str, found: Any, approvers: ApproverNames) -> None:
    parts: Any = SimpleNamespace(authority=Nobody(approvers), store=None)
    threads = Threads(parts, None)  # type: ignore[arg-type] - no decision is taken
    message: Any = ThreadMessage(None, "C1", "1.2", "1.1", ThreadCommand(word), None)  # type: ignore[arg-type] - not looked at

    assert_drawn(await threads._does[word](message, found))


@settings(max_examples=60, deadline=None)
@given(bundles(), _REFUSALS, st.sampled_from(DecisionStatus))
def test_what_a_bundle_came_to_is_harmless(bundle: Any, found: Refusal, status: DecisionStatus) -> None:
    results = [(one, DecisionResult(status, one, refusal=found)) for one in bundle.members]
    assert_told(elements.paragraphs(ephemeral.several(DecisionStatus.APPROVED, results, 0)).message)
