"""The choice of proposals that share one card, and of odd ones that get their own card. Pure."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf
from statistics import median

from bot.config.policy import Policy
from polar.catalog import Risk
from store.models import Proposal
from store.models.details import Bundle

MOST, LEAST = 100, 5  # proposals in a bundle: nobody reviews more, and fewer need no bundle
SINGLES = 10  # the most odd ones of a kind with own cards; more share a card that only opens Review
_UNUSUAL = 3.0  # times the median of its kind
_SOON = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Put:
    """Proposals to put into one bundle: an existing one (`bundle_id`) or a new one.

    They are of the kind `key`, and so of one `rule`. `one_by_one` is as of a bundle.
    """

    key: str
    rule: str
    one_by_one: bool
    bundle_id: str | None = None
    proposals: tuple[Proposal, ...] = ()


def kind_of(proposal: Proposal) -> str:
    """The key that is equal in a bundle: rule version, operations, currency, risk, and so the approvers."""
    called = ",".join(dict.fromkeys(call.operation for call in proposal.calls))
    rule, version = proposal.rule or "", proposal.rule_version or ""
    return "|".join((rule, version, called, proposal.currency or "", proposal.risk))


def plan(
    waiting: Sequence[Proposal],
    open_: Sequence[Bundle],
    *,
    known: Collection[str],
    policy: Policy,
    now: datetime,
) -> list[Put]:
    """The bundles for the proposals that wait for a card. The others get one card each.

    More proposals may join the bundles `open_`. `known` are the customers with an earlier decision.
    """
    kinds: defaultdict[str, list[Proposal]] = defaultdict(list)
    for proposal in waiting:
        kinds[kind_of(proposal)].append(proposal)
    made: list[Put] = []
    for kind, group in kinds.items():
        own = [bundle for bundle in open_ if bundle.key == kind]
        joined = [bundle for bundle in own if not bundle.one_by_one]
        apart = [bundle for bundle in own if bundle.one_by_one]
        odd = set_apart(group, [p for bundle in joined for p in bundle.members], known, policy, now)
        apart_ids = {proposal.id for proposal in odd}
        alike = [proposal for proposal in group if proposal.id not in apart_ids]
        together = Put(kind, group[0].rule or "", one_by_one=False)
        made += _fill(together, alike, joined, LEAST)
        made += _fill(replace(together, one_by_one=True), odd, apart, SINGLES + 1)
    return made


def set_apart(
    group: Sequence[Proposal],
    members: Sequence[Proposal],
    known: Collection[str],
    policy: Policy,
    now: datetime,
) -> list[Proposal]:
    """The odd proposals of `group`, which need a card of their own. `members` are in the bundles already.

    Two things are odd: an amount above three times the median, and a customer without an earlier decision.
    They count only while they are rare in their kind (a tenth, or two). A common property is not odd.
    """
    everybody = [*members, *group]
    rare = max(2, len(everybody) // 10)
    amounts = [p.amount for p in everybody if p.amount is not None]
    usual = median(amounts) if len(amounts) >= LEAST else inf
    large = [p for p in group if p.amount is not None and p.amount > _UNUSUAL * usual]
    new = [p for p in everybody if p.customer_id is not None and p.customer_id not in known]
    odd = {p.id for p in group if needs_a_look(p, policy, now)}
    odd |= {p.id for p in large} if len(large) <= rare else set()
    odd |= {p.id for p in new} if len(new) <= rare else set()
    return [p for p in group if p.id in odd]


def needs_a_look(proposal: Proposal, policy: Policy, now: datetime) -> bool:
    """Tell whether it always gets its own card: risky, two approvers, soon due, or always asked."""
    return (
        proposal.always_asks is not None
        or proposal.risk >= Risk.R3
        or policy.takes_two(Risk(proposal.risk), proposal.amount, proposal.currency, proposal.calls)
        or (proposal.deadline is not None and proposal.deadline - now < _SOON)
    )


def _fill(put: Put, waiting: list[Proposal], open_: Sequence[Bundle], least: int) -> list[Put]:
    """Fill the open bundles first, then new bundles while at least `least` proposals are left."""
    made: list[Put] = []
    for bundle in open_:
        room = MOST - len(bundle.members)
        if room > 0 and waiting:
            made.append(replace(put, bundle_id=bundle.id, proposals=tuple(waiting[:room])))
            waiting = waiting[room:]
    while len(waiting) >= least:
        made.append(replace(put, proposals=tuple(waiting[:MOST])))
        waiting = waiting[MOST:]
    return made
