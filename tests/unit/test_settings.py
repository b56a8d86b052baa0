"""Settings: what is read, and what each mistake is told."""

import logging
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.config.settings import PLAIN, SECRETS, Approvers, Settings, SettingsError, load_settings
from bot.config.validators import Place

COMPLETE = {
    "SLACK_BOT_TOKEN": "xoxb-test",
    "SLACK_APP_TOKEN": "xapp-test",
    "SLACK_CHANNEL": "C0APPROVALS",
    "POLAR_ACCESS_TOKEN": "polar_oat_test",
    "POLAR_WEBHOOK_SECRET": "a secret of Polar's",
}
EXAMPLE = Path(__file__).parents[2] / ".env.example"


def load(**changes: str) -> Settings:
    return load_settings(COMPLETE | changes, None)


def problems(**changes: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        load(**changes)
    return raised.value.problems


def test_the_five_required_values_suffice() -> None:
    settings = load()

    assert settings.slack_bot_token.get_secret_value() == "xoxb-test"
    assert settings.socket_mode
    assert settings.slack_api_url == "https://slack.com/api/"
    assert settings.approvers == Approvers(frozenset(), frozenset())
    assert settings.polar_base_url == "https://api.polar.sh"
    assert settings.polar_per_minute == 500
    assert settings.database_url.get_secret_value() == "sqlite+aiosqlite:///data/polar-approvals.db"
    assert (settings.rules_file, settings.host, settings.port) == (None, "127.0.0.1", 8080)
    assert settings.warnings == ()


def test_every_other_value_is_read() -> None:
    settings = load(
        SLACK_API_URL="http://127.0.0.1:9/api",
        APPROVERS=" U1,W2 , S3,, ",
        POLAR_SERVER="sandbox",
        RULES_FILE="rules.toml",
        HOST="0.0.0.0",  # noqa: S104 - a value, nothing listens
        PORT="9000",
        METRICS_PORT="9464",
    )

    assert settings.slack_api_url == "http://127.0.0.1:9/api/"
    assert settings.approvers == Approvers(frozenset({"U1", "W2"}), frozenset({"S3"}))
    assert (settings.polar_base_url, settings.polar_per_minute) == ("https://sandbox-api.polar.sh", 100)
    assert (settings.rules_file, settings.port) == (Path("rules.toml"), 9000)
    assert settings.metrics_port == Place("127.0.0.1", 9464)


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [("0", "127.0.0.1", 0), ("0.0.0.0:9464", "0.0.0.0", 9464), ("[::1]:9464", "::1", 9464)],  # noqa: S104
)
def test_metrics_are_for_this_machine_unless_an_address_is_given(written: str, host: str, port: int) -> None:
    assert load(METRICS_PORT=written).metrics_port == Place(host, port)


def test_polar_api_url_replaces_the_servers_address_and_loses_its_last_slash() -> None:
    assert load(POLAR_API_URL="http://127.0.0.1:9/").polar_base_url == "http://127.0.0.1:9"


def test_a_signing_secret_instead_of_an_app_token_means_http() -> None:
    assert not load(SLACK_APP_TOKEN="", SLACK_SIGNING_SECRET="0123456789abcdef").socket_mode


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load().port = 1


@pytest.mark.parametrize(
    ("given_url", "used"),
    [
        ("sqlite:///a.db", "sqlite+aiosqlite:///a.db"),
        ("sqlite+aiosqlite:////var/a.db", "sqlite+aiosqlite:////var/a.db"),
        ("postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgres://u:p@h/d?sslmode=require", "postgresql+asyncpg://u:p@h/d?ssl=require"),
        ("postgresql+asyncpg://h/d", "postgresql+asyncpg://h/d"),
        (
            "postgresql://u:p@h/d?sslmode=require&channel_binding=require",
            "postgresql+asyncpg://u:p@h/d?ssl=require",
        ),
        ("postgresql://u@/d?host=/run/postgresql", "postgresql+asyncpg://u@/d?host=/run/postgresql"),
    ],
)
def test_a_database_url_gets_the_driver_we_have(given_url: str, used: str) -> None:
    assert load(DATABASE_URL=given_url).database_url.get_secret_value() == used


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SLACK_BOT_TOKEN", "", "is missing. Copy the Bot User OAuth Token"),
        (
            "SLACK_BOT_TOKEN",
            "xapp-1",
            "begins with xapp-: that is the app-level token; it belongs in SLACK_APP_TOKEN",
        ),
        ("SLACK_BOT_TOKEN", "xoxp-1", "begins with xoxp-: that is a Slack user token"),
        ("SLACK_BOT_TOKEN", "xoxe.xoxb-1", "begins with xoxe.: that is a rotating Slack token"),
        ("SLACK_BOT_TOKEN", "secret", "does not begin with xoxb-"),
        ("SLACK_BOT_TOKEN", " xoxb-1", "has spaces around it. Remove them."),
        ("SLACK_BOT_TOKEN", '"xoxb-1"', "has quotes around it. Remove them."),
        ("SLACK_BOT_TOKEN", "xoxb-1\nx", "has a space or another character in it"),
        (
            "SLACK_APP_TOKEN",
            "xoxb-1",
            "begins with xoxb-: that is Slack's bot token; it belongs in SLACK_BOT_TOKEN",
        ),
        ("SLACK_SIGNING_SECRET", "xapp-1", "begins with xapp-"),
        ("SLACK_CHANNEL", "", "is missing. In Slack open the channel"),
        ("SLACK_CHANNEL", "#approvals", "is not a channel id"),
        ("SLACK_CHANNEL", "approvals", "is not a channel id"),
        ("SLACK_CHANNEL", "D0123", "is a direct message"),
        ("SLACK_CHANNEL", " C1", "has spaces around it"),
        ("SLACK_API_URL", "slack.com/api", "is not a web address"),
        ("SLACK_API_URL", "https://h:port/", "is not a web address"),
        ("SLACK_API_URL", "https://user@slack.com/api/", "contains a user, a query or a fragment"),
        ("APPROVERS", "U1,maya@example.com", "entry 2 is an e-mail address"),
        ("APPROVERS", "@maya", "entry 1 is a name"),
        ("APPROVERS", "<@U1>", "entry 1 is a mention"),
        ("APPROVERS", "C123", "entry 1 is the id of a channel"),
        ("APPROVERS", "maya; jonas", "entry 1 is not a Slack id"),
        ("POLAR_ACCESS_TOKEN", "", "is missing. Create an organization access token"),
        ("POLAR_ACCESS_TOKEN", "polar_pat_1", "begins with polar_pat_: that is a personal access token"),
        ("POLAR_ACCESS_TOKEN", "polar_cst_1", "begins with polar_cst_: that is a customer's session"),
        ("POLAR_ACCESS_TOKEN", "whsec_1", "that is a webhook secret; it belongs in POLAR_WEBHOOK_SECRET"),
        ("POLAR_WEBHOOK_SECRET", "whsec_012345678", "is shorter than 16 characters"),
        ("POLAR_WEBHOOK_SECRET", "whsec_0123456789,short", "is shorter than 16 characters"),
        ("SLACK_SIGNING_SECRET", "0123456789abcde", "is shorter than 16 characters"),
        ("POLAR_API_URL", "http://api.polar.sh", "begins with http://"),
        ("SLACK_API_URL", "http://10.0.0.1/api/", "begins with http://"),
        ("POLAR_WEBHOOK_SECRET", "", "is missing. Copy the secret of the webhook endpoint"),
        ("POLAR_SERVER", "staging", "Write production or sandbox."),
        ("POLAR_API_URL", "https://api.polar.sh/v1/", "ends with /v1"),
        ("DATABASE_URL", "mysql://h/d", "is not a supported database. Write sqlite:///path"),
        ("DATABASE_URL", "data.db", "is not a supported database"),
        ("DATABASE_URL", "postgresql://u:pa/ss@h/d", "has no readable port"),
        ("DATABASE_URL", "postgresql://h/d?connect_timeout=3", "has an option other than sslmode"),
        ("HOST", "http://x", "is not a host"),
        ("PORT", "http", "Write a number from 0 to 65535"),
        ("PORT", "70000", "Write a number from 0 to 65535"),
        ("METRICS_PORT", "70000", "is not a port. Write a number from 0 to 65535"),
        ("METRICS_PORT", "0.0.0.0:http", "is not a port. Write a number from 0 to 65535"),
        ("METRICS_PORT", "http://x:1", "is not a host"),
    ],
)
def test_a_mistake_names_its_variable_and_the_remedy(name: str, value: str, said: str) -> None:
    (problem,) = problems(**{name: value})

    assert problem.startswith(f"{name} ")
    assert said in problem


def test_without_app_token_and_signing_secret_both_ways_are_explained() -> None:
    (problem,) = problems(SLACK_APP_TOKEN="")

    assert problem.startswith("SLACK_APP_TOKEN and SLACK_SIGNING_SECRET are both missing")
    assert "connections:write" in problem
    assert "Copy the Signing Secret" in problem


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings({"PORT": "x", "POLAR_WEBHOOK_SECRET_FILE": "/nowhere/at/all"}, None)

    named = [re.match(r"[A-Z_]+", problem)[0] for problem in raised.value.problems]  # type: ignore[index]  # all match
    expected = {"POLAR_WEBHOOK_SECRET_FILE", "SLACK_BOT_TOKEN", "SLACK_CHANNEL", "POLAR_ACCESS_TOKEN", "PORT"}
    assert expected | {"SLACK_APP_TOKEN"} == set(named)
    assert len(named) == len(set(named))
    assert str(raised.value).startswith("The settings are not complete. Nothing was started.\n- ")


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_be_in_a_file(name: str, tmp_path: Path) -> None:
    value = COMPLETE.get(name, "sqlite+aiosqlite:///x.db")
    (tmp_path / "it").write_text(f"{value}\n\n")
    settings = load(**{name: "", f"{name}_FILE": str(tmp_path / "it")})

    assert getattr(settings, name.lower()).get_secret_value() == value


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "it").write_text("xoxb-file")

    assert problems(SLACK_BOT_TOKEN_FILE=str(tmp_path / "it")) == (
        "SLACK_BOT_TOKEN and SLACK_BOT_TOKEN_FILE are both set. Remove one of them.",
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file or directory"), (b"", "which is empty"), (b"\xff\xfe", "not UTF-8 text")],
)
def test_a_file_that_gives_no_secret_is_named(content: bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    (problem,) = problems(SLACK_BOT_TOKEN="", SLACK_BOT_TOKEN_FILE=str(path))

    assert problem.startswith(f"SLACK_BOT_TOKEN_FILE names {path}, ")
    assert said in problem


@pytest.mark.parametrize("value", ["xoxb-1234567", "postgresql://u:topsecret@h/d", "0123456789abcdef0123"])
def test_a_secret_where_a_path_belongs_is_not_repeated(value: str) -> None:
    (problem,) = problems(SLACK_BOT_TOKEN="", SLACK_BOT_TOKEN_FILE=value)

    assert problem.startswith("SLACK_BOT_TOKEN_FILE ")
    assert value not in problem


def test_the_env_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text('# ours\nPORT=1\nHOST="::1"\nDATABASE_URL=sqlite:///${PORT}.db\nOTHER=x\n')
    settings = load_settings(COMPLETE | {"PORT": "2"}, file)

    assert (settings.host, settings.port) == ("::1", 2)
    assert settings.database_url.get_secret_value() == "sqlite+aiosqlite:///${PORT}.db"


@pytest.mark.parametrize(
    ("mode", "open_to_others"), [(0o600, False), (0o640, True), (0o604, True), (0o711, False)]
)
def test_an_env_file_that_others_can_read_is_warned_about(
    mode: int, open_to_others: bool, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=1\n")
    file.chmod(mode)
    said = f"{file} can be read by others on this machine. Run `chmod 600 {file}`."

    assert load_settings(COMPLETE, file).warnings == ((said,) if open_to_others else ())


def test_a_secret_of_the_environment_overrides_a_secret_file_of_the_env_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("SLACK_BOT_TOKEN_FILE=/nowhere/at/all\n")

    assert load_settings(COMPLETE, file).slack_bot_token.get_secret_value() == "xoxb-test"


def test_a_missing_env_file_is_no_problem_and_an_unreadable_one_is(tmp_path: Path) -> None:
    assert load_settings(COMPLETE, tmp_path / ".env").port == 8080

    (tmp_path / ".env").write_bytes(b"HOST=\xff")
    with pytest.raises(SettingsError, match=r"\.env cannot be read"):
        load_settings(COMPLETE, tmp_path / ".env")


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SECRETS, *PLAIN):
        monkeypatch.delenv(name, raising=False)
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)

    assert load_settings(env_file=None).slack_channel == "C0APPROVALS"


def test_settings_made_in_a_test_read_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")

    assert Settings(**{name.lower(): value for name, value in COMPLETE.items()}).port == 8080  # type: ignore[arg-type]  # text becomes SecretStr


def test_oauth_variables_that_would_turn_bolt_are_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        settings = load(SLACK_CLIENT_ID="1.2", SLACK_CLIENT_SECRET="hidden")

    (warning,) = settings.warnings
    assert warning.startswith("SLACK_CLIENT_ID and SLACK_CLIENT_SECRET in the environment")
    assert [record.getMessage() for record in caplog.records] == [warning]
    assert "hidden" not in warning


@pytest.mark.parametrize(
    "secret",
    [
        '"whsec_0123456789"',
        " whsec_0123456789",
        "polar_oat_0123456789",
        "https://example.com/polar/webhooks",
    ],
)
def test_an_odd_webhook_secret_is_kept_as_it_is_with_a_warning(secret: str) -> None:
    settings = load(POLAR_WEBHOOK_SECRET=secret)

    assert settings.polar_webhook_secret.get_secret_value() == secret
    assert settings.warnings[0].startswith("POLAR_WEBHOOK_SECRET ")
    assert secret not in settings.warnings[0]


def test_the_example_names_every_setting_once_and_gives_no_secret() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    named = [match[1] for line in lines if (match := re.match(r"(?:# )?([A-Z_]+)=", line))]

    assert sorted((*SECRETS, *PLAIN)) == sorted(named)
    assert all(line.endswith("=") for line in lines if line.startswith(SECRETS))


def test_the_example_as_it_is_asks_for_everything_that_is_required() -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings({}, EXAMPLE)

    assert len(raised.value.problems) == 5


ODD = st.sampled_from(
    ["", "xoxb-", "xapp-", "polar_oat_", "polar_pat_", "whsec_", " ", '"', "sqlite://", "postgresql://u:"]
)
SECRET_TEXT = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=20).map(
    lambda text: f"s3cr3t{text}"
)


@given(data=st.data())
def test_no_secret_is_ever_shown(data: st.DataObject) -> None:
    """Whatever is put where, as itself, in the wrong variable or as a file's name."""
    hidden = "s3cr3t"
    names = [*SECRETS, *(f"{name}_FILE" for name in SECRETS), *PLAIN]
    names.remove("RULES_FILE")  # a path, shown as it is
    changes = data.draw(
        st.dictionaries(
            st.sampled_from(names),
            st.builds(lambda before, text: before + text.replace("/", ""), ODD, SECRET_TEXT),
        )
    )
    shown = outcome(changes)

    assert hidden not in shown


def outcome(changes: dict[str, str]) -> str:
    """Everything that could be logged or printed of these settings or their error."""
    try:
        settings = load(**changes)
    except SettingsError as error:
        return f"{error}{error!r}{error.__cause__!r}{error.problems}"
    return f"{settings}{settings!r}".replace(f"host={settings.host!r}", "")  # a host is shown as it is


def test_several_webhook_secrets_are_accepted_while_one_is_replaced() -> None:
    settings = load(POLAR_WEBHOOK_SECRET="whsec_new_0123456, whsec_old_0123456")

    assert settings.polar_webhook_secrets[:2] == ("whsec_new_0123456", "whsec_old_0123456")
    assert {"whsec_new_0123456", "whsec_old_0123456"} < set(settings.secrets)
