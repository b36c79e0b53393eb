"""Hands finished runs on to an exporter: what `nel export` does."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config.environment import environment
from ..config.expand import expand
from ..config.mistakes import as_error
from ..config.overrides import apply_overrides
from ..config.plugins import Given, option_problems
from ..config.tree import from_plain, locate, set_at
from ..config.yaml_file import read_yaml
from ..errors import ConfigError
from ..exporters.registry import check_name, export_run, exporter_options, open_exporter
from ..kinds import EXPORTERS
from ..results.layout import PLAN_LOCK, RUN_INFO
from ..results.view import RunView
from .reporting import find


@dataclass(frozen=True, slots=True)
class Destination:
    """An exporter by name, with options that were checked."""

    name: str
    options: Given
    secrets: Collection[str]


def destination(
    name: str, file: Path | None, settings: Sequence[str], output_dir: str | None = None
) -> Destination:
    """The exporter with the options of a file, or of the block of its name there, and those set by
    ``name=value``, which win. Raises ConfigError with the line of every mistake."""
    check_name(name)
    env = environment([Path.cwd()])
    tree = from_plain({}) if file is None else read_yaml(file)
    block = tree.value.get(name) if isinstance(tree.value, dict) else None
    if block is not None and isinstance(block.value, dict):
        tree = block
    if not isinstance(tree.value, dict):
        raise ConfigError("must be a mapping of options", where=tree.mark or str(file))
    tree = apply_overrides(tree, settings, "-o")
    if output_dir is not None:
        tree = set_at(tree, ("output_dir",), from_plain(output_dir, "--output-dir"))
    expansion = expand(tree, env)
    secrets = frozenset(expansion.secrets)
    record = EXPORTERS.options(name)
    problems = list(expansion.problems)
    if record is not None and not problems:
        problems += option_problems(record, expansion.data, secrets)
    if (failure := as_error(problems, lambda path: locate(tree, path))) is not None:
        raise failure
    return Destination(name, exporter_options(name, expansion.data, secrets), secrets)


def runs_of(paths: Sequence[Path]) -> list[RunView]:
    """The runs below some paths, brought up to date first. A benchmark's folder or a bundle stands
    for its whole run. Raises ConfigError for a path below which there is none."""
    folders = (found.path.parent.resolve() for found in find(paths))
    runs = dict.fromkeys(_run_of(folder) for folder in folders)
    return [RunView.open(directory) for directory in runs]


def _run_of(folder: Path) -> Path:
    """The directory of the run that a folder with a bundle belongs to: the one above, where that
    is a run of ours, or where all results in it are of one run."""
    above = folder.parent
    if any((above / name).is_file() for name in (PLAN_LOCK, RUN_INFO)):
        return above
    beside = {view.folder: view.bundle.run_id for view in RunView(above).benchmarks()}
    return above if folder in beside and len(set(beside.values())) == 1 else folder


async def export(runs: Sequence[RunView], where: Destination) -> tuple[list[str], list[str]]:
    """Hand runs on: what was written where, and what failed. Raises ConfigError for an exporter
    that cannot be opened."""
    open_exporter(where.name, where.options)
    done: list[str] = []
    failed: list[str] = []
    for run in runs:
        one_done, one_failed = await export_run(run, {where.name: where.options}, where.secrets)
        done += one_done
        failed += [f"{run.directory}: {text}" for text in one_failed]
    return done, failed
