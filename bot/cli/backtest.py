"""`polar-approvals backtest`: replay the log under any policy; each decision is read only afterwards."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bot.cli.command import beside_the_program, parser, tells
from bot.config.policy import Policy
from bot.config.policy import duration as length
from bot.config.settings import load_settings
from bot.graduation.backtest import Group, KindReport, Report, Tally, Totals
from bot.graduation.replay import Replayed
from bot.graduation.score import score
from bot.rules import RulesError, load_rules
from bot.ui.graduation import duration
from bot.ui.graduation_words import RESULTS, always_words
from polar.text.words import clean, format_money
from store import Store
from store.graduation.past_cases import case_ids, draw_secret, kinds, past_cases
from store.models import CaseKindState
from store.models.reasons import CaseResult, PolicyCode

_UNKNOWN_SECRET = b"nothing has been drawn yet"
_WIDEST = 62
_SLICE = 500  # cases that are read at a time


@tells(RulesError)
def run(argv: Sequence[str]) -> int:
    """Print what would have run; 0, or 1 when something given cannot be used."""
    options = _parser().parse_args(argv)
    policy = load_rules(options.policy or load_settings().rules_file).policy
    since = None if options.since is None else datetime.now(UTC) - options.since
    found, drawn = beside_the_program(partial(_walk, policy, since))
    as_json = options.json
    print(json.dumps(_as_json(found, since, drawn), indent=2) if as_json else _table(found, since, drawn))
    return 0


async def _walk(policy: Policy, since: datetime | None, store: Store) -> tuple[Report, bool]:
    """The report, and whether spot checks were drawn so far. A slice of the cases is read at a time."""
    ids, case_kinds, secret = await store.read(lambda c: (case_ids(c), kinds(c), draw_secret(c)))
    replayed, tally = Replayed(case_kinds, policy, secret or _UNKNOWN_SECRET), Tally(since)
    for start in range(0, len(ids), _SLICE):
        for case in await store.read(past_cases, ids[start : start + _SLICE]):
            tally.add(replayed.arrive(case))
    return tally.report(replayed.finish()), secret is not None


def _parser() -> argparse.ArgumentParser:
    arguments = parser(
        "backtest",
        "Walk the past case by case under a policy, as if it had been in force: what would have "
        "run without a question, and what people said of those cases. Nothing is changed; works while the "
        "program runs.",
    )
    arguments.add_argument(
        "--policy",
        type=Path,
        metavar="FILE",
        help="a rules file with [graduation] and [caps]; else RULES_FILE",
    )
    arguments.add_argument(
        "--since",
        type=_length,
        metavar="90d",
        help="count only the cases since then; earlier cases still change the scores (default: all)",
    )
    arguments.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return arguments


def _length(value: str) -> Any:
    try:
        return length(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


# --- For people -------------------------------------------------------------------------------------------


def _table(found: Report, since: datetime | None, drawn: bool) -> str:
    total = found.total
    period = "all of the log" if since is None else f"since {since:%d %b %Y}"
    lines = [
        f"Back-test over {period}: {total.cases:,} cases.",
        f"  Would have run automatically: {total.ran:,} ({_share(total)} of all)",
        f"  Of these: {_results(total)}",
        f"  Money moved: {_moneys(total.moved)}; of that in such cases: {_moneys(total.rejected_money)}",
        f"  Worst: {_worst(total)}",
        f"  Saved: {duration(total.seconds)}. {_still_asked(total)}",
        "",
        *(line for kind in found.kinds for line in _kind(kind)),
        "Why a person was still asked:",
        *(f"  {count:>9,}  {clean(_why(group), 90)}" for group, count in found.reasons.items()),
        "",
        _small_print(drawn),
        *([_ERASED.format(total.erased)] if total.erased else []),
    ]
    return "\n".join(lines)


# One for each code a case asks with; the numbers differ from case to case.
_WHY: Mapping[PolicyCode, str] = {
    PolicyCode.SPOT_CHECK: "drawn for a spot check",
    PolicyCode.KIND_ASKS: "this kind asks",
    PolicyCode.KIND_PAUSED: "this kind is paused",
    PolicyCode.KIND_SET_ASIDE: "this kind is set aside",
    PolicyCode.NOBODY_DECIDES: "nobody has decided anything for too long",
    PolicyCode.BELOW_THRESHOLD: "its score is below the threshold now",
    PolicyCode.UNUSUAL_VOLUME: "far more cases than usual",
    PolicyCode.FIRST_NUMBER: "new: no number was approved here before",
    PolicyCode.OUT_OF_RANGE: "new: a number outside what was approved so far",
    PolicyCode.RARE_NUMBER: "new: a number larger than nearly all approved",
    PolicyCode.NEW_CHOICE: "new: a choice that was not approved before",
    PolicyCode.NEW_TEXT: "new: a text that was not approved before",
    PolicyCode.NEW_ID: "new: the id of something that was not approved before",
    PolicyCode.NOT_COMPARABLE: "new: a value that cannot be compared",
    PolicyCode.FIRST_OF_WEEK: "new: a customer's first of the week",
    PolicyCode.UNKNOWN_CUSTOMER: "its customer is not known",
    PolicyCode.UNKNOWN_AMOUNT: "the money it moves is not known",
    PolicyCode.OVER_CAP: "over a cap",
    PolicyCode.UNKNOWN_KIND: "of no known kind",
}


def _why(group: Group) -> str:
    code, because = group
    return always_words(because) if code == PolicyCode.ALWAYS_ASKS else _WHY[code]


def _kind(one: KindReport) -> list[str]:
    kind, totals = one.kind, one.totals
    turned_on = next((at for at, state, _ in one.history if state == CaseKindState.GRADUATED), None)
    first = f", on since {turned_on:%d %b %Y}" if turned_on else ""
    times = {1: "once", 2: "twice"}.get(kind.generation, f"{kind.generation} times")
    lost = f", demoted {times}" if kind.generation else ""
    now = f"{kind.state}, score {score(*kind.counts):.1f}{first}{lost}"
    stands = always_words(one.always) if one.always else now
    moved, saved = _moneys(totals.moved), duration(totals.seconds)
    return [
        f"{kind.risk}  {clean(kind.label, 200)}",
        f"    {totals.cases:,} cases, {totals.ran:,} ran: {_results(totals)}. {moved} moved, {saved} saved",
        f"    {_still_asked(totals)}",
        f"    At the end: {stands}",
        *([f"    Worst: {_worst(totals)}"] if totals.worst else []),
        "",
    ]


def _share(totals: Totals) -> str:
    return f"{100 * totals.ran / totals.cases:.1f} %" if totals.cases else "–"


def _still_asked(totals: Totals) -> str:
    return f"Still asked: {totals.asked:,}, {totals.spot_checks:,} of them spot checks"


def _results(totals: Totals) -> str:
    others = (one for one in CaseResult if one not in (CaseResult.DECLINED, CaseResult.FINE))
    said = [f"{totals.results[one]:,} {RESULTS[one]}" for one in others if totals.results[one]]
    return ", ".join([f"{totals.results[CaseResult.DECLINED]:,} you declined", *said])


def _moneys(amounts: Mapping[str, int]) -> str:
    return (
        ", ".join(format_money(amount, currency) for currency, amount in sorted(amounts.items())) or "nothing"
    )


def _worst(totals: Totals) -> str:
    worst = totals.worst
    if worst is None:
        return "none"
    about = f" ({format_money(worst.amount, worst.currency)})" if worst.amount else ""
    return f"{clean(worst.title, _WIDEST)}{about}, {RESULTS[worst.result]}: {worst.id}"


_ERASED = (
    "{:,} cases have no texts any more: they were erased. Their numbers and labels count as before.\n"
    "A text or an id that only they had counts as new."
)


def _small_print(drawn: bool) -> str:
    how = "the program's own secret, as they would have been"
    if not drawn:
        how = "a made-up secret: the program has drawn none so far"
    return (
        "Assumed: each offer is accepted at once, and a paused kind is turned on again a day\n"
        f"later. Spot checks are drawn with {how}.\n"
        "A case that runs here and was declined in the past is counted above. It demotes no kind:\n"
        "nobody saw it.\n"
        "Saved is 20 s for each case that was not asked about."
    )


# --- For programs -----------------------------------------------------------------------------------------


def _as_json(found: Report, since: datetime | None, drawn: bool) -> dict[str, Any]:
    secret = "the program's secret" if drawn else "a made-up secret"
    return {
        "since": None if since is None else since.isoformat(),
        "spot_checks": f"drawn with {secret}",
        "total": _counted(found.total),
        "kinds": [
            {"case_kind": one.kind.hash, "label": one.kind.label, "risk": one.kind.risk}
            | {"always_asks": one.always, "state": one.kind.state}
            | {"score": round(score(*one.kind.counts), 6), "generation": one.kind.generation}
            | {"history": [[at.isoformat(), state, cause.to_json()] for at, state, cause in one.history]}
            | _counted(one.totals)
            for one in found.kinds
        ],
        "asked_because": {
            f"{code}: {because}" if because else code: count
            for (code, because), count in found.reasons.items()
        },
    }


def _counted(totals: Totals) -> dict[str, Any]:
    return {
        "cases": totals.cases,
        "erased": totals.erased,
        "would_have_run": totals.ran,
        "of_these": dict(totals.results),
        "should_not_have_run": totals.rejected,
        "money_moved": dict(totals.moved),
        "money_in_those": dict(totals.rejected_money),
        "worst": None if totals.worst is None else asdict(totals.worst),
        "seconds_saved": totals.seconds,
        "asked": totals.asked,
        "spot_checks": totals.spot_checks,
    }
