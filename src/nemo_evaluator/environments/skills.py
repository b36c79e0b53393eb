"""``skills://NAME``: datasets that NeMo Skills prepared (``NAME/SPLIT.jsonl``), by the evaluation
types it documents.

The package is not needed; where it is installed, its datasets are found. Invariant: an evaluation
type that is not known here is an error before anything is paid, never another one in its place.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from ..errors import ConfigError
from ..records import Json, Record
from ..scoring.choices import choice
from ..scoring.grade import Grade
from ..scoring.input import ScorerInput
from ..scoring.primitives import find_scorer, math_match_async
from ..scoring.text import normalize
from ..types import Failure
from .define import Definition
from .params import options_of

VARIABLE = "NEMO_SKILLS_DATA_DIR"
LETTERS = "ABCDEFGHIJ"
QUESTION = ("problem", "question", "prompt")
"""Fields that hold what is asked, the first that is there."""
SAYS_TYPE = re.compile(r"\+\+eval_type=([\w-]+)")
SAYS_METRICS = re.compile(r"""^METRICS_TYPE\s*=\s*["']([\w-]+)""", re.MULTILINE)
SAYS_SPLIT = re.compile(r"""^EVAL_SPLIT\s*=\s*["']([\w-]+)""", re.MULTILINE)
OPTION = re.compile(r"^\s*\(?([A-J])[).:]\s", re.MULTILINE)


class Options(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``params`` of a dataset."""

    data_dir: str | None = None
    """Where the datasets are; None: ``$NEMO_SKILLS_DATA_DIR``, else those of the package."""
    split: str | None = None
    """None: what the dataset says, else ``test``."""
    eval_type: str | None = None
    """None: what the dataset says."""
    prompt: str | None = None
    """Instead of the type's own; ``{problem}`` stands for the question."""


class Evaluation(NamedTuple):
    """How a type is asked and graded."""

    prompt: str
    scorer: Any


async def skills_math(sample: ScorerInput) -> Grade:
    """The boxed or last stated answer equals the target as mathematics."""
    return await math_match_async(sample)


def skills_multichoice(sample: ScorerInput) -> Grade:
    """The letter chosen last is the target."""
    found = choice(sample.response, str(sample.metadata.get("letters") or LETTERS))
    letter = None if found is None else str(found.value)
    failure = Failure.FORMAT if letter is None else None
    right = letter is not None and letter == str(sample.target).strip().upper()
    return {"correct": right, "extracted": letter, **({"failure": failure} if failure else {})}


def skills_exact(sample: ScorerInput) -> Grade:
    """The whole response is the target."""
    said = normalize(sample.response)
    return {"correct": bool(said) and said == normalize(str(sample.target)), "extracted": said}


EVALUATIONS: Mapping[str, Evaluation] = {
    "math": Evaluation(
        "Solve the following math problem. Make sure to put the answer (and only answer) inside "
        "\\boxed{{}}.\n\n{problem}",
        skills_math,
    ),
    "multichoice": Evaluation(
        "Answer the following multiple choice question. The last line of your response should be "
        "in the following format: 'Answer: LETTER' (e.g. 'Answer: A').\n\n{problem}",
        skills_multichoice,
    ),
    "if": Evaluation("{problem}", find_scorer("ifeval")),
    "exact_match": Evaluation("{problem}", skills_exact),
}
"""Evaluation types of NeMo Skills that can be run; prompts are those of its generic/math and
eval/aai/mcq configurations."""


def open_skills(uri: str, params: Mapping[str, Json]) -> list[Definition]:
    """The dataset of a URI. Raises ConfigError."""
    name, options = options_of(uri, params, Options)
    folder = _folder(name, options, uri)
    about = _about(folder)
    path = folder / f"{options.split or _first_group(SAYS_SPLIT, about) or 'test'}.jsonl"
    if not path.is_file():
        raise ConfigError(
            f"there is no {path}", where=uri, hint=f"prepare it: ns prepare_data {name}"
        )
    kind = options.eval_type or _first_group(SAYS_TYPE, about) or _first_group(SAYS_METRICS, about)
    evaluation = EVALUATIONS.get(kind or "")
    if evaluation is None:
        said = f"evaluation type {kind!r} is not known here" if kind else "tells no evaluation type"
        raise ConfigError(
            said, where=uri, hint=f"params: {{eval_type: ...}}, one of {', '.join(EVALUATIONS)}"
        )
    return [
        Definition(
            name=name.replace("/", "_"),
            dataset=str(path),
            prompt=options.prompt or evaluation.prompt,
            target_field="expected_answer",
            scorer=evaluation.scorer,
            prepare_row=_prepared,
            category_field="subset_for_metrics",
        )
    ]


def datasets_in(data_dir: str | None = None) -> list[str]:
    """Names of the prepared datasets of a folder."""
    folder = _root(data_dir)
    if folder is None or not folder.is_dir():
        return []
    return sorted({path.parent.name for path in folder.glob("*/*.jsonl")})


def _prepared(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    question = next((row[name] for name in QUESTION if row.get(name)), None)
    if question is None:
        raise ConfigError(f"has none of the fields {', '.join(QUESTION)}", where=f"row {idx}")
    text = str(question)
    listed = row.get("options")
    if isinstance(listed, str) and listed not in text:
        text = f"{text}\n\n{listed}"
    letters = "".join(dict.fromkeys(OPTION.findall(text)))
    return {"expected_answer": "", "subset_for_metrics": None, **row} | {
        "problem": text,
        "letters": letters,
    }


def _folder(name: str, options: Options, where: str) -> Path:
    root = _root(options.data_dir)
    if root is None:
        raise ConfigError(
            "it is not known where the datasets of NeMo Skills are",
            where=where,
            hint=f"params: {{data_dir: FOLDER}}, or the variable {VARIABLE}",
        )
    folder = root / name
    if not name or not folder.is_dir():
        known = ", ".join(datasets_in(options.data_dir)) or "none"
        raise ConfigError(f"{root} has no dataset {name!r}", where=where, hint=f"it has {known}")
    return folder


def _root(data_dir: str | None) -> Path | None:
    named = data_dir or os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    found = importlib.util.find_spec("nemo_skills")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "dataset"


def _about(folder: Path) -> str:
    """What a dataset says of itself: read, never run."""
    path = folder / "__init__.py"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _first_group(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return None if found is None else found[1]
