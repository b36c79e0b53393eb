"""Ends a run when its gate is decided: `nel eval run --gate P --baseline RUN --stop-when decided`.

Everything that would keep the gate from ever saying GO is refused before the first request. While
the run goes on, one benchmark after the other, the gate itself is applied to the problems that
count so far; a benchmark that passes for certain ends, a breach that is certain ends the run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from ..config.gate import GateConfig
from ..config.gate_policy import GatePolicy, GateRules, Tier
from ..decisions.comparability import differences
from ..decisions.forecast import expected
from ..decisions.gate import GateReport, gate
from ..decisions.gate_benchmark import BenchmarkGate
from ..decisions.gate_rules import TRUNCATION, Status, not_needed
from ..decisions.interim_gate import (
    Answer,
    WatchedBenchmark,
    clusters_by_problem,
    planned_source,
    units_of,
)
from ..decisions.metrics import metric_named, values_of
from ..decisions.policy import load_policy
from ..decisions.rollouts import Rollouts
from ..decisions.sources import Source, find
from ..engine.control import Control
from ..engine.job import Job
from ..engine.plan import digest
from ..errors import ConfigError
from ..results.journal import Event, Scored, Solved
from ..results.stopping import Decided, Decision, Stopping, StoppingRule, Watched
from ..types import RolloutKey, Score, Solution

SLOW_SECONDS, LOOKING_SHARE = 0.5, 0.05
"""Looks at very many answers hold the run up: they may take a twentieth of its time at most."""

Append = Callable[[Event], None]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Gate:
    """The policy and the baseline of a run."""

    name: str
    policy: GatePolicy
    baseline: Mapping[str, Source]
    where: str

    @classmethod
    def of(cls, config: GateConfig) -> Gate:
        """The gate and the baseline that the configuration names. Raises ConfigError."""
        baseline = find(Path(config.baseline))
        if not baseline:
            raise ConfigError(
                "holds no bundle (eval-*.json)",
                where=config.baseline,
                hint="`nel eval report DIR` derives what a run that was cut short has not",
            )
        path = Path(config.policy)
        policy = load_policy(path).written_out(baseline)
        return cls(path.name, policy, baseline, config.baseline)

    def verdict(self, directory: Path) -> GateReport:
        """What the gate says of the results in a directory. Raises ConfigError."""
        names = (self.where, str(directory))
        return gate(self.baseline, find(directory), self.policy, names=names)

    def decides(self, name: str) -> bool:
        """Whether a benchmark bears on the verdict."""
        return self.policy.rules_of(name).tier is not Tier.ADVISORY


class BenchmarkWatch:
    """Told by the engine of the rollouts of one benchmark."""

    def __init__(self, live: WatchedBenchmark, owner: RunWatch) -> None:
        self.live = live
        self.decision: Decision | None = None
        self.begun = False
        self._owner = owner
        self._append: Append | None = None
        self._journaled = False
        self._cut: set[RolloutKey] = set()

    @property
    def done(self) -> bool:
        """Whether what the gate says of the benchmark is certain."""
        return self.decision is not None

    def begin(self, append: Append) -> None:
        """Journal by what the answers are looked at."""
        self.begun, self._append = True, append
        if not self._journaled:
            append(Watched(rule=self.live.rule))
        self._owner.look(self)

    def scored(self, key: RolloutKey, score: Score, solution: Solution) -> None:
        """A rollout has its verdict."""
        self._count(key, answer_of(score, truncated=solution.truncated))

    def failed(self, key: RolloutKey) -> None:
        """A rollout has none: it counts at its worst, and at its best."""
        self._count(key, None)

    def restore(self, event: Event) -> None:
        """An event of an earlier invocation. Raises ConfigError for looks by another rule."""
        if isinstance(event, Watched):
            self._check(event.rule)
            self._journaled = True
        elif isinstance(event, Decided):
            self.decision, self.begun = event.decision, True
        elif isinstance(event, Solved) and event.solution.truncated:
            self._cut.add(RolloutKey(event.problem_idx, event.repeat))
        elif isinstance(event, Scored):
            key = RolloutKey(event.problem_idx, event.repeat)
            for _ in self.live.add(key, answer_of(event.score, truncated=key in self._cut)):
                self._owner.passed_by(self)

    def _count(self, key: RolloutKey, answer: Answer | None) -> None:
        for _ in self.live.add(key, answer):
            self._owner.look(self)
            if self.done:
                return

    def decide(self, decision: Decision) -> None:
        """Note that the verdict is certain."""
        self.decision = decision
        if self._append is not None:
            self._append(Decided(at=time.time(), decision=decision))

    def _check(self, rule: StoppingRule) -> None:
        if rule != self.live.rule:
            raise ConfigError(
                f"the run was started to stop by {rule.policy} against run {rule.baseline}, or on "
                "other problems: another policy or baseline cannot take over while it runs",
                where=self.live.name,
                hint="give the same --gate and --baseline, or resume without --stop-when to run "
                "to the last problem",
            )


class RunWatch:
    """All benchmarks of a run that decide."""

    def __init__(self, gate: Gate, control: Control, say: Say) -> None:
        self._gate, self._control, self._say = gate, control, say
        self._names: list[str] = []
        self._jobs: dict[str, BenchmarkWatch] = {}
        self._rules = 1
        self._not_before = 0.0

    def join(self, jobs: Sequence[Job]) -> list[Job]:
        """The same jobs, watched where they decide, in random order. Raises ConfigError for what
        would keep the gate from a GO whatever the answers are."""
        named = dict(zip(_names(jobs), jobs, strict=True))
        self._names = list(named)
        check(self._gate, named)
        found = []
        for name, job in named.items():
            if self._gate.decides(name):
                job = self._watched(name, job)
            found.append(job)
        if self._gate.policy.corrected:
            every = [w.live.rules for w in self._jobs.values()]
            self._rules = sum(len(_damages(rules)) for rules in every)
        return found

    def restore(self, slug: str, event: Event) -> None:
        """An event of an earlier invocation of the run."""
        if slug in self._jobs:
            self._jobs[slug].restore(event)

    def start(self) -> None:
        """What earlier invocations left is restored: it may have been decided. Else say how many
        problems the run may take, and what cannot be decided before its end."""
        for watch in self._jobs.values():
            if watch.decision is not None:
                self._end(watch, watch.decision)
        for watch in self._jobs.values():
            if not watch.done and not self._control.stopping:
                self._say(f"expected: {self._forecast(watch.live)}")

    def _forecast(self, live: WatchedBenchmark) -> str:
        if live.decidable:
            return expected(live.name, live.baseline, live.rules, live.rule, self._rules)
        return (
            f"{live.name}: the values of {live.rules.metric} have no known range, so a GO waits "
            "for the last problem"
        )

    def passed_by(self, watch: BenchmarkWatch) -> None:
        """An earlier invocation came by here, and decided nothing."""
        watch.live.worth_a_look(self._rules)

    def look(self, watch: BenchmarkWatch) -> None:
        """Apply the gate to what counts so far, where that may decide it."""
        live, now = watch.live, time.monotonic()
        if watch.done or self._control.stopping or now < self._not_before:
            return
        if not live.worth_a_look(self._rules):
            return
        began = time.thread_time()
        others = tuple(w.live.name for w in self._jobs.values() if w is not watch)
        tentative = Decision(
            status="", reason="", problems=tuple(live.prefix.problems), pending=others
        )
        candidate = {live.name: live.candidate(tentative)}
        baseline = {w.live.name: w.live.baseline for w in self._jobs.values()}
        report = gate(baseline, candidate, self._gate.policy)
        # Of this thread alone: a look is not slow because the machine is busy.
        if (took := time.thread_time() - began) > SLOW_SECONDS:
            self._not_before = now + took / LOOKING_SHARE
        item = next(item for item in report.benchmarks if item.benchmark == live.name)
        if item.status not in (Status.PASS, Status.BREACH):
            return
        decision = Decision(
            status=item.status.value,
            reason="; ".join(_explanations(item)),
            problems=tentative.problems,
            verdict=self._verdict(watch, item.status),
        )
        if decision.verdict is not None:
            begun = {w.live.name for w in self._jobs.values() if w.begun}
            pending = tuple(name for name in self._names if name not in begun)
            decision = msgspec.structs.replace(decision, pending=pending)
        watch.decide(decision)
        self._end(watch, decision)

    def _watched(self, name: str, job: Job) -> Job:
        source, plan = self._gate.baseline[name], job.plan
        clusters = clusters_by_problem(source)
        seed: int | str | None = plan.settings.shuffle_seed
        if seed is None:
            seed = f"{plan.digest} {source.run_id}"
        elif not clusters:
            seed = None  # it is shuffled
        units = units_of(job.order, clusters, seed)
        rule = StoppingRule(
            policy=self._gate.name,
            policy_digest=digest(self._gate.policy.model_dump(mode="json")),
            baseline=source.run_id,
            problems=plan.n_problems,
            horizon=len(units),
            largest=max(map(len, units)),
        )
        rules = self._gate.policy.rules_of(name)
        live = WatchedBenchmark(name, plan, source, rules, units, rule)
        watch = self._jobs[plan.slug] = BenchmarkWatch(live, self)
        order = [problem for unit in units for problem in unit]
        return replace(job, order=order, watch=watch)

    def _verdict(self, watch: BenchmarkWatch, status: Status) -> str | None:
        """The policy's answer, where one benchmark more makes it certain."""
        if status is Status.BREACH:
            return "NO-GO"
        others = [w for w in self._jobs.values() if w is not watch]
        return "GO" if all(self._passed(w) for w in others) else None

    def _passed(self, watch: BenchmarkWatch) -> bool:
        if watch.decision is not None:
            return watch.decision.status == Status.PASS.value
        if not watch.live.prefix.complete:
            return False
        live = watch.live
        report = gate({live.name: live.baseline}, {live.name: live.candidate()}, self._gate.policy)
        statuses = {item.benchmark: item.status for item in report.benchmarks}
        return statuses[live.name] is Status.PASS

    def _end(self, watch: BenchmarkWatch, decision: Decision) -> None:
        text = Stopping(rule=watch.live.rule, decision=decision).text
        line = f"{watch.live.name}: {text}: {decision.reason}"
        self._say(line)
        if decision.verdict is not None:
            self._control.decide(line)


def open_watch(
    config: GateConfig | None, gate: Gate | None, control: Control, say: Say
) -> RunWatch | None:
    """What ends a run early, where that is asked for. Raises ConfigError."""
    if config is None or gate is None or config.stop_when is None:
        return None
    if gate.policy.published:
        raise ConfigError(
            "the published rules do not hold at an end that the answers have chosen",
            where=config.policy,
            hint="leave out rules: published, or --stop-when",
        )
    return RunWatch(gate, control, say)


def check(gate: Gate, jobs: Mapping[str, Job]) -> None:
    """Raise ConfigError for benchmarks that are missing on a side, and for results that would not
    be comparable."""
    policy, baseline = gate.policy, gate.baseline
    deciding = [name for name in jobs if gate.decides(name)]
    lacking = [n for n in policy.required() if n not in jobs]
    lacking += [n for n in baseline if policy.complete and n not in (*jobs, *lacking)]
    if lacking:
        raise ConfigError(
            f"the gate would be a NO-GO whatever the answers are: this run lacks "
            f"{', '.join(lacking)}",
            where=gate.name,
            hint="add what is missing to the configuration, or give the policy "
            "require_all_of_baseline: false",
        )
    if unknown := [name for name in deciding if name not in baseline]:
        raise ConfigError(
            f"the baseline lacks {', '.join(unknown)}, which the policy decides by",
            where=gate.where,
        )
    if not deciding:
        raise ConfigError("no benchmark of this run decides by this policy", where=gate.name)
    for name in deciding:
        _check_comparable(gate, name, jobs[name])


def _check_comparable(gate: Gate, name: str, job: Job) -> None:
    source = gate.baseline[name]
    if source.rollouts is None:
        raise ConfigError("has no results.jsonl with rollouts", where=str(source.folder))
    _check_metric(gate, name, source.rollouts)
    share = covered(source, job)
    floor = max(gate.policy.rules_of(name).min_coverage, job.plan.settings.min_coverage or 0.0)
    if share < floor:
        raise ConfigError(
            f"the baseline has verdicts on {share:.1%} of the rollouts of {name} that are planned, "
            f"at least {floor:.1%} are needed for a GO",
            where=gate.where,
            hint="resume the baseline, without --stop-when, or name another one",
        )
    differs = differences(source, planned_source(name, job.plan, source.rollouts), None)
    if differs:
        lines = "".join(f"\n  {item}" for item in differs)
        raise ConfigError(
            f"{name} would not be comparable with the baseline: they differ in{lines}",
            where=gate.where,
        )


def _check_metric(gate: Gate, name: str, rollouts: Rollouts) -> None:
    """Raise ConfigError for a metric that no rollout has: the gate could never be decided by it."""
    metric = gate.policy.rules_of(name).metric
    if metric is None:
        return
    try:
        values_of(rollouts, metric_named(metric))
    except ConfigError as error:
        where = f"{gate.name}, benchmarks.{name}.metric"
        raise ConfigError(f"{error.what} of the baseline", where=where, hint=error.hint) from None


def covered(baseline: Source, job: Job) -> float:
    """The share of the rollouts planned of a benchmark on which the baseline has a verdict."""
    rollouts = baseline.rollouts
    assert rollouts is not None
    scored = np.isin(rollouts.problems, list(job.order)) & ~np.isnan(rollouts.rewards)
    return float(scored.sum()) / (len(job.order) * baseline.repeats())


def answer_of(score: Score, *, truncated: bool) -> Answer:
    """What of a verdict is needed."""
    correct = math.nan if score.correct is None else float(score.correct)
    return Answer(score.reward, correct, truncated or bool(score.details.get("truncated")))


def _names(jobs: Sequence[Job]) -> list[str]:
    """The names that the readers of a run give its benchmarks: the second of a name goes by its
    folder."""
    found: list[str] = []
    for job in jobs:
        found.append(job.plan.slug if job.plan.name in found else job.plan.name)
    return found


def _explanations(item: BenchmarkGate) -> list[str]:
    """What is breached, or by how much the limits are held."""
    if item.status is Status.BREACH:
        return [rule.explanation for rule in item.applied if rule.status is Status.BREACH]
    held = [rule for rule in item.applied if rule.p_value is not None]
    return [rule.explanation for rule in held if rule.name != TRUNCATION]


def _damages(rules: GateRules) -> list[str]:
    """The rules that a breach must hold among; answers cut off are a family of their own."""
    return [rule.name for rule in not_needed(rules) if rule.name != TRUNCATION]
