"""The error of a call of Polar's API as a sentence, from a code and its facts. Pure."""

from collections.abc import Mapping
from typing import Any

NOTHING_DONE = "Nothing was done."
_LOOK_FIRST = "Nobody knows whether it was done: look before trying again."

# {nothing} is said of this call alone; the words before it are ours, not Polar's.
_SENTENCES: Mapping[str, str] = {
    "polar_unreachable": "Polar could not be reached. {nothing}",
    "polar_budget": (
        "Too many calls to Polar in this minute. {nothing_semicolon} it is safe to try again in a moment."
    ),
    "polar_refused": "Polar refused this. {nothing}",
    "polar_rate_limited": (
        "Polar takes no more calls for now. {nothing_semicolon} it is safe to try again later."
    ),
    "polar_token_refused": (
        "Polar does not accept the access token: it is wrong, expired, revoked, or made for the other "
        "environment (production and sandbox have separate tokens). {nothing} Make an organization access "
        "token in Polar's settings and set POLAR_ACCESS_TOKEN to it."
    ),
    "polar_not_found": "Polar does not have this object in this organization. {nothing}",
    "polar_unknown_route": (
        "Polar does not know this address, or no longer speaks this version of its interface. "
        "{nothing_comma} and it says nothing about the object itself. Check POLAR_API_URL, and whether "
        "there is a newer release of this program."
    ),
    "polar_conflict": "The object's state in Polar does not allow this now. {nothing}",
    "polar_no_answer": f"Polar gave no clear answer. {_LOOK_FIRST}",
}


def problem(code: str, facts: Mapping[str, Any], *, nothing: str = NOTHING_DONE) -> str:
    """The sentence. `nothing` says that this call was not made.

    Where Polar gave words of its own (`message`), these are the sentence.
    """
    if facts.get("message"):
        return str(facts["message"])
    special = _WITH_FACTS.get(code)
    if special is not None and (said := special(facts, nothing)):
        return said
    stem = nothing.rstrip(".")
    return _SENTENCES[code].format(nothing=nothing, nothing_semicolon=f"{stem};", nothing_comma=f"{stem},")


def _unreachable(facts: Mapping[str, Any], nothing: str) -> str:
    return f"Polar could not be reached ({facts['why']}). {nothing}" if facts.get("why") else ""


def _refused(facts: Mapping[str, Any], nothing: str) -> str:
    return (
        f"Polar refused this (status {facts['status']}) without saying why. {nothing}"
        if facts.get("status")
        else ""
    )


def _invalid(facts: Mapping[str, Any], nothing: str) -> str:  # noqa: ARG001 - one table, one signature
    return f"Not sent: {'; '.join(map(str, facts.get('problems', ())))}"


def _scope(facts: Mapping[str, Any], nothing: str) -> str:
    scopes = " or ".join(map(str, facts.get("scopes", ())))
    lacks = f"It lacks the scope {scopes}." if scopes else "It lacks a scope."
    return (
        f"The access token may not do this. {nothing} {lacks} Add the scope in Polar's settings, under the "
        "organization's access tokens, or set POLAR_ACCESS_TOKEN to a token that has it."
    )


def _redirected(facts: Mapping[str, Any], nothing: str) -> str:
    so = f"{nothing[:1].lower()}{nothing[1:]}"
    return (
        f"Polar's address answered {facts.get('status', 'with a redirect')} and points to "
        f"{facts.get('location') or 'nowhere'}. The call was not repeated there, so {so} "
        "Check the scheme, host and path of POLAR_API_URL."
    )


def _no_answer(facts: Mapping[str, Any], nothing: str) -> str:  # noqa: ARG001 - see _invalid
    if not facts.get("status"):
        return ""
    return f"Polar failed (status {facts['status']}). {_LOOK_FIRST}"


_WITH_FACTS = {
    "polar_unreachable": _unreachable,
    "polar_refused": _refused,
    "polar_invalid_call": _invalid,
    "polar_scope_missing": _scope,
    "polar_redirected": _redirected,
    "polar_no_answer": _no_answer,
}
CODES = frozenset(_SENTENCES) | frozenset(_WITH_FACTS)
