"""A ``Definition`` as an environment: loads rows, fills prompts, runs the scorer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import msgspec

from ..errors import ConfigError, NelError, suggest
from ..sandboxes.contract import SandboxSpec
from ..scoring.packages import deciding
from ..types import Json, Problem, Score, Solution
from .contract import Aggregates, Grading, Needs, VerifyTools
from .define import Definition
from .fingerprint import code_digest, digest, source_of
from .grading import Grader
from .judged import REQUIREMENT
from .probe import Probe
from .requirements import check_requirements
from .row_checks import check_rows, left_over
from .row_files import Row
from .rows import Dataset, load
from .seeds import from_seed, workspace_spec
from .templates import Style, compile_template, field_in, read_template
from .uses import reads_target, seeds_workspaces, uses_sandbox


class DefinedEnvironment:
    """The environment of one ``@benchmark``."""

    harness = None

    def __init__(self, definition: Definition) -> None:
        self._d = definition
        self.name = definition.name
        self._data: Dataset | None = None
        self._prompt = read_template(
            definition.prompt, definition.template, definition.folder, definition.name
        )
        self._render = compile_template(self._prompt.text, self._prompt.style, self.name)
        self._examples = ""
        judged = REQUIREMENT in definition.requirements
        self._needs_target = not judged and reads_target(definition.scorer)
        needed = definition.sandbox is None and uses_sandbox(definition.scorer)
        self.grading = Grading(
            definition.name,
            extra=definition.extra,
            keep_reasoning=definition.keep_reasoning,
            sandbox=SandboxSpec() if needed else definition.sandbox,
            target_field=definition.target_field if definition.seed_fn is None else None,
        )
        """What scorers of its answers are given."""
        self._grader = Grader(definition.scorer, self.grading, inline=definition.inline)
        self._needs = Needs(
            sandbox=self.grading.sandbox or self._workspace_needed(),
            judge=judged,
            own_rubric=definition.own_rubric,
            protocol="completions" if definition.endpoint_type == "completion" else None,
        )
        self._needs_inline = msgspec.structs.replace(self._needs, inline=True)

    def _workspace_needed(self) -> SandboxSpec | None:
        """A spec like those of the problems' workspaces; None if they have none."""
        d = self._d
        if isinstance(d.workspace, SandboxSpec):
            return d.workspace
        seeded = d.seed_fn is not None and seeds_workspaces(d.seed_fn)
        return SandboxSpec() if d.workspace is not None or seeded else None

    def over(self, rows: Sequence[Row]) -> DefinedEnvironment:
        """The same benchmark, over other rows."""
        return DefinedEnvironment(replace(self._d, dataset=list(rows)))

    @property
    def needs(self) -> Needs:
        """A sandbox (the declared one, or any where the scorer's code uses one), a judge, a
        protocol; ``inline`` once the scorer has shown that it is quick."""
        return self._needs_inline if self._grader.quick else self._needs

    @property
    def aggregates(self) -> Aggregates | None:
        """The benchmark's ``aggregate``."""
        return self._d.aggregate

    async def prepare(self) -> None:
        """Load the dataset and the few-shot examples."""
        check_requirements(self._d.requirements, where=self.name)
        self._data = await asyncio.to_thread(load, self._d.dataset, folder=self._d.folder)
        if self._d.num_fewshot:
            self._examples = await asyncio.to_thread(self._few_shot)

    async def size(self) -> int:
        """Number of rows."""
        return len(self._rows.rows)

    async def check(self, order: Sequence[int]) -> None:
        """Raise one ConfigError for all rows of ``order`` that cannot be asked or scored."""
        await asyncio.to_thread(self._check, order)

    def _check(self, order: Sequence[int]) -> None:
        probe = Probe(self._d.scorer, self._d.extra)
        fields: set[str] = set()

        def attempt(idx: int) -> None:
            row = self._row(self._rows.rows[idx], idx)
            fields.update(row)
            problem = self._problem(row, idx)
            if self._d.seed_fn is not None:
                self._check_seeded(problem, row)
            if not self._needs.judge:
                probe.check(problem, self.grading.metadata(problem))

        check_rows(order, attempt, where=self.name, line_of=self._rows.line_of)
        for role in ("category_field", "cluster_field"):
            name = getattr(self._d, role)
            if name is not None and name not in fields:
                raise ConfigError(
                    f"{role} {name!r} is in no row",
                    where=self.name,
                    hint=suggest(name, fields),
                )

    def _check_seeded(self, problem: Problem, row: Mapping[str, Any]) -> None:
        """A prompt that a ``seed_fn`` wrote holds no placeholder of the row any more."""
        texts = [problem.prompt, *(str(message.get("content")) for message in problem.messages)]
        if (found := left_over(texts, row)) is not None:
            raise ConfigError(
                f"the prompt still holds {found}",
                hint="seed_fn must fill it in: text.format(**row)",
            )

    async def seed(self, idx: int) -> Problem:
        """The problem of a row."""
        return self._problem(self._row(self._rows.rows[idx], idx), idx)

    def _problem(self, row: dict[str, Any], idx: int) -> Problem:
        if self._d.seed_fn is not None:
            return self._from_seed_fn(row, idx)
        where = f"{self.name}, row {idx}"
        prompt = self._examples + self._render(row, where)
        target_field = self._d.target_field
        self._check_target(row, where)
        metadata = {name: value for name, value in row.items() if name != target_field}
        return Problem(
            idx=idx,
            prompt=prompt,
            system=self._d.system_prompt,
            target=row.get(target_field),
            metadata=metadata,
            cluster=self._group(row, metadata),
            workspace=self._workspace(row, where),
        )

    def _workspace(self, row: dict[str, Any], where: str) -> SandboxSpec | None:
        spec = self._d.workspace
        if spec is None or isinstance(spec, SandboxSpec):
            return spec
        try:
            made = spec(row)
        except Exception as error:
            raise ConfigError(
                f"workspace failed: {type(error).__name__}: {error}", where=where
            ) from error
        return workspace_spec(made, "workspace", where)

    def _check_target(self, row: Mapping[str, Any], where: str) -> None:
        """A target that is missing or null is an error where the scorer reads one."""
        name = self._d.target_field
        target = row.get(name)
        if not self._needs_target or (target is not None and target == target):
            return
        if name not in row:
            raise ConfigError(
                f"the row has no target field {name!r}",
                where=where,
                hint=f"fields of the row: {', '.join(map(str, row))}",
            )
        raise ConfigError(
            f"the target {name!r} is {'null' if target is None else 'NaN'}",
            where=where,
            hint="fill it in or leave the row out: no answer could be right",
        )

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The scorer's verdict. A scorer that fails is an InfraError, never a reward."""
        return await self._grader.grade(problem, solution, tools)

    def identity(self) -> Mapping[str, Json]:
        """What a score of this benchmark depends on."""
        d, data = self._d, self._rows
        return {
            "dataset": str(d.dataset) if isinstance(d.dataset, str) else data.name,
            "dataset_revision": data.revision,
            "dataset_digest": data.digest,
            "dataset_rows": len(data.rows),
            "prompt_digest": digest(
                self._prompt.text,
                *([self._prompt.style] if self._prompt.style is Style.JINJA else []),
                self._examples,
                d.system_prompt,
                d.endpoint_type,
                d.target_field,
                sorted(d.field_mapping.items()),
                source_of(d.prepare_row),
                source_of(d.seed_fn),
            ),
            "num_fewshot": d.num_fewshot,
            "scorer": code_digest(self._grader.name, source_of(d.scorer), d.keep_reasoning),
            "extra": {key: str(value) for key, value in d.extra.items()},
            "params": {key: str(value) for key, value in d.given.items()},
            **({"workspace": _workspace_digest(d.workspace)} if d.workspace is not None else {}),
            **({"mean_range": list(d.mean_range)} if d.mean_range else {}),
            **({"reward_range": list(d.reward_range)} if d.reward_range else {}),
            **(
                {"metric_ranges": {name: list(ends) for name, ends in d.metric_ranges.items()}}
                if d.metric_ranges
                else {}
            ),
            **({"packages": packages} if (packages := deciding([d.scorer])) else {}),
            **({"aggregate": _aggregate_digest(d.aggregate)} if d.aggregate else {}),
        }

    async def close(self) -> None:
        """Forget the rows."""
        self._data = None

    @property
    def _rows(self) -> Dataset:
        assert self._data is not None, "call prepare() first"
        return self._data

    def _row(self, stored: Row, idx: int) -> dict[str, Any]:
        """A row as the prompt sees it. The stored one is never changed: user code gets a copy,
        so that a list it shuffles in place is the same again at the next repeat."""
        row = dict(stored)
        for old, new in self._d.field_mapping.items():
            if old in stored:
                row[new] = stored[old]  # beside the old name: a prompt may use either
        if self._d.prepare_row is None:
            return _own(row) if self._d.seed_fn is not None else row
        try:
            row = self._d.prepare_row(_own(row), idx, Random(idx))
        except Exception as error:
            raise self._failed("prepare_row", idx, row, error) from error
        if not isinstance(row, dict):
            raise ConfigError(
                f"prepare_row returned {type(row).__name__}, not a dict",
                where=f"{self.name}, row {idx}",
            )
        return row

    def _from_seed_fn(self, row: dict[str, Any], idx: int) -> Problem:
        assert self._d.seed_fn is not None
        try:
            seed = self._d.seed_fn(row, idx)
        except Exception as error:
            raise self._failed("seed_fn", idx, row, error) from error
        where = f"{self.name}, row {idx}"
        problem = from_seed(seed, idx, self._d.system_prompt, where)
        if self._d.category_field is None and self._d.cluster_field is None:
            return problem
        metadata = dict(problem.metadata)
        cluster = self._group(row, metadata) or problem.cluster
        return msgspec.structs.replace(problem, metadata=metadata, cluster=cluster)

    def _group(self, row: Mapping[str, Any], metadata: dict[str, Any]) -> str | None:
        """Put the category of a row into its metadata; its cluster."""
        if self._d.category_field is not None:
            metadata["category"] = row.get(self._d.category_field)
        cluster = row.get(self._d.cluster_field) if self._d.cluster_field else None
        return None if cluster is None else str(cluster)

    def _failed(
        self, function: str, idx: int, row: Mapping[str, Any], error: Exception
    ) -> NelError:
        if isinstance(error, NelError):
            return error
        return ConfigError(
            f"{function} failed: {type(error).__name__}: {error}",
            where=f"{self.name}, row {idx}",
            hint=f"fields of the row: {', '.join(map(str, row))}",
        )

    def _few_shot(self) -> str:
        d = self._d
        if d.fewshot_dataset is None or d.seed_fn is not None:
            raise ConfigError(
                "few-shot examples need a fewshot_dataset, so that no problem is its own example"
                if d.seed_fn is None
                else "few-shot examples have no effect where a seed_fn writes the prompt",
                where=self.name,
                hint="set fewshot: 0" if d.seed_fn else "give @benchmark a fewshot_dataset",
            )
        data = load(d.fewshot_dataset, folder=d.folder)
        if len(data.rows) < d.num_fewshot:
            raise ConfigError(
                f"{d.num_fewshot} examples are asked for, there are {len(data.rows)}",
                where=self.name,
            )
        prompt, style = self._prompt.text, self._prompt.style
        render = compile_template(
            d.fewshot_format or f"{prompt} {field_in(d.target_field, style)}", style, self.name
        )
        texts = [
            render(self._row(data.rows[i], i), f"{self.name}, example {i}")
            for i in range(d.num_fewshot)
        ]
        return "".join(f"{text}\n\n" for text in texts)


def _aggregate_digest(aggregate: Aggregates) -> str:
    return code_digest(getattr(aggregate, "__name__", "aggregate"), source_of(aggregate))


def _workspace_digest(spec: object) -> str:
    """What the problems are solved in: the spec, files included, or the code that makes it."""
    if isinstance(spec, SandboxSpec):
        return digest(msgspec.json.encode(spec, order="sorted"))
    return code_digest(getattr(spec, "__name__", "workspace"), source_of(spec))


def _own(value: Any) -> Any:
    """The value with its lists and dicts copied."""
    if isinstance(value, dict):
        return {key: _own(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_own(item) for item in value]
    return value
