"""``EvalEnvironment``: a benchmark as a class, for what ``@benchmark`` cannot express."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..errors import ConfigError, InfraError, NelError
from ..scoring.reasoning import visible
from ..types import Failure, Json, Phase, Problem, Score, Solution
from .contract import VerifyTools
from .define import SeedResult
from .defined import TRUNCATING, _digest, _reward, _source, from_seed


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """The verdict of ``EvalEnvironment.verify``."""

    reward: float
    extracted_answer: Json = None
    scoring_details: Mapping[str, Json] = field(default_factory=dict)
    metadata: Mapping[str, Json] = field(default_factory=dict)


class EvalEnvironment:
    """Subclass, implement ``seed`` and ``verify`` and either ``dataset_size`` or ``__len__``."""

    name: str = ""

    async def prepare(self) -> None:
        """Load what is needed."""

    async def dataset_size(self) -> int:
        """Number of problems."""
        return len(self)  # type: ignore[arg-type]

    async def seed(self, idx: int) -> SeedResult:
        """The problem at an index."""
        raise TypeError(f"{type(self).__name__} must implement seed()")

    async def verify(
        self, response: str, expected: Json, sandbox: Any = None, **metadata: Json
    ) -> VerifyResult:
        """The verdict on a response (its reasoning removed)."""
        raise TypeError(f"{type(self).__name__} must implement verify()")

    async def close(self) -> None:
        """Release what prepare acquired."""


E = TypeVar("E", bound=type[EvalEnvironment])
REGISTERED: dict[str, type[EvalEnvironment]] = {}
"""Classes registered in this process, by name."""


def register(name: str) -> Callable[[E], E]:
    """Register an environment class under a name usable as ``--bench`` and in `benchmarks`."""

    def decorate(cls: E) -> E:
        cls.name = cls.name or name
        cls.__nel_registered__ = name  # type: ignore[attr-defined]
        REGISTERED[name] = cls
        return cls

    return decorate


def construct(cls: type[EvalEnvironment], params: Mapping[str, Any]) -> SubclassEnvironment:
    """An instance made with ``params``. Raises ConfigError naming the accepted ones."""
    parameters = inspect.signature(cls).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    accepted = [name for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD]
    unknown = [name for name in params if name not in accepted and not takes_any]
    missing = [
        name
        for name, p in parameters.items()
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        if name not in params
    ]
    if unknown or missing:
        what = f"unknown params {', '.join(unknown)}" if unknown else ""
        what += f"{'; ' if what and missing else ''}" + (
            f"missing params {', '.join(missing)}" if missing else ""
        )
        raise ConfigError(
            what, where=cls.name or cls.__name__, hint=f"it accepts {', '.join(accepted) or 'none'}"
        )
    return SubclassEnvironment(cls(**params), params)


class SubclassEnvironment:
    """An ``EvalEnvironment`` behind the engine's contract."""

    def __init__(self, inner: EvalEnvironment, params: Mapping[str, Any]) -> None:
        self._inner, self._params = inner, params
        self.name = inner.name or type(inner).__name__
        self._size = 0

    async def prepare(self) -> None:
        """Let the environment load."""
        await self._inner.prepare()
        self._size = await self._inner.dataset_size()
        if self._size < 0:
            raise ConfigError(f"dataset_size() is {self._size}", where=self.name)

    async def size(self) -> int:
        """Number of problems."""
        return self._size

    async def seed(self, idx: int) -> Problem:
        """The problem at an index."""
        return from_seed(await self._inner.seed(idx), idx, None, f"{self.name}, problem {idx}")

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The verdict; what verify() raises is an InfraError."""
        shown = visible(solution.response)
        try:
            result = await self._inner.verify(
                shown.text, problem.target, sandbox=None, **problem.metadata
            )
            reward = _reward(result.reward)
        except NelError:
            raise
        except Exception as error:
            raise InfraError(
                f"{self.name}.verify failed on problem {problem.idx}: "
                f"{type(error).__name__}: {error}",
                kind=Failure.VERIFIER,
                phase=Phase.VERIFY,
                peer=self.name,
            ) from error
        details = dict(result.scoring_details)
        truncated = shown.unclosed or solution.finish_reason in TRUNCATING
        if truncated:
            details["truncated"] = True
        correct = details.get("correct")
        return Score(
            reward=reward,
            correct=correct if isinstance(correct, bool) else None,
            extracted=result.extracted_answer,
            details=details,
            failure=Failure.TRUNCATED if truncated and result.extracted_answer is None else None,
            metadata=result.metadata,
        )

    def identity(self) -> Mapping[str, Json]:
        """The class's source and its parameters; its data is its own affair."""
        return {
            "class": f"{type(self._inner).__name__}:{_digest(_source(type(self._inner)))}",
            "params": {key: str(value) for key, value in self._params.items()},
            "dataset_rows": self._size,
        }

    async def close(self) -> None:
        """Let the environment release what it has."""
        await self._inner.close()
