"""What a person who proposes a link by hand is handed, and that nothing else is."""

import pytest

from bot.proposals.call_results import Plan, _hands_over, _message_to_approver
from bot.ui.ephemeral import handed
from polar.catalog import Call


def by_hand(operation: str) -> Plan:
    return Plan([Call(operation)])


def test_the_link_that_was_asked_for_is_handed_over():
    plan = by_hand("customer-sessions:create")

    assert _hands_over(plan)
    assert "The customer's portal, for an hour: https://polar.sh/p" == _message_to_approver(
        plan, {"customer_portal_url": "https://polar.sh/p", "token": "t"}
    )


def test_an_answer_without_the_link_says_so():
    assert "The checkout: Polar gave none" == _message_to_approver(by_hand("checkouts:create"), None)


def test_other_answers_are_handed_to_nobody():
    assert not _hands_over(by_hand("webhooks:create_webhook_endpoint"))
    assert not _hands_over(Plan([]))


@pytest.mark.parametrize(
    "url",
    ["https://polar.sh/a?b=c", "https://sandbox.polar.sh/acme/portal?customer_session_token=polar_cst_1"],
)
def test_a_link_to_polar_opens(url: str):
    *_, link = handed(f"For *Jane* :white_check_mark:, good for a day: {url}").elements

    assert link == {"type": "link", "url": url, "text": url}


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/login",
        "http://polar.sh/plain",
        "https://polar.sh.evil.example/",
        "https://evilpolar.sh/",
        "https://polar.sh@evil.example/",
        "https://polar.sh:8443@evil.example/",
        "https://evil.example/?polar.sh",
        "https://[polar.sh",
        "javascript://polar.sh/",
    ],
)
def test_a_link_anywhere_else_is_text(url: str):
    (only,) = handed(f"For {url}").elements

    assert only == {"type": "text", "text": f"For {url}"}
