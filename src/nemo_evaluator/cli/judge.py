"""`nel judge`: what concerns the models that grade."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .numbers import FloatRange
from .report_format import FORMAT, print_report

if TYPE_CHECKING:
    from ..tasks.calibrate import JudgeFlags


@click.group()
def group() -> None:
    """Check how good a judge model is."""


@group.command()
@click.option(
    "--labels",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Labels by people: JSON lines or CSV.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration with the judge.",
)
@click.option("--metric", help="Which judge metric of the configuration, if there are several.")
@click.option("--judge-url", "url", help="Endpoint of the judge model, or 'simulated'.")
@click.option("--bench", "-b", help="Grade as this benchmark does; with --config, by its judge.")
@click.option("--judge-id", "--judge-model", "model", help="Model name of the judge.")
@click.option(
    "--judge-key-env",
    "--api-key-env",
    "api_key_env",
    help="Environment variable that holds the judge's key.",
)
@click.option("--rubric", help="Criteria that the judge grades by.")
@click.option("--rubric-file", type=click.Path(dir_okay=False), help="File with the rubric.")
@click.option("--max-score", type=FloatRange(0, min_open=True), help="Highest grade.  [default: 5]")
@click.option("--reference-free", is_flag=True, help="Do not show the judge the reference.")
@click.option(
    "--repeats",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Judge each row this number of times, to measure the judge's consistency.",
)
@click.option("--min-kappa", type=FloatRange(-1, 1), help="Minimum; exit code 1 below it.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for the replies and the result.",
)
@click.option(
    "--max-concurrent", default=32, show_default=True, type=click.IntRange(1),
    help="Requests to the judge at a time.",
)  # fmt: skip
@FORMAT
def calibrate(
    labels: Path,
    config: Path | None,
    metric: str | None,
    bench: str | None,
    repeats: int,
    min_kappa: float | None,
    output: Path | None,
    max_concurrent: int,
    fmt: str,
    **described: Any,
) -> None:
    """Measure how well a judge agrees with people.

    Prints accuracy, Cohen's kappa, the confusion matrix, position and length bias, each with its
    interval.

    The judge is a metric of --config, or is described by --judge-url and its options. Exit code
    1 if the lower end of kappa's interval (for grades: of the weighted kappa's) is below
    --min-kappa, 3 if rows could not be judged.
    """
    import msgspec

    from ..reports.calibration import calibration_report, passes
    from ..runtime import run_blocking
    from ..tasks.calibrate import calibrate_judge

    found = run_blocking(
        calibrate_judge(
            labels,
            config=config,
            metric=metric,
            bench=bench,
            flags=_judge_flags(config, metric, described),
            output=output,
            repeats=repeats,
            max_concurrent=max_concurrent,
        )
    )
    passed = passes(found, min_kappa)
    gate = {} if min_kappa is None else {"min_kappa": min_kappa, "passed": passed}
    document = {**msgspec.to_builtins(found), **gate}
    print_report(fmt, document, calibration_report(found, floor=min_kappa))
    if not passed:
        sys.exit(1)
    sys.exit(3 if found.agreement.unjudged else 0)


def _judge_flags(
    config: Path | None, metric: str | None, described: dict[str, Any]
) -> JudgeFlags | None:
    """The judge that the options describe; None: the one of ``config``."""
    from ..tasks.calibrate import JudgeFlags

    if described["url"] is None:
        if config is None or any(value not in (None, False) for value in described.values()):
            raise click.UsageError(
                "give a --config, or --judge-url with the options that describe the judge"
            )
        return None
    if config is not None or metric is not None:
        raise click.UsageError("--judge-url cannot be used with --config")
    return JudgeFlags(**described)


@group.command(short_help="Rate several models that a judge compared.")
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--pairs",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON lines or CSV: first, second, winner, problem.",
)
@click.option("--metric", help="Which pairwise_judge metric of the runs, if there are several.")
@FORMAT
def rank(runs: tuple[Path, ...], pairs: tuple[Path, ...], metric: str | None, fmt: str) -> None:
    """Rate several models that a judge compared two at a time: Bradley-Terry with ties, intervals
    by bootstrap over problems, and the judge's bias for the answer shown first.

    RUNS are results with a pairwise_judge metric; all models that were compared with a common
    baseline are rated together.
    """
    from ..reports.ranking import ranking_report
    from ..tasks.rank import rank_models

    if not runs and not pairs:
        raise click.UsageError("give results of runs, or --pairs")
    found = rank_models(runs, pairs, metric=metric)
    print_report(fmt, found, ranking_report(found))


@group.command(short_help="Correct a judged score by a calibration.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--calibration",
    required=True,
    type=click.Path(path_type=Path),
    help="What nel judge calibrate -o wrote.",
)
@click.option("--metric", help="Which judge metric of the run, if there are several.")
@click.option(
    "--min-score",
    type=FloatRange(0, 1),
    help="Floor of the corrected score's lower limit; exit code 1 below it.",
)
@FORMAT
def correct(
    run: Path, calibration: Path, metric: str | None, min_score: float | None, fmt: str
) -> None:
    """Correct a judged score by what people said of a labelled sample: prediction-powered, and by
    Rogan and Gladen's formula where verdicts are right or wrong. The intervals carry the judge's
    error as well as the run's.
    """
    from ..reports.correction import correction_report
    from ..tasks.judge_correction import correct as corrected

    found = corrected(run, calibration, metric=metric)
    print_report(fmt, found, correction_report(found))
    if min_score is not None and any(one.corrected.lower < min_score for one in found):
        sys.exit(1)
