"""Settings from the environment and `.env`, read once and frozen. No other module reads the environment."""

import logging
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from bot.config import validators
from bot.config.rate_limits import POLAR, SLACK, Tier
from bot.config.validators import WHERE, Approvers, Place

__all__ = ["PLAIN", "SECRETS", "WHERE", "Approvers", "Settings", "SettingsError", "load_settings"]

logger = logging.getLogger(__name__)


class SettingsError(Exception):
    """The settings are not complete. Nothing was started."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Take `problems`, one line each: the variable and the remedy, never the value of a secret."""
        self.problems = problems
        super().__init__("\n".join([f"{self.__doc__}", *(f"- {problem}" for problem in problems)]))


class Settings(BaseSettings):
    """All settings. `load_settings` makes them; tests may pass the fields themselves."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    slack_bot_token: Annotated[SecretStr, AfterValidator(validators.token("xoxb-"))]
    slack_app_token: Annotated[SecretStr, AfterValidator(validators.token("xapp-"))] | None = None
    slack_signing_secret: Annotated[SecretStr, AfterValidator(validators.long_token)] | None = None
    slack_channel: Annotated[str, AfterValidator(validators.channel)]
    slack_api_url: Annotated[str, AfterValidator(validators.slack_api_url)] = "https://slack.com/api/"
    approvers: Annotated[Approvers, BeforeValidator(validators.approvers)] = Approvers(
        frozenset(), frozenset()
    )
    readers: Annotated[Approvers, BeforeValidator(validators.approvers)] | None = None
    polar_access_token: Annotated[SecretStr, AfterValidator(validators.token("polar_oat_", strict=False))]
    polar_webhook_secret: Annotated[SecretStr, Field(min_length=1), AfterValidator(validators.long_enough)]
    polar_server: Literal["production", "sandbox"] = "production"
    polar_api_url: Annotated[str, AfterValidator(validators.polar_api_url)] | None = None
    database_url: Annotated[SecretStr, AfterValidator(validators.database_url)] = SecretStr(
        "sqlite+aiosqlite:///data/polar-approvals.db"
    )
    rules_file: Path | None = None
    retention_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    host: Annotated[str, AfterValidator(validators.host)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    metrics_port: Annotated[Place | None, BeforeValidator(validators.place)] = None
    warnings: tuple[str, ...] = ()
    """The odd but usable values that `load_settings` found; one sentence each."""

    @property
    def socket_mode(self) -> bool:
        """True if Slack reaches us over its socket (an app token is set), not over HTTP."""
        return self.slack_app_token is not None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret value that is set, so that it can be removed from text for people."""
        given = (getattr(self, name.lower()) for name in SECRETS)
        values = (value.get_secret_value() for value in given if value is not None)
        return (*dict.fromkeys((*values, *self.polar_webhook_secrets)),)

    @property
    def polar_webhook_secrets(self) -> tuple[str, ...]:
        """The webhook secrets that are accepted: several while one is replaced."""
        return validators.several(self.polar_webhook_secret.get_secret_value())

    @property
    def polar_base_url(self) -> str:
        """Polar's address without `/v1` and without a slash at the end."""
        hosts = {"production": "https://api.polar.sh", "sandbox": "https://sandbox-api.polar.sh"}
        return self.polar_api_url or hosts[self.polar_server]

    @property
    def polar_per_minute(self) -> int:
        """Polar's limit of calls a minute."""
        return POLAR[self.polar_server]

    @property
    def slack_tiers(self) -> Mapping[str, Tier]:
        """Slack's limits of calls a minute, by method."""
        return SLACK

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use only the values from `load_settings`, because pydantic's own sources do not know NAME_FILE."""
        return (init_settings,)


SECRETS: Final = (
    "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "POLAR_ACCESS_TOKEN",
    "POLAR_WEBHOOK_SECRET", "DATABASE_URL",
)  # fmt: skip
"""The variables that also accept NAME_FILE, the path of a file that contains the value."""

_NOT_PLAIN = {*SECRETS, "WARNINGS"}
PLAIN: Final = tuple(name for field in Settings.model_fields if (name := field.upper()) not in _NOT_PLAIN)


def load_settings(environ: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")) -> Settings:
    """Read and check every setting; the environment wins over `env_file`, and an empty value is no value.

    `environ` is the process's own when None. Raises SettingsError with all problems found, not the first.
    """
    environ = os.environ if environ is None else environ
    given = _given(environ, env_file)
    values, of_files = _with_files(given)
    problems = [line for _, line in of_files]
    warnings = (*_warnings(environ, values), *_open_to_others(env_file))
    settings = None
    try:
        fields: dict[str, Any] = {name.lower(): value for name, value in values.items()}
        settings = Settings(**fields, warnings=warnings)
    except ValidationError as error:
        named = {name for name, _ in of_files}
        problems += [line for name, line in _lines(error) if name not in named]
    problems += _no_way_to_slack(given)
    if settings is None or problems:
        raise SettingsError(tuple(problems))
    for warning in warnings:
        logger.warning("%s", warning)
    return settings


def _no_way_to_slack(given: Mapping[str, str]) -> list[str]:
    names = ("SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET")
    if any(name in given or f"{name}_FILE" in given for name in names):
        return []
    app_token, signing_secret = (WHERE[name] for name in names)
    problem = (
        "SLACK_APP_TOKEN and SLACK_SIGNING_SECRET are both missing: Slack could not reach the program. "
        f"{app_token} For HTTP instead of Socket Mode: {signing_secret}"
    )
    return [problem]


def _given(environ: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    """The variables we know and their text; NAME in one place overrides NAME_FILE in the weaker one."""
    try:
        # Without interpolation: a password may hold ${…}.
        written = dotenv_values(env_file, interpolate=False) if env_file and env_file.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            (f"{env_file} cannot be read ({type(error).__name__}). Check the file.",)
        ) from None
    given: dict[str, str] = {}
    for name in (*SECRETS, *PLAIN):
        names = (name, f"{name}_FILE") if name in SECRETS else (name,)
        for source in (environ, written):
            if found := {each: source.get(each) or "" for each in names if _is_set(each, source.get(each))}:
                given |= found
                break
    return given


def _is_set(name: str, text: str | None) -> bool:
    """True for a variable that is given. An empty one counts for APPROVERS alone: nobody may decide."""
    return bool(text) or (name == "APPROVERS" and text is not None)


def _with_files(given: Mapping[str, str]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Values by variable, those of NAME_FILE included, and each problem with such a file by its variable."""
    values = {name: given[name] for name in (*SECRETS, *PLAIN) if name in given}
    problems = []
    for name in SECRETS:
        path = given.get(f"{name}_FILE")
        if path is None:
            continue
        if name in given:
            problems.append((name, f"{name} and {name}_FILE are both set. Remove one of them."))
            continue
        try:
            values[name] = _read_secret(path)
        except ValueError as error:
            problems.append((name, f"{name}_FILE {error}"))
    return values, problems


def _read_secret(path: str) -> str:
    if validators.kind(path) or "://" in path:
        raise ValueError("is a secret itself. Write the path of a file that contains the secret.")
    try:
        value = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a NUL in the path
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        named = path if os.sep in path else "a file"  # a text without a slash may be the secret itself
        raise ValueError(
            f"names {named}, which cannot be read: {reason}. Check the path and the file's permissions."
        ) from None
    if not value:
        raise ValueError(f"names {path}, which is empty. Write the secret into it.")
    return value


def _lines(error: ValidationError) -> Iterator[tuple[str, str]]:
    """The problems by variable."""
    for each in error.errors(include_url=False, include_input=False):
        name = str(each["loc"][0]).upper()
        message = "is missing." if each["type"] == "missing" else each["msg"].removeprefix("Value error, ")
        if each["type"] not in {"missing", "value_error"}:
            message = "is not valid."
        yield name, f"{name} {message} {WHERE.get(name, '')}".rstrip()


def _open_to_others(env_file: Path | None) -> Iterator[str]:
    if env_file and env_file.is_file() and env_file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield f"{env_file} can be read by others on this machine. Run `chmod 600 {env_file}`."


def _warnings(environ: Mapping[str, str], values: Mapping[str, str]) -> Iterator[str]:
    if present := [name for name in ("SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET") if environ.get(name)]:
        yield (
            f"{' and '.join(present)} in the environment would make Slack's Bolt library switch to OAuth and "
            "ignore SLACK_BOT_TOKEN. Remove them from the environment."
        )
    secret = values.get("POLAR_WEBHOOK_SECRET", "")
    try:
        validators.refuse_wrapping(secret)
    except ValueError as error:  # Polar once accepted any text, so the text is kept unchanged
        yield f"POLAR_WEBHOOK_SECRET {error}"
    if secret.startswith(("polar_oat_", "xoxb-", "xapp-", "https://")):
        yield f"POLAR_WEBHOOK_SECRET does not look like one. {WHERE['POLAR_WEBHOOK_SECRET']}"
