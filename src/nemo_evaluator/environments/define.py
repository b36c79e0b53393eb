"""``@benchmark`` and ``@scorer``: a benchmark is a dataset, a prompt and a function that grades.

::

    @benchmark(name="capitals", dataset="capitals.jsonl", prompt="Capital of {country}?")
    @scorer
    def capitals(sample: ScorerInput) -> dict:
        return exact_match(sample)
"""

from __future__ import annotations

import inspect
import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from ..errors import ConfigError
from ..sandboxes.contract import SandboxSpec
from ..scoring.input import ScorerInput
from .contract import Aggregates
from .params import check_params
from .rows import Source
from .seeds import SeedResult as SeedResult
from .templates import Style

_LOG = logging.getLogger(__name__)
F = TypeVar("F", bound=Callable[..., Any])
ScorerFunction = Callable[[ScorerInput], Any]
PrepareRow = Callable[[dict[str, Any], int, Random], dict[str, Any]]
SeedFunction = Callable[[dict[str, Any], int], SeedResult]
WorkspaceOf = Callable[[dict[str, Any]], SandboxSpec]


@dataclass(frozen=True, slots=True)
class Definition:
    """Everything ``@benchmark`` was given."""

    name: str
    dataset: Source
    prompt: str | Path
    """A template, or the name of a file that holds one."""
    scorer: ScorerFunction
    template: Style | None = None
    """How the prompt is written; None: as a format string, or as its file's ending says."""
    target_field: str = "target"
    """What is expected. Rows may lack it where the benchmark requires a judge."""
    endpoint_type: str = "chat"
    """``chat``, or ``completion`` for a bare text prompt."""
    system_prompt: str | None = None
    field_mapping: Mapping[str, str] = field(default_factory=dict)
    """Name in the dataset → name in the prompt."""
    prepare_row: PrepareRow | None = None
    seed_fn: SeedFunction | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Handed to the scorer as ``sample.config``."""
    requirements: Sequence[str] = ()
    """Packages; ``judge`` if the benchmark cannot be scored without one."""
    num_fewshot: int = 0
    fewshot_dataset: Source | None = None
    fewshot_format: str | None = None
    """Template of one example; the prompt followed by the target unless given."""
    category_field: str | None = None
    cluster_field: str | None = None
    """Problems with the same value are not independent; intervals respect it."""
    params: Callable[..., Mapping[str, Any]] | None = None
    """Takes the configuration's ``params``; returns fields of the definition to replace."""
    keep_reasoning: bool = False
    """The scorer sees ``<think>`` blocks too."""
    inline: bool = False
    """The scorer is quick and may run on the event loop."""
    sandbox: SandboxSpec | None = None
    """The scorer runs untrusted code: it gets a fresh sandbox of this kind (``sample.sandbox``)."""
    workspace: WorkspaceOf | SandboxSpec | None = None
    """The sandbox that a problem is solved in, or a function of its row: ``sample.sandbox`` is then
    what the solver left of it."""
    own_rubric: bool = False
    """The scorer asks ``sample.judge`` by prompts of its own; a configured rubric is not its."""
    mean_range: tuple[float, float] | None = None
    """Means are clipped to this range, as the benchmark's authors do; single scores are not."""
    reward_range: tuple[float, float] | None = None
    """The least and the most a reward can be; intervals lie inside. None: 0 to 1, if all are."""
    metric_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """The same of further metrics, by name."""
    aggregate: Aggregates | None = None
    """Takes all scored rows (``ScoredProblem``); returns ``Measure``s, for metrics that are no
    means of theirs."""
    folder: Path | None = None
    """Where relative dataset paths start."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """The configuration's ``params``."""

    def with_params(self, given: Mapping[str, Any]) -> Definition:
        """The definition for some ``params``. Raises ConfigError naming the accepted ones."""
        check_params(self.params, given, where=self.name)
        if self.params is None or not given:
            return self
        try:
            return replace(self, **{**self.params(**given), "given": dict(given)})
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"params cannot be applied: {type(error).__name__}: {error}", where=self.name
            ) from error


DEFINED: dict[str, list[Definition]] = {}
"""Benchmarks by the module that defines them."""


def defined(name: str) -> Definition | None:
    """The newest benchmark of this name that was decorated in this process."""
    every = [definition for module in DEFINED.values() for definition in module]
    return next((found for found in reversed(every) if found.name == name), None)


def scorer(function: F) -> F:
    """Mark a function (sync or async) as a scorer: it takes a ``ScorerInput`` and returns a dict
    with ``correct`` or ``reward`` (and ``extracted``, further details), a bool, or a number."""
    function.__nel_scorer__ = True  # type: ignore[attr-defined]
    return function


def benchmark(
    name: str,
    dataset: Source,
    prompt: str | Path = "",
    target_field: str = "target",
    endpoint_type: str = "chat",
    system_prompt: str | None = None,
    field_mapping: Mapping[str, str] | None = None,
    prepare_row: PrepareRow | None = None,
    seed_fn: SeedFunction | None = None,
    extra: Mapping[str, Any] | None = None,
    requirements: Sequence[str] = (),
    *,
    template: str | None = None,
    num_fewshot: int = 0,
    fewshot_dataset: Source | None = None,
    fewshot_format: str | None = None,
    category_field: str | None = None,
    cluster_field: str | None = None,
    params: Callable[..., Mapping[str, Any]] | None = None,
    keep_reasoning: bool = False,
    inline: bool = False,
    sandbox: SandboxSpec | None = None,
    workspace: WorkspaceOf | SandboxSpec | None = None,
    own_rubric: bool = False,
    mean_range: tuple[float, float] | None = None,
    reward_range: tuple[float, float] | None = None,
    metric_ranges: Mapping[str, tuple[float, float]] | None = None,
    aggregate: Aggregates | None = None,
    **unknown: Any,
) -> Callable[[F], F]:
    """Make a scorer a benchmark. May be stacked: one scorer, several benchmarks.

    ``dataset``: ``hf://id?config=&split=&revision=``, a .jsonl, .json, .csv, .tsv or .parquet
    file, a list of rows, or a callable (that may take ``num_examples``). ``prompt``: a format
    string over the row's fields, or Jinja with ``template="jinja"``; or the name of a file.
    ``prepare_row(row, idx, rng)`` returns the row to use; ``rng`` is seeded with the index.
    ``seed_fn(row, idx)`` returns a ``SeedResult`` and replaces prompt, target and examples. The
    other arguments are explained at ``Definition``; an unknown one is said and has no effect.
    Raises ConfigError.
    """
    caller = sys._getframe(1).f_globals
    if endpoint_type not in ("chat", "completion"):
        raise ConfigError(
            f"unknown endpoint_type {endpoint_type!r}", where=name, hint="chat or completion"
        )
    style = _style(template, name)
    _note_unknown(unknown, name)
    ranges = {metric: checked_range(r, name, metric) for metric, r in (metric_ranges or {}).items()}
    if reward_range is not None:
        reward_range = checked_range(reward_range, name, "reward_range")
    if mean_range is not None:
        checked_range(mean_range, name, "mean_range")
    if not isinstance(name, str) or not name.strip():
        raise ConfigError("@benchmark: needs a name", hint='write name="..."')
    if not prompt and seed_fn is None:
        raise ConfigError("needs a prompt or a seed_fn", where=name)

    def decorate(function: F) -> F:
        definition = Definition(
            name=name,
            dataset=dataset,
            prompt=prompt,
            scorer=function,
            template=style,
            target_field=target_field,
            endpoint_type=endpoint_type,
            system_prompt=system_prompt,
            field_mapping=field_mapping or {},
            prepare_row=prepare_row,
            seed_fn=seed_fn,
            extra=extra or {},
            requirements=requirements,
            num_fewshot=num_fewshot,
            fewshot_dataset=fewshot_dataset,
            fewshot_format=fewshot_format,
            category_field=category_field,
            cluster_field=cluster_field,
            params=params,
            keep_reasoning=keep_reasoning,
            inline=inline,
            sandbox=sandbox,
            workspace=workspace,
            own_rubric=own_rubric,
            mean_range=mean_range,
            reward_range=reward_range,
            metric_ranges=ranges,
            aggregate=aggregate,
            folder=_folder_of(caller.get("__file__")),
        )
        _check_types(definition)
        _check_takes_sample(definition)
        function.__nel_benchmark__ = definition  # type: ignore[attr-defined]
        DEFINED.setdefault(caller["__name__"], []).append(definition)
        return function

    return decorate


_TYPES: Sequence[tuple[Any, str, tuple[str, ...]]] = (
    (str, "a text", ("name", "target_field", "system_prompt", "fewshot_format")),
    (str, "the name of a field", ("category_field", "cluster_field")),
    ((str, Path), "a template, or the path of a file with one", ("prompt",)),
    (Callable, "a function", ("scorer", "prepare_row", "seed_fn", "params", "aggregate")),
    (Mapping, "a dict", ("field_mapping", "extra")),
    ((list, tuple, set, frozenset), "a list of texts", ("requirements",)),
    (int, "a whole number", ("num_fewshot",)),
    (bool, "True or False", ("keep_reasoning", "inline", "own_rubric")),
    (SandboxSpec, "a SandboxSpec", ("sandbox",)),
)
"""What the fields of a definition must be, where they are given."""


def _check_types(given: Definition) -> None:
    """Raise ConfigError for an argument of another type: here, and not when it is first used."""
    for types, wanted, names in _TYPES:
        for name in names:
            value = getattr(given, name)
            if value is not None and not isinstance(value, types):
                raise ConfigError(
                    f"@benchmark: {name} must be {wanted}, not {value!r:.60}", where=str(given.name)
                )


def _check_takes_sample(given: Definition) -> None:
    """Raise ConfigError for a scorer that cannot be called with one sample: here, and not when all
    answers are paid for."""
    try:
        inspect.signature(given.scorer).bind(None)
    except TypeError:
        raise ConfigError(
            "the scorer must take one argument, the sample",
            where=given.name,
            hint="write `def my_scorer(sample): ...`",
        ) from None
    except ValueError:  # a function of C says nothing about its arguments
        return


def checked_range(given: Any, where: str, what: str) -> tuple[float, float]:
    """A range of rewards. Raises ConfigError unless it is two numbers, the first the smaller."""
    try:
        low, high = (float(end) for end in given)
    except (TypeError, ValueError):
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise ConfigError(
            f"{what} is {given!r}",
            where=where,
            hint="give two numbers, as (0, 100)",
        )
    return low, high


def _note_unknown(unknown: Mapping[str, Any], name: str) -> None:
    """Keywords of other versions are accepted and said; what looks like a typo is an error."""
    known = [*inspect.signature(benchmark).parameters][:-1]
    for keyword in unknown:
        if close := get_close_matches(keyword, known, n=1, cutoff=0.8):
            raise ConfigError(
                f"@benchmark has no argument {keyword!r}",
                where=name,
                hint=f"did you mean {close[0]!r}?",
            )
    if unknown:
        _LOG.warning("%s: @benchmark(%s) has no effect", name, ", ".join(map(str, unknown)))


def _style(template: str | None, name: str) -> Style | None:
    try:
        return None if template is None else Style(template)
    except ValueError:
        raise ConfigError(
            f"unknown template {template!r}", where=name, hint="format or jinja"
        ) from None


def _folder_of(file: str | None) -> Path | None:
    return Path(file).resolve().parent if file else None
