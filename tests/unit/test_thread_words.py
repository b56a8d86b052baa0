"""What is written to us in a thread: never an error, and nothing loose decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.listeners.threads import WORDS, ThreadCommand, is_addressed, read, user_of
from bot.ui.thread_lines import help_line

BOT = "U0BOT00001"


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("<@U0BOT00001> approve", ThreadCommand("approve")),
        ("approve <@U0BOT00001>", ThreadCommand("approve")),
        ("<@U0BOT00001|polar> Approve!", ThreadCommand("approve")),
        ("<@U0BOT00001> approve please", ThreadCommand("approve")),
        ("<@U0BOT00001> decline", ThreadCommand("decline")),
        ("<@U0BOT00001> decline because a &lt; b", ThreadCommand("decline", "a < b")),
        ("<@U0BOT00001> decline: too\nold", ThreadCommand("decline", "too\nold")),
        ("<@U0BOT00001> snooze 2h", ThreadCommand("snooze", "2h")),
        ("<@U0BOT00001> snooze until monday 14:00", ThreadCommand("snooze", "until monday 14:00")),
        ("<@U0BOT00001> assign <@U0JONAS0001>", ThreadCommand("assign", "<@U0JONAS0001>")),
        ("<@U0BOT00001> assign to <@U0JONAS0001|jonas>", ThreadCommand("assign", "<@U0JONAS0001|jonas>")),
        ("<@U0BOT00001> assign me", ThreadCommand("assign", "me")),
        ("<@U0BOT00001> why?", ThreadCommand("why")),
        ("<@U0BOT00001>", ThreadCommand("")),
        ("<@U0BOT00001> approve? no, wait", ThreadCommand("")),
        ("<@U0BOT00001> approve not yet", ThreadCommand("")),
        ("<@U0BOT00001> do not approve", ThreadCommand("")),
        ("<@U0BOT00001> declined", ThreadCommand("")),
        ("<@U0BOT00001> hold on a second", ThreadCommand("")),
        ("<@U0BOT00001> &lt;!channel&gt; approve", ThreadCommand("")),
    ],
)
def test_commands_and_what_only_looks_like_one(text: str, asked: ThreadCommand) -> None:
    assert is_addressed(text, BOT)
    assert read(text, BOT) == asked


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    assert read(f"<@{BOT}> {text}", BOT).word in {"", *WORDS}
    is_addressed(text, BOT)
    user_of(text)


@given(st.sampled_from(["approve", "hold", "release"]), st.text(min_size=1))
def test_what_changes_something_stands_alone(word: str, rest: str) -> None:
    asked = read(f"<@{BOT}> {word} {rest}", BOT)
    if asked.word == word:
        assert rest.strip().lower().strip(".! \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2028\u2029") in {
            "",
            "please",
        }


@given(st.text(min_size=1).filter(lambda text: text.strip()))
def test_a_reason_is_kept_as_it_was_written(reason: str) -> None:
    escaped = reason.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    asked = read(f"<@{BOT}> decline because {escaped}", BOT)
    assert asked.word == "decline"
    assert asked.rest == reason.strip()


def test_the_help_names_every_word() -> None:
    assert all(word in help_line(WORDS) for word in WORDS)
