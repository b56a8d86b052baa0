"""`polar-approvals explain ID`: print everything behind one proposal as JSON, to be checked offline."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bot.cli.command import CommandError, from_database, parser, tells
from bot.cli.explain_words import sentence
from bot.explain.document import explanation
from bot.explain.verify import NoExplanation, check
from bot.ui.graduation_words import reason_words
from bot.ui.reasons import plain
from polar.text.words import clean
from store.models.reasons import read_policy_reason, read_reason
from store.proposals.details import explained

_SIGNS = {True: "fits  ", False: "WRONG ", None: "open  "}


@tells()
def run(argv: Sequence[str]) -> int:
    """0 when it could be explained or everything fits; 1 when not."""
    options = _parser().parse_args(argv)
    if options.check is not None:
        return _check(options.check)
    found = from_database(partial(explained, proposal_id=options.id))
    if found is None:
        msg = f"There is no proposal {clean(options.id, 40)}. Its id is the small print of its card."
        raise CommandError(msg)
    made = explanation(found, datetime.now(UTC))
    print(json.dumps(made, indent=2) if options.format == "json" else "\n".join(_text(made)))
    return 0


def _parser() -> argparse.ArgumentParser:
    arguments = parser(
        "explain",
        "Print why a case was asked or ran automatically, and its result: the webhook's bytes, the rule, "
        "the kind of case and its score, the policy, the decisions, the request, the answer, and the rows "
        "of the audit log. It holds what the webhook says of a customer.",
    )
    what = arguments.add_mutually_exclusive_group(required=True)
    what.add_argument("id", nargs="?", help="a proposal's id")
    what.add_argument(
        "--check",
        type=Path,
        metavar="FILE",
        help="compute every hash, score and fingerprint of an explanation again; needs no database",
    )
    arguments.add_argument("--format", choices=["json", "text"], default="json")
    return arguments


def _check(file: Path) -> int:
    try:
        findings = check(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise CommandError(f"{file} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError, NoExplanation) as error:
        raise CommandError(f"{file} is no explanation as `polar-approvals explain ID` prints it.") from error
    for finding in findings:
        print(f"{_SIGNS[finding.fits]}{clean(sentence(finding), 200)}")
    wrong = sum(finding.fits is False for finding in findings)
    total = len(findings)
    print(f"{wrong} of {total} checks failed." if wrong else f"All {total} checks passed.")
    return 1 if wrong else 0


def _text(made: Mapping[str, Any]) -> Iterator[str]:
    """The same for somebody who reads it; shorter."""
    proposal, webhook, gate = made["proposal"], made["webhook"], made["policy"] or {}
    yield f"{proposal['id']}  {clean(proposal['title'], 200)}"
    shown = [proposal[name] for name in ("state", "mode", "risk") if proposal[name]]
    yield f"  {', '.join(shown)}, made {proposal['created_at']}"
    if webhook is not None:
        yield f"Webhook   {webhook['type']} {webhook['id']}, {webhook['sent_at']}"
        yield f"          sha256 {webhook['body_sha256']}"
    rule = made["rule"]
    yield f"Rule      {rule['name']} version {rule['version']}" if rule["name"] else "Rule      none: by hand"
    if made["case_kind"] is not None:
        yield f"Kind      {clean(made['case_kind']['label'], 200)}"
    yield from _trust(made, gate)
    for one in made["decisions"]:
        yield f"Decision  {one['verdict']} by {one['actor']} ({one['via']}), {one['at']}"
    for call in made["calls"]:
        with_ = " ".join(json.dumps(call[name]) for name in ("path", "query", "body") if call[name])
        yield f"Request   {call['method']} {call['route']} {with_}"
    for one in made["answers"]:
        reason = read_reason(one["reason_code"], one["reason_args"])
        said = plain(reason, 300) if reason is not None else clean(json.dumps(one["answer"]), 300)
        yield f"Answer    {one['status']} {one['state']}: {said}"
    for one in made["outcomes"]:
        yield f"Later     {one['kind']}: {clean(one['source'], 100)}, {one['at']}"
    log = made["log"]
    yield f"Log       {len(log['rows'])} rows about it; the newest of all is {log['head']['seq']},"
    yield f"          {log['head']['hash']}"


def _trust(made: Mapping[str, Any], gate: Mapping[str, Any]) -> Iterator[str]:
    if made["score"] is not None:
        said = made["score"]
        how = " by manual override" if said["manual_override"] else ""
        yield (
            f"Score     {said['score']:.1f} of {said['target']}: {said['cases']} cases, "
            f"{said['rejections']} rejections, generation {said['generation']}, {said['state']}{how}"
        )
    check = made["spot_check"]
    if check is not None:
        drawn = "drawn" if check["drawn"] else "not drawn"
        yield f"Checked   with a chance of {check['probability']:g}: {drawn}"
    if made["withheld"]:
        yield f"Policy    {made['withheld']}"
    if gate:
        why = clean(reason_words(read_policy_reason(gate["reason"])), 200)
        yield f"Policy    {gate['verdict']}: {why}"
