"""People acting: taps on messages and views, modals, commands, typed messages, the home tab."""

import html
import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from functools import wraps
from itertools import chain
from typing import Any, ParamSpec

from bot.demo.blockkit import lint_options
from bot.demo.slack import payloads, views
from bot.demo.slack.chat import respond
from bot.demo.slack.conversations import direct_messages, known_channel, thread_root
from bot.demo.slack.delivery import Ack, Kind, Transport, deliver
from bot.demo.slack.payloads import CannotAct, chosen, unfinished, view_state
from bot.demo.slack.people import Channel, User
from bot.demo.slack.state import BROKEN, Json, Message, Refused, ResponseUrl, View, Workspace, elements

SHORTEST_QUERY = 3  # Slack's default for min_query_length


@dataclass(frozen=True, slots=True)
class Clicked:
    """The result of one act: acknowledged in time or not, after how long, and why not.

    `options` or `option_groups` are what the app offers for what was typed into an external select.
    """

    acked: bool
    ms: float = 0.0
    error: str | None = None
    options: list[Json] = field(default_factory=list)
    option_groups: list[Json] = field(default_factory=list)


Acting = ParamSpec("Acting")


def _tried(act: Callable[Acting, Awaitable[Clicked]]) -> Callable[Acting, Awaitable[Clicked]]:
    """The same act; what cannot be done, or is not offered, is an answer instead of an exception."""

    @wraps(act)
    async def tried(*args: Acting.args, **kwargs: Acting.kwargs) -> Clicked:
        try:
            return await act(*args, **kwargs)
        except (CannotAct, Refused) as problem:
            return Clicked(acked=False, error=str(problem))

    return tried


class Interactions:
    """Acts of people on one workspace. Each waits for the app's acknowledgement."""

    def __init__(self, slack: Workspace, transport: Transport, commands: Collection[str]) -> None:
        """`commands` are the slash commands that exist."""
        self.workspace, self.transport, self._commands = slack, transport, commands
        self._suggested: dict[tuple[str, str], list[Json]] = {}

    @_tried
    async def click(
        self, user: str, channel: str, ts: str, action_id: str, block_id: str | None = None, **given: Any
    ) -> Clicked:
        """Taps an element of a message. `value` or `selected_option` choose among options.

        Only what is on the stored message, or was a moment ago, can be tapped.
        """
        actor, where = self._actor(user), known_channel(self.workspace, channel)
        message = self.workspace.find(channel, ts, user)
        if message is None:
            raise CannotAct("There is no such message.")
        if user not in where.members:
            raise CannotAct("This person is not in the channel.")
        # A screen may be behind: Slack takes a tap on what was there a moment ago, and the app answers it.
        before = self.workspace.drawn_before.get((channel, ts), ())
        block, element = _find([*message.blocks, *chain.from_iterable(reversed(before))], action_id, block_id)
        entry = payloads.action(self.workspace, block, element, chosen(element, given))
        return await self.send_tap(actor, where, ts, entry)

    async def send_tap(self, actor: User, channel: Channel, ts: str, entry: Json) -> Clicked:
        """Tells the app of a tap; `entry` is what was tapped on the message."""
        message = self.workspace.find(channel.id, ts, actor.id)
        payload = payloads.on_message(self.workspace, actor, channel, ts, message) | {"actions": [entry]}
        ack, clicked = await self._send("interactive", payload, f"block_actions {entry['action_id']}")
        self.workspace.warn(actor.id, ts, None if ack.error is None else BROKEN)
        return clicked

    @_tried
    async def view_click(
        self, user: str, view_id: str, action_id: str, block_id: str | None = None, **given: Any
    ) -> Clicked:
        """Taps an element of a modal or of the home tab; `values` holds what else was typed."""
        actor, view = self._actor(user), self._own_view(user, view_id)
        block, element = _find(view.content["blocks"], action_id, block_id)
        values = given.pop("values", {})
        choice = chosen(element, given, self._suggested.get((view_id, action_id), ()))
        state = view_state(view.content["blocks"], values, self._offered(view_id))
        entry = payloads.action(self.workspace, block, element, choice)
        payload = payloads.on_view(self.workspace, "block_actions", actor, view, state) | {"actions": [entry]}
        ack, clicked = await self._send("interactive", payload, f"block_actions {action_id}")
        self._show_view_problem(view, ack)
        return clicked

    @_tried
    async def submit(self, user: str, view_id: str, values: Json | None = None) -> Clicked:
        """Submits the modal; what Slack's client would not let through is not sent."""
        actor, view = self._actor(user), self._top_modal(user, view_id)
        blocks = view.content["blocks"]
        state = view_state(blocks, values or {}, self._offered(view_id))
        if complaints := unfinished(blocks, state):
            self.workspace.put_view(replace(view, errors=complaints))
            return Clicked(acked=False, error="The form is not complete.")
        payload = payloads.on_view(self.workspace, "view_submission", actor, view, state)
        what = f"view_submission {view.content.get('callback_id')}"
        ack, clicked = await self._send("interactive", payload, what)
        try:
            if ack.error is None:
                self._after_submit(view, ack.payload)
        except Refused as refused:
            ack, clicked = Ack(error=refused.code), _not_taken(clicked, refused)
        self._show_view_problem(view, ack)
        return clicked

    @_tried
    async def close(self, user: str, view_id: str) -> Clicked:
        """Closes the top modal (all of them with `clear_on_close`); the app hears of it if it asked to."""
        actor, view = self._actor(user), self._top_modal(user, view_id)
        self._pop(view, everything=bool(view.content.get("clear_on_close")))
        if not view.content.get("notify_on_close"):
            return Clicked(acked=True)
        payload = payloads.on_view(self.workspace, "view_closed", actor, view, {})
        return (await self._send("interactive", payload, "view_closed"))[1]

    @_tried
    async def suggest(
        self, user: str, view_id: str, action_id: str, value: str, block_id: str | None = None
    ) -> Clicked:
        """Asks the app for the options of an external select in a view, once enough was typed."""
        actor, view = self._actor(user), self._own_view(user, view_id)
        block, element = _find(view.content["blocks"], action_id, block_id)
        if len(value) < element.get("min_query_length", SHORTEST_QUERY):
            return Clicked(acked=True)
        asked = {"action_id": action_id, "block_id": block["block_id"], "value": value}
        payload = payloads.on_view(self.workspace, "block_suggestion", actor, view, {}) | asked
        ack, clicked = await self._send("interactive", payload, f"block_suggestion {action_id}")
        answer = ack.payload if isinstance(ack.payload, dict) else {}
        options, groups = answer.get("options") or [], answer.get("option_groups") or []
        if not options and not groups:  # how an app says that nothing matches
            return clicked
        if faults := lint_options({"option_groups": groups} if groups else {"options": options}):
            return replace(clicked, error=f"Slack refused the options: {faults[0]}")
        grouped = [option for group in groups for option in group["options"]]
        self._suggested.setdefault((view_id, action_id), []).extend([*options, *grouped])
        return replace(clicked, options=options, option_groups=groups)

    @_tried
    async def command(self, user: str, name: str, text: str = "") -> Clicked:
        """Types a slash command in the channel; the answer in the acknowledgement is shown."""
        actor = self._actor(user)
        if name not in self._commands:
            return Clicked(acked=False, error=f"{name} is not a valid command.")
        payload = payloads.command(self.workspace, actor, name, text)
        ack, clicked = await self._send("slash_commands", payload, f"command {name}")
        if ack.error is not None:
            error = "operation_timeout" if ack.error in ("timeout", "http_timeout") else "dispatch_failed"
            self._post_ephemeral(user, f'{name} failed with the error "{error}"')
        elif isinstance(ack.payload, dict) and (ack.payload.get("text") or ack.payload.get("blocks")):
            target = ResponseUrl(user, self.workspace.channel.id, None)
            try:
                respond(self.workspace, target, ack.payload)
            except Refused as refused:
                return _not_taken(clicked, refused)
        return clicked

    def say(self, user: str, text: str, thread_ts: str | None = None) -> str:
        """Posts a message in Slack's encoding (`<@U…>`, `&lt;`); the ts. Raises CannotAct, Refused."""
        actor, channel = self._actor(user), self.workspace.channel
        if actor.id not in channel.members:
            raise CannotAct("This person is not in the channel.")
        root = thread_root(self.workspace, channel, thread_ts)
        message = Message(channel.id, self.workspace.next_ts(), actor.id, text, [], thread_ts=root)
        self.workspace.put(message)
        event = self.workspace.message_json(message) | {"channel": channel.id, "event_ts": message.ts}
        self.workspace.on_event(event | {"channel_type": "channel"})
        if f"<@{self.workspace.app.bot_user_id}>" in text:
            self.workspace.on_event(event | {"type": "app_mention"})
        return message.ts

    def open_home(self, user: str) -> None:
        """Opens the app's home tab. Raises CannotAct."""
        actor = self._actor(user)
        event: Json = {"type": "app_home_opened", "user": actor.id, "tab": "home"}
        event["event_ts"] = self.workspace.next_ts()
        event["channel"] = direct_messages(self.workspace, actor.id).id
        if (home := self.workspace.homes.get(actor.id)) is not None:
            event["view"] = self.workspace.view_json(home)
        self.workspace.on_event(event)

    def encode(self, typed: str, *, labels: bool = False) -> str:
        """Typed text as Slack sends it: `&<>` escaped, `@name` a mention (`labels`: with the name in it)."""
        names = {user.name: user.id for user in self.workspace.users.values()}
        names[self.workspace.app.bot_name] = self.workspace.app.bot_user_id

        def mention(match: re.Match[str]) -> str:
            name = match[1]
            if name not in names:
                return match[0]
            return f"<@{names[name]}|{name}>" if labels else f"<@{names[name]}>"

        return re.sub(r"@([a-z0-9][a-z0-9._-]*)", mention, html.escape(typed, quote=False))

    # --- Elements to act on -------------------------------------------------------------------------

    def _actor(self, user_id: str) -> User:
        user = self.workspace.users.get(user_id)
        if user is None or user.role == "deactivated":
            raise CannotAct("This account is deactivated or unknown.")
        return user

    def _offered(self, view_id: str) -> list[Json]:
        """Every option the app has suggested in this view."""
        return [one for (view, _), options in self._suggested.items() if view == view_id for one in options]

    def _own_view(self, user: str, view_id: str) -> View:
        view = self.workspace.view(view_id)
        if view is None or view.user != user:
            raise CannotAct("There is no such view.")
        return view

    def _top_modal(self, user: str, view_id: str) -> View:
        stack = self.workspace.modals.get(user, [])
        if not stack or stack[-1].id != view_id:
            raise CannotAct("There is no such modal on top.")
        return stack[-1]

    # --- Results ------------------------------------------------------------------------------------

    async def _send(self, kind: Kind, payload: Json, what: str) -> tuple[Ack, Clicked]:
        ack = await deliver(self.workspace, self.transport, kind, payload, what=what)
        return ack, Clicked(ack.error is None, ack.ms, ack.error)

    def _after_submit(self, view: View, answer: Any) -> None:
        action = answer.get("response_action") if isinstance(answer, dict) else None
        if action == "errors":
            inputs = {block["block_id"] for block in view.content["blocks"] if block["type"] == "input"}
            errors = answer.get("errors")
            if not isinstance(errors, dict) or not errors or not set(errors) <= inputs:
                raise Refused("invalid_errors", known=sorted(inputs))
            self.workspace.put_view(replace(self.workspace.view(view.id) or view, errors=errors))
        elif action == "update":
            views.change(self.workspace, view, views.checked(answer.get("view"), "modal"))
        elif action == "push":
            views.push(self.workspace, view.user, views.checked(answer.get("view"), "modal"))
        elif action in (None, "clear"):
            self._pop(view, everything=action == "clear")
        else:
            raise Refused("invalid_response_action", response_action=action)

    def _pop(self, view: View, *, everything: bool) -> None:
        stack = self.workspace.modals.get(view.user, [])
        self.workspace.modals[view.user] = [] if everything else [old for old in stack if old.id != view.id]
        self.workspace.changed()

    def _show_view_problem(self, view: View, ack: Ack) -> None:
        current = self.workspace.view(view.id)
        if ack.error is not None and current is not None:
            self.workspace.put_view(replace(current, errors={"": BROKEN}))

    def _post_ephemeral(self, user: str, text: str) -> None:
        where, ts = self.workspace.channel.id, self.workspace.next_ts()
        self.workspace.put(Message(where, ts, "USLACKBOT", text, [], ephemeral_to=user))


def _find(blocks: list[Json], action_id: str, block_id: str | None) -> tuple[Json, Json]:
    for block, element in elements(blocks):
        if element["action_id"] == action_id and block_id in (None, block["block_id"]):
            return block, element
    raise CannotAct(f"There is no {action_id!r} to tap any more.")


def _not_taken(clicked: Clicked, refused: Refused) -> Clicked:
    return replace(clicked, error=f"Slack refused the app's answer: {refused.code} {refused.more}")
