"""Imports results of other tools as a run: what `nel import` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from ..config.mistakes import as_error
from ..config.overrides import apply_overrides
from ..config.plugins import Given, option_problems
from ..config.tree import from_plain, locate, plain
from ..engine.plan import digest
from ..errors import ConfigError
from ..importers.contract import Imported
from ..importers.registry import importer_for, open_importer
from ..importers.writing import write_run
from ..kinds import IMPORTERS
from ..results.layout import slug
from ..results.summary import RunSummary
from ..types import Json


def import_results(
    sources: Sequence[Path],
    output: Path,
    *,
    format: str | None = None,
    settings: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    bench: str | None = None,
    model: str | None = None,
    command: str = "",
) -> RunSummary:
    """Import files or folders as one run. ``bench`` and ``model`` name what they do not name.

    Raises ConfigError for what cannot be read, and for an output directory that is taken.
    """
    found: list[Imported] = []
    for source in sources:
        name = format or importer_for(source)
        if not source.exists():
            raise ConfigError("there is no such file or folder", where=str(source))
        found += open_importer(name, _options(name, settings, columns)).read(source)
    if bench is not None and len(found) > 1:
        names = ", ".join(one.name for one in found)
        what = f"the results are of {len(found)} benchmarks ({names})"
        raise ConfigError(what, where="--bench", hint="import them one by one")
    found = [_renamed(one, bench or one.name, model or one.model) for one in found]
    return write_run(output, found, command=command)


def _renamed(one: Imported, name: str, model: str | None) -> Imported:
    """The benchmark under the names that the user gives."""
    plan = one.plan
    if plan is not None and (plan.name, plan.model) != (name, model):
        identity: dict[str, Json] = {**plan.identity, "benchmark": name, "model": model}
        plan = msgspec.structs.replace(
            plan,
            name=name,
            slug=plan.slug if name == plan.name else slug(name),
            model=model,
            identity=identity,
            digest=digest(identity),
        )
    return replace(one, name=name, model=model, plan=plan)


def _options(name: str, settings: Sequence[str], columns: Mapping[str, str] | None) -> Given:
    tree = apply_overrides(
        from_plain({"columns": dict(columns)} if columns else {}), settings, "-O"
    )
    data = plain(tree)
    assert isinstance(data, dict)
    record = IMPORTERS.options(name)
    if record is None:
        if data:
            raise ConfigError(f"{name} has no options", where="-O")
        return dict[str, Json]()
    problems = list(option_problems(record, data, frozenset()))
    if (failure := as_error(problems, lambda path: locate(tree, path))) is not None:
        raise failure
    return record.model_validate(data)
