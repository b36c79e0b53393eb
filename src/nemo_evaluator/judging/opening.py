"""From `scoring.metrics` to metrics that can grade. What is wrong is said before a run starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..config.needed_services import services_of
from ..config.scoring import (
    EnsembleJudgeMetric,
    JudgeMetric,
    PairwiseJudgeMetric,
    RewardModelMetric,
    RubricFields,
    ScoringConfig,
)
from ..config.text_file import read_text
from ..errors import ConfigError
from ..services.contract import OpenService
from ..traffic.client import ModelClient
from ..types import Json, JudgeCalibration
from .judge import Judge, Manner
from .metrics import Answer, EnsembleMetric, Metric, PairwiseMetric, RubricMetric, digest
from .prompts import PAIR_RUBRIC, RUBRIC
from .reward import RewardMetric

HINT = (
    "scoring: {metrics: [{type: judge, name: judge, service: NAME}]}, or --judge-url without a file"
)
OF_A_RUBRIC = ("max_score", "swap_check", "reference_free", "system_prompt")


class Served(NamedTuple):
    """A service as a judge."""

    client: ModelClient
    identity: Mapping[str, Json]
    temperature: float | None
    """The service's own, where it sets one."""
    pair: bool = False
    """A reward model that takes two texts."""
    simulated: bool = False


def served(service: OpenService) -> Served:
    """A service as a judge."""
    url = service.endpoints[0] if service.endpoints else ""
    generation = service.identity.get("generation")
    own = generation.get("temperature") if isinstance(generation, Mapping) else None
    return Served(
        client=service.client,
        identity={"model": service.client.name, **service.identity},
        temperature=float(own) if isinstance(own, int | float) else None,
        pair=url.rstrip("/").endswith("/score"),
        simulated=service.simulated,
    )


@dataclass(frozen=True, slots=True)
class JudgePanel:
    """The judging of one benchmark."""

    metrics: tuple[Metric, ...] = ()
    """Metrics beside the benchmark's own verdict."""
    lent: RubricMetric | None = None
    """The judge the benchmark's own scorer may ask."""
    scorer_only: bool = False
    """Only the benchmark's own scorer uses that judge; no judge metric is configured."""
    services: frozenset[str] = field(default_factory=frozenset)

    def identity(self) -> dict[str, Json]:
        """What changes the meaning of the verdicts, by metric."""
        found: dict[str, Json] = {metric.name: dict(metric.identity()) for metric in self.metrics}
        if self.lent is not None and self.scorer_only:
            found[self.lent.name] = dict(self.lent.identity())
        return found


def calibrations_of(scoring: ScoringConfig) -> dict[str, JudgeCalibration]:
    """What judged scores are corrected by; it changes no verdict, so it is a setting."""
    found: dict[str, JudgeCalibration] = {}
    for metric in scoring.metrics:
        if isinstance(metric, JudgeMetric | EnsembleJudgeMetric) and metric.calibration is not None:
            from .correction import read_calibration  # numpy: 100 ms

            calibration = read_calibration(Path(metric.calibration))
            found[metric.name] = JudgeCalibration(
                verdicts=calibration.kind == "verdicts", rows=tuple(calibration.judged)
            )
    return found


def open_metrics(
    scoring: ScoringConfig,
    serve: Callable[[str], Served],
    answer: Answer,
    *,
    name: str,
    needs_judge: bool = False,
    own_rubric: bool = False,
) -> JudgePanel:
    """The metrics of a benchmark. ``needs_judge``: it cannot be scored without; ``own_rubric``: its
    scorer asks by prompts of its own. Raises ConfigError."""
    metrics: list[Metric] = []
    lent: RubricMetric | None = None
    judges = [metric for metric in scoring.metrics if isinstance(metric, JudgeMetric)]
    own = _of_the_benchmark(judges, scoring.primary, name, own_rubric) if needs_judge else None
    for config in scoring.metrics:
        if isinstance(config, JudgeMetric):
            metric = _rubric_metric(config, serve(config.service))
            if config is own or (own is None and lent is None):
                lent = metric
            if config is not own:
                metrics.append(metric)
        elif isinstance(config, PairwiseJudgeMetric):
            metrics.append(_pairwise(config, serve, answer))
        elif isinstance(config, EnsembleJudgeMetric):
            metrics.append(_ensemble(config, serve))
        elif isinstance(config, RewardModelMetric):
            metrics.append(_reward(config, serve(config.service)))
    return JudgePanel(tuple(metrics), lent, own is not None, services_of(scoring))


def judge_of(config: RubricFields, served: Served, *, system: str | None = None) -> Judge:
    """The judge of a metric. Its temperature is sent unless only the service sets one.

    Raises ConfigError for a simulated one that could never give a verdict.
    """
    if served.simulated and served.client.protocol == "completions":
        raise ConfigError(
            f"the simulated judge {served.client.service_name!r} gives verdicts only by a schema, "
            "and completions take none",
            where=f"scoring.metrics: {config.name}",
            hint="protocol: chat_completions",
        )
    ours = "temperature" in config.model_fields_set or served.temperature is None
    params = {"temperature": config.temperature} if ours else None
    drawn = bool(config.temperature if ours else served.temperature)
    manner = Manner(config.timeout, config.max_retries, params, system, per_repeat=drawn)
    return Judge(served.client, manner, identity=digest(sorted(served.identity.items(), key=str)))


def rubric_text(config: RubricFields, default: str) -> str:
    """The rubric itself. Raises ConfigError for a file that cannot be read, or an empty text."""
    text = default if config.rubric is None else config.rubric
    if config.rubric_file is not None:
        try:
            text = read_text(Path(config.rubric_file))
        except ConfigError as error:
            raise ConfigError(
                f"the rubric cannot be read: {error}",
                where=f"scoring.metrics: {config.name}",
                hint="rubric_file is relative to where nel is started",
            ) from None
    if not text.strip():
        raise ConfigError("the rubric is empty", where=f"scoring.metrics: {config.name}")
    return text.strip()


def _of_the_benchmark(
    judges: list[JudgeMetric], primary: str | None, name: str, own_rubric: bool
) -> JudgeMetric:
    """The judge metric that is the benchmark's own judge."""
    if own_rubric:
        plain = [judge for judge in judges if not judge.rubric and not judge.rubric_file]
        if not plain:
            hint = f"{HINT}; it grades by a rubric of its own, so give this judge none"
            raise ConfigError("needs a judge", where=name, hint=hint)
        if idle := sorted(plain[0].changed() & set(OF_A_RUBRIC)):
            raise ConfigError(
                f"{', '.join(idle)} of the judge {plain[0].name!r} has no effect: {name} grades by "
                "a rubric of its own",
                where="scoring.metrics",
                hint="remove it, or give a further judge metric a rubric",
            )
        return plain[0]
    if not judges:
        raise ConfigError("needs a judge", where=name, hint=HINT)
    return next((judge for judge in judges if judge.name == primary), judges[0])


def _rubric_metric(config: JudgeMetric, served: Served) -> RubricMetric:
    if config.swap_check and config.reference_free:
        raise ConfigError(
            "swap_check shows the reference before and after the answer, reference_free leaves "
            "it out",
            where=f"scoring.metrics: {config.name}",
            hint="set one of them",
        )
    return RubricMetric(
        name=config.name,
        judge=judge_of(config, served, system=config.system_prompt),
        rubric=rubric_text(config, RUBRIC),
        max_score=config.max_score,
        swap_check=config.swap_check,
        reference_free=config.reference_free,
        about=_about(config, served, config.system_prompt),
    )


def _pairwise(
    config: PairwiseJudgeMetric, serve: Callable[[str], Served], answer: Answer
) -> PairwiseMetric:
    judge, baseline = serve(config.judge_service), serve(config.baseline_service)
    return PairwiseMetric(
        name=config.name,
        judge=judge_of(config, judge),
        baseline=baseline.client,
        answer=answer,
        rubric=rubric_text(config, PAIR_RUBRIC),
        swap_check=config.swap_check,
        about={"judge": _about(config, judge), "baseline": dict(baseline.identity)},
    )


def _ensemble(config: EnsembleJudgeMetric, serve: Callable[[str], Served]) -> EnsembleMetric:
    rubric = rubric_text(config, RUBRIC)
    members = []
    for service in config.services:
        served = serve(service)
        judge = judge_of(config, served)
        about = _about(config, served)
        members.append(RubricMetric(service, judge, rubric, config.max_score, about=about))
    return EnsembleMetric(config.name, members, config.aggregation)


def _reward(config: RewardModelMetric, served: Served) -> RewardMetric:
    if served.simulated:
        raise ConfigError(
            f"{config.service!r} is simulated, and a simulated model gives no rewards",
            where=f"scoring.metrics: {config.name}",
            hint="a service of type api; or a metric of type judge, which can be simulated",
        )
    return RewardMetric(
        name=config.name,
        client=served.client,
        score_range=config.score_range,
        threshold=config.threshold,
        aspect=config.aspect,
        timeout=config.timeout,
        max_retries=config.max_retries,
        pair=served.pair,
        about=served.identity,
    )


def _about(config: RubricFields, served: Served, system: str | None = None) -> dict[str, Json]:
    about = {**served.identity, "temperature": config.temperature}
    return about if system is None else {**about, "system": digest(system)}
