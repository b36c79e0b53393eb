"""`nel power`: how many problems and repeats show a drop, or rule it out?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .numbers import FloatRange
from .report_format import FORMAT, as_json, print_report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..decisions.planning import PowerPlan

UNIT = FloatRange(0, 1, min_open=True, max_open=True)


@click.command()
@click.argument("baseline", required=False, type=click.Path(path_type=Path))
@click.argument("candidate", required=False, type=click.Path(path_type=Path))
@click.option(
    "--drop",
    type=FloatRange(0, min_open=True),
    help="Drop to detect, in units of the score.",
)
@click.option(
    "--baseline",
    "named",
    type=click.Path(path_type=Path),
    help="The past run, instead of the first argument.",
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    help="Odds of this gate policy for a candidate, instead of --drop.",
)
@click.option("--score", type=UNIT, help="Assume this score, without a past run.")
@click.option(
    "--problems", type=click.IntRange(2), help="Number of problems available.  [those of the run]"
)
@click.option(
    "--repeats",
    default="1,2,4,8",
    show_default=True,
    help="Numbers of repeats to plan for.",
)
@click.option(
    "--power", default=0.8, show_default=True, type=UNIT, help="Probability of detecting the drop."
)
@click.option(
    "--alpha",
    default=0.025,
    show_default=True,
    type=FloatRange(0, 0.5, min_open=True, max_open=True),
    help="One-sided level of the verdict, as in nel compare.",
)
@click.option(
    "--correlation",
    default=0.95,
    show_default=True,
    type=FloatRange(0, 1),
    help="Correlation of the two models' true scores over problems.",
)
@click.option(
    "--icc",
    default=0.7,
    show_default=True,
    type=FloatRange(0, 1),
    help="Share of the variance that lies between problems, if the run has no repeats.",
)
@FORMAT
def command(
    baseline: Path | None,
    candidate: Path | None,
    named: Path | None,
    drop: float | None,
    policy: Path | None,
    score: float | None,
    problems: int | None,
    repeats: str,
    power: float,
    alpha: float,
    correlation: float,
    icc: float,
    fmt: str,
) -> None:
    """Compute how many problems and repeats show a drop, or rule it out.

    Shown and ruled out as nel compare and nel gate have it: by the 95 % interval of the drop.
    The variance comes from a past run (BASELINE), from two (BASELINE and CANDIDATE), or from an
    assumed --score.
    """
    from ..decisions.planning import plan_power, spread_assumed
    from ..reports.policy_odds import odds_report
    from ..tasks.decide import odds_of_policy, spreads

    if named is not None and baseline is not None:
        raise click.UsageError("the past run is given twice: as an argument, and as --baseline")
    baseline = baseline or named
    if policy is not None:
        if baseline is None or candidate is not None or drop is not None or score is not None:
            raise click.UsageError("--policy takes one past run, and neither --drop nor --score")
        odds = odds_of_policy(baseline, policy, power=power, correlation=correlation, icc=icc)
        print_report(fmt, odds, odds_report(odds))
        return
    if drop is None:
        raise click.UsageError("give --drop, or --policy")
    if (baseline is None) == (score is None):
        raise click.UsageError("give a past run, or --score")
    if score is not None:
        found = {"": spread_assumed(score, correlation=correlation, icc=icc)}
    else:
        assert baseline is not None
        found = spreads(baseline, candidate, correlation=correlation, icc=icc)
    counts = _counts(repeats)
    plans = {
        name: plan_power(spread, drop, problems=problems, repeats=counts, alpha=alpha, power=power)
        for name, spread in found.items()
    }
    _print_plans(plans, fmt)


def _print_plans(plans: Mapping[str, PowerPlan], fmt: str) -> None:
    """``plans``: of each benchmark, or of an assumed score, which has no name."""
    from ..reports.formats import in_format
    from ..reports.power import power_report

    if fmt == "html" and len(plans) > 1:
        raise click.UsageError("a page holds one benchmark; give the folder of one of them")
    if fmt == "json":
        click.echo(as_json(plans.get("", plans)), nl=False)
        return
    shown = [in_format(power_report(plan, name), fmt) for name, plan in plans.items()]
    click.echo("\n".join(shown), nl=False)


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise click.BadParameter(f"{text!r}; whole numbers like 1,4,8", param_hint="--repeats")
    return counts
