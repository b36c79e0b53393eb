"""``vlmevalkit://NAME``: a table of VLMEvalKit (``NAME.tsv``, images in base64) as a benchmark.

The package itself is not needed: its tables are read as they are, and graded by its documented
rules. Invariant: an answer that names no option is wrong, and never guessed, as there.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from ...errors import ConfigError
from ...measured import Measure
from ...records import Json, Record
from ...scoring.judged import Labels
from ...types import Failure, Image, Problem, Score, Solution
from ..contract import Aggregates, Environment, VerifyTools
from ..fingerprint import digest
from ..harness import Meeting
from ..params import options_of
from ..row_files import read_file
from ..scored import ScoredProblem
from .rules import Kind, graded, option, yes_or_no

VARIABLE = "LMUData"
"""VLMEvalKit's own name of the folder with its tables."""
REFERENCE = 64
"""A cell that is shorter than this is no image but the index of the row that has it."""
CIRCULAR = 1_000_000
"""Rows whose indices are equal modulo this are one question with its options rotated."""
PICK = "Please select the correct answer from the options above."
SHORT = "Answer the question using a single word or phrase."
KINDS: Mapping[str, Kind] = {
    "OCRBench": Kind.OCR,
    "ChartQA": Kind.CHART,
    "DocVQA": Kind.DOCUMENT,
    "InfoVQA": Kind.DOCUMENT,
    "TextVQA": Kind.PEOPLE,
    "OKVQA": Kind.PEOPLE,
    "MME": Kind.YES_OR_NO,
    "HallusionBench": Kind.YES_OR_NO,
    "POPE": Kind.YES_OR_NO,
}
"""How a dataset's name begins → how it is graded, where its columns do not say."""
JUDGE = """\
A question about an image has these options:
{options}

An answer was given:
{answer}

Which option does the answer mean? Reply with its letter alone, or with Z if it means none."""
NONE_OF_THEM = "Z"
SCHEME = "vlmevalkit://"


class Options(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``params`` of a dataset."""

    type: Kind | None = None
    """How it is asked and graded; None: by its columns and its name."""
    data_dir: str | None = None
    """Where the tables are; None: ``$LMUData``, else ``~/LMUData``."""


def open_vlmevalkit(uri: str, params: Mapping[str, Json]) -> list[VlmTable]:
    """The dataset of a URI: a name, or the path of a table. Raises ConfigError."""
    named, options = options_of(uri, params, Options)
    if not named:
        raise ConfigError("names no dataset", where=uri, hint="vlmevalkit://MMBench_DEV_EN")
    return [VlmTable(named, options)]


class VlmTable(Environment):
    """One dataset."""

    def __init__(self, named: str, options: Options) -> None:
        path = Path(named)
        self.name = path.stem if path.suffix else named
        self.where = f"{SCHEME}{named}"
        folder = options.data_dir or os.environ.get(VARIABLE) or "~/LMUData"
        own = path if path.suffix else Path(folder) / f"{named}.tsv"
        self.path, self._kind = own.expanduser(), options.type
        self._rows: Sequence[Mapping[str, Any]] = ()
        self._places: dict[str, int] = {}
        self._digest = ""

    def meet(self, meeting: Meeting) -> None:
        """Raise ConfigError for an endpoint that cannot be shown images."""
        if meeting.protocol == "completions":
            raise ConfigError(
                "its images cannot be sent over completions",
                where=self.where,
                hint="use a service with protocol: chat_completions",
            )

    async def prepare(self) -> None:
        """Read the table. Raises ConfigError."""
        if self._rows:
            return
        if not self.path.is_file():
            raise ConfigError(
                f"there is no table {self.path}",
                where=self.where,
                hint="VLMEvalKit keeps its tables in $LMUData; params: {data_dir: FOLDER}",
            )
        self._rows = await asyncio.to_thread(read_file, self.path)
        if not self._rows or not {"question", "answer"} <= self._rows[0].keys():
            raise ConfigError(
                "is no table of VLMEvalKit: it needs the columns question and answer",
                where=str(self.path),
            )
        self._places = {str(row.get("index", n)): n for n, row in enumerate(self._rows)}
        content = await asyncio.to_thread(self.path.read_bytes)
        self._digest = digest(content)

    async def size(self) -> int:
        """Rows of the table."""
        return len(self._rows)

    async def seed(self, idx: int) -> Problem:
        """A question with its images."""
        row = self._rows[idx]
        index = row.get("index", idx)
        more = {
            name: str(row[name])
            for name in ("category", "l2-category", "split")
            if row.get(name) not in (None, "")
        }
        return Problem(
            idx=idx,
            prompt=self._prompt(row),
            target=self._target(row),
            images=tuple(self._images(row, idx)),
            metadata={"index": str(index), "options": _options(row), **more},
            cluster=_question(index) if self._circular else None,
        )

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The grade by the dataset's rules; a judge, where one is configured, reads an answer that
        names no option in so many words."""
        answer, kind = solution.response, self.kind
        target: Any = problem.target
        if kind is Kind.CHOICE:
            return await self._chosen(problem, answer, tools)
        if kind is Kind.YES_OR_NO:
            said = yes_or_no(answer)
            return _verdict(said, said is not None and said == yes_or_no(str(target)))
        grade = graded(kind, answer, target, str(problem.metadata.get("category", "")))
        if kind in (Kind.DOCUMENT, Kind.PEOPLE):
            return Score(reward=grade, extracted=answer.strip() or None)
        return _verdict(answer.strip() or None, grade == 1.0)

    async def _chosen(self, problem: Problem, answer: str, tools: VerifyTools) -> Score:
        found = problem.metadata["options"]
        options = {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
        letter, rule = option(answer, options), "text"
        if letter is None and tools.judge is not None and answer.strip():
            listed = "\n".join(f"{name}. {text}" for name, text in options.items())
            form = Labels((*options, NONE_OF_THEM))
            ruling = await tools.judge.ask(JUDGE.format(options=listed, answer=answer), form)
            letter = None if ruling.value == NONE_OF_THEM else str(ruling.value)
            rule = "judge"
        right = letter is not None and letter == str(problem.target).strip()
        return _verdict(letter, right, rule=rule)

    @property
    def kind(self) -> Kind:
        """How it is graded: as configured, by its columns, or by its name."""
        if self._kind is not None:
            return self._kind
        row = self._rows[0]
        if _options(row):
            return Kind.CHOICE
        known = (kind for name, kind in KINDS.items() if self.name.startswith(name))
        answers = {str(row["answer"]).strip().casefold() for row in self._rows}
        return next(known, Kind.YES_OR_NO if answers <= {"yes", "no"} else Kind.EXACT)

    @property
    def aggregates(self) -> Aggregates | None:
        """Where options are rotated, the share of questions that are right in every rotation."""
        return self._rotations if self._circular else None

    def identity(self) -> Mapping[str, Json]:
        """The table, and how it is graded."""
        return {
            "dataset": self.where,
            "dataset_digest": self._digest,
            "dataset_rows": len(self._rows),
            "scorer": f"vlmevalkit.{self.kind}",
        }

    async def close(self) -> None:
        """Nothing to release."""

    @property
    def _circular(self) -> bool:
        """Whether options are rotated: MMBench's way to catch guesses."""
        if not self._rows or self.kind is not Kind.CHOICE:
            return False
        return any(
            str(row.get("index", "")).isdigit() and int(row["index"]) >= CIRCULAR
            for row in self._rows
        )

    def _rotations(self, rows: Sequence[ScoredProblem]) -> Sequence[Measure]:
        right: dict[tuple[str, int], bool] = {}
        for row in rows:
            key = (_question(row.problem.metadata["index"]), row.repeat)
            right[key] = right.get(key, True) and row.score.reward == 1.0
        if not right:
            return ()
        return [Measure(name="circular", value=sum(right.values()) / len(right), n=len(right))]

    def _prompt(self, row: Mapping[str, Any]) -> str:
        question = str(row["question"])
        if self.kind is Kind.CHOICE:
            hint = f"Hint: {row['hint']}\n" if row.get("hint") not in (None, "") else ""
            listed = "".join(f"{letter}. {text}\n" for letter, text in _options(row).items())
            return f"{hint}Question: {question}\nOptions:\n{listed}{PICK}\n"
        if self.kind in (Kind.OCR, Kind.YES_OR_NO):
            return question
        return f"{question}\n{SHORT}"

    def _target(self, row: Mapping[str, Any]) -> Json:
        if self.kind in (Kind.CHOICE, Kind.YES_OR_NO):
            return str(row["answer"]).strip()
        return _cell_texts(row["answer"])

    def _images(self, row: Mapping[str, Any], idx: int) -> list[Image]:
        cell = row.get("image") or row.get("image_path")
        if cell is None or cell == "":
            raise ConfigError("has no image", where=f"{self.path}, row {idx}")
        images = []
        for text in _cell_texts(cell):
            if row.get("image") in (None, ""):
                images.append(Image(path=str(self.path.parent / text)))
                continue
            if len(text) < REFERENCE:
                text = self._other(text, idx)
            try:
                images.append(Image(data=base64.b64decode(text, validate=True)))
            except (binascii.Error, ValueError) as error:
                raise ConfigError(
                    f"an image is no base64: {error}", where=f"{self.path}, row {idx}"
                ) from None
        return images

    def _other(self, index: str, idx: int) -> str:
        place = self._places.get(index.strip())
        if place is None:
            raise ConfigError(
                f"its image is that of row {index!r}, which is not there",
                where=f"{self.path}, row {idx}",
            )
        return str(self._rows[place]["image"])


def _options(row: Mapping[str, Any]) -> dict[str, str]:
    """Letter and text of each option that a row has."""
    return {
        letter: str(row[letter])
        for letter in ascii_uppercase
        if letter in row and row[letter] not in (None, "")
    }


def _cell_texts(cell: object) -> list[str]:
    """The texts of a cell: a list as Python or JSON writes it, or one text."""
    if isinstance(cell, list):
        return [str(item) for item in cell]
    text = str(cell)
    if text.startswith("[") and text.endswith("]"):
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return [text]
        if isinstance(found, list):
            return [str(item) for item in found]
    return [text]


def _question(index: object) -> str:
    text = str(index)
    return str(int(text) % CIRCULAR) if text.isdigit() else text


def _verdict(extracted: str | None, right: bool, **details: Json) -> Score:
    return Score(
        reward=float(right),
        correct=right,
        extracted=extracted,
        failure=Failure.FORMAT if extracted is None else None,
        details=details,
    )
