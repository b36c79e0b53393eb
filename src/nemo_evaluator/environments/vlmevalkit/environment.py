"""``vlmevalkit://NAME``: a table of VLMEvalKit (``NAME.tsv``, images in base64) as a benchmark.

The package itself is not needed: its tables are read as they are, and graded by its documented
rules. Invariant: every row that will be asked can be asked and answered, or a ConfigError says so
before anything is paid; an answer that names no option is wrong, and never guessed.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...judging.prompts import SYSTEM, tagged
from ...records import Json, Record
from ...scoring.judged import Labels, Scale
from ...scoring.reasoning import visible
from ...types import Failure, Problem, Score, Solution
from ..contract import Aggregates, Environment, Needs, VerifyTools
from ..fingerprint import digest
from ..grades import in_view_of
from ..harness import Meeting
from ..params import options_of
from ..row_checks import check_rows
from ..row_files import ENDINGS, line_of
from .kinds import kind_by_name, kind_of
from .measures import IMAGE, ROTATIONS, is_rotated, measures_of, question_of
from .rules import Kind, graded, option, yes_or_no
from .table import ImageTable, cell_texts, has_value, options

VARIABLE = "LMUData"
"""VLMEvalKit's own name of the folder with its tables."""
READ = (Kind.CHOICE, Kind.YES_OR_NO, Kind.JUDGED)
"""Types whose answers a judge may read."""
PICK = "Please select the correct answer from the options above."
SHORT = "Answer the question using a single word or phrase."
GROUPS = ("category", "l2-category", "split")
"""Columns that are kept in the metadata of a row, and that results are grouped by."""
JUDGE = """\
A question about an image has these options:
{options}

An answer was given:
{answer}

Which option does the answer mean? Reply with its letter alone, or with Z if it means none."""
NONE_OF_THEM = "Z"
JUDGE_YES_OR_NO = """\
A question about an image is to be answered by yes or no:
{question}

An answer was given:
{answer}

Does the answer mean Yes or No? Reply with Yes, No, or with Unknown if it means neither."""
UNKNOWN = "Unknown"
JUDGE_TEXT = """\
A question about an image:
{question}

The known answer; of parts joined by <AND> all are asked for, of parts joined by <OR> one is enough:
{target}

An answer was given:
{answer}

Which share of the known answer does the given answer state, and nothing that contradicts it? \
Reply with a number from 0 (nothing of it) to 1 (all of it)."""
SCHEME = "vlmevalkit://"


class Options(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``params`` of a dataset."""

    type: Kind | None = None
    """How it is asked and graded; None: by its columns and its name."""
    data_dir: str | None = None
    """Where the tables are; None: ``$LMUData``, else ``~/LMUData``."""
    judge: bool = False
    """A judge must be there, and reads the answers that name no option."""


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
        is_path = path.suffix.lower() in ENDINGS
        self.name = path.stem if is_path else named
        self.where = f"{SCHEME}{named}"
        folder = options.data_dir or os.environ.get(VARIABLE) or "~/LMUData"
        self.path = (path if is_path else Path(folder) / f"{named}.tsv").expanduser()
        self._configured, self._judge = options.type, options.judge
        self._kind = options.type or kind_by_name(self.name) or Kind.EXACT
        self._rotated = False
        self._rotations = Counter[str]()
        self._table: ImageTable | None = None
        self._digest = ""

    @property
    def needs(self) -> Needs:
        """A judge, where the dataset is graded by one, or ``judge: true`` asks for it."""
        judged = self._judge or self._kind is Kind.JUDGED
        return Needs(judge=True, own_rubric=True) if judged else Needs()

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
        if self._table is None:
            self._table = await asyncio.to_thread(self._read)

    def _read(self) -> ImageTable:
        if not self.path.is_file():
            near = sorted(path.stem for path in self.path.parent.glob("*.tsv"))
            raise ConfigError(
                f"there is no table {self.path}",
                where=self.where,
                hint="VLMEvalKit keeps its tables in $LMUData; params: {data_dir: FOLDER}"
                + (f"; {self.path.parent} has {', '.join(near[:20])}" if near else ""),
            )
        table = ImageTable(self.path)
        self._kind = kind_of(self.name, table.rows, self._configured, self.where)
        if self._judge and self._kind not in READ:
            raise ConfigError(
                f"judge: true has no effect on type {self._kind}",
                where=self.where,
                hint=f"a judge reads answers of {', '.join(READ)}; type: judged has it grade texts",
            )
        self._rotated = self._kind is Kind.CHOICE and any(
            is_rotated(row.get("index")) for row in table.rows
        )
        self._rotations = Counter(question_of(row.get("index")) for row in table.rows)
        self._digest = table.digest()
        return table

    async def size(self) -> int:
        """Rows of the table that have an image."""
        return len(self._open.rows)

    async def check(self, order: Sequence[int]) -> None:
        """Raise one ConfigError for all rows of ``order`` that cannot be asked or scored."""

        def attempt(idx: int) -> None:
            self._problem(idx)

        def line(idx: int) -> str | None:
            return line_of(self.path, self._open.place(idx))

        await asyncio.to_thread(check_rows, order, attempt, where=self.name, line_of=line)

    async def seed(self, idx: int) -> Problem:
        """A question with its images."""
        try:
            return self._problem(idx)
        except ConfigError as error:
            raise ConfigError(
                error.what, where=f"{self.path}, row {idx}", hint=error.hint
            ) from None

    def _problem(self, idx: int) -> Problem:
        row = self._open.rows[idx]
        index = row.get("index", idx)
        more: dict[str, Json] = {n: str(row[n]) for n in GROUPS if has_value(row.get(n))}
        if groups := {name: more[name] for name in GROUPS[1:] if name in more}:
            more["breakdowns"] = groups
        images = self._open.images(row)
        if self._rotated:
            more[ROTATIONS] = self._rotations[question_of(index)]
        if self._kind is Kind.YES_OR_NO:
            named = row.get("image_path")
            more[IMAGE] = str(named) if has_value(named) else digest(images[0].data)
        return Problem(
            idx=idx,
            prompt=self._prompt(row),
            target=self._target(row),
            images=images,
            metadata={"index": str(index), "options": options(row), **more},
            cluster=question_of(index) if self._rotated else None,
        )

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The grade of what follows the reasoning, by the dataset's rules; a judge, where one is
        configured, reads an answer that names no option in this many words."""
        shown = visible(solution.response)
        return in_view_of(shown, solution, await self._score(problem, shown.text, tools))

    async def _score(self, problem: Problem, answer: str, tools: VerifyTools) -> Score:
        kind, target = self._kind, problem.target
        if kind is Kind.CHOICE:
            return await self._chosen(problem, answer, tools)
        if kind is Kind.YES_OR_NO:
            return await self._said(problem, answer, tools)
        if kind is Kind.JUDGED:
            return await self._judged(problem, answer, tools)
        texts = (
            [str(text) for text in target] if isinstance(target, list | tuple) else [str(target)]
        )
        grade = graded(kind, answer, texts, str(problem.metadata.get("category", "")))
        if kind in (Kind.DOCUMENT, Kind.PEOPLE):
            return Score(reward=grade, extracted=answer.strip() or None)
        return _verdict(answer.strip() or None, grade == 1.0)

    async def _chosen(self, problem: Problem, answer: str, tools: VerifyTools) -> Score:
        found = problem.metadata["options"]
        listed = {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
        letter, rule = option(answer, listed), "text"
        if letter is None and tools.judge is not None and answer.strip():
            shown = "\n".join(f"{name}. {text}" for name, text in listed.items())
            form = Labels((*listed, NONE_OF_THEM))
            asked = JUDGE.format(options=shown, answer=tagged("answer", answer))
            ruling = await tools.judge.ask(asked, form, system=SYSTEM)
            letter = None if ruling.value == NONE_OF_THEM else str(ruling.value)
            rule = "judge"
        return _verdict(letter, letter is not None and letter == problem.target, rule=rule)

    async def _said(self, problem: Problem, answer: str, tools: VerifyTools) -> Score:
        said, rule = yes_or_no(answer), "text"
        if said is None and tools.judge is not None and answer.strip():
            asked = JUDGE_YES_OR_NO.format(question=problem.prompt, answer=tagged("answer", answer))
            ruling = await tools.judge.ask(asked, Labels(("Yes", "No", UNKNOWN)), system=SYSTEM)
            said, rule = None if ruling.value == UNKNOWN else str(ruling.value), "judge"
        return _verdict(said, said is not None and said == problem.target, rule=rule)

    async def _judged(self, problem: Problem, answer: str, tools: VerifyTools) -> Score:
        if not answer.strip():
            return Score(reward=0.0, failure=Failure.EMPTY)
        assert tools.judge is not None, "needs says so"
        target = " <OR> ".join(map(str, problem.target))
        asked = JUDGE_TEXT.format(
            question=problem.prompt, target=target, answer=tagged("answer", answer)
        )
        ruling = await tools.judge.ask(asked, Scale(highest=1.0), system=SYSTEM)
        details: dict[str, Json] = {"explanation": ruling.explanation}
        return Score(reward=float(ruling.value), extracted=answer.strip(), details=details)

    @property
    def aggregates(self) -> Aggregates | None:
        """What the dataset's authors sum up beside the mean."""
        return measures_of(self.name, self._kind, self._rotated)

    def identity(self) -> Mapping[str, Json]:
        """The table, how it is asked, and how it is graded."""
        return {
            "dataset": self.where,
            "dataset_digest": self._digest,
            "dataset_rows": len(self._open.rows),
            "prompt_digest": digest(PICK, SHORT),
            "scorer": f"vlmevalkit.{self._kind}",
            **({"judged_by": digest(JUDGE_TEXT)} if self._kind is Kind.JUDGED else {}),
        }

    async def close(self) -> None:
        """Nothing to release."""

    @property
    def _open(self) -> ImageTable:
        assert self._table is not None, "call prepare() first"
        return self._table

    def _prompt(self, row: Mapping[str, Any]) -> str:
        if not has_value(row["question"]):
            raise ConfigError("has no question")
        question = str(row["question"])
        if self._kind is Kind.CHOICE:
            hint = f"Hint: {row['hint']}\n" if has_value(row.get("hint")) else ""
            listed = "".join(f"{letter}. {text}\n" for letter, text in options(row).items())
            return f"{hint}Question: {question}\nOptions:\n{listed}{PICK}\n"
        if self._kind in (Kind.OCR, Kind.YES_OR_NO, Kind.JUDGED):
            return question
        return f"{question}\n{SHORT}"

    def _target(self, row: Mapping[str, Any]) -> Json:
        answer = row["answer"]
        texts = [text for text in cell_texts(answer) if has_value(text)]
        if not texts:
            raise ConfigError(
                "has no answer", hint="leave the row out: no answer of a model could be right"
            )
        if self._kind is Kind.CHOICE:
            return _letter(str(answer), row)
        if self._kind is not Kind.YES_OR_NO:
            return texts
        if (word := yes_or_no(str(answer))) is None:
            raise ConfigError(
                f"its answer {str(answer)!r:.60} is neither yes nor no",
                hint="params: {type: vqa} compares short texts",
            )
        return word


def _letter(answer: str, row: Mapping[str, Any]) -> str:
    """The letter of the right option."""
    known, letter = options(row), answer.strip().upper()
    if not known:
        raise ConfigError("has no options", hint="they stand in columns A, B, C, ...")
    if letter not in known:
        raise ConfigError(
            f"its answer {answer!r:.60} is none of its options {', '.join(known)}",
            hint="the answer is the letter of an option",
        )
    return letter


def _verdict(extracted: str | None, right: bool, **details: Json) -> Score:
    return Score(
        reward=float(right),
        correct=right,
        extracted=extracted,
        failure=Failure.FORMAT if extracted is None else None,
        details=details,
    )
