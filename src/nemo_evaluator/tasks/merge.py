"""Merges the shards of one run into one run directory, as if it had never been split.

Journals are put together, and everything is derived from them: scores, intervals and percentiles
are of all raw values, never averages of averages. The shards are only read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from ..config.load import load
from ..engine.plan import differences
from ..engine.shards import FOLDER, Shard, shard_of
from ..errors import ConfigError
from ..executors.ending import Terms, ending_of
from ..executors.scheduler import job_runs
from ..files.reading import open_regular, read_document
from ..files.writing import replace_file, replacing
from ..reports.render import write_reports
from ..results.aggregated import Aggregated
from ..results.derive import publish
from ..results.foreign import is_foreign
from ..results.identity_facts import whole_size
from ..results.journal import Event, Growing, Header, JournalIndex, encode, header_of, lines
from ..results.layout import CONFIG, JOURNAL, JUDGEMENTS, PLAN_LOCK, TRAFFIC
from ..results.lock import directory_lock
from ..results.plan_lock import PlanLock, write_lock
from ..results.run_directory import (
    check_header,
    info_of,
    plan_of,
    strangers,
    warn_of_damage,
)
from ..results.run_info import (
    RunInfo,
    new_run_info,
    write_run_info,
)
from ..results.summary import RunSummary, accounts
from ..types import BenchmarkPlan
from .merge_measures import make_measures
from .merge_published import merge_published

NAMED = 10
"""Shards that are named."""
MOST_INDEXED = 2_000_000
"""Rollouts whose places in the merged journals are kept; journals of more are read once more."""
BLOCK = 1 << 20
"""Bytes that are copied at once."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of a merge."""

    summary: RunSummary
    shards: int
    messages: tuple[str, ...]
    """What is not complete, and how to go on."""
    exit_code: int = 0
    """See ``ExitCode``."""


@dataclass(frozen=True, slots=True)
class _Part:
    folder: Path
    shard: Shard
    plans: Mapping[str, BenchmarkPlan]
    info: RunInfo


def merge(
    directory: Path, *, partial: bool = False, repeats: int | None = None, command: str = ""
) -> Merged:
    """Merge ``shard_*`` of a directory into it. ``partial``: what missing shards would have done
    counts as not scored. ``repeats``: what is expected, to be checked.

    Raises ConfigError for shards that are missing, duplicate, in use, or of another run.
    """
    folders = sorted(
        (path for path in directory.glob(f"{FOLDER}*") if path.is_dir()), key=_by_number
    )
    if not folders:
        hint = f"run each with --shard INDEX/TOTAL -o {directory}"
        raise ConfigError(f"holds no shards ({FOLDER}*)", where=str(directory), hint=hint)
    if all(_is_foreign(folder) for folder in folders):
        return _merge_published(directory, folders, partial, repeats, command)
    parts = [_read(folder) for folder in folders]
    _check(parts, partial, directory)
    plans = [_unsharded_plan(plan) for plan in parts[0].plans.values()]
    _check_repeats(plans, repeats)
    with ExitStack() as stack:
        hold = stack.enter_context(directory_lock(directory, runs=job_runs))
        for folder in folders:
            stack.enter_context(directory_lock(folder, runs=job_runs))
        _check_free(directory, parts[0].plans)
        hold.check()
        info = _info(parts, plans, command)
        indexes: dict[str, JournalIndex] = {}
        summed = []
        for plan in plans:
            index, of_parts = _join(directory / plan.slug, parts, plan, info)
            if of_parts:
                summed.append(plan)
            elif sum(map(_rollouts, indexes.values())) + _rollouts(index) <= MOST_INDEXED:
                indexes[plan.slug] = index
        hold.check()
        notes = [*_absent(parts), *make_measures(directory, folders[0], summed, info.run_id)]
        hold.check()
        return _finish(directory, parts, plans, info, notes, indexes)


def _is_foreign(shard: Path) -> bool:
    """Whether another tool wrote it."""
    return not (shard / PLAN_LOCK).exists() and any(map(is_foreign, shard.iterdir()))


def _merge_published(
    directory: Path, folders: Sequence[Path], partial: bool, repeats: int | None, command: str
) -> Merged:
    """Shards of another tool."""
    with directory_lock(directory, runs=job_runs):
        info, summaries = merge_published(
            directory, folders, partial=partial, repeats=repeats, command=command
        )
    ending = ending_of(summaries, Terms(again="resume the shards and merge again"))
    summary = RunSummary(run=info, benchmarks=summaries, directory=str(directory))
    return Merged(summary, len(folders), ending.messages, ending.code)


def _by_number(path: Path) -> tuple[int, str]:
    match = re.fullmatch(rf"{FOLDER}(\d+)", path.name)
    return (int(match[1]) if match else 1 << 62, path.name)


def _read(folder: Path) -> _Part:
    lock = plan_of(folder)
    if lock is None:
        hint = "a shard is a directory that `nel eval run --shard` wrote"
        raise ConfigError("holds no run", where=str(folder), hint=hint)
    shards = {shard_of(plan) for plan in lock.benchmarks}
    shard = shards.pop() if len(shards) == 1 else None
    if shard is None:
        raise ConfigError("holds a run that is not a shard", where=str(folder), hint="move it away")
    plans = {plan.slug: plan for plan in lock.benchmarks}
    return _Part(folder, shard, plans, info_of(folder, lock))


def _check(parts: Sequence[_Part], partial: bool, directory: Path) -> None:
    """One run, each shard once, none missing."""
    first = parts[0]
    seen: dict[int, Path] = {}
    for part in parts:
        lines = [f"{slug}: not in both" for slug in sorted(first.plans.keys() ^ part.plans.keys())]
        for slug in first.plans.keys() & part.plans.keys():
            found = differences(first.plans[slug], part.plans[slug])
            lines += [f"{slug}: {line}" for line in found]
        if part.shard.total != first.shard.total:
            lines.append(f"shards in all: {first.shard.total} → {part.shard.total}")
        if lines:
            text = "".join(f"\n  {line}" for line in lines)
            raise ConfigError(
                f"is a shard of another run than {first.folder}:{text}",
                where=str(part.folder),
                hint="move it away, or run it again (or extend it) with the same configuration",
            )
        if part.shard.index in seen:
            raise ConfigError(
                f"is shard {part.shard.index} like {seen[part.shard.index]}",
                where=str(part.folder),
                hint="move one of them away",
            )
        seen[part.shard.index] = part.folder
    missing = [i for i in range(first.shard.total) if i not in seen]
    if missing and not partial:
        shown = ", ".join(str(i) for i in missing)
        raise ConfigError(
            f"shard{'s' * (len(missing) > 1)} {shown} of {first.shard.total} missing",
            where=str(directory),
            hint=f"run it with --shard {missing[0]}/{first.shard.total}, or merge with --partial",
        )


def _unsharded_plan(plan: BenchmarkPlan) -> BenchmarkPlan:
    """The plan of the run that was split."""
    settings = msgspec.structs.replace(plan.settings, shard=None, shard_range=None)
    return msgspec.structs.replace(plan, n_problems=whole_size(plan), settings=settings)


def _check_repeats(plans: Sequence[BenchmarkPlan], repeats: int | None) -> None:
    for plan in plans:
        if repeats is not None and plan.repeats != repeats:
            what = f"the shards did {plan.repeats} repeats of {plan.name}, not {repeats}"
            raise ConfigError(what, where="--repeats")


def _check_free(directory: Path, slugs: Collection[str]) -> None:
    """A merge may be repeated; an ordinary run and what others wrote are never written over."""
    earlier = plan_of(directory)
    if earlier is not None and not info_of(directory, earlier).merged_from:
        raise ConfigError("holds a run of its own beside the shards", where=str(directory))
    if found := strangers(directory, earlier, slugs):
        raise ConfigError(
            f"contains files that this program did not write: {', '.join(found[:3])}",
            where=str(directory),
            hint="move it away",
        )


def _rollouts(index: JournalIndex) -> int:
    return len(index.rollouts)


def _join(
    folder: Path, parts: Sequence[_Part], plan: BenchmarkPlan, info: RunInfo
) -> tuple[JournalIndex, bool]:
    """The journal and what else is appended to, one shard after the other: the index of it, and
    whether the shards had measures of all their rows, which are none of the whole. Nothing is
    replaced where a shard holds what is not of it."""
    summed = False
    folder.mkdir(exist_ok=True)
    growing = Growing(plan)
    with replacing(folder / JOURNAL, durable=True) as out:

        def write(event: Event, line: bytes) -> None:
            out.write(line)
            growing.add(event, line)

        def add(event: Event, line: bytes) -> None:
            nonlocal summed
            if isinstance(event, Aggregated):
                summed = True
            elif not isinstance(event, Header):
                write(event, line)

        header = header_of(plan, info.run_id)
        write(header, encode(header))
        for part in parts:
            source, own = part.folder / plan.slug, part.plans[plan.slug]
            index = lines(source / JOURNAL, own, add)
            if index.stranger is not None:
                raise ConfigError(
                    f"holds problem {index.stranger}, which is not of shard {part.shard.index}",
                    where=str(source / JOURNAL),
                    hint="run the shard again into an empty directory",
                )
            check_header(source, index.header, own, part.info.run_id)
            warn_of_damage(source, index)
    for name in (JUDGEMENTS, TRAFFIC):
        sources = [part.folder / plan.slug / name for part in parts]
        if any(source.exists() for source in sources):
            with replacing(folder / name) as out:
                for source in sources:
                    _copy_lines(source, out)
    return growing.index_of(folder / JOURNAL), summed


def _absent(parts: Sequence[_Part]) -> list[str]:
    """Which shards a partial merge is without, and how much of the run that is."""
    total, there = parts[0].shard.total, {part.shard.index for part in parts}
    absent = [index for index in range(total) if index not in there]
    if not absent:
        return []
    planned = sum(whole_size(plan) * plan.repeats for plan in parts[0].plans.values())
    held = sum(plan.n_rollouts for part in parts for plan in part.plans.values())
    shown = ", ".join(map(str, absent[:NAMED])) + (", ..." if len(absent) > NAMED else "")
    text = f"partial: shard{'s' * (len(absent) > 1)} {shown} of {total} missing"
    return [
        f"{text}; the others were to do {held:,} of {planned:,} rollouts ({held / planned:.1%})"
    ]


def _copy_lines(source: Path, out: BinaryIO) -> None:
    """Whole lines; a torn last one stays behind."""
    try:
        file = open_regular(source)
    except FileNotFoundError:
        return
    rest = b""
    with file:
        while block := file.read(BLOCK):
            whole, end, torn = block.rpartition(b"\n")
            if end:
                out.writelines((rest, whole, end))
                rest = torn
            else:
                rest += block


def _info(parts: Sequence[_Part], plans: Sequence[BenchmarkPlan], command: str) -> RunInfo:
    """The merged run: made of these shards, begun with the first. The same shards merged again
    have the same id."""
    ids = [part.info.run_id for part in parts]
    mark = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:8]
    created = min(part.info.created for part in parts)
    return msgspec.structs.replace(
        new_run_info(command=command),
        run_id=f"{min(ids).rpartition('_')[0]}_{mark}",
        created=created,
        benchmarks=tuple(plan.slug for plan in plans),
        merged_from=tuple(ids),
        extended=tuple(dict.fromkeys(text for part in parts for text in part.info.extended)),
    )


def _finish(
    directory: Path,
    parts: Sequence[_Part],
    plans: Sequence[BenchmarkPlan],
    info: RunInfo,
    notes: Sequence[str],
    indexes: Mapping[str, JournalIndex],
) -> Merged:
    write_lock(directory / PLAN_LOCK, PlanLock(run_id=info.run_id, benchmarks=tuple(plans)))
    config = parts[0].folder / CONFIG
    replace_file(directory / CONFIG, read_document(config))
    summaries = tuple(
        publish(directory / plan.slug, plan, info, index=indexes.get(plan.slug)) for plan in plans
    )
    ending = ending_of(summaries, Terms(again="resume the shards and merge again"))
    used = msgspec.to_builtins(accounts(summaries))
    info = msgspec.structs.replace(info, status=ending.status, accounts=used)
    write_run_info(directory, info)
    summary = RunSummary(run=info, benchmarks=summaries, directory=str(directory))
    unreported: list[str] = []
    write_reports(summary, directory, _formats(config), unreported.append)
    return Merged(summary, len(parts), (*ending.messages, *notes, *unreported), ending.code)


def _formats(config: Path) -> Sequence[str]:
    """The reports the run was to write; its variables need not be set any more."""
    try:
        return load(config).config.output.report
    except ConfigError:
        return ("markdown",)
