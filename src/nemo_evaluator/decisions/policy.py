"""Reads a gate policy: every problem with file and line, in one message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from ..config.explain import explain
from ..config.gate_policy import SUPPORTED, GatePolicy, GateRules
from ..config.mistakes import Mistake, as_error
from ..config.tree import Node, from_plain, locate, plain
from ..config.yaml_file import read_yaml
from ..errors import ConfigError


def load_policy(path: str | Path) -> GatePolicy:
    """The policy of a YAML file. Raises ConfigError."""
    node = read_yaml(Path(path))
    if node.value is None:
        raise ConfigError("is empty; a policy is a YAML mapping", where=str(path))
    return _validated(node)


def parse_policy(data: Mapping[str, object]) -> GatePolicy:
    """The policy of a mapping. Raises ConfigError."""
    return _validated(from_plain(dict(data)))


def _validated(node: Node) -> GatePolicy:
    data = plain(node)
    problems: list[Mistake] = []
    version = data.get("version", 1)
    if version != 1 or isinstance(version, bool):
        what = f"Unsupported gate policy version {version!r}"
        problems.append(Mistake(("version",), what, "version: 1"))
        data = {**data, "version": 1}
    policy = None
    try:
        policy = GatePolicy.model_validate(data)
        problems += _metrics(policy)
        problems += _calibrations(policy)
    except ValidationError as error:
        problems += explain(error, frozenset(), GatePolicy)
    failure = as_error(problems, lambda path: locate(node, path))
    if failure is not None:
        raise failure
    assert policy is not None
    return policy


def _metrics(policy: GatePolicy) -> Iterator[Mistake]:
    """A benchmark that decides is judged by a metric that the policy names; the published rules
    know two."""
    for name in policy.required():
        metric = policy.rules_of(name).metric
        path = ("benchmarks", name)
        if metric is None:
            what = "a benchmark that decides needs an explicit metric"
            yield Mistake(path, what, f"metric: {SUPPORTED[0]}, or {SUPPORTED[1]}")
        elif policy.published and metric not in SUPPORTED:
            where = (*path, "metric") if policy.benchmarks[name].metric else ("defaults", "metric")
            what = f"unsupported metric {metric!r} for {name}, which decides"
            yield Mistake(
                where, what, f"{SUPPORTED[0]} or {SUPPORTED[1]}, tier: advisory, or rules: sound"
            )


def _calibrations(policy: GatePolicy) -> Iterator[Mistake]:
    """The published rules know no judge's error."""
    if not policy.published:
        return
    places: list[tuple[tuple[str, ...], GateRules]] = [(("defaults",), policy.defaults)]
    places += [(("benchmarks", name), entry) for name, entry in policy.benchmarks.items()]
    for path, rules in places:
        if rules.require_calibration:
            what = "the published rules do not know the error of a judge"
            yield Mistake((*path, "require_calibration"), what, "leave it out, or rules: sound")
