"""The `views.*` methods: modals and home tabs.

https://docs.slack.dev/reference/methods/views.open and its neighbours.
"""

import secrets
from dataclasses import replace
from typing import Any

from bot.demo.blockkit import lint_view
from bot.demo.slack.chat import explained
from bot.demo.slack.state import Json, Refused, View, Workspace

STACK = 3


def open_view(slack: Workspace, arguments: Json) -> Json:
    """views.open: a new stack for the user whose act gave the trigger."""
    content = checked(arguments.get("view"), "modal")
    user = _spend_trigger(slack, arguments)
    view = new_view(slack, user, content)
    slack.modals[user] = [view]
    slack.changed()
    return {"view": slack.view_json(view)}


def push_view(slack: Workspace, arguments: Json) -> Json:
    """views.push: on top of the open modal, at most three deep."""
    content = checked(arguments.get("view"), "modal")
    return {"view": slack.view_json(push(slack, _spend_trigger(slack, arguments), content))}


def update_view(slack: Workspace, arguments: Json) -> Json:
    """views.update, by `view_id` or `external_id`, guarded by `hash` when given."""
    view_id, external_id = arguments.get("view_id"), arguments.get("external_id")
    matches = (
        view
        for view in slack.views
        if view_id == view.id or (external_id and view.content.get("external_id") == external_id)
    )
    view = next(matches, None)
    if view is None:
        raise Refused("not_found")
    content = checked(arguments.get("view"), view.content["type"])
    return {"view": slack.view_json(change(slack, view, content, arguments.get("hash")))}


def publish_view(slack: Workspace, arguments: Json) -> Json:
    """views.publish: the home tab of one user."""
    content = checked(arguments.get("view"), "home")
    user = slack.user(arguments.get("user_id"))
    if user.role == "deactivated":
        raise Refused("not_enabled")
    old = slack.homes.get(user.id)
    if old is not None:
        return {"view": slack.view_json(change(slack, old, content, arguments.get("hash")))}
    return {"view": slack.view_json(slack.put_view(new_view(slack, user.id, content)))}


def new_view(slack: Workspace, user: str, content: Json, previous: View | None = None) -> View:
    """A view that is not shown yet."""
    view_id = slack.next_id("V")
    shown = {**content, "blocks": slack.with_ids(content["blocks"])}
    root, before = (previous.root, previous.id) if previous else (view_id, None)
    return View(view_id, user, shown, _hash(slack), root, before)


def push(slack: Workspace, user: str, content: Json) -> View:
    """Puts a view on top of the user's stack. Raises Refused push_limit_reached."""
    stack = slack.modals.get(user, [])
    if not stack:
        raise Refused("not_found")
    if len(stack) >= STACK:
        raise Refused("push_limit_reached")
    view = new_view(slack, user, content, stack[-1])
    slack.modals[user] = [*stack, view]
    slack.changed()
    return view


def change(slack: Workspace, view: View, content: Json, expected: Any = None) -> View:
    """Replaces what a view shows. Raises Refused hash_conflict."""
    if expected is not None and expected != view.hash:
        raise Refused("hash_conflict")
    shown = {**content, "blocks": slack.with_ids(content["blocks"])}
    return slack.put_view(replace(view, content=shown, hash=_hash(slack), errors=None))


def checked(content: Any, kind: str) -> Json:
    """The view if Slack would take it as a view of this kind. Raises Refused."""
    if not isinstance(content, dict):
        raise Refused("invalid_arguments", **_said("missing required field: view"))
    if content.get("type") != kind:
        raise Refused("invalid_arguments", **_said(f"view type must be {kind} [json-pointer:/view/type]"))
    if findings := lint_view(content):
        raise Refused("invalid_arguments", **explained(findings, "/view"))
    return content


def _spend_trigger(slack: Workspace, arguments: Json) -> str:
    held, error = slack.triggers.spend(arguments.get("trigger_id"))
    if error is not None:
        raise Refused(error)
    return str(held[0])


def _said(message: str) -> dict[str, Any]:
    return {"response_metadata": {"messages": [f"[ERROR] {message}"]}}


def _hash(slack: Workspace) -> str:
    return f"{int(slack.clock())}.{secrets.token_hex(4)}"
