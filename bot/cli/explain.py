"""`python -m bot explain ID`: everything behind one proposal as one JSON, which can be checked offline."""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.config.settings import SettingsError, load_settings
from bot.explain.document import explanation
from bot.explain.verify import NoExplanation, check
from bot.sanitize import clean
from bot.ui.graduation_words import reason_words
from store import open_store
from store.audit_log.explain import Explained, explained
from store.engine.errors import StoreError
from store.models.trust_codes import read_policy_reason

_SIGNS = {True: "fits  ", False: "WRONG ", None: "open  "}


def run(argv: Sequence[str]) -> int:
    """0 when it could be explained or everything fits; 1 when not."""
    options = _parser().parse_args(argv)
    if options.check is not None:
        return _check(options.check)
    try:
        url = load_settings().database_url.get_secret_value()
        found = asyncio.run(_read(url, options.id))
    except (SettingsError, StoreError) as error:
        print(error, file=sys.stderr)
        return 1
    if found is None:
        print(
            f"There is no proposal {clean(options.id, 40)}. Its id is the small print of its card.",
            file=sys.stderr,
        )
        return 1
    made = explanation(found, datetime.now(UTC))
    print(json.dumps(made, indent=2) if options.format == "json" else "\n".join(_text(made)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bot explain",
        description="Why something was asked, or ran on its own, and what came of it: the webhook's bytes, "
        "the rule, the kind of case and its score, the policy, who decided, the request and the answer, with "
        "the rows of the log. It holds what the webhook says of a customer.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("id", nargs="?", help="a proposal's id")
    what.add_argument(
        "--check",
        type=Path,
        metavar="FILE",
        help="make every hash, score and fingerprint of an explanation anew; needs no database",
    )
    parser.add_argument("--format", choices=["json", "text"], default="json")
    return parser


async def _read(url: str, proposal_id: str) -> Explained | None:
    async with open_store(url, exclusive=False) as store:
        return await store.do(explained, proposal_id)


def _check(file: Path) -> int:
    try:
        findings = check(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        print(f"{file} cannot be read ({error.strerror}).", file=sys.stderr)
        return 1
    except (ValueError, RecursionError, NoExplanation):
        print(f"{file} is no explanation as `python -m bot explain ID` prints it.", file=sys.stderr)
        return 1
    for finding in findings:
        print(f"{_SIGNS[finding.fits]}{clean(finding.words, 200)}")
    wrong = sum(finding.fits is False for finding in findings)
    total = len(findings)
    print(f"{wrong} of {total} checks failed." if wrong else f"All {total} checks passed.")
    return 1 if wrong else 0


def _text(made: Mapping[str, Any]) -> Iterator[str]:
    """The same for somebody who reads it; shorter."""
    proposal, webhook, gate = made["proposal"], made["webhook"], made["policy"] or {}
    yield f"{proposal['id']}  {clean(proposal['title'], 200)}"
    told = [proposal[name] for name in ("state", "mode", "risk") if proposal[name]]
    yield f"  {', '.join(told)}, made {proposal['created_at']}"
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
        said = clean(one["error"] or json.dumps(one["answer"]), 300)
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
        why = reason_words(read_policy_reason(gate["reason"]))
        yield f"Policy    {gate['verdict']}: {clean(why, 200)}"
