"""A ``Definition`` as an environment: loads rows, fills prompts, runs the scorer."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import math
from collections.abc import Mapping
from importlib.util import find_spec
from random import Random
from typing import Any

from ..errors import ConfigError, InfraError
from ..scoring.input import ScorerInput
from ..scoring.reasoning import visible
from ..types import Failure, Image, Json, Phase, Problem, Score, Solution
from .contract import VerifyTools
from .define import Definition, SeedResult
from .pace import Pace
from .rows import Dataset, load
from .templates import compile_template

TRUNCATING = ("length", "max_tokens")


class DefinedEnvironment:
    """The environment of one ``@benchmark``."""

    def __init__(self, definition: Definition) -> None:
        self._d = definition
        self.name = definition.name
        self.endpoint_type = definition.endpoint_type
        self._data: Dataset | None = None
        self._render = compile_template(definition.prompt)
        self._examples = ""
        self._is_async = inspect.iscoroutinefunction(definition.scorer)
        self._pace = Pace(quick=definition.inline)

    @property
    def inline(self) -> bool:
        """Whether verification is now so quick that it needs no task of its own."""
        return not self._is_async and self._pace.quick

    async def prepare(self) -> None:
        """Load the dataset and the few-shot examples."""
        for requirement in self._d.requirements:
            module = requirement.split("[")[0].split(">")[0].split("=")[0].strip().replace("-", "_")
            if find_spec(module) is None:
                raise ConfigError(
                    f"needs the package {requirement}",
                    where=self.name,
                    hint=f"pip install '{requirement}'",
                )
        self._data = await asyncio.to_thread(load, self._d.dataset, folder=self._d.folder)
        if self._d.num_fewshot:
            self._examples = await asyncio.to_thread(self._few_shot)

    async def size(self) -> int:
        """Number of rows."""
        return len(self._rows.rows)

    async def seed(self, idx: int) -> Problem:
        """The problem of a row."""
        row = self._row(self._rows, idx)
        where = f"{self.name}, row {idx}"
        if self._d.seed_fn is not None:
            return from_seed(self._d.seed_fn(row, idx), idx, self._d.system_prompt, where)
        if self._d.target_field not in row:
            raise ConfigError(
                f"the row has no target field {self._d.target_field!r}",
                where=where,
                hint=f"fields of the row: {', '.join(map(str, row))}",
            )
        prompt = self._examples + self._render(row, where)
        target = row.pop(self._d.target_field)
        if self._d.category_field is not None:
            row["category"] = row.get(self._d.category_field)
        cluster = row.get(self._d.cluster_field) if self._d.cluster_field else None
        return Problem(
            idx=idx,
            prompt=prompt,
            system=self._d.system_prompt,
            target=target,
            metadata=row,
            cluster=None if cluster is None else str(cluster),
        )

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The scorer's verdict. A scorer that fails is an InfraError, never a reward."""
        shown = visible(solution.response)
        sample = ScorerInput(
            response=shown.text,
            target=problem.target,
            metadata=problem.metadata,
            config=self._d.extra,
        )
        try:
            if self._is_async:
                verdict = await self._d.scorer(sample)
            else:
                verdict = await self._pace.run(self._d.scorer, sample)
                if inspect.isawaitable(verdict):
                    verdict = await verdict
            score = to_score(verdict)
        except Exception as error:
            raise self._scorer_failed(error, problem) from error
        truncated = shown.unclosed or solution.finish_reason in TRUNCATING
        if not truncated:
            return score
        failure = Failure.TRUNCATED if score.extracted is None else score.failure
        return Score(
            reward=score.reward,
            correct=score.correct,
            extracted=score.extracted,
            details={**score.details, "truncated": True},
            failure=failure,
            metadata=score.metadata,
        )

    def identity(self) -> Mapping[str, Json]:
        """What a score of this benchmark depends on."""
        d, data = self._d, self._rows
        return {
            "dataset": str(d.dataset) if isinstance(d.dataset, str) else data.name,
            "dataset_revision": data.revision,
            "dataset_digest": data.digest,
            "dataset_rows": len(data.rows),
            "prompt_digest": _digest(
                d.prompt,
                self._examples,
                d.system_prompt,
                d.endpoint_type,
                d.target_field,
                sorted(d.field_mapping.items()),
                _source(d.prepare_row),
                _source(d.seed_fn),
            ),
            "num_fewshot": d.num_fewshot,
            "scorer": f"{getattr(d.scorer, '__name__', 'scorer')}:{_digest(_source(d.scorer))}",
            "extra": {key: str(value) for key, value in d.extra.items()},
        }

    async def close(self) -> None:
        """Forget the rows."""
        self._data = None

    @property
    def _rows(self) -> Dataset:
        assert self._data is not None, "prepare() comes first"
        return self._data

    def _row(self, data: Dataset, idx: int) -> dict[str, Any]:
        row = dict(data.rows[idx])
        for old, new in self._d.field_mapping.items():
            if old in row:
                row[new] = row.pop(old)
        if self._d.prepare_row is not None:
            row = self._d.prepare_row(row, idx, Random(idx))
            if not isinstance(row, dict):
                raise ConfigError(
                    f"prepare_row returned {type(row).__name__}, not a dict",
                    where=f"{self.name}, row {idx}",
                )
        return row

    def _few_shot(self) -> str:
        if self._d.fewshot_dataset is None:
            raise ConfigError(
                "few-shot examples need a fewshot_dataset",
                where=self.name,
                hint="so that no problem is its own example",
            )
        data = load(self._d.fewshot_dataset, folder=self._d.folder)
        if len(data.rows) < self._d.num_fewshot:
            raise ConfigError(
                f"{self._d.num_fewshot} examples are asked for, there are {len(data.rows)}",
                where=self.name,
            )
        example = self._d.fewshot_format or f"{self._d.prompt} {{{self._d.target_field}}}"
        render = compile_template(example)
        texts = [
            render(self._row(data, i), f"{self.name}, example {i}")
            for i in range(self._d.num_fewshot)
        ]
        return "".join(f"{text}\n\n" for text in texts)

    def _scorer_failed(self, error: Exception, problem: Problem) -> InfraError:
        name = getattr(self._d.scorer, "__name__", "scorer")
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        at = f" ({frame.tb_frame.f_code.co_filename}:{frame.tb_lineno})" if frame else ""
        return InfraError(
            f"scorer {name} failed on problem {problem.idx}: {type(error).__name__}: {error}{at}",
            kind=Failure.VERIFIER,
            phase=Phase.VERIFY,
            peer=name,
        )


def from_seed(seed: SeedResult, idx: int, system: str | None, where: str) -> Problem:
    """A ``SeedResult`` as a problem. Raises ConfigError for what this version cannot do."""
    if not isinstance(seed, SeedResult):
        raise ConfigError(f"seeding returned {type(seed).__name__}, not a SeedResult", where=where)
    if any((seed.sandbox_spec, seed.verify_sandbox_spec, seed.capture_cmd, seed.apply_cmd)):
        raise ConfigError("the problem needs a sandbox; this version runs none", where=where)
    cluster = seed.metadata.get("cluster")
    return Problem(
        idx=idx,
        prompt=seed.prompt,
        messages=tuple(seed.messages or ()),
        system=seed.system if seed.system is not None else system,
        target=seed.expected_answer,
        metadata=dict(seed.metadata),
        images=tuple(_image(image) for image in seed.images or ()),
        cluster=None if cluster is None else str(cluster),
    )


def to_score(verdict: Any) -> Score:
    """What a scorer returned as a score. Raises TypeError or ValueError for nonsense."""
    if isinstance(verdict, bool):
        return Score(reward=float(verdict), correct=verdict)
    if isinstance(verdict, int | float):
        return Score(reward=_reward(verdict))
    if not isinstance(verdict, Mapping):
        raise TypeError(f"a scorer returns a dict, a bool or a number, not {verdict!r:.80}")
    details = dict(verdict)
    correct, reward = details.pop("correct", None), details.pop("reward", None)
    if correct is None and reward is None:
        raise ValueError(f"a scorer's dict needs 'correct' or 'reward'; it has {sorted(details)}")
    if correct is not None and not isinstance(correct, bool | int | float):
        raise TypeError(f"'correct' must be a bool, not {correct!r:.80}")
    failure = details.pop("failure", None)
    return Score(
        reward=_reward(float(bool(correct)) if reward is None else reward),
        correct=None if correct is None else bool(correct),
        extracted=details.pop("extracted", None),
        details=details,
        failure=Failure(failure) if failure else None,
    )


def _reward(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"the reward is {number}")
    return number


def _image(image: Image | str | bytes) -> Image:
    if isinstance(image, Image):
        return image
    if isinstance(image, bytes):
        return Image(data=image)
    is_url = image.startswith(("http://", "https://", "data:"))
    return Image(url=image) if is_url else Image(path=image)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _source(function: Any) -> str | None:
    if function is None:
        return None
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return getattr(function, "__qualname__", repr(function))
