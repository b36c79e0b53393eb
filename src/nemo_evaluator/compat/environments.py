"""Benchmarks as objects: ``get_environment(name)`` with ``seed`` and ``verify``."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..environments.contract import Environment, VerifyTools
from ..environments.define import DEFINED, benchmark, scorer
from ..environments.registry import Found, benchmarks_of_file, find, list_benchmarks, open_found
from ..environments.seeds import SeedResult
from ..environments.subclass import REGISTERED, EvalEnvironment, VerifyResult, construct, register
from ..scoring.input import ScorerInput, target_text
from ..types import Json, Problem, Solution

__all__ = [
    "BenchmarkEnvironment",
    "EvalEnvironment",
    "ScorerInput",
    "SeedResult",
    "VerifyResult",
    "benchmark",
    "get_environment",
    "list_environments",
    "load_benchmark_file",
    "register",
    "scorer",
]

_LOADED: dict[str, Found] = {}
"""Benchmarks of files that were loaded, by name: these come before built-in ones."""


def list_environments() -> list[str]:
    """Names that ``get_environment`` knows: built in, installed, defined in this process."""
    decorated = (found.name for module in DEFINED.values() for found in module)
    listed = (name for name, _ in list_benchmarks())
    return sorted({*listed, *REGISTERED, *decorated, *_LOADED})


def load_benchmark_file(path: str | Path) -> list[str]:
    """Import a file with benchmarks; their names, which ``get_environment`` knows from now on.

    Raises ConfigError.
    """
    found = {item.name: item for item in benchmarks_of_file(Path(path))}
    _LOADED.update(found)
    return list(found)


def get_environment(
    name: str,
    num_examples: int | None = None,
    num_fewshot: int | None = None,
    params: Mapping[str, Any] | None = None,
    **more: Any,
) -> EvalEnvironment:
    """A benchmark by name, ``FILE.py[:NAME]`` or ``module:attribute``.

    ``params`` (and further keywords) are the benchmark's own; ``num_examples`` takes the first
    rows only. Raises ConfigError.
    """
    given = {**(params or {}), **more}
    found = [_LOADED[name]] if name in _LOADED else find(name)
    one = found[0]
    if not (isinstance(one, type) and issubclass(one, EvalEnvironment)):
        return BenchmarkEnvironment(open_found(one, given, num_fewshot), num_examples)
    accepted = inspect.signature(one).parameters
    for key, value in (("num_examples", num_examples), ("num_fewshot", num_fewshot)):
        if value is not None and key in accepted:
            given.setdefault(key, value)
    return construct(one, given).inner


class BenchmarkEnvironment(EvalEnvironment):
    """A benchmark of this package behind ``seed`` and ``verify``. Loads when first asked."""

    def __init__(self, inner: Environment, num_examples: int | None = None) -> None:
        self.inner, self.name = inner, inner.name
        self.limit, self._size = num_examples, -1

    async def prepare(self) -> None:
        """Load the dataset."""
        if self._size < 0:
            await self.inner.prepare()
            size = await self.inner.size()
            self._size = size if self.limit is None else min(size, self.limit)

    async def dataset_size(self) -> int:
        """Number of problems."""
        await self.prepare()
        return self._size

    def __len__(self) -> int:
        if self._size < 0:
            with ThreadPoolExecutor(1) as pool:  # there may be a running event loop here
                pool.submit(asyncio.run, self.prepare()).result()
        return self._size

    async def seed(self, idx: int) -> SeedResult:
        """The problem of a row."""
        await self.prepare()
        problem = await self.inner.seed(idx)
        target = problem.target
        return SeedResult(
            prompt=problem.prompt,
            expected_answer=target if isinstance(target, list | dict) else target_text(target),
            metadata=self._metadata(problem),
            messages=list(problem.messages) or None,
            system=problem.system,
            images=list(problem.images) or None,
        )

    def _metadata(self, problem: Problem) -> Mapping[str, Json]:
        """The whole row, the target included."""
        return self.inner.grading.metadata(problem)

    async def verify(
        self, response: str, expected: Json, sandbox: Any = None, **metadata: Json
    ) -> VerifyResult:
        """The verdict on a response. Raises InfraError where there is none."""
        await self.prepare()
        problem = Problem(idx=-1, target=expected, metadata=metadata)
        score = await self.inner.verify(problem, Solution(response=response), VerifyTools())
        details = score.published
        if score.correct is not None:
            details["correct"] = score.correct
        return VerifyResult(score.reward, score.extracted, details, score.metadata)

    def identity(self) -> Mapping[str, Json]:
        """What a score of the benchmark depends on."""
        return self.inner.identity()

    async def close(self) -> None:
        """Forget the dataset."""
        self._size = -1
        await self.inner.close()
