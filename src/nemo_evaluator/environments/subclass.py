"""``EvalEnvironment``: a benchmark as a class, for what ``@benchmark`` cannot express."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from inspect import isawaitable
from typing import Any, TypeVar, cast

from ..errors import ConfigError, NelError
from ..measured import Measure
from ..sandboxes.contract import SandboxSpec
from ..scoring.packages import deciding
from ..scoring.reasoning import visible
from ..types import Failure, Json, Problem, Score, Solution
from .contract import Aggregates, Grading, Needs, ScoredProblem, VerifyTools
from .define import checked_range
from .fingerprint import code_digest, source_of
from .grades import in_view_of, to_metrics, to_reward
from .grading import attributed
from .judged import REQUIREMENT, settled
from .lending import lent
from .params import check_params
from .seeds import SeedResult, from_seed
from .uses import seeds_workspaces, verify_uses_sandbox

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_OF_OTHERS = ("run_batch", "image_build_requests", "sandbox_specs")
"""Methods that NVIDIA NeMo Evaluator calls and this version does not."""


@dataclass(slots=True)
class VerifyResult:
    """The verdict of ``EvalEnvironment.verify``."""

    reward: float
    extracted_answer: Json = None
    scoring_details: Mapping[str, Json] = field(default_factory=dict)
    metadata: Mapping[str, Json] = field(default_factory=dict)


class EvalEnvironment:
    """Subclass, implement ``seed`` and ``verify`` and one of ``dataset_size`` and ``__len__``, or
    set ``self._dataset`` to something with a length."""

    name: str = ""
    reward_range: tuple[float, float] | None = None
    """The least and the most a reward can be; intervals lie inside. None: 0 to 1, if all are."""
    _dataset: Any = None
    requirements: Sequence[str] = ()
    """``judge`` if answers cannot be verified without one: ``verify`` returns a ``VerifyResult``
    whose ``scoring_details`` are those of ``needs_judge``."""

    async def prepare(self) -> None:
        """Load what is needed."""

    async def dataset_size(self) -> int:
        """Number of problems."""
        return len(self)

    def __len__(self) -> int:
        if not isinstance(self._dataset, Sized):
            raise TypeError(
                f"{type(self).__name__} must implement dataset_size() or __len__(), or set _dataset"
            )
        return len(self._dataset)

    def __bool__(self) -> bool:
        return True

    async def seed(self, idx: int) -> SeedResult:
        """The problem at an index."""
        raise TypeError(f"{type(self).__name__} must implement seed()")

    async def verify(
        self, response: str, expected: Json, sandbox: Any = None, **metadata: Json
    ) -> VerifyResult:
        """The verdict on a response (its reasoning removed)."""
        raise TypeError(f"{type(self).__name__} must implement verify()")

    def aggregate(self, rows: Sequence[ScoredProblem]) -> Sequence[Measure]:
        """Measures of all rows, where the benchmark's metrics are no means. Called if it is
        overridden."""
        return ()

    def identity(self) -> Mapping[str, Json]:
        """What a score depends on besides the class and its params: the digest of its data, say.
        A run is resumed, and two runs are compared, only if it is equal."""
        return {}

    async def close(self) -> None:
        """Release what prepare acquired."""


E = TypeVar("E", bound=type[EvalEnvironment])
REGISTERED: dict[str, type[EvalEnvironment]] = {}
"""Classes registered in this process, by name."""


def register(name: str) -> Callable[[E], E]:
    """Register an environment class under a name usable as ``--bench`` and in `benchmarks`."""

    def decorate(cls: E) -> E:
        if "name" not in vars(cls):  # one inherited from a registered class is not its own
            cls.name = name
        cls.__nel_registered__ = name  # type: ignore[attr-defined]
        REGISTERED[name] = cls
        return cls

    return decorate


def construct(cls: type[EvalEnvironment], params: Mapping[str, Any]) -> SubclassEnvironment:
    """An instance made with ``params``. Raises ConfigError naming the accepted ones."""
    check_params(cls, params, where=cls.name or cls.__name__)
    try:
        return SubclassEnvironment(cls(**params), params)
    except Exception as error:
        raise _failed(cls.name or cls.__name__, "__init__", error) from error


def _failed(name: str, method: str, error: Exception) -> NelError:
    if isinstance(error, NelError):
        return error
    return ConfigError(f"{method} failed: {type(error).__name__}: {error}", where=name)


class SubclassEnvironment:
    """An ``EvalEnvironment`` behind the engine's contract."""

    harness = None

    def __init__(self, inner: EvalEnvironment, params: Mapping[str, Any]) -> None:
        self.inner, self._params = inner, params
        self.name = inner.name or type(inner).__name__
        for unused in (name for name in _OF_OTHERS if hasattr(inner, name)):
            _LOG.warning("%s: %s() is not called by this version", self.name, unused)
        self.grading = Grading(self.name)
        """What scorers of its answers are given that are not its own ``verify``."""
        self._sandbox = SandboxSpec() if verify_uses_sandbox(type(inner).verify) else None
        seeded = SandboxSpec() if seeds_workspaces(type(inner).seed) else None
        self.needs = Needs(
            sandbox=self._sandbox or seeded,
            judge=REQUIREMENT in inner.requirements,
        )
        self._size = 0

    async def prepare(self) -> None:
        """Let the environment load."""
        try:
            await _awaited(self.inner.prepare())
            self._size = await _awaited(self.inner.dataset_size())
        except Exception as error:
            raise _failed(self.name, "loading", error) from error
        if not isinstance(self._size, int) or self._size < 0:
            raise ConfigError(f"dataset_size() is {self._size!r}", where=self.name)

    @property
    def aggregates(self) -> Aggregates | None:
        """The class's own ``aggregate``, if it has one."""
        own = type(self.inner).aggregate is not EvalEnvironment.aggregate
        return self.inner.aggregate if own else None

    async def size(self) -> int:
        """Number of problems."""
        return self._size

    async def seed(self, idx: int) -> Problem:
        """The problem at an index."""
        where = f"{self.name}, problem {idx}"
        try:
            seed = await _awaited(self.inner.seed(idx))
        except Exception as error:
            raise _failed(where, "seed", error) from error
        return from_seed(seed, idx, None, where)

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The verdict; what verify() raises is an InfraError."""
        shown = visible(solution.response)
        with attributed(f"{self.name}.verify", problem.idx):
            async with lent(problem, solution, tools, self._sandbox, self.name) as sandbox:
                result = await _awaited(
                    self.inner.verify(
                        shown.text, problem.target, sandbox=sandbox, **problem.metadata
                    )
                )
            score = _to_score(await _judged(result, problem, shown.text, tools))
        return in_view_of(shown, solution, score)

    def identity(self) -> Mapping[str, Json]:
        """The class's source, its parameters, and what it tells of its data."""
        return {
            "class": code_digest(type(self.inner).__name__, source_of(type(self.inner))),
            "params": {key: str(value) for key, value in self._params.items()},
            "dataset_rows": self._size,
            **({"packages": packages} if (packages := deciding(_methods(self.inner))) else {}),
            **self._ranges(),
            **self.inner.identity(),
        }

    def _ranges(self) -> Mapping[str, Json]:
        if self.inner.reward_range is None:
            return {}
        return {
            "reward_range": [*checked_range(self.inner.reward_range, self.name, "reward_range")]
        }

    async def close(self) -> None:
        """Let the environment release what it has."""
        await _awaited(self.inner.close())


async def _awaited(given: Awaitable[T]) -> T:
    """The result of a method, which a class may also write as a plain function."""
    result: Any = given
    return cast("T", await result if isawaitable(result) else result)


def _methods(environment: EvalEnvironment) -> list[Any]:
    """The functions of an environment's class, and of the classes it builds on."""
    return [
        value
        for cls in type(environment).__mro__[:-1]
        for value in vars(cls).values()
        if callable(value)
    ]


async def _judged(
    result: VerifyResult, problem: Problem, answer: str, tools: VerifyTools
) -> VerifyResult:
    """The result, with the judge's grade as its reward where the environment asked for one."""
    details = getattr(result, "scoring_details", None)
    verdict = await settled(details, problem, answer, tools)
    if verdict is details:
        return result
    reward = verdict.pop("reward")
    return replace(result, reward=reward, scoring_details=verdict)


def _to_score(result: VerifyResult) -> Score:
    if not isinstance(result, VerifyResult):
        raise TypeError(f"verify returned {type(result).__name__}, not a VerifyResult")
    details = dict(result.scoring_details)
    correct, failure = details.get("correct"), details.pop("failure", None)
    return Score(
        reward=to_reward(result.reward),
        correct=correct if isinstance(correct, bool) else None,
        extracted=result.extracted_answer,
        metrics=to_metrics(details.pop("metrics", None)),
        details=details,
        failure=Failure(str(failure)) if failure else None,
        metadata=result.metadata,
    )
