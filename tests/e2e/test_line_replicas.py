"""Two programs beside each other on one PostgreSQL database: one card, one decision, one write, one log."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bot.app import Running
from bot.demo.polar.webhooks import ENDPOINTS, WebhookEvent
from bot.services import Queue
from store.audit_log.verify import verify
from store.engine.clock import DatabaseClock
from store.engine.notifications import notifications
from store.models import ProposalState, Verdict
from store.proposals.decisions import all_decisions
from tests.e2e.app_harness import CASES, JONAS, MAYA, World, eventually, proposals, world
from tests.fixtures.case_kinds import all_case_kinds
from tests.fixtures.databases import postgres_database
from tests.fixtures.ports import free_port

MANY = 12
_KINDS = ("order.paid", "benefit_grant.revoked", "order.refunded")


class Pair:
    """A world with two programs; Slack's socket hands its envelopes to one and the other in turn."""

    def __init__(self, line: World, apps: list[Running]) -> None:
        self.line, self.apps = line, apps

    def reach(self, number: int) -> None:
        """From now on Polar's webhooks go to this one."""
        url = f"{self.apps[number % 2].url}/polar/webhooks"
        for endpoint in self.line.polar.shop.rows(ENDPOINTS):
            endpoint["url"] = url
        self.line.polar.webhooks.receiver = url

    async def tell_both(self, case: str, first: int) -> list[WebhookEvent]:
        """Something happens; both programs are told of it, one after the other."""
        self.reach(first)
        told = self.line.story.play(CASES[case])
        for event in told:
            await event.tried.wait()
        self.reach(first + 1)
        for event in told:
            self.line.polar.webhooks.redeliver(event)
        return told


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """Two programs on one PostgreSQL database, as when a deployment runs two replicas."""
    async with postgres_database() as url, world(tmp_path) as line, AsyncExitStack() as stack:
        apps = []
        for _ in range(2):
            line.environment |= {"DATABASE_URL": url, "PORT": str(free_port())}
            apps.append(await stack.enter_async_context(line.app()))
        await line.slack.wait_until(lambda: line.slack.sockets.connections == 2, 20)
        yield Pair(line, apps)


@pytest.mark.postgres
async def test_two_programs_post_one_card_and_make_one_call_for_each_case(pair: Pair) -> None:
    line = pair.line
    told = [await pair.tell_both(_KINDS[number % 3], number) for number in range(MANY)]
    await line.slack.wait_until(lambda: len(line.cards) >= MANY, 60)

    taps = [
        line.slack.click(who, card.channel, card.ts, "decline" if number % 4 == 3 else "approve")
        for number, card in enumerate(line.cards)
        for who in (MAYA, JONAS)
    ]
    await asyncio.gather(*taps)
    over = ("Done: ", "Declined: ")
    await line.slack.wait_until(lambda: all(card.text.startswith(over) for card in line.cards), 60)
    ran = [card for card in line.cards if line.shown(card).text.startswith("Done: ")]
    await line.slack.wait_until(lambda: all(line.slack.thread(card.ts) for card in ran), 60)

    store = pair.apps[0].services.store
    made = await proposals(pair.apps[1])
    decided = await store.do(lambda connection: list(all_decisions(connection)))
    checked = await eventually(lambda: store.do(verify))
    assert len(told) == len(made) == len(line.cards) == len({each.card_ts for each in made}) == MANY
    assert [len(line.slack.thread(card.ts)) for card in ran] == [1] * len(ran)
    assert Counter(each.proposal_id for each in decided) == Counter(each.id for each in made)
    done = [each for each in made if each.state == ProposalState.SUCCEEDED]
    assert (
        len(ran) == len(done) == sum(each.verdict == Verdict.APPROVE for each in decided) == MANY - MANY // 4
    )
    assert Counter((each.method, each.path) for each in line.writes).most_common(1)[0][1] == 1
    assert len(line.writes) == sum(len(each.calls) for each in done)
    assert checked.problems == ()
    assert all(isinstance(app.services.clock, DatabaseClock) for app in pair.apps)
    assert checked.rows > MANY * 5
    assert await store.do(all_case_kinds) == await pair.apps[1].services.store.do(all_case_kinds)


@pytest.mark.postgres
async def test_each_program_wakes_the_queues_of_the_others(pair: Pair) -> None:
    heard = set[str]()
    told = (Queue.POLL, Queue.VERIFY)

    async with notifications(pair.line.environment["DATABASE_URL"], heard.update), asyncio.timeout(20):
        while not heard.issuperset(told):  # what is told before this connection listens is lost
            for app, queue in zip(pair.apps, told, strict=True):
                app.services.notify(queue)
            await asyncio.sleep(0.05)
