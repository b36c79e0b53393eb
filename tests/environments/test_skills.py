"""Datasets that NeMo Skills prepared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator.environments.contract import Environment, VerifyTools
from nemo_evaluator.environments.registry import resolve
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.types import Solution

MATH = 'METRICS_TYPE = "math"\nGENERATION_ARGS = "++prompt_config=generic/math ++eval_type=math"\n'
RAISES = "raise RuntimeError('a dataset is never run')\n"


def prepared(folder: Path, name: str, about: str, lines: list[dict[str, Any]]) -> None:
    dataset = folder / name
    dataset.mkdir()
    (dataset / "__init__.py").write_text(about)
    (dataset / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


async def opened(folder: Path, name: str, **params: Any) -> Environment:
    [environment] = resolve(f"skills://{name}", params={"data_dir": str(folder), **params})
    await environment.prepare()
    return environment


async def grade(environment: Environment, idx: int, text: str) -> float:
    problem = await environment.seed(idx)
    score = await environment.verify(problem, Solution(response=text), VerifyTools())
    return score.reward


async def test_mathematics_is_asked_boxed_and_compared_as_such(tmp_path: Path) -> None:
    prepared(
        tmp_path,
        "own_math",
        MATH + RAISES,
        [{"problem": "What is {1}/2?", "expected_answer": "1/2"}],
    )
    environment = await opened(tmp_path, "own_math")
    problem = await environment.seed(0)
    assert problem.prompt.endswith("inside \\boxed{}.\n\nWhat is {1}/2?")
    assert await grade(environment, 0, r"So \boxed{\frac{1}{2}}") == 1.0
    assert await grade(environment, 0, r"So \boxed{12}") == 0.0


async def test_a_choice_is_one_of_the_rows_own_letters(tmp_path: Path) -> None:
    options = "\n".join(f"{letter}) option {letter}" for letter in "ABCDEF")
    row = {"question": "Which?", "options": options, "expected_answer": "F"}
    prepared(tmp_path, "own_mcq", 'METRICS_TYPE = "multichoice"\n', [row])
    environment = await opened(tmp_path, "own_mcq")
    assert "F) option F" in (await environment.seed(0)).prompt
    assert await grade(environment, 0, "Answer: F") == 1.0
    assert await grade(environment, 0, "Answer: A") == 0.0
    assert await grade(environment, 0, "Answer: H") == 0.0


async def test_instructions_are_checked(tmp_path: Path) -> None:
    row = {
        "question": "Write without commas.",
        "instruction_id_list": ["punctuation:no_comma"],
        "kwargs": [{}],
    }
    prepared(tmp_path, "own_if", 'METRICS_TYPE = "if"\n', [row])
    environment = await opened(tmp_path, "own_if")
    assert await grade(environment, 0, "None at all") == 1.0
    assert await grade(environment, 0, "One, two") == 0.0


@pytest.mark.parametrize(
    ("about", "params", "said"),
    [
        ('METRICS_TYPE = "lean4-proof"\n', {}, "evaluation type 'lean4-proof' is not known here"),
        ("", {}, "tells no evaluation type"),
        (MATH, {"split": "train"}, r"there is no .*train\.jsonl"),
        (MATH, {"colour": "red"}, "it accepts|unknown field"),
    ],
)
def test_what_cannot_be_run_is_an_error_first(
    tmp_path: Path, about: str, params: dict[str, str], said: str
) -> None:
    prepared(tmp_path, "own", about, [{"problem": "?", "expected_answer": "1"}])
    with pytest.raises(ConfigError, match=said):
        resolve("skills://own", params={"data_dir": str(tmp_path), **params})


def test_a_dataset_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    prepared(tmp_path, "own", MATH, [{"problem": "?", "expected_answer": "1"}])
    with pytest.raises(ConfigError, match="has no dataset 'other'") as error:
        resolve("skills://other", params={"data_dir": str(tmp_path)})
    assert "own" in str(error.value)
