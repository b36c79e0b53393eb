"""Tables of VLMEvalKit: what is asked, images included, and how answers are graded."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from runs import NEL, rows
from token_server import TokenServer
from vlm_tables import ANIMALS, PIXEL, table

from nemo_evaluator.environments.contract import VerifyTools
from nemo_evaluator.environments.registry import resolve
from nemo_evaluator.environments.vlmevalkit.rules import Kind, graded, option, yes_or_no
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.scoring.judged import Form, Graded, JudgeRequest, Ruling
from nemo_evaluator.types import Problem, Solution


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("The answer is (C).", "C"),
        ("I see a dog in the picture", "B"),
        ("A dog and a cat", None),
        ("Not a cat but a dog", "B"),
        ("I cannot tell whether it is a dog", None),
        ("a dogged fight", None),
        ("Well, " * 9 + "there may be a dog somewhere", None),
        ("no idea", None),
        ("", None),
    ],
)
def test_an_option_is_named_by_its_letter_or_its_text(answer: str, letter: str | None) -> None:
    assert option(answer, ANIMALS) == letter


def test_an_option_is_not_a_part_of_a_word_or_of_a_number() -> None:
    numbers = {"A": "5", "B": "10", "C": "100"}
    assert option("15 of them, I count", numbers) is None
    assert option("there are 1.5 or so", numbers) is None
    assert option("100 birds", numbers) == "C"


@pytest.mark.parametrize(
    ("answer", "said"),
    [("yes.", "Yes"), ("No, it is not", "No"), ("ＹＥＳ", "Yes"), ("yes or no", None), ("", None)],
)
def test_yes_or_no_is_one_of_them(answer: str, said: str | None) -> None:
    assert yes_or_no(answer) == said


@pytest.mark.parametrize(
    ("kind", "answer", "targets", "grade"),
    [
        (Kind.OCR, 'The image displays the word "CLOSE."', ["CLOSE"], 1.0),
        (Kind.OCR, "CLOUD", ["CLOSE"], 0.0),
        (Kind.OCR, "", ["CLOSE"], 0.0),
        (Kind.CHART, "It was 104", ["100"], 1.0),
        (Kind.CHART, "105.1", ["100"], 0.0),
        (Kind.CHART, "12%", ["12"], 1.0),
        (Kind.CHART, "0.1", ["0"], 0.0),
        (Kind.CHART, "from 2010-2015", ["2015"], 1.0),
        (Kind.CHART, "−12", ["-12"], 1.0),
        (Kind.CHART, "Green", ["green"], 1.0),
        (Kind.DOCUMENT, "jonn smith", ["John Smith"], 0.9),
        (Kind.DOCUMENT, "something else", ["John Smith"], 0.0),
        (Kind.PEOPLE, "red", ["red"] * 3 + ["blue"] * 7, 0.9),
        (Kind.PEOPLE, "green", ["red"] * 10, 0.0),
        (Kind.EXACT, "The Eiffel Tower!", ["eiffel tower"], 1.0),
        (Kind.EXACT, "10", ["100"], 0.0),
        (Kind.EXACT, "3.5", ["35"], 0.0),
        (Kind.EXACT, "-5", ["5"], 0.0),
        (Kind.EXACT, "1/2", ["12"], 0.0),
        (Kind.EXACT, "1,000", ["1000"], 1.0),
        (Kind.EXACT, "Two", ["2"], 1.0),
        (Kind.EXACT, "!", ["the"], 0.0),
        (Kind.PEOPLE, "two dogs", ["2 dogs"] * 10, 1.0),
    ],
)
def test_written_answers_are_graded_by_the_published_rules(
    kind: Kind, answer: str, targets: list[str], grade: float
) -> None:
    assert graded(kind, answer, targets) == pytest.approx(grade)


def test_formulas_are_compared_without_blanks_and_with_their_case() -> None:
    category = "Handwritten Mathematical Expression Recognition"
    assert graded(Kind.OCR, r"\frac { A } { b }", [r"\frac{A}{b}"], category) == 1.0
    assert graded(Kind.OCR, r"\frac{a}{b}", [r"\frac{A}{b}"], category) == 0.0


async def test_a_row_is_asked_with_its_options_and_its_image(tmp_path: Path) -> None:
    lines = [
        {"index": 1, "image": PIXEL, "question": "What is it?", "hint": "Four legs.", **ANIMALS},
        {"index": 2, "image": "1", "question": "And now?", "hint": "", **ANIMALS, "C": ""},
    ]
    table(tmp_path, "Animals", [{**line, "answer": "B", "category": "pets"} for line in lines])
    [environment] = resolve("vlmevalkit://Animals", params={"data_dir": str(tmp_path)})
    await environment.prepare()
    first, second = await environment.seed(0), await environment.seed(1)
    assert first.prompt == (
        "Hint: Four legs.\nQuestion: What is it?\nOptions:\nA. a cat\nB. a dog\nC. a horse\n"
        "Please select the correct answer from the options above.\n"
    )
    assert second.prompt.count("\n") == 5 and "C." not in second.prompt
    assert first.images[0].data == second.images[0].data == base64.b64decode(PIXEL)
    assert first.category == "pets"


class JudgeSaying:
    """A judge with one ruling for all; what it was asked is kept."""

    def __init__(self, value: str) -> None:
        self.value, self.asked = value, list[str]()

    async def ask(self, prompt: str, form: Form, *, system: str | None = None) -> Ruling:
        self.asked.append(prompt)
        return Ruling(self.value)

    async def grade(self, problem: Problem, answer: str, request: JudgeRequest) -> Graded:
        raise AssertionError("only asked for an option")


@pytest.mark.parametrize(
    ("answer", "ruling", "reward", "asked"),
    [
        ("the pet that barks", "B", 1.0, 1),
        ("the pet that barks", "Z", 0.0, 1),
        ("B", "A", 1.0, 0),
        ("", "B", 0.0, 0),
    ],
)
async def test_a_judge_reads_what_names_no_option(
    tmp_path: Path, answer: str, ruling: str, reward: float, asked: int
) -> None:
    row = {"index": 1, "image": PIXEL, "question": "What is it?", **ANIMALS, "answer": "B"}
    table(tmp_path, "Animals", [row])
    [environment] = resolve("vlmevalkit://Animals", params={"data_dir": str(tmp_path)})
    await environment.prepare()
    judge = JudgeSaying(ruling)
    problem = await environment.seed(0)
    tools = VerifyTools(judge=judge)
    score = await environment.verify(problem, Solution(response=answer), tools)
    assert score.reward == reward and len(judge.asked) == asked


async def test_a_rotated_question_is_right_where_every_rotation_is(tmp_path: Path) -> None:
    lines = [
        {"index": index, "image": PIXEL, "question": "?", "A": "x", "B": "y", "answer": "A"}
        for index in (1, 2, 1_000_001, 1_000_002)
    ]
    table(tmp_path, "Rotated", lines)
    config = {
        "services": {"m": {"type": "simulated", "protocol": "chat_completions", "accuracy": 1.0}},
        "benchmarks": [
            {
                "name": "vlmevalkit://Rotated",
                "params": {"data_dir": str(tmp_path)},
                "solver": {"type": "simple", "service": "m"},
            }
        ],
        "output": {"dir": str(tmp_path / "run"), "timestamped": False},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    command = [*NEL, "eval", "run", str(tmp_path / "config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "run" / "Rotated")
    [bundle] = (tmp_path / "run" / "Rotated").glob("eval-*.json")
    circular = json.loads(bundle.read_text())["benchmark"]["scores"]["circular"]
    right = {"1": True, "2": True}
    for row in found:
        question = str(int(row["metadata"]["index"]) % 1_000_000)
        right[question] = right[question] and row["reward"] == 1.0
    assert circular["value"] == sum(right.values()) / 2 and circular["n"] == 2


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([{"index": 1, "picture": "x"}], "columns question and answer"),
        ([{"index": 1, "image": "7", "question": "?", "answer": "x"}], "row '7'"),
        ([{"index": 1, "image": "!" * 80, "question": "?", "answer": "x"}], "no base64"),
    ],
)
async def test_a_table_that_cannot_be_read_is_named(
    tmp_path: Path, lines: list[dict[str, Any]], said: str
) -> None:
    table(tmp_path, "Bad", lines)
    [environment] = resolve("vlmevalkit://Bad", params={"data_dir": str(tmp_path)})
    with pytest.raises(ConfigError, match=said):
        await environment.prepare()
        await environment.seed(0)


async def test_a_table_that_is_not_there_says_where_it_is_looked_for(tmp_path: Path) -> None:
    [environment] = resolve("vlmevalkit://Nothing", params={"data_dir": str(tmp_path)})
    with pytest.raises(ConfigError, match=r"no table .*Nothing\.tsv"):
        await environment.prepare()


@pytest.mark.shared
async def test_recorded_answers_are_graded_as_recorded(shared_dir: Path) -> None:
    text = (shared_dir / "data" / "vlm" / "ocrbench_sample.jsonl").read_text()
    for line in map(json.loads, text.splitlines()):
        score = graded(Kind.OCR, line["response"], line["answer"], line["category"])
        assert score == line["score"]


def run(folder: Path, url: str, protocol: str, name: str) -> subprocess.CompletedProcess[str]:
    """The command over a table in a folder."""
    config = {
        "services": {"m": {"type": "api", "url": url, "protocol": protocol, "model": "m"}},
        "benchmarks": [
            {
                "name": f"vlmevalkit://{name}",
                "params": {"data_dir": str(folder)},
                "solver": {"type": "simple", "service": "m"},
            }
        ],
        "output": {"dir": str(folder / "run"), "timestamped": False},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [*NEL, "eval", "run", str(folder / "config.yaml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def images(folder: Path) -> list[tuple[str, bytes]]:
    """Mime type and content of images of three formats."""
    gif = bytes.fromhex(
        "47494638396101000100800000ffffff00000021f90400000000002c00000000010001000002024401003b"
    )
    jpeg = b"\xff\xd8\xff\xe0" + bytes(60) + b"\xff\xd9"
    return [
        ("image/png", base64.b64decode(PIXEL)),
        ("image/jpeg", jpeg),
        ("image/gif", gif + bytes(30)),
    ]


def test_the_images_of_a_row_reach_the_endpoint_as_they_are_and_in_order(tmp_path: Path) -> None:
    found = images(tmp_path)
    cell = [base64.b64encode(content).decode() for _, content in found]
    lines = [
        {"index": 0, "image": str(cell), "question": "How do they differ?", "answer": "a"},
        {"index": 1, "image": cell[1], "question": "And this?", "answer": "b"},
        {"index": 2, "image": "1", "question": "The same?", "answer": "c"},
    ]
    table(tmp_path, "Several", lines)
    with TokenServer() as server:
        done = run(tmp_path, server.url, "chat_completions", "Several")
        assert done.returncode == 0, done.stderr
    sent = {}
    for body in server.requests:
        [message] = body["messages"]
        *shown, asked = message["content"]
        assert message["role"] == "user" and asked["type"] == "text"
        assert all(part["type"] == "image_url" for part in shown)
        sent[asked["text"].split("\n")[0]] = [part["image_url"]["url"] for part in shown]
    urls = [f"data:{kind};base64,{text}" for (kind, _), text in zip(found, cell, strict=True)]
    assert sent == {
        "How do they differ?": urls,
        "And this?": urls[1:2],
        "The same?": urls[1:2],
    }


def test_images_are_not_asked_about_over_completions(tmp_path: Path) -> None:
    row = {"index": 1, "image": PIXEL, "question": "What is it?", **ANIMALS, "answer": "B"}
    table(tmp_path, "Animals", [row])
    with TokenServer() as server:
        done = run(tmp_path, server.url, "completions", "Animals")
    assert done.returncode == 2 and not server.requests
    assert "chat_completions" in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
