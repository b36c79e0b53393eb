"""Merges shards that another tool wrote: rows in the published format, without a journal.

Scores follow from the rows of all shards by our rules, never from averages of averages. The shards
are only read; every problem may stand in one of them only, and none may be missing unasked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ..engine.shards import FOLDER
from ..errors import ConfigError
from ..results.bundle import bundle
from ..results.failures import failure_analysis
from ..results.files import line_writer, write_json
from ..results.foreign import last_lines, plan_of, rows_at, summed_up
from ..results.layout import FAILURES, RESULTS, RUNTIME, TRAFFIC, TRAJECTORIES, UNSCORED
from ..results.published import Published, Used
from ..results.read_bundle import BUNDLES, read_bundle, read_document
from ..results.result_row import ResultRow
from ..results.run_info import RunInfo, new_run_info
from ..results.summary import BenchmarkSummary, Runtime
from ..types import BenchmarkPlan, RolloutKey

MERGED = "merged_from"
"""Key of a merged bundle's config: the run ids of its shards."""
OF_ONE_SHARD = ("shard", "shard_range", "base_url", "_sandbox_config")
SUMMED = (
    "total_tokens",
    "total_prompt_tokens",
    "total_completion_tokens",
    "total_reasoning_tokens",
    "model_errors",
    "total_retries",
)


@dataclass(frozen=True, slots=True)
class _Part:
    """A benchmark in a shard."""

    index: int
    folder: Path
    data: Published
    offsets: Mapping[RolloutKey, int] = field(repr=False)


def merge_published(
    directory: Path, folders: Sequence[Path], *, partial: bool, repeats: int | None, command: str
) -> tuple[RunInfo, tuple[BenchmarkSummary, ...]]:
    """Write every benchmark of the shards into ``directory``. Raises ConfigError for shards that
    are missing, overlap, or are of another run, and where results of another origin stand there."""
    found = _parts(folders)
    for name, parts in found.items():
        _check(parts, partial, directory)
        _check_free(directory / name)
    ids = [part.data.run_id for parts in found.values() for part in parts]
    mark = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:8]
    run = msgspec.structs.replace(new_run_info(command=command), run_id=f"merged_{mark}")
    return run, tuple(_join(directory / name, parts, repeats, run) for name, parts in found.items())


def _parts(folders: Sequence[Path]) -> dict[str, list[_Part]]:
    """Benchmark folder → its parts, by index of the shard."""
    found: dict[str, list[_Part]] = {}
    for position, shard in enumerate(folders):
        for results in sorted(shard.glob(f"*/{RESULTS}")):
            folder = results.parent
            bundles = sorted(folder.glob(BUNDLES))
            if not bundles:
                hint = "the shard did not end: run it again"
                raise ConfigError(f"holds no bundle ({BUNDLES})", where=str(folder), hint=hint)
            data = read_bundle(bundles[-1])
            idx = _shard(data).get("idx")
            index = idx if isinstance(idx, int) else _number(shard, position)
            part = _Part(index, folder, data, last_lines(results))
            found.setdefault(folder.name, []).append(part)
    return {name: sorted(parts, key=lambda part: part.index) for name, parts in found.items()}


def _number(shard: Path, position: int) -> int:
    text = shard.name.removeprefix(FOLDER)
    return int(text) if text.isdigit() else position


def _shard(data: Published) -> Mapping[str, object]:
    shard = data.config.get("shard")
    return shard if isinstance(shard, Mapping) else {}


def _check(parts: Sequence[_Part], partial: bool, directory: Path) -> None:
    """One run, each shard once, each rollout once, none missing."""
    first = parts[0]
    seen: dict[int, Path] = {}
    owners: dict[RolloutKey, Path] = {}
    for part in parts:
        if lines := _differences(first.data, part.data):
            what = f"is a shard of another run than {first.folder}: {'; '.join(lines)}"
            raise ConfigError(what, where=str(part.folder), hint="move one of them away")
        if (other := seen.setdefault(part.index, part.folder)) != part.folder:
            what = f"is shard {part.index} like {other}"
            raise ConfigError(what, where=str(part.folder), hint="move one of them away")
        for key in part.offsets:
            if (other := owners.setdefault(key, part.folder)) != part.folder:
                what = f"holds rollout {key}, which {other} holds too"
                raise ConfigError(what, where=str(part.folder), hint="shards must not overlap")
    n_shards = _shard(first.data).get("total")
    total = n_shards if isinstance(n_shards, int) else max(seen) + 1
    missing = [index for index in range(total) if index not in seen]
    if missing and not partial:
        shown = ", ".join(map(str, missing))
        raise ConfigError(
            f"shard{'s' * (len(missing) > 1)} {shown} of {total} missing for {first.folder.name}",
            where=str(directory),
            hint="run what is missing, or merge with --partial",
        )


def _differences(one: Published, other: Published) -> list[str]:
    sides = [
        {
            "benchmark": data.name,
            "model": data.model,
            "shuffle": data.config.get("shuffle"),
            "shards in all": _shard(data).get("total"),
        }
        for data in (one, other)
    ]
    return [
        f"{key}: {sides[0][key]} → {sides[1][key]}"
        for key in sides[0]
        if sides[0][key] != sides[1][key]
    ]


def _check_free(folder: Path) -> None:
    """A merge may be repeated; nothing else is overwritten."""
    for path in sorted(folder.glob(BUNDLES)):
        config = read_document(path).get("config")
        if not isinstance(config, dict) or MERGED not in config:
            hint = "move it away, then merge again"
            raise ConfigError("stands where the merged results go", where=str(path), hint=hint)
    if not any(folder.glob(BUNDLES)) and (folder / RESULTS).exists():
        raise ConfigError("holds results already", where=str(folder), hint="move them away")


def _join(
    folder: Path, parts: Sequence[_Part], repeats: int | None, run: RunInfo
) -> BenchmarkSummary:
    folder.mkdir(parents=True, exist_ok=True)
    plan = _plan(parts, repeats)
    owner = {key: part for part in parts for key in part.offsets}
    summary = summed_up(_written(folder, owner), plan)
    for name in (TRAJECTORIES, TRAFFIC):
        _copy(folder / name, [part.folder / name for part in parts])
    runtime = _runtime(summary.runtime, [part.data.runtime for part in parts])
    summary = msgspec.structs.replace(summary, runtime=runtime)
    _publish(folder, summary, plan, run, parts)
    return summary


def _plan(parts: Sequence[_Part], repeats: int | None) -> BenchmarkPlan:
    first = parts[0].data
    plan = plan_of(first, [key for part in parts for key in part.offsets])
    if repeats is not None and repeats != plan.repeats:
        what = f"the shards did {plan.repeats} repeats of {plan.name}, not {repeats}"
        raise ConfigError(what, where="--repeats")
    return plan


def _written(folder: Path, owner: Mapping[RolloutKey, _Part]) -> Iterator[ResultRow]:
    """Every row in order, as it is copied into the merged files."""
    readers = {id(part): rows_at(part.folder / RESULTS, part.offsets) for part in owner.values()}
    with (
        line_writer(folder / RESULTS) as scored,
        line_writer(folder / UNSCORED, unless_empty=True) as unscored,
    ):
        for key in sorted(owner):
            row, line = next(readers[id(owner[key])])
            write = unscored if row.reward is None else scored
            write(msgspec.Raw(line.rstrip(b"\r\n")))
            yield row


def _copy(target: Path, sources: Sequence[Path]) -> None:
    """Whole lines, one shard after the other."""
    with line_writer(target, unless_empty=True) as write:
        for source in sources:
            if source.exists():
                with source.open("rb") as file:
                    for line in file:
                        if line.endswith(b"\n"):
                            write(msgspec.Raw(line[:-1]))


def _runtime(rows: Runtime, shards: Sequence[Used]) -> Runtime:
    """Counts are summed; shards run side by side, so the longest says how long it took."""
    sums = {name: sum(getattr(used, name) or 0 for used in shards) for name in SUMMED}
    elapsed = max((used.elapsed_seconds or 0.0 for used in shards), default=0.0)
    return msgspec.structs.replace(
        rows,
        **sums,
        elapsed_seconds=elapsed,
        tokens_per_second=round(sums["total_completion_tokens"] / elapsed, 3) if elapsed else 0.0,
        steps_per_second=round(rows.total_steps / elapsed, 3) if elapsed else 0.0,
    )


def _publish(
    folder: Path,
    summary: BenchmarkSummary,
    plan: BenchmarkPlan,
    run: RunInfo,
    parts: Sequence[_Part],
) -> None:
    document = bundle(summary, plan, run)
    config = {k: v for k, v in parts[0].data.config.items() if k not in OF_ONE_SHARD}
    own = {"n_shards": len(parts), MERGED: [part.data.run_id for part in parts]}
    path = folder / f"eval-{run.run_id}.json"
    write_json(path, {**document, "config": {**config, **own}})
    for other in folder.glob(BUNDLES):
        if other != path:
            other.unlink()
    write_json(folder / RUNTIME, summary.runtime)
    write_json(folder / FAILURES, failure_analysis(summary))
