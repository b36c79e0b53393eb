"""``skills://NAME``: datasets that NeMo Skills prepared (``NAME/SPLIT.jsonl``), by the evaluation
types it documents.

The package is not needed; where it is installed, its datasets and prompts are found. Invariant: an
evaluation type that is not known here is an error before anything is paid, never another one in its
place.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...records import Json, Record
from ..define import Definition
from ..judged import REQUIREMENT
from ..params import options_of
from .about import About, read_about
from .evaluations import ELSEWHERE, EVALUATIONS, GRADED_ROWS, RULER, Evaluation
from .prompts import Asked, find_prompt
from .rows import TARGET

_LOG = logging.getLogger(__name__)
VARIABLE = "NEMO_SKILLS_DATA_DIR"
SPLIT = "test"
DEEPEST = 3
"""Folders above the rows of a part: dataset, setup, task."""
RULER_TYPE = "ruler"


class Options(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``params`` of a dataset."""

    data_dir: str | None = None
    """Where the datasets are; None: ``$NEMO_SKILLS_DATA_DIR``, else those of the package."""
    split: str | None = None
    """None: what the dataset says, else ``test``."""
    input_file: str | None = None
    """Prepared rows elsewhere, instead of a split of a folder."""
    eval_type: str | None = None
    """None: what the dataset says."""
    match_type: str | None = None
    """Of ``ruler``: all or part. None: what the dataset says."""
    prompt_config: str | None = None
    """The name or the file of a prompt configuration. None: what the dataset says."""
    prompt: str | None = None
    """Instead of a configuration; ``{problem}`` stands for the question."""


def open_skills(uri: str, params: Mapping[str, Json]) -> list[Definition]:
    """The dataset of a URI. Raises ConfigError."""
    name, options = options_of(uri, params, Options)
    about, path = _found(name, options, uri)
    kind = options.eval_type or _said_type(about)
    evaluation = _evaluation(kind, uri)
    asked = _asked(options, about, evaluation, uri)
    return [
        Definition(
            name=name.replace("/", "_") or path.stem,
            dataset=str(path),
            prompt=asked.user,
            system_prompt=asked.system,
            target_field=TARGET,
            scorer=_scorer(kind, evaluation, options.match_type or about.match_type, uri),
            prepare_row=evaluation.prepare_row,
            category_field="subset_for_metrics",
            requirements=[REQUIREMENT] if evaluation.judge else (),
            own_rubric=evaluation.judge,
            aggregate=evaluation.aggregate,
        )
    ]


def datasets_in(data_dir: str | None = None) -> list[str]:
    """Names of the prepared datasets of a folder; a part of one is ``DATASET.PART``."""
    root = _root(data_dir)
    return list(_prepared(root)) if root is not None else []


def _prepared(root: Path) -> Mapping[str, Path]:
    """Folders with rows by their names, in order: ``ruler/SETUP/TASK`` is ``ruler.SETUP.TASK``."""
    rows = (path for depth in range(1, DEEPEST + 1) for path in root.glob("*/" * depth + "*.jsonl"))
    folders = {path.parent for path in rows}
    return {".".join(f.relative_to(root).parts): f for f in sorted(folders)}


def _said_type(about: About) -> str | None:
    """The type that a dataset says: that of its metrics, unless they sum up another's grades."""
    if about.metrics_type is None or about.metrics_type in GRADED_ROWS:
        return about.eval_type or about.metrics_type
    return about.metrics_type


def _found(name: str, options: Options, where: str) -> tuple[About, Path]:
    """What a dataset says of itself, and its rows."""
    if options.input_file is not None:
        path = Path(options.input_file).expanduser()
        if not path.is_file():
            raise ConfigError(f"there is no {path}", where=where, hint="params: input_file")
        return read_about(path.parent), path
    folder = _folder(name, options, where)
    about = read_about(folder)
    path = folder / f"{options.split or about.split or SPLIT}.jsonl"
    if path.is_file():
        return about, path
    splits = sorted(found.stem for found in folder.glob("*.jsonl"))
    parts = [f"{name}.{part}" for part in _prepared(folder)]
    hint = f"prepare it: ns prepare_data {name}"
    if splits:
        hint = f"params: {{split: ...}}, one of {', '.join(splits)}; or {hint}"
    elif parts:
        hint = f"its parts are {', '.join(parts)}"
    raise ConfigError(f"there is no {path}", where=where, hint=hint)


def _folder(name: str, options: Options, where: str) -> Path:
    root = _root(options.data_dir)
    if root is None:
        raise ConfigError(
            "it is not known where the datasets of NeMo Skills are",
            where=where,
            hint=f"params: {{data_dir: FOLDER}}, or the variable {VARIABLE}",
        )
    if name and (root / name).is_dir():
        return root / name
    known = _prepared(root)
    if (folder := known.get(name)) is not None:
        return folder
    parts = [one for one in known if one.startswith(f"{name}.")] if name else []
    hint = f"its parts are {', '.join(parts)}" if parts else f"it has {', '.join(known) or 'none'}"
    raise ConfigError(f"{root} has no dataset {name!r}", where=where, hint=hint)


def _evaluation(kind: str | None, where: str) -> Evaluation:
    evaluation = EVALUATIONS.get(kind or "")
    if evaluation is not None:
        return evaluation
    known = f"params: {{eval_type: ...}}, one of {', '.join(EVALUATIONS)}"
    if kind is None:
        raise ConfigError("names no evaluation type", where=where, hint=known)
    if kind in ELSEWHERE:
        known = f"NeMo Skills alone can evaluate it; another rule may be chosen by {known}"
    raise ConfigError(f"evaluation type {kind!r} is not known here", where=where, hint=known)


def _scorer(kind: str | None, evaluation: Evaluation, match: str | None, where: str) -> Any:
    if kind != RULER_TYPE:
        return evaluation.scorer
    if (scorer := RULER.get(match or "")) is None:
        raise ConfigError(
            "has no match_type" if match is None else f"match_type {match!r} is not known here",
            where=where,
            hint=f"params: {{match_type: ...}}, one of {', '.join(RULER)}",
        )
    return scorer


def _asked(options: Options, about: About, evaluation: Evaluation, where: str) -> Asked:
    """How problems are asked. A configuration that the dataset names and that is not found is
    reported, for scores depend on it."""
    if options.prompt is not None:
        return Asked(options.prompt)
    package = _package()
    configs = package / "prompt" / "config" if package is not None else None
    named = options.prompt_config or about.prompt_config or evaluation.prompt_config
    if (asked := find_prompt(named, configs)) is not None:
        return asked
    if options.prompt_config is not None:
        raise ConfigError(
            f"there is no prompt configuration {named!r}",
            where=where,
            hint="give its file: params: {prompt_config: FILE.yaml}",
        )
    asked = find_prompt(evaluation.prompt_config, None)
    assert asked is not None, "those of the types are known"
    _LOG.warning(
        "%s: its prompt configuration %s was not found; the prompt of %s is used. "
        "Set params: {prompt_config: FILE.yaml} or {prompt: TEXT} to use another",
        *(where, named, evaluation.prompt_config),
    )
    return asked


def _root(data_dir: str | None) -> Path | None:
    named = data_dir or os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    package = _package()
    return package / "dataset" if package is not None else None


def _package() -> Path | None:
    found = importlib.util.find_spec("nemo_skills")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0])
