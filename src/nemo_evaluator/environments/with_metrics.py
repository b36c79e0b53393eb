"""The metrics of `scoring.metrics` beside, or in the place of, a benchmark's own verdict.

Extra scorers add to the score's details under ``scorer:<name>``, judges under ``judge:<name>`` and
``metrics``. ``primary`` makes one of them the reward; ``include_defaults: false`` leaves the
benchmark's own verdict out. Where a judge has no verdict the whole verification has none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import msgspec

from ..config.scoring import ScorerMetric, ScoringConfig
from ..errors import ConfigError, InfraError
from ..judging.metrics import BenchmarkJudge
from ..judging.opening import JudgePanel
from ..judging.verification import JudgeFile, Verification
from ..scoring.input import ScorerInput
from ..scoring.judged import Graded
from ..scoring.packages import deciding
from ..scoring.reasoning import visible
from ..scoring.targets import ImpossibleTarget
from ..types import Failure, Json, Problem, Score, Solution
from .contract import Environment, Needs, VerifyTools
from .decorated import Decorated
from .grades import to_reward
from .grading import Grader
from .lending import let_go
from .probe import Probe

Scorer = Callable[[ScorerInput], Mapping[str, Json]]
_LOG = logging.getLogger(__name__)
PROBED = 200
"""Problems whose targets further scorers are shown before a run."""
OWN = "benchmark"
"""Name of the benchmark's own reward where another metric is the headline."""


@dataclass(frozen=True, slots=True)
class Extras:
    """What is scored besides, and which of it is the headline."""

    scorers: Mapping[str, Scorer] = field(default_factory=dict)
    configs: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """What each scorer reads as its ``config``."""
    panel: JudgePanel = field(default_factory=JudgePanel)
    judge_file: JudgeFile | None = None
    own: bool = True
    """Keep the benchmark's own verdict."""
    primary: str | None = None
    """The metric that is the reward; None: the benchmark's own verdict is."""


def with_metrics(
    environment: Environment,
    scoring: ScoringConfig,
    panel: JudgePanel,
    judge_file: JudgeFile | None,
) -> Environment:
    """The environment, scoring with the configured metrics too. Raises ConfigError."""
    scorers = _scorers(scoring)
    primary = scoring.primary
    if not scoring.include_defaults and primary is None and not panel.scorer_only:
        names = [*scorers, *(metric.name for metric in panel.metrics)]
        if len(names) != 1:
            what = "include_defaults: false leaves no metric to report"
            raise ConfigError(
                what if not names else "include_defaults: false needs a primary metric",
                where=f"{environment.name}: scoring",
                hint="add metrics, and primary where there are several",
            )
        primary = names[0]
    if panel.scorer_only and panel.lent is not None and primary == panel.lent.name:
        primary = None  # that judge's verdict is the benchmark's own
    if not scorers and judge_file is None:
        return environment
    own = scoring.include_defaults or panel.scorer_only
    configs = {m.name: m.config for m in scoring.metrics if isinstance(m, ScorerMetric)}
    return WithMetrics(environment, Extras(scorers, configs, panel, judge_file, own, primary))


def _scorers(scoring: ScoringConfig) -> dict[str, Scorer]:
    names = [metric.name for metric in scoring.metrics if isinstance(metric, ScorerMetric)]
    if not names:
        return {}
    from ..scoring.primitives import find_scorer

    try:
        return {name: find_scorer(name) for name in names}
    except ConfigError as error:
        where = f"scoring.metrics: {error.where}" if error.where else "scoring.metrics"
        raise ConfigError(error.what, where=where, hint=error.hint) from error


class WithMetrics(Decorated):
    """An environment, scoring with further metrics."""

    def __init__(self, inner: Environment, extras: Extras) -> None:
        super().__init__(inner)
        self._extras = extras
        # None of our scorers runs code: the benchmark's sandbox is its own scorer's.
        given = replace(inner.grading, sandbox=None)
        self._graders = {
            name: Grader(scorer, replace(given, extra=extras.configs.get(name, {})))
            for name, scorer in extras.scorers.items()
        }
        own = {} if extras.own else {"sandbox": None}
        self._needs = msgspec.structs.replace(inner.needs, inline=False, **own)
        self._needs_inline = msgspec.structs.replace(self._needs, inline=True)

    @property
    def needs(self) -> Needs:
        """What the benchmark needs; its sandbox only where its own scorer runs."""
        return self._needs_inline if self._quick else self._needs

    @property
    def _quick(self) -> bool:
        if self._extras.judge_file is not None or (
            self._extras.own and not self.inner.needs.inline
        ):
            return False
        return all(grader.quick for grader in self._graders.values())

    async def check(self, order: Sequence[int]) -> None:
        """Try the rows of the benchmark, and whether each scorer can read any target of theirs.
        Raises ConfigError."""
        await super().check(order)
        if self._extras.scorers:
            problems = [await self.inner.seed(idx) for idx in order[:PROBED]]
            await asyncio.to_thread(self._check_scorers, problems)

    def _check_scorers(self, problems: Sequence[Problem]) -> None:
        for name, scorer in self._extras.scorers.items():
            probe = Probe(scorer, self._extras.configs.get(name, {}))
            reasons = [probe.refused(problem, problem.metadata) for problem in problems]
            bad = [problem.idx for problem, why in zip(problems, reasons, strict=True) if why]
            if bad and len(bad) < len(problems):
                _LOG.warning(
                    "%s: no answer can meet the target of %d of %d problems for the scorer %s"
                    " (problem %d is the first); they count as wrong in scorer:%s",
                    *(self.name, len(bad), len(problems), name, min(bad), name),
                )
            elif bad:
                raise ConfigError(
                    f"no answer can meet any target: {reasons[0]}",
                    where=f"{self.name}: scoring.metrics, {name}",
                    hint="use another scorer",
                )

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The verdict of them all. Raises InfraError where one of them has none."""
        with self.verification(problem, tools) as (lent, verification):
            return await self._verdict(problem, solution, lent, verification)

    @contextmanager
    def verification(
        self, problem: Problem, tools: VerifyTools
    ) -> Iterator[tuple[VerifyTools, Verification | None]]:
        """The tools of one verification, with the benchmark's judge, and where it is asked."""
        extras = self._extras
        if extras.judge_file is None:
            yield tools, None
            return
        verification = extras.judge_file.verification(problem.idx, tools.repeat)
        try:
            if extras.panel.lent is not None:
                tools = replace(tools, judge=BenchmarkJudge(extras.panel.lent, verification))
            yield tools, verification
        finally:
            verification.close()

    def identity(self) -> Mapping[str, Json]:
        """The identity of the benchmark, with its judges and the headline metric."""
        extras = self._extras
        identity = dict(self.inner.identity())
        if judges := extras.panel.identity():
            identity["judges"] = judges
        if extras.primary is not None:
            identity["primary"] = extras.primary
        if packages := deciding(extras.scorers.values()):
            own = identity.get("packages")
            identity["packages"] = {**(own if isinstance(own, Mapping) else {}), **packages}
        return identity

    async def close(self) -> None:
        """Close the judges' file, and the benchmark."""
        if self._extras.judge_file is not None:
            self._extras.judge_file.close()
        await self.inner.close()

    async def _verdict(
        self,
        problem: Problem,
        solution: Solution,
        tools: VerifyTools,
        verification: Verification | None,
    ) -> Score:
        extras = self._extras
        score = Score(reward=0.0)
        if extras.own:
            score = await self.inner.verify(problem, solution, tools)
        await let_go(solution, tools)
        # None of the further metrics looks into a workspace.
        problem = msgspec.structs.replace(problem, workspace=None)
        solution = msgspec.structs.replace(solution, workspace=False)
        shown = visible(solution.response).text
        found = await self._scored(problem, solution, tools)
        graded: dict[str, Graded] = {}
        if verification is not None:
            for metric in extras.panel.metrics:
                graded[metric.name] = await metric.grade(problem, shown, verification)
        return self._combined(score, found, graded, verification)

    async def _scored(
        self, problem: Problem, solution: Solution, tools: VerifyTools
    ) -> dict[str, dict[str, Json]]:
        found: dict[str, dict[str, Json]] = {}
        for name, grader in self._graders.items():
            try:
                score = await grader.grade(problem, solution, tools)
            except InfraError as error:
                if name == self._extras.primary or not isinstance(
                    error.__cause__, ImpossibleTarget
                ):
                    raise
                # said before the run; the benchmark's own verdict stands
                score = Score(reward=0.0, correct=False, failure=Failure.TARGET)
            found[f"scorer:{name}"] = {
                "correct": score.correct,
                "extracted": score.extracted,
                **score.published,
                **({"failure": score.failure.value} if score.failure else {}),
                "reward": score.reward,
            }
        return found

    def _combined(
        self,
        score: Score,
        scored: Mapping[str, Mapping[str, Json]],
        graded: Mapping[str, Graded],
        verification: Verification | None,
    ) -> Score:
        primary = self._extras.primary
        details = {**score.details, **scored}
        metrics = dict(score.metrics)
        for name, grade in graded.items():
            details[f"judge:{name}"] = {"value": grade.value, **grade.details}
            metrics[name] = grade.value
        if primary is not None:
            if self._extras.own:
                metrics[OWN] = score.reward
            verdict = scored.get(f"scorer:{primary}")
            chosen = graded.get(primary) or Graded(0.0, dict(verdict or {}))
            correct = chosen.details.get("correct")
            score = msgspec.structs.replace(
                score,
                reward=to_reward(verdict["reward"]) if verdict else chosen.value,
                correct=correct if isinstance(correct, bool) else None,
                extracted=verdict.get("extracted") if verdict else score.extracted,
                failure=Failure.EMPTY if chosen.details.get("empty") else score.failure,
            )
        score = msgspec.structs.replace(score, details=details, metrics=metrics)
        return with_account(score, verification)


def with_account(score: Score, verification: Verification | None) -> Score:
    """The score, with what judges said and cost among its details."""
    account = verification.account() if verification is not None else {}
    if not account:
        return score
    return msgspec.structs.replace(score, details={**score.details, "judge": account})
