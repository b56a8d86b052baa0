"""manifest.yml: within Slack's limits, and exactly the scopes that the program uses."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bot.checks.slack import OPTIONAL_SCOPES, SCOPES

MANIFEST = Path(__file__).parents[2] / "manifest.yml"

# https://docs.slack.dev/reference/events: what an event's subscription asks for; the rest ask for nothing.
SCOPE_OF_EVENT = {
    "app_mention": "app_mentions:read",
    "member_joined_channel": "channels:read",
    "member_left_channel": "channels:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "subteam_members_changed": "usergroups:read",
    "user_change": "users:read",
}
FREE_EVENTS = {"app_home_opened", "app_uninstalled", "tokens_revoked"}

Line = tuple[int, str]


def read_manifest() -> Any:
    """The manifest as Slack reads it. No YAML library is installed: it keeps to what is read here."""
    lines = [
        (len(line) - len(line.lstrip()), line.strip())
        for raw in MANIFEST.read_text(encoding="utf-8").splitlines()
        if (line := re.sub(r"(^|\s+)# .*|(^|\s+)#$", "", raw)).strip()
    ]
    value, rest = read_block(lines)
    assert rest == []
    return value


def read_block(lines: list[Line]) -> tuple[Any, list[Line]]:
    """The mapping or list at the first line's depth, and the lines after it."""
    depth = lines[0][0]
    if lines[0][1].startswith("- "):
        return read_list(lines, depth)
    found: dict[str, Any] = {}
    while lines and lines[0][0] == depth:
        match = re.fullmatch(r"([a-z_]+):(?: (.+))?", lines[0][1])
        assert match, f"not in our part of YAML: {lines[0][1]}"
        key, text = match[1], match[2]
        assert key not in found
        lines = lines[1:]
        if text == ">-":
            folded = [line for level, line in lines if level > depth][: count_deeper(lines, depth)]
            found[key], lines = " ".join(folded), lines[len(folded) :]
        elif text is None:
            found[key], lines = read_block(lines)
        else:
            found[key] = read_scalar(text)
    return found, lines


def count_deeper(lines: list[Line], depth: int) -> int:
    return next((index for index, (level, _) in enumerate(lines) if level <= depth), len(lines))


def read_list(lines: list[Line], depth: int) -> tuple[list[Any], list[Line]]:
    found: list[Any] = []
    while lines and lines[0][0] == depth:
        first = lines[0][1].removeprefix("- ")
        if re.match(r"[a-z_]+: ", first):
            value, lines = read_block([(depth + 2, first), *lines[1:]])
            found.append(value)
        else:
            found.append(read_scalar(first))
            lines = lines[1:]
    return found, lines


def read_scalar(text: str) -> Any:
    if text[0] in '"0123456789' or text in {"true", "false"}:
        return json.loads(text)
    assert re.fullmatch(r"[A-Za-z/][\w ./:,-]*", text), f"quote it: {text}"
    assert ": " not in text
    assert " #" not in text
    return text


@pytest.fixture(name="manifest")
def _manifest() -> Any:
    return read_manifest()


def test_the_bot_asks_for_exactly_the_scopes_the_checks_know(manifest: Any) -> None:
    assert {"bot": sorted(SCOPES), "bot_optional": sorted(OPTIONAL_SCOPES)} == manifest["oauth_config"][
        "scopes"
    ]


def test_every_scope_and_event_gives_its_reason() -> None:
    listed = [
        line for line in MANIFEST.read_text(encoding="utf-8").splitlines() if line.startswith("      - ")
    ]

    assert len(SCOPES) + len(OPTIONAL_SCOPES) + len(SCOPE_OF_EVENT) + len(FREE_EVENTS) == len(listed)
    assert all("  # " in line for line in listed)


def test_every_event_is_covered_by_a_scope(manifest: Any) -> None:
    events = manifest["settings"]["event_subscriptions"]["bot_events"]

    assert sorted(SCOPE_OF_EVENT.keys() | FREE_EVENTS) == events
    assert set(SCOPE_OF_EVENT.values()) <= SCOPES.keys()


def test_texts_are_within_slacks_limits(manifest: Any) -> None:
    display = manifest["display_information"]

    assert display["name"] == "Polar Approvals"
    assert len(display["name"]) <= 35
    assert len(display["description"]) <= 140
    assert 175 <= len(display["long_description"]) <= 4000
    assert re.fullmatch(r"#[0-9a-f]{6}", display["background_color"])
    assert len(manifest["features"]["bot_user"]["display_name"]) <= 80


def test_the_command_is_polar(manifest: Any) -> None:
    (command,) = manifest["features"]["slash_commands"]

    assert command["command"] == "/polar"
    assert len(command["command"]) <= 32
    assert {"command", "description", "usage_hint", "should_escape"} == command.keys()
    assert command["should_escape"] is True


def test_socket_mode_with_taps_and_without_rotation(manifest: Any) -> None:
    settings = manifest["settings"]

    assert settings["interactivity"] == {"is_enabled": True}
    assert settings["socket_mode_enabled"] is True
    assert settings["token_rotation_enabled"] is False
    assert settings["org_deploy_enabled"] is False
    assert manifest["features"]["app_home"]["home_tab_enabled"] is True
    assert manifest["_metadata"] == {"major_version": 2, "minor_version": 1}
