"""All facts about one proposal as pages of a modal: question, reasons, calls and comments."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bot.rules import in_new_keys
from bot.ui.elements import (
    Block,
    ButtonValue,
    Element,
    actions,
    bullet_list,
    bullets,
    button,
    glue,
    labelled,
    line,
    modal,
    opens,
    person,
    preformatted,
    rich,
    when,
    words,
)
from bot.ui.graduation_words import because_words, gate_rows
from bot.ui.reasons import because, condition, elements
from bot.ui.states import counted, does, phrase, risk_words
from polar import redaction
from polar.text.words import clean
from store.models import PlannedCall, ProposalState
from store.models.details import Comment, CommentKind, ProposalDetails, Revision
from store.models.reasons import Reason, ReasonCode

DETAILS, BACK, NEXT = "details", "details.back", "details.next"  # action ids
_PAGE_BLOCKS = 24
_PAGE_TEXT = 9_000  # characters: more needs too much scrolling on a phone
_MOST_SAID = 60  # the newest comments and lines of the trail that are shown
_KINDS: Mapping[CommentKind, str] = {
    CommentKind.REASON: "why declined",
    CommentKind.THREAD: "in the thread",
    CommentKind.ACT: "did",
}


def details_view(
    found: ProposalDetails, deciders: str, links: Mapping[str, str], page: int = 1
) -> dict[str, Any]:
    """One page of the details. `deciders` names the approvers; `links` lead to the customer's other cards."""
    pages = _pages(list(_blocks(found, deciders, links)))
    page = min(max(page, 1), len(pages))
    blocks, identity = [*pages[page - 1]], found.proposal.id
    if len(pages) > 1:
        ways = [(BACK, "Back", page - 1), (NEXT, "Next", page + 1)]
        there = [(way, label, to) for way, label, to in ways if 1 <= to <= len(pages)]
        turns = [button(way, label, ButtonValue(identity, to)) for way, label, to in there]
        blocks.append(actions(f"turn.{page}", turns))
    title = "Details" if len(pages) == 1 else f"Details, page {page} of {len(pages)}"
    return modal(title, blocks, callback_id="details", metadata=identity)


def loading() -> dict[str, Any]:
    """The modal that is shown until all facts are read."""
    return modal("Details", [rich("loading", line(glue("One moment…")))], callback_id="details")


def _pages(blocks: Sequence[Block]) -> list[list[Block]]:
    """Cut the sections into pages. A heading is the first block of its section, so it never ends a page."""
    pages: list[list[Block]] = [[]]
    size = 0
    for block in blocks:
        weight = len(json.dumps(block["elements"], ensure_ascii=False))
        if pages[-1] and (len(pages[-1]) >= _PAGE_BLOCKS or size + weight > _PAGE_TEXT):
            pages.append([])
            size = 0
        pages[-1].append(block)
        size += weight
    return pages


# --- The sections, in the order in which an approver needs them -------------------------------------------


def _blocks(found: ProposalDetails, deciders: str, links: Mapping[str, str]) -> Iterator[Block]:
    number = 0
    for heading, section in _SECTIONS:
        parts = section(found)
        if heading == "This customer" and parts:
            parts = [*parts, *_earlier(found, links)]
        if heading == "The question":
            parts = [*parts, line(words(deciders or "–", 300))]
        parts = [part for part in parts if part["elements"]]
        for place, part in enumerate(parts):
            head = [line(words(heading, bold=True))] if place == 0 else []
            number += 1
            yield rich(f"details.{number}", *head, part)


def _question(found: ProposalDetails) -> list[Element]:
    p = found.proposal
    rows = [("State", phrase(p.state)), ("Does", does(p)), ("Risk", risk_words(p))]
    rows += [("Always asks", because_words(p.always_asks))] if p.always_asks else []
    rows += [("Revision", f"{p.revision}, version {p.row_version}"), ("Id", p.id)]
    times = (
        ("Proposed", p.created_at),
        ("Deadline", p.deadline),
        ("Closes", p.expires_at),
        ("Snoozed until", p.snoozed_until),
    )
    people = (
        ("Proposed by", p.proposer),
        ("Assigned to", p.assignee),
        ("On hold by", p.held_by),
        ("Edited by", p.edited_by),
        ("Decided by", p.decided_by),
    )
    why = [line(*elements(p.status_reason, 600))] if p.status_reason else []
    parts = [line(words(p.title, 600)), labelled(rows), *why]
    parts.append(labelled((label, when(at)) for label, at in times if at is not None))
    return [*parts, labelled((label, person(actor)) for label, actor in people if actor)]


def _no_longer(found: ProposalDetails) -> list[Element]:
    if found.proposal.state != ProposalState.WITHDRAWN:
        return []
    asked = _source(found).get("precondition")
    reason = found.proposal.status_reason or Reason(ReasonCode.NO_LONGER_APPLIES)
    said = [line(*elements(reason, 600))]
    false_part = condition(reason)
    said += [line(words(false_part, 600))] if false_part else []
    return said + ([*code(f"precondition = {asked}")] if asked else [])


def _sent(found: ProposalDetails) -> list[Element]:
    """Each call as it will be sent, without its secrets."""
    p = found.proposal
    parts = [part for call in p.calls[:20] for part in code(pretty(_shown(call)))]
    more = len(p.calls) - 20
    return parts + ([line(glue(f"and {more} more calls of the same kind"))] if more > 0 else [])


def _shown(call: PlannedCall) -> dict[str, Any]:
    shown: dict[str, Any] = {"operation": call.operation}
    for name in ("path", "query", "body"):
        if value := getattr(call, name):
            shown[name] = redaction.redacted(dict(value), name)
    return shown


def _source(found: ProposalDetails) -> Mapping[str, Any]:
    """The rule at the time of the proposal; empty for a proposal without a rule."""
    return in_new_keys(found.rule_source or {})


def _rule(found: ProposalDetails) -> list[Element]:
    p = found.proposal
    if p.rule is None:
        return []
    head = line(words(p.rule, 100), glue(", version "), words(str(p.rule_version), 100))
    return [head, *(code(toml(_source(found))) if found.rule_source else ())]


def _reads(found: ProposalDetails) -> list[Element]:
    reads = _source(found).get("read") or {}
    rows = [f"{name}: {one.get('operation', '–')}" for name, one in reads.items() if isinstance(one, Mapping)]
    kept = found.proposal.reads
    return [bullets(rows), *(code(pretty(redaction.public(kept))) if kept else [])]


def _payload(found: ProposalDetails) -> list[Element]:
    if found.event is None:
        return []
    try:
        body = json.loads(found.event.body)
    except ValueError:
        return [line(glue("The webhook cannot be read."))]
    head = line(words(found.event.type, 100), glue(", received "), when(found.event.received_at))
    return [head, *code(pretty(redaction.public(body)))]


def _latest(found: ProposalDetails) -> list[Element]:
    if found.latest is None:
        return []
    return [line(words(str(found.proposal.subject), 200)), *code(pretty(redaction.public(found.latest)))]


def _customer(found: ProposalDetails) -> list[Element]:
    who = found.proposal.customer or str(found.proposal.customer_id)
    return [line(words(who, 200), glue(": "), words(counted(found.counts)))] if found.counts else []


def _earlier(found: ProposalDetails, links: Mapping[str, str]) -> list[Element]:
    return [bullet_list([
        line(words(one.title, 150), glue(f" – {phrase(one.state)}, "), when(one.created_at),
             glue(f"  {one.id}"), *opens(links.get(one.id)))
        for one in found.earlier
    ])]  # fmt: skip


def _trail(found: ProposalDetails) -> list[Element]:
    return [bullet_list([
        line(when(one.at), glue(f"  {phrase(one.to)} – "), person(one.actor), *because(one.reason, 300))
        for one in found.trail[-_MOST_SAID:]
    ])]  # fmt: skip


def _decisions(found: ProposalDetails) -> list[Element]:
    return [bullet_list([
        line(when(one.at), glue(f"  {one.verdict} by "), person(one.actor),
             glue(f", revision {one.revision}, via {clean(one.via, 20)}"),
             *([glue(": "), words(one.reason, 300)] if one.reason else []))
        for one in found.decisions
    ])]  # fmt: skip


def _comments(found: ProposalDetails) -> list[Element]:
    rows = [_comment(one) for one in found.comments[-_MOST_SAID:]]
    return [bullet_list(rows[at : at + 15]) for at in range(0, len(rows), 15)]


def _comment(one: Comment) -> Element:
    kind = f" ({_KINDS[one.kind]}): {'(deleted) ' if one.deleted else ''}"
    return line(when(one.at), glue("  "), person(one.author), glue(kind), words(one.text, 500))


def _revision(one: Revision) -> list[Element]:
    head = line(
        glue(f"Revision {one.revision}, until "), when(one.superseded_at), glue(" – changed by "),
        person(one.superseded_by), glue(":\n"), words(one.title, 300),
    )  # fmt: skip
    calls = [PlannedCall(c["operation"], c["path"], c["query"], c["body"]) for c in one.calls[:5]]
    return [head, *(part for call in calls for part in code(pretty(_shown(call))))]


_SECTIONS: tuple[tuple[str, Callable[[ProposalDetails], list[Element]]], ...] = (
    ("The question", _question),
    (
        "What changed since the revision before",
        lambda found: [bullets(f"{label}: {old} → {new}" for label, old, new in found.proposal.changes)],
    ),
    ("No longer true", _no_longer),
    ("Because", lambda found: [bullets(found.proposal.reasons)]),
    ("Facts", lambda found: [labelled(found.proposal.facts, 400)]),
    ("What is sent to Polar", _sent),
    ("Comments and actions", _comments),
    ("Decisions", _decisions),
    ("Trail", _trail),
    ("This customer", _customer),
    ("Score and why", lambda found: [labelled(gate_rows(found.proposal), 600)]),
    ("Rule", _rule),
    ("What was read of Polar", _reads),
    ("Earlier revisions", lambda found: [part for one in found.revisions for part in _revision(one)]),
    ("Newest data from Polar", _latest),
    ("The webhook", _payload),
)
_PIECE = 2_400  # characters of one preformatted block
_MOST_PIECES = 8  # of one value: 19,000 characters; the rest is in the export


def toml(source: Mapping[str, Any]) -> str:
    """The content of a rule, much as in its file."""
    plain = [f"{name} = {_toml(value)}" for name, value in source.items() if not isinstance(value, Mapping)]
    tables = [
        f"\n[{name}]\n" + "\n".join(f"{key} = {_toml(each)}" for key, each in value.items())
        for name, value in source.items()
        if isinstance(value, Mapping)
    ]
    return "\n".join([*plain, *tables])


def _toml(value: Any) -> str:
    if isinstance(value, str) and "\n" in value:
        return f"'''\n{value}'''"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False, default=str)


def pretty(value: Any) -> str:
    """Indented JSON for a reader."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def code(text: str) -> list[Element]:
    """The text line by line, in pieces that Slack accepts. Omitted text is counted."""
    pieces = [""]
    for full in text.splitlines():
        # Without characters that hide or reverse text. Its indentation stays.
        row = " " * min(len(full) - len(full.lstrip(" ")), 40) + clean(full, _PIECE - 100)
        if len(pieces[-1]) + len(row) >= _PIECE:
            pieces.append("")
        pieces[-1] += f"{row}\n"
    shown = [piece for piece in pieces if piece.strip()][:_MOST_PIECES]
    found = [preformatted(piece.rstrip("\n")) for piece in shown]
    if len(pieces) > _MOST_PIECES:
        left = len(text) - sum(len(piece) for piece in shown)
        found.append(line(glue(f"and {left} more characters: see `polar-approvals export`")))
    return found
