"""Datasets that NeMo Skills prepared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator.environments.contract import Environment, VerifyTools
from nemo_evaluator.environments.registry import resolve
from nemo_evaluator.environments.row_checks import ChecksRows
from nemo_evaluator.environments.skills.dataset import datasets_in
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.types import Solution

MATH = 'METRICS_TYPE = "math"\nGENERATION_ARGS = "++prompt_config=generic/math ++eval_type=math"\n'
RAISES = "raise RuntimeError('a dataset is never run')\n"


def prepared(folder: Path, name: str, about: str, lines: list[dict[str, Any]]) -> Path:
    dataset = folder / name
    dataset.mkdir(parents=True)
    (dataset / "__init__.py").write_text(about)
    path = dataset / "test.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


async def opened(folder: Path, name: str, **params: Any) -> Environment:
    [environment] = resolve(f"skills://{name}", params={"data_dir": str(folder), **params})
    await environment.prepare()
    return environment


async def checked(environment: Environment) -> None:
    assert isinstance(environment, ChecksRows)
    await environment.check(range(await environment.size()))


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
        ("", {}, "names no evaluation type"),
        ('METRICS_TYPE = "evalplus"\n', {}, "NeMo Skills alone can evaluate it"),
        ('METRICS_TYPE = "hle"\nEVAL_ARGS = "++eval_type=math"\n', {}, "type 'hle' is not known"),
        ('METRICS_TYPE = "ruler"\n', {}, "has no match_type"),
        ('METRICS_TYPE = "ruler"\n', {"match_type": "some"}, "match_type 'some' is not known"),
        ("METRICS_TYPE = = 1\n", {}, r"__init__\.py:1: is not valid Python"),
        (MATH, {"prompt_config": "own/prompt"}, "no prompt configuration 'own/prompt'"),
        (MATH, {"input_file": "nowhere.jsonl"}, "there is no nowhere.jsonl"),
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


async def test_what_a_comment_or_a_judge_is_told_is_not_of_the_dataset(tmp_path: Path) -> None:
    about = (
        "# GENERATION_ARGS = '++eval_type=evalplus'\n"
        'JUDGE_ARGS = "++prompt_config=judge/math ++eval_type=other"\n'
        'NAME = "generic/default"\n'
        'GENERATION_ARGS = (\n    "++prompt_config=generic/default "\n    "++eval_type=math")\n'
    )
    prepared(tmp_path, "own", about, [{"problem": "1 + 1?", "expected_answer": 2}])
    environment = await opened(tmp_path, "own")
    assert (await environment.seed(0)).prompt == "1 + 1?"
    assert await grade(environment, 0, "Answer: 2") == 1.0


OPTIONS = ["red", "green", "blue"]
LINES = "A) red\nB) green\nC) blue"


@pytest.mark.parametrize(
    "fields",
    [
        {"problem": f"Which?\n\n{LINES}", "options": LINES},
        {"problem": f"Which?\n\n{LINES}"},
        {"problem": "Which?", "options": OPTIONS},
        {"problem": "Which?", "choices": OPTIONS},
        {"problem": "Which?", "options": dict(zip("ABC", OPTIONS, strict=True))},
        {"problem": "Which?", **dict(zip("ABC", OPTIONS, strict=True))},
    ],
)
async def test_options_are_shown_once_however_a_row_holds_them(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    row = fields | {"expected_answer": "b"}
    prepared(tmp_path, "own", 'METRICS_TYPE = "multichoice"\n', [row])
    environment = await opened(tmp_path, "own")
    await checked(environment)
    prompt = (await environment.seed(0)).prompt
    assert prompt.endswith(f"Which?\n\n{LINES}") and prompt.count("green") == 1
    assert await grade(environment, 0, "Answer: B") == 1.0
    assert await grade(environment, 0, "green") == 1.0
    assert await grade(environment, 0, "Answer: D") == 0.0


@pytest.mark.parametrize("said", ["الإجابة: ب", "الإجابة الصحيحة هي (ب)", r"\boxed{ব}", "উত্তর: খ"])
async def test_a_letter_of_another_script_stands_for_its_option(tmp_path: Path, said: str) -> None:
    row = {"problem": f"Which?\n{LINES}", "expected_answer": "B"}
    prepared(tmp_path, "own", 'METRICS_TYPE = "multichoice"\n', [row])
    environment = await opened(tmp_path, "own")
    assert await grade(environment, 0, said) == 1.0
    assert await grade(environment, 0, "قبل ذلك") == await grade(environment, 0, "বি") == 0.0


@pytest.mark.parametrize(
    "problem",
    [
        "Which?\nA. red\nB.\nC. blue",
        "Which? A) red B) green C) blue",
        "A) the only line that looks so\nWhich is it?",
    ],
)
async def test_options_that_are_no_lines_can_be_answered(tmp_path: Path, problem: str) -> None:
    row = {"problem": problem, "expected_answer": "C"}
    prepared(tmp_path, "own", 'METRICS_TYPE = "multichoice"\n', [row])
    environment = await opened(tmp_path, "own")
    await checked(environment)
    assert await grade(environment, 0, "Answer: C") == 1.0
    assert await grade(environment, 0, "Answer: B") == 0.0


@pytest.mark.parametrize(
    ("kind", "row", "said"),
    [
        ("math", {"problem": "?"}, "no target field 'expected_answer'"),
        ("math", {"problem": "?", "expected_answer": ""}, "it is empty"),
        ("math", {"problem": "?", "expected_answer": None}, "it is null"),
        ("math", {"expected_answer": "1"}, "none of the fields problem, question, prompt"),
        ("math", {"problem": ["?"], "expected_answer": "1"}, "the question is not text"),
        (
            "multichoice",
            {"problem": "?", "options": OPTIONS, "expected_answer": "E"},
            "'E' is none",
        ),
        ("multichoice", {"problem": "?", "options": OPTIONS, "expected_answer": "pink"}, "'pink'"),
        ("if", {"question": "?"}, "has no instruction_id_list"),
        ("if", {"question": "?", "instruction_id_list": ["no:such"]}, "no instruction 'no:such'"),
    ],
)
async def test_a_row_that_no_answer_can_meet_is_named_before_anything_is_asked(
    tmp_path: Path, kind: str, row: dict[str, Any], said: str
) -> None:
    path = prepared(tmp_path, "own", f'METRICS_TYPE = "{kind}"\n', [row])
    environment = await opened(tmp_path, "own")
    with pytest.raises(ConfigError, match=said) as error:
        await checked(environment)
    assert f"{path}:1" in str(error.value)


@pytest.mark.parametrize(("match", "half"), [("all", 0.5), ("part", 1.0)])
async def test_ruler_gives_the_share_of_what_is_found(
    tmp_path: Path, match: str, half: float
) -> None:
    about = f'GENERATION_ARGS = "++eval_type=ruler ++eval_config.match_type={match}"\n'
    row = {"question": "Which words?", "expected_answer": ["Ox", "17"]}
    prepared(tmp_path, "ruler/words", about, [row])
    environment = await opened(tmp_path, "ruler.words")
    assert environment.name == "ruler.words"
    assert await grade(environment, 0, "ox and 17") == 1.0
    assert await grade(environment, 0, "an OX") == half
    assert await grade(environment, 0, "none") == await grade(environment, 0, "") == 0.0


async def test_a_prompt_configuration_is_read_from_its_file(tmp_path: Path) -> None:
    prepared(tmp_path, "own", MATH, [{"problem": "1 + {1}?", "expected_answer": "2"}])
    config = tmp_path / "own.yaml"
    config.write_text("system: Be brief.\nuser: |-\n  {examples}Task: {problem} \\boxed{{}}\n")
    problem = await (await opened(tmp_path, "own", prompt_config=str(config))).seed(0)
    assert (problem.system, problem.prompt) == ("Be brief.", "Task: 1 + {1}? \\boxed{}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user: {", r"own\.yaml:\d: is not valid YAML"),
        ("system: none", "needs the text `user`"),
        ("user: x\ncolour: red", "has colour, which is not known"),
        ("user: x\nfew_shot_examples: {examples_type: gsm8k}", "examples 'gsm8k' are code"),
    ],
)
def test_a_prompt_configuration_that_cannot_be_followed_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    prepared(tmp_path, "own", MATH, [{"problem": "?", "expected_answer": "2"}])
    config = tmp_path / "own.yaml"
    config.write_text(text)
    params = {"data_dir": str(tmp_path), "prompt_config": str(config)}
    with pytest.raises(ConfigError, match=said):
        resolve("skills://own", params=params)


def test_a_prompt_that_is_not_here_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    about = 'GENERATION_ARGS = "++prompt_config=lang/own ++eval_type=math"\n'
    prepared(tmp_path, "own", about, [{"problem": "?", "expected_answer": "2"}])
    resolve("skills://own", params={"data_dir": str(tmp_path)})
    assert "lang/own was not found; the prompt of generic/math is used" in caplog.text


async def test_rows_elsewhere_are_an_input_file(tmp_path: Path) -> None:
    path = prepared(tmp_path, "own", "", [{"question": "Capital?", "expected_answer": "Paris"}])
    params = {"input_file": str(path), "eval_type": "exact_match"}
    environment = await opened(tmp_path / "nowhere", "mine", **params)
    assert environment.name == "mine"
    assert await grade(environment, 0, "paris") == 1.0


def test_questions_of_fact_need_a_judge(tmp_path: Path) -> None:
    row = {"question": "Capital?", "expected_answer": "Paris"}
    about = 'METRICS_TYPE = "simpleqa"\nEVAL_ARGS = "++eval_type=math "\n'
    prepared(tmp_path, "own", about, [row])
    [environment] = resolve("skills://own", params={"data_dir": str(tmp_path)})
    assert environment.needs.judge


def test_parts_and_splits_of_a_dataset_are_named(tmp_path: Path) -> None:
    prepared(tmp_path, "ruler/m-3.1_128k/words", MATH, [{"problem": "?", "expected_answer": "1"}])
    prepared(tmp_path, "own", MATH, [])
    part = "ruler.m-3.1_128k.words"
    assert datasets_in(str(tmp_path)) == ["own", part]
    assert resolve(f"skills://{part}", params={"data_dir": str(tmp_path)})
    for name, said in [
        ("ruler", f"its parts are {part}"),
        ("ruler.m-3.1_128k", f"its parts are {part}"),
        ("own?split=dev", "one of test"),
    ]:
        with pytest.raises(ConfigError, match=said):
            resolve(f"skills://{name}", params={"data_dir": str(tmp_path)})
