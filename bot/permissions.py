"""The permissions to decide and to read, asked of Slack when somebody acts, and how many must approve."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from bot.config.policy import Policy, people
from bot.config.settings import Approvers
from bot.graduation.score import STANDARDS
from bot.results import ApproverNames, Purpose, Refusal, RefusalCode
from bot.rules import RuleSet
from bot.slack.client import Slack, SlackError, SlackRefused, UserProfile
from polar.catalog import Call, Risk, operations
from store import Store
from store.events.events import rule_source
from store.models import Proposal, ProposalKind
from store.proposals.decisions import ApprovalRequirements
from store.proposals.proposals import get_proposal

T = TypeVar("T")

# Short enough that a dismissed colleague cannot go on deciding, long enough for a busy hour (users.info is
# limited to about 100 a minute, usergroups.users.list to about 20).
_USER_FOR = timedelta(seconds=60)
_GROUP_FOR = timedelta(minutes=5)
_WHEN_DECIDING = timedelta(
    seconds=5
)  # the greatest age of a profile that a decision may rely on; for groups it is the next one
_GROUP_WHEN_DECIDING = timedelta(minutes=1)
_NAMELESS_FOR = timedelta(seconds=10)
_CHANNEL_FOR = timedelta(minutes=1)  # who is in the channel; Slack also tells of each who comes or goes
# Slack's own trouble, not an answer about anybody. https://docs.slack.dev/reference/methods/users.info
_PASSES = frozenset(
    {"ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)


@dataclass(frozen=True, slots=True)
class Named:
    """The only people who may decide. The card shows `source`, where they are named, if there are none.

    `too`: whoever decides must be named here as well.
    """

    people: Approvers
    source: str
    too: Approvers | None = None

    @property
    def shown(self) -> Approvers:
        """The names on the card: those that both lists have, else the present ones, as groups may overlap."""
        if self.too is None:
            return self.people
        users, groups = self.people.users & self.too.users, self.people.groups & self.too.groups
        return Approvers(users, groups) if users or groups else self.too


@dataclass(frozen=True, slots=True)
class Readers:
    """Whoever may read beside the approvers: those of READERS, or else (None) the members of `channel`."""

    named: Approvers | None
    channel: str


class ByRuleAndClass:
    """The rule comes first; then the class's row in the policy as it is now.

    Somebody must be named by the rule that made the proposal, as it was then, and by the rule in force, or by
    what decides where that names nobody. If they share nobody, the rule in force alone decides. The undo of a
    proposal is decided by the people who may decide that proposal.
    """

    def __init__(self, approvers: Approvers, rules: RuleSet, store: Store) -> None:
        self._otherwise = Named(approvers, "APPROVERS")
        self._policy: Policy = rules.policy
        self._store = store
        # By version, which is the hash of the content: the entry of a version never changes.
        self._of_rule = {rule.version: rule.approvers for rule in rules.rules}
        own = [*self._of_rule.values(), *self._policy.approvers.values()]
        # Everybody who may decide anything, as the rules and the policy in force say.
        self.all = _split((approvers.users | approvers.groups).union(*own))
        self._in_force = {rule.name: rule for rule in rules.rules}

    async def __call__(self, proposal: Proposal | None, risk: str | None = None) -> Named:
        """The only people who may decide this proposal, or anything else of the class `risk`.

        Without either, those who decide when nothing else is said. Raises StoreError.
        """
        if proposal is not None and proposal.undo_of_id is not None:  # whoever may decide it may take it back
            proposal = await self._store.read(get_proposal, proposal.undo_of_id)
        if proposal is None:
            return self._of_class(risk)
        then = await self._then(proposal)
        rule = self._in_force.get(proposal.rule or "")
        if rule is None or rule.version == proposal.rule_version:
            return then
        now = self._of(rule.approvers, proposal)
        if now.people == then.people:
            return now
        groups = then.people.groups | now.people.groups
        if not groups and not then.people.users & now.people.users:
            return now
        return Named(then.people, now.source, now.people)

    async def _then(self, proposal: Proposal) -> Named:
        version = proposal.rule_version
        return self._of(() if version is None else await self._rule(version), proposal)

    def _of(self, own: Iterable[str], proposal: Proposal) -> Named:
        named = _split(own)
        if named.users or named.groups:
            return Named(named, f"approvers of rule {proposal.rule}")
        return self._of_class(proposal.risk)

    def _of_class(self, risk: str | None) -> Named:
        if risk in {named.value for named in self._policy.approvers}:
            return Named(_split(self._policy.approvers[Risk(risk)]), f"approvers of class {risk}")
        return self._otherwise

    async def _rule(self, version: str) -> tuple[str, ...]:
        if version not in self._of_rule:
            source = await self._store.read(rule_source, version) or {}
            self._of_rule[version] = people(source.get("approvers") or [])
        return self._of_rule[version]


def _split(ids: Iterable[str]) -> Approvers:
    named = frozenset(ids)
    groups = frozenset(one for one in named if one.startswith("S"))
    return Approvers(named - groups, groups)


@dataclass(slots=True)
class _Kept(Generic[T]):
    value: T
    asked_at: datetime


class Authority:
    """Decides whether a person may decide, or read. An empty list means nobody; doubt means no."""

    def __init__(
        self, slack: Slack, clock: Callable[[], datetime], deciders: ByRuleAndClass, readers: Readers
    ) -> None:
        self._slack, self._clock, self._deciders, self._readers = slack, clock, deciders, readers
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._nameless: dict[str, datetime] = {}
        self._users: dict[str, _Kept[UserProfile]] = {}
        self._groups: dict[str, _Kept[frozenset[str]]] = {}
        self._channels: dict[str, _Kept[frozenset[str]]] = {}
        self._handles: dict[str, _Kept[Mapping[str, str]]] = {}
        self.team_id: str | None = None  # ours, known after auth.test

    async def refusal(
        self,
        user_id: str,
        team_id: str | None,
        proposal: Proposal | None = None,
        *,
        by_id: bool = False,
        risk: str | None = None,
    ) -> Refusal | None:
        """The reason why this person may not decide; None when they may. `team_id` is that of the payload.

        `proposal` says for which one: its rule or its class may name who alone decides it; where there is
        none, `risk` says of which class it is. `by_id` is for whoever comes in past Slack, on the machine
        itself: while Slack does not answer, being listed by user id is enough. Raises StoreError.
        """
        named = await self._deciders(proposal, risk)
        return await self._refusal(user_id, team_id, named, by_id=by_id)

    async def named(self, proposal: Proposal | None = None) -> Approvers:
        """The ids of those who may decide a proposal; without one, of all who may decide anything. Raises
        StoreError.
        """
        if proposal is None:
            return self._deciders.all
        found = await self._deciders(proposal)
        too = found.too or found.people
        return Approvers(found.people.users & too.users, found.people.groups | too.groups)

    async def refusal_to_pause(
        self, user_id: str, team_id: str | None, *, by_id: bool = False
    ) -> Refusal | None:
        """The reason why this person may not stop automatic runs: whoever may decide anything at all may.

        The arguments are those of `refusal`.
        """
        named = Named(self._deciders.all, "APPROVERS")
        found = await self._refusal(user_id, team_id, named, by_id=by_id)
        return found if found is None or found.retryable else await self._naming(found, named)

    async def refusal_to_resume(
        self, user_id: str, team_id: str | None, *, by_id: bool = False
    ) -> Refusal | None:
        """The reason why this person may not allow automatic runs again: it takes somebody who may decide
        every class that can run automatically. The arguments are those of `refusal`. Raises StoreError.
        """
        for risk in STANDARDS:
            named = await self._deciders(None, risk)
            found = await self._refusal(user_id, team_id, named, by_id=by_id)
            if found is not None:
                if found.code is RefusalCode.NOT_AN_APPROVER:
                    found = Refusal(RefusalCode.NOT_OF_EVERY_CLASS, detail=risk)
                return found if found.retryable else await self._naming(found, named)
        return None

    async def _naming(self, found: Refusal, named: Named) -> Refusal:
        """The refusal with the names of those who may instead."""
        return replace(found, approvers=await self._names(named))

    async def _refusal(
        self, user_id: str, team_id: str | None, named: Named, *, by_id: bool
    ) -> Refusal | None:
        if self.team_id is None and not by_id:  # without it nobody can be told from another workspace
            return Refusal(RefusalCode.WORKSPACE_UNKNOWN)
        try:
            outside = await self._outside(user_id, team_id, Purpose.DECIDE)
            listed = await self._listed(user_id, named)
        except SlackError as error:
            by_name = user_id in named.people.users and (named.too is None or user_id in named.too.users)
            away = by_id and by_name and not isinstance(error, SlackRefused)
            return None if away else _not_said(error, Purpose.DECIDE)
        if outside is not None:
            return outside
        return None if listed else Refusal(RefusalCode.NOT_AN_APPROVER)

    async def refusal_to_read(
        self, user_id: str, team_id: str | None, purpose: Purpose = Purpose.VIEW
    ) -> Refusal | None:
        """The reason why this person may not read what the program shows; None when they may.

        Approvers may, and whoever is named in READERS. Without READERS the members of the channel of the
        cards may. `team_id` and doubt are as in `refusal`.
        """
        if self.team_id is None:
            return Refusal(RefusalCode.WORKSPACE_UNKNOWN, purpose)
        try:
            outside = await self._outside(user_id, team_id, purpose)
            if outside is not None or await self._reads(user_id):
                return outside
        except SlackError as error:
            return _not_said(error, purpose)
        named = self._readers.named is not None
        return Refusal(RefusalCode.NOT_A_READER if named else RefusalCode.NOT_IN_CHANNEL, purpose)

    async def _reads(self, user_id: str) -> bool:
        """Tell whether somebody is one of the readers. Raises SlackError when that is in doubt."""
        deciders, named, channel = self._deciders.all, self._readers.named, self._readers.channel
        if user_id in deciders.users or (named is not None and user_id in named.users):
            return True
        groups = deciders.groups | (named.groups if named is not None else frozenset())
        asks = [self._members(group, _GROUP_WHEN_DECIDING) for group in sorted(groups)]
        if named is None:
            asks.append(self._keep(self._channels, channel, _CHANNEL_FOR, self._slack.channel_members))
        found = await asyncio.gather(*asks, return_exceptions=True)
        if any(isinstance(one, frozenset) and user_id in one for one in found):
            return True
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return False

    async def everybody(self, proposal: Proposal | None = None) -> frozenset[str] | None:
        """All who are named to decide, as of now; None when Slack does not say. Raises StoreError."""
        named = await self._deciders(proposal)
        try:
            every = [await self._all_of(one) for one in (named.people, named.too or named.people)]
        except SlackError:
            return None
        return every[0] & every[1]

    async def name(self, user_id: str) -> str:
        """The name of a user; the id when Slack does not say. Slack is then not asked for ten seconds."""
        if self._nameless.get(user_id, self._clock()) > self._clock():
            return user_id
        try:
            return (await self._user(user_id)).name
        except SlackError:
            self._nameless[user_id] = self._clock() + _NAMELESS_FOR
            return user_id

    async def _outside(self, user_id: str, team_id: str | None, purpose: Purpose) -> Refusal | None:
        code = outside(await self._user(user_id, _WHEN_DECIDING), self.team_id, team_id)
        return None if code is None else Refusal(code, purpose)

    async def describe(self, proposal: Proposal | None = None) -> ApproverNames:
        """The names of those who may decide, people first."""
        return await self._names(await self._deciders(proposal))

    async def _names(self, named: Named) -> ApproverNames:
        names = [await self.name(user_id) for user_id in sorted(named.shown.users)]
        names += [await self._handle(group) for group in sorted(named.shown.groups)]
        return ApproverNames(tuple(names), named.source)

    def forget(self, user_id: str | None = None) -> None:
        """Slack says that somebody, or (None) a group, has changed."""
        if user_id is None:
            self._groups.clear()
        else:
            self._users.pop(user_id, None)

    def forget_channel(self, channel: str) -> None:
        """Slack says that somebody has joined or left a channel."""
        self._channels.pop(channel, None)

    async def _handle(self, group: str) -> str:
        try:
            handles = await self._keep(
                self._handles, "all", _GROUP_FOR, lambda _: self._slack.group_handles()
            )
        except SlackError:
            return f"user group {group}"
        return f"@{handles[group]}" if group in handles else f"user group {group}"

    async def _user(self, user_id: str, age: timedelta = _USER_FOR) -> UserProfile:
        return await self._keep(self._users, user_id, age, self._slack.user)

    async def _listed(self, user_id: str, named: Named) -> bool:
        for one in (named.people, named.too or named.people):
            if user_id not in one.users and not await self._in_a_group(user_id, one.groups):
                return False
        return True

    async def _all_of(self, named: Approvers) -> frozenset[str]:
        return named.users.union(*[await self._members(one, _GROUP_WHEN_DECIDING) for one in named.groups])

    async def _in_a_group(self, user_id: str, groups: Iterable[str]) -> bool:
        for group in groups:
            if user_id in await self._members(group, _GROUP_WHEN_DECIDING):
                return True
        return False

    async def _members(self, group: str, age: timedelta) -> frozenset[str]:
        return await self._keep(self._groups, group, age, self._slack.group_members)

    async def _keep(
        self, kept: dict[str, _Kept[T]], key: str, age: timedelta, ask: Callable[[str], Awaitable[T]]
    ) -> T:
        # One request at a time for each user: thirty cards rendered at once ask Slack once.
        async with self._asking[key]:
            now = self._clock()
            if key not in kept or kept[key].asked_at + age <= now:
                kept[key] = _Kept(await ask(key), now)
            return kept[key].value


def outside(user: UserProfile, our_team: str | None, acting_team: str | None = None) -> RefusalCode | None:
    """The reason why somebody may not act here at all; None for a full member of our workspace.

    `acting_team`: the workspace that a payload says they are of. Without `our_team` none is compared.
    """
    teams = {team for team in (acting_team, user.team_id) if team}
    if user.is_stranger or (our_team and teams - {our_team}):
        return RefusalCode.OTHER_WORKSPACE
    if user.deleted or user.is_bot:
        return RefusalCode.DEACTIVATED
    return RefusalCode.GUEST if user.is_guest else None


def _not_said(error: SlackError, purpose: Purpose) -> Refusal:
    """The refusal when Slack does not say who somebody is: doubt means no."""
    if not isinstance(error, SlackRefused) or error.code in _PASSES:
        return Refusal(RefusalCode.USER_UNKNOWN, purpose)
    if error.code in ("user_not_found", "user_not_visible"):
        return Refusal(RefusalCode.OTHER_WORKSPACE, purpose)
    return Refusal(RefusalCode.SLACK_REFUSED, purpose, error.code)


async def requirements_of(store: Store, policy: Policy, proposal: Proposal) -> ApprovalRequirements:
    """The requirements of its approval. An undo needs as many people as the call did. Raises StoreError."""
    own = requirements(policy, proposal)
    original = await store.read(get_proposal, proposal.undo_of_id) if proposal.undo_of_id else None
    if original is None:
        return own
    return replace(own, people=max(own.people, requirements(policy, original).people))


def requirements(policy: Policy, proposal: Proposal) -> ApprovalRequirements:
    """The number of approvals that the policy asks for, and the wait after the approval."""
    catalog, calls = operations(), proposal.calls
    known = [catalog[call.operation].describe(Call.of(call)) for call in calls if call.operation in catalog]
    # An operation that this version does not know counts as the worst.
    risk = Risk(proposal.risk) if proposal.risk in set(Risk) else Risk.R4
    back = proposal.kind != ProposalKind.ERASURE and len(known) == len(calls)
    reversible = back and all(effect.reversible for effect in known)
    hold = policy.undo_window_for(risk, reversible=reversible, money=any(effect.money for effect in known))
    two = policy.takes_two(risk, proposal.amount, proposal.currency, calls)
    return ApprovalRequirements(2 if two else 1, hold)
