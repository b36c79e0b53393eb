"""The configuration document, filled in and checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from ..errors import suggest
from .benchmark import BenchmarkConfig
from .checks import cross_checks
from .document import Document
from .mistakes import Mistake, format_path
from .sandboxes import AnySandbox, NoSandbox
from .services import ModelFields
from .slurm_checks import slurm_checks
from .solvers import SimpleSolver


class EvalConfig(Document):
    """The whole document."""

    @model_validator(mode="after")
    def _fill_in_and_check(self) -> EvalConfig:
        problems = list(_unknown_sandboxes(self))
        filled = [self._filled(benchmark) for benchmark in self.benchmarks]
        # The record is frozen for its readers; it has not been handed out yet.
        object.__setattr__(self, "benchmarks", filled)
        problems += [*cross_checks(self), *slurm_checks(self)]
        if problems:
            text = "; ".join(f"{format_path(p.path)}: {p.what}" for p in problems)
            raise PydanticCustomError("cross_check", "{text}", {"text": text, "problems": problems})
        return self

    def _filled(self, benchmark: BenchmarkConfig) -> BenchmarkConfig:
        """The document with the top-level solver and scoring, the only model, and its sandbox by
        name."""
        update: dict[str, object] = {}
        if benchmark.solver is None:
            update["solver"] = self.solver or self._only_model()
        if self.scoring is not None and "scoring" not in benchmark.model_fields_set:
            update["scoring"] = self.scoring
        sandbox = benchmark.sandbox
        if isinstance(sandbox, str):
            update["sandbox"] = sandbox = self._sandbox(sandbox)
        if "verify_timeout" in sandbox.model_fields_set - benchmark.model_fields_set:
            update["verify_timeout"] = getattr(sandbox, "verify_timeout", None)
        return benchmark.model_copy(update=update) if update else benchmark

    def _only_model(self) -> SimpleSolver | None:
        models = [name for name, s in self.services.items() if isinstance(s, ModelFields)]
        return SimpleSolver(service=models[0]) if len(models) == 1 else None

    def _sandbox(self, name: str) -> AnySandbox:
        return self.sandboxes.get(name) or NoSandbox()


def _unknown_sandboxes(config: Document) -> Iterator[Mistake]:
    for index, benchmark in enumerate(config.benchmarks):
        name = benchmark.sandbox
        if isinstance(name, str) and name != "none" and name not in config.sandboxes:
            path = ("benchmarks", index, "sandbox")
            yield Mistake(path, f"there is no sandbox {name!r}", suggest(name, config.sandboxes))
