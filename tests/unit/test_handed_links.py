"""What a person who proposes a link by hand is handed, and that nothing else is."""

from bot.proposals.call_results import Plan, _hands_over, _message_to_approver
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
