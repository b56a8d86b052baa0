"""The last lines of the log, as `/polar status` shows them: few, and without a secret."""

import logging

import pytest

from bot.logs import LastErrors, remembered

log = logging.getLogger("tests.last_errors")


def test_warnings_are_kept_newest_first_and_no_more_than_some():
    with remembered([]) as errors:
        log.info("all is well")
        for number in range(30):
            log.warning("number %s", number)

    log.warning("after the end")
    assert [line.said for line in errors.lines] == [f"number {number}" for number in range(29, 9, -1)]
    assert errors.lines[0].level == "WARNING"


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2-the-secret",
        "xoxb-1-2-abc",
        "xapp-1-A-b-c",
        "polar_oat_abcDEF",
        "whsec_abc+/=",
        "Bearer abc.def",
        "postgresql://anna:pass@host/db",
    ],
)
def test_no_secret_is_kept(secret):
    with remembered(["hunter2-the-secret"]) as errors:
        log.error("it failed with %s twice", secret)

    (line,) = errors.lines
    assert secret not in line.said
    assert "pass" not in line.said
    assert line.said.startswith("it failed with ")


def test_of_an_exception_only_its_kind_is_kept():
    with remembered([]) as errors:
        try:
            raise ValueError("jane@example.com")
        except ValueError:
            log.exception("a row failed")
        # a mistake in a call of the log must not add another; pytest's own handler would stumble over it
        errors.handle(logging.LogRecord("x", logging.ERROR, "f", 1, "%s and %s", ("one",), None))

    assert [line.said for line in errors.lines] == ["%s and %s", "a row failed (ValueError)"]


def test_a_long_line_is_cut():
    errors = LastErrors()
    errors.emit(logging.LogRecord("x", logging.ERROR, "f", 1, "y" * 5_000, None, None))

    assert len(errors.lines[0].said) == 300
