"""Who is named to decide a proposal: by its rule, else by its risk class, else by APPROVERS."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from bot.config.policy import Policy, people
from bot.config.settings import Approvers
from bot.rules import RuleSet
from polar.catalog import Risk
from store import Store
from store.events.rule_firings import rule_source
from store.models import Proposal
from store.proposals.proposals import get_proposal


@dataclass(frozen=True, slots=True)
class Named:
    """Those who alone may decide; `source` is where they are named, for the card when it is nobody."""

    people: Approvers
    source: str


class Deciders(Protocol):
    """Knows who is named to decide a proposal; without one, who decides when nothing else is said."""

    async def __call__(self, proposal: Proposal | None, risk: str | None = None) -> Named:
        """For what is no proposal, `risk` is the class it is about. Raises StoreError."""


class EverybodyListed:
    """APPROVERS decide everything."""

    def __init__(self, approvers: Approvers) -> None:
        self._named = Named(approvers, "APPROVERS")

    async def __call__(self, proposal: Proposal | None, risk: str | None = None) -> Named:  # noqa: ARG002 - the protocol's
        """Whatever the proposal is."""
        return self._named


class ByRuleAndClass:
    """The rule that made it, as it was then, comes first; then the class's row in the policy as it is now.

    What takes another proposal back is decided by whoever decides that one.
    """

    def __init__(self, approvers: Approvers, rules: RuleSet, store: Store) -> None:
        self._otherwise = Named(approvers, "APPROVERS")
        self._policy: Policy = rules.policy
        self._store = store
        # By version, which is the hash of the content: what is known of one never changes.
        self._of_rule = {rule.version: rule.approvers for rule in rules.rules}

    async def __call__(self, proposal: Proposal | None, risk: str | None = None) -> Named:
        """Who alone may decide this one, or whatever else is of this class."""
        if proposal is not None and proposal.undoes is not None:  # whoever may decide it may take it back
            proposal = await self._store.do(get_proposal, proposal.undoes)
        if proposal is not None:
            if proposal.rule_version is not None and (own := await self._rule(proposal.rule_version)):
                return Named(_split(own), f"approvers of rule {proposal.rule}")
            risk = proposal.risk
        if risk in {named.value for named in self._policy.approvers}:
            return Named(_split(self._policy.approvers[Risk(risk)]), f"approvers of class {risk}")
        return self._otherwise

    async def _rule(self, version: str) -> tuple[str, ...]:
        if version not in self._of_rule:
            source = await self._store.do(rule_source, version) or {}
            self._of_rule[version] = people(source.get("approvers") or [])
        return self._of_rule[version]


def _split(ids: Iterable[str]) -> Approvers:
    named = frozenset(ids)
    groups = frozenset(one for one in named if one.startswith("S"))
    return Approvers(named - groups, groups)
