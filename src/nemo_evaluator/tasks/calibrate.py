"""`nel judge calibrate`: opens the judge of a configuration, or of flags, and examines it.

Judges are opened as a run opens them, and the judge of a benchmark judges through the benchmark:
what is examined is what would decide.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ..config.benchmark import BenchmarkConfig
from ..config.load import Loaded, load
from ..config.needed_services import services_of
from ..config.quick import JUDGE, quick_config
from ..config.scoring import (
    EnsembleJudgeMetric,
    JudgeMetric,
    PairwiseJudgeMetric,
    RewardModelMetric,
    ScoringConfig,
)
from ..environments.contract import Environment, Needs, VerifyTools
from ..environments.defined import DefinedEnvironment
from ..environments.registry import resolve
from ..errors import ConfigError
from ..judging.calibration import Calibration, Examined, calibrate
from ..judging.correction import RESULT
from ..judging.judge import Judge
from ..judging.labels import LabelFile, Row, read_labels
from ..judging.metrics import (
    BenchmarkJudge,
    EnsembleMetric,
    Metric,
    PairwiseMetric,
    RubricMetric,
)
from ..judging.opening import JudgePanel, Served, open_metrics, served
from ..judging.verification import JudgeFile, Verification
from ..results.files import write_json
from ..services.open import Machine, open_services
from ..traffic.types import CallContext
from ..types import Problem, Score, Solution

Judging = JudgeMetric | PairwiseJudgeMetric | EnsembleJudgeMetric | RewardModelMetric
ABLE: dict[str, tuple[type[Judging], ...]] = {
    "pairs": (PairwiseJudgeMetric, RewardModelMetric),
    "numbers": (JudgeMetric, EnsembleJudgeMetric, RewardModelMetric),
    "verdicts": (JudgeMetric, EnsembleJudgeMetric, RewardModelMetric),
    "words": (JudgeMetric,),
}
"""What may give verdicts of a kind."""


@dataclass(frozen=True, slots=True)
class JudgeFlags:
    """A judge named by flags."""

    url: str
    """URL of the endpoint, or ``simulated``."""
    model: str | None = None
    api_key_env: str | None = None
    """Variable that holds its key; no other key is sent."""
    rubric: str | None = None
    rubric_file: str | None = None
    max_score: float | None = None
    """Highest grade. None stands for 5, and labels that could be of another scale are refused."""
    reference_free: bool = False


class Chosen(NamedTuple):
    """What is examined."""

    metric: Judging
    benchmark: BenchmarkConfig | None
    """The benchmark whose own judge this is, if any."""


async def calibrate_judge(
    labels: Path,
    *,
    config: Path | None = None,
    metric: str | None = None,
    bench: str | None = None,
    flags: JudgeFlags | None = None,
    output: Path | None = None,
    repeats: int = 1,
    max_concurrent: int = 32,
) -> Calibration:
    """Examine a judge against a file of labels.

    The judge is the metric (``metric``, where there are several; ``bench``, where several
    benchmarks have one) of a configuration file, or made of ``flags``. The own judge of a benchmark
    judges through it; ``bench`` with ``flags`` makes the judge that of a benchmark. With ``output``
    the replies and the result are kept there, and a repetition asks for nothing again. ``repeats``:
    judge each row this often, to see how steady it is.

    Raises ConfigError for labels, a configuration or an endpoint to be fixed.
    """
    file = read_labels(labels)
    if (config is None) == (flags is None):
        raise ConfigError("no judge", hint="give a configuration, or the judge's url")
    if flags is not None:
        loaded, chosen = _of_flags(flags, bench, file)
    else:
        assert config is not None
        loaded = load(config)
        chosen = _of_config(loaded, metric, bench, file)
    if chosen.benchmark is None:
        file.check_prompts()
        _check_scale(chosen.metric, file)
    async with AsyncExitStack() as stack:
        folder = output or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        examined = await _open(loaded, chosen, file, repeats, max_concurrent, stack)
        judge_file = JudgeFile(folder)
        stack.callback(judge_file.close)
        found = await calibrate(examined, file, judge_file)
    if output is not None:
        write_json(output / RESULT, found)
    return found


def _of_flags(flags: JudgeFlags, bench: str | None, file: LabelFile) -> tuple[Loaded, Chosen]:
    loaded = quick_config(
        [bench or "sample"],
        model_url="simulated",  # the model is not called
        model_id=None,
        judge_url=flags.url,
        judge_id=flags.model,
        judge_key_env=flags.api_key_env,
    )
    given = {
        "rubric": flags.rubric,
        "rubric_file": flags.rubric_file,
        "max_score": flags.max_score,
        "reference_free": flags.reference_free or None,
    }
    common = {name: value for name, value in given.items() if value is not None}
    if file.kind == "pairs":
        if bench is not None:
            raise ConfigError("no benchmark compares pairs", hint="leave out --bench")
        pair = {**common, "judge_service": JUDGE, "baseline_service": JUDGE}
        return loaded, Chosen(PairwiseJudgeMetric.model_validate({"name": JUDGE, **pair}), None)
    judge = JudgeMetric.model_validate({"name": JUDGE, "service": JUDGE, **common})
    if bench is None:
        return loaded, Chosen(judge, None)
    scoring = ScoringConfig(metrics=[judge])
    benchmark = loaded.config.benchmarks[0].model_copy(update={"scoring": scoring})
    return loaded, Chosen(judge, benchmark)


def _of_config(loaded: Loaded, name: str | None, bench: str | None, file: LabelFile) -> Chosen:
    able = ABLE[file.kind]
    found: list[Chosen] = []
    for benchmark in loaded.config.benchmarks:
        if bench is not None and bench not in (benchmark.name, benchmark.label):
            continue
        for metric in benchmark.scoring.metrics:
            if isinstance(metric, able) and name in (None, metric.name):
                own = _is_own(metric, benchmark)
                chosen = Chosen(metric, benchmark if own else None)
                found += [] if chosen in found else [chosen]
    if len(found) == 1:
        return found[0]
    known = ", ".join(
        metric.name
        if benchmark is None
        else f"{metric.name} of {benchmark.label or benchmark.name}"
        for metric, benchmark in found
    )
    wanted = " or ".join(str(kind.model_fields["type"].default) for kind in able)
    raise ConfigError(
        f"{len(found)} metrics could be examined ({known or 'none'}), one is needed",
        where=loaded.sources[0] if loaded.sources else None,
        hint="--metric NAME, --bench NAME"
        if found
        else f"{file.path} holds {file.kind}: that needs a metric of type {wanted}",
    )


def _is_own(metric: Judging, benchmark: BenchmarkConfig) -> bool:
    """Whether the benchmark's own verdict rests on this judge: then it decides what is asked."""
    if not isinstance(metric, JudgeMetric):
        return False
    environment = _environment(benchmark)
    if environment is None or not environment.needs.judge:
        return False
    plain = metric.rubric is None and metric.rubric_file is None
    return plain or not environment.needs.own_rubric


def _environment(benchmark: BenchmarkConfig) -> Environment | None:
    """The benchmark, if its name stands for one only."""
    found = resolve(benchmark.name, params=benchmark.params)
    return found[0] if len(found) == 1 else None


def _check_scale(metric: Judging, file: LabelFile) -> None:
    """Labels of another scale would look like a judge that never agrees."""
    if file.kind != "numbers":
        return
    highest = _scale(metric)
    for row in file.rows:
        if not 0 <= float(row.label) <= highest:
            raise ConfigError(
                f"the label {row.label:g} is not on the judge's scale, 0 to {highest:g}",
                where=f"{file.path}:{row.line}",
                hint="--max-score, or max_score of the metric",
            )
    given = isinstance(metric, RewardModelMetric) or "max_score" in metric.model_fields_set
    if not given and {row.label for row in file.rows} <= {0.0, 1.0}:
        raise ConfigError(
            f"all labels are 0 or 1, and the judge's scale is 0 to {highest:g}",
            where=str(file.path),
            hint="write true and false for right and wrong; or give the scale: --max-score, or "
            "max_score of the metric",
        )


def _scale(metric: Judging) -> float:
    """What a label of the best answer is; rewards are compared as shares of their range."""
    return 1.0 if isinstance(metric, RewardModelMetric) else metric.max_score


async def _open(
    loaded: Loaded,
    chosen: Chosen,
    file: LabelFile,
    repeats: int,
    max_concurrent: int,
    stack: AsyncExitStack,
) -> Examined:
    config = chosen.metric
    if repeats > 1 and isinstance(config, RewardModelMetric):
        what = "a reward model gives the same answer the same score"
        raise ConfigError(what, hint="leave out --repeats")
    asked = services_of(ScoringConfig(metrics=[config]))
    wanted = dict.fromkeys(sorted(asked), max_concurrent)
    machine = Machine.of(loaded.config)
    opened = await open_services(loaded.config.services, wanted, stack, machine=machine)
    services = opened.models

    def serve(name: str) -> Served:
        return served(services[name])

    verify = None
    if chosen.benchmark is None:
        [metric] = _open_panel(config, serve).metrics
    else:
        metric, verify = await _benchmark_judge(chosen.benchmark, config, serve, file, stack)
    if repeats > 1:
        for judge in _judges(metric):
            judge.manner = replace(judge.manner, per_repeat=True)
    if isinstance(config, PairwiseJudgeMetric):
        asked = frozenset({config.judge_service})
    used = [services[name].client for name in sorted(asked)]
    about = {**metric.identity(), "model": ", ".join(client.name for client in used)}
    if chosen.benchmark is not None:
        about["benchmark"] = chosen.benchmark.name
    elif isinstance(metric, RubricMetric | PairwiseMetric):
        about["rubric"] = metric.rubric
    return Examined(metric, used, _scale(config), repeats, about, verify)


def _open_panel(
    config: Judging, serve: Callable[[str], Served], environment: Environment | None = None
) -> JudgePanel:
    needs = Needs() if environment is None else environment.needs
    return open_metrics(
        ScoringConfig(metrics=[config]),
        serve,
        _no_answer,
        name=config.name if environment is None else environment.name,
        needs_judge=needs.judge,
        own_rubric=needs.own_rubric,
    )


async def _benchmark_judge(
    benchmark: BenchmarkConfig,
    config: Judging,
    serve: Callable[[str], Served],
    file: LabelFile,
    stack: AsyncExitStack,
) -> tuple[Metric, Callable[[Row, Verification], Awaitable[Score]]]:
    """The judge of a benchmark, asked by the benchmark about its own rows."""
    known = _environment(benchmark)
    if not isinstance(known, DefinedEnvironment) or not known.needs.judge:
        raise ConfigError(
            f"{benchmark.name} leaves no verdict to a judge",
            hint="leave out --bench, and label answers as the rubric grades them",
        )
    environment = known.over([dict(row.columns) for row in file.rows])
    stack.push_async_callback(environment.close)
    await environment.prepare()
    problems = [await _seeded(environment, i, row, file) for i, row in enumerate(file.rows)]
    judge = _open_panel(config, serve, environment).lent
    assert judge is not None

    async def verify(row: Row, verification: Verification) -> Score:
        problem = problems[verification.problem_idx]
        tools = VerifyTools(repeat=verification.repeat, judge=BenchmarkJudge(judge, verification))
        return await environment.verify(problem, Solution(response=row.answers[0]), tools)

    return judge, verify


async def _seeded(
    environment: DefinedEnvironment, index: int, row: Row, file: LabelFile
) -> Problem:
    try:
        return await environment.seed(index)
    except ConfigError as error:
        raise ConfigError(
            f"is not a row of {environment.name}: {error.what}",
            where=f"{file.path}:{row.line}",
            hint="rows have the columns of its dataset, and response and label",
        ) from None


def _judges(metric: Metric) -> list[Judge]:
    if isinstance(metric, EnsembleMetric):
        return [member.judge for member in metric.members]
    return [metric.judge] if isinstance(metric, RubricMetric | PairwiseMetric) else []


async def _no_answer(problem: Problem, service: str, context: CallContext) -> Solution:
    """Both answers of a pair are in the file: no baseline is asked."""
    raise AssertionError(service)
