"""What each benchmark asks, and how it grades: on real rows from a hub on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

ASK = """
import asyncio, json, sys
from nemo_evaluator.environments.contract import VerifyTools
from nemo_evaluator.environments.registry import resolve
from nemo_evaluator.types import Solution

async def main(name, params, answers):
    (environment,) = resolve(name, params=params)
    await environment.prepare()
    size = await environment.size()
    problems = [await environment.seed(i) for i in range(min(8, size))]
    out = {"size": size, "identity": environment.identity(), "problems": [
        {"prompt": p.prompt, "target": p.target, "category": p.category, "cluster": p.cluster,
         "metadata": p.metadata} for p in problems], "scores": []}
    for idx, text in answers:
        score = await environment.verify(problems[idx], Solution(response=text), VerifyTools())
        out["scores"].append([score.reward, score.correct, score.extracted, score.published])
    print(json.dumps(out))

asyncio.run(main(*json.loads(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def env(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a process that uses the hub: the shared datasets and a made-up GPQA."""
    root = tmp_path_factory.mktemp("hub")
    for organisation in (shared_dir / "data" / "hf").iterdir():
        if organisation.is_dir():
            (root / organisation.name).symlink_to(organisation)
    gpqa = root / "Idavidrein" / "gpqa" / "gpqa_diamond"
    gpqa.mkdir(parents=True)
    (gpqa / "train.jsonl").write_text("\n".join(json.dumps(made_up(i)) for i in range(8)))
    sys.path.insert(0, str(shared_dir / "tools"))
    from hub import LocalHub

    with LocalHub(root) as hub:
        yield hub.env(tmp_path_factory.mktemp("home"))
    sys.path.remove(str(shared_dir / "tools"))


def made_up(number: int) -> dict[str, str]:
    """A problem in the shape of GPQA."""
    return {
        "Question": f"Which of these is the number {number}? ",
        "Correct Answer": f" it is {number}\n",
        **{f"Incorrect Answer {i}": f"it is {number + 10 * i}" for i in (1, 2, 3)},
        "High-level domain": "Physics" if number % 2 else "Biology",
        "Subdomain": "Counting",
    }


@pytest.fixture
def ask(env: dict[str, str]) -> Any:
    """Seeds the first problems of a benchmark and verifies answers to them."""

    def run(name: str, answers: Sequence[tuple[int, str]] = (), **params: Any) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", ASK, json.dumps([name, params, answers])],
            env=env,
            capture_output=True,
            text=True,
            timeout=100,
        )
        if done.returncode:
            return {"error": done.stderr.strip().splitlines()[-1]}
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


@pytest.mark.shared
def test_mmlu_is_graded_by_its_answer_line(ask: Any) -> None:
    found = ask("mmlu", [(0, "Thus **Answer:** (B)"), (0, "Answer: A"), (0, "no idea")])
    first = found["problems"][0]
    assert found["size"] == 14042
    assert first["category"] == "abstract_algebra" and first["target"] in "ABCD"
    assert "'Answer: $LETTER' (without quotes) where LETTER is one of ABCD." in first["prompt"]
    assert [score[2] for score in found["scores"]] == ["B", "A", None]
    assert [score[1] for score in found["scores"]] == [first["target"] == x for x in ("B", "A", "")]
    assert found["identity"]["dataset"] == "hf://cais/mmlu?config=all&split=test"


@pytest.mark.shared
def test_subjects_of_mmlu(ask: Any) -> None:
    found = ask("mmlu", subjects=["anatomy", "astronomy"])
    assert found["size"] == 135 + 152
    assert ask("mmlu", subjects="anatomy")["size"] == 135
    assert (
        "unknown subject 'anatomi' — did you mean anatomy"
        in ask("mmlu", subjects="anatomi")["error"]
    )


@pytest.mark.shared
def test_mmlu_pro_shows_the_options_there_are(ask: Any) -> None:
    found = ask("mmlu_pro", [(0, "The answer is (F).")])
    assert found["size"] == 12032
    for problem in found["problems"]:
        choices = problem["metadata"]["choices"]
        letters = "ABCDEFGHIJ"[: len(choices)]
        assert f"is one of {letters}." in problem["prompt"]
        assert problem["target"] in letters and "N/A" not in choices
        assert problem["prompt"].count("\n") >= len(choices)
    assert found["scores"][0][2] == "F"


@pytest.mark.shared
def test_gpqa_is_shuffled_by_index_and_graded_after_unshuffling(ask: Any) -> None:
    found, again = ask("gpqa"), ask("gpqa")
    assert found["problems"] == again["problems"]
    targets = [problem["target"] for problem in found["problems"]]
    assert len(set(targets)) > 1
    for number, problem in enumerate(found["problems"]):
        assert f"{problem['target']}) it is {number}\n" in problem["prompt"] + "\n"
        assert "Correct Answer" not in problem["metadata"]
    assert found["problems"][1]["category"] == "Physics"
    answers = [(i, f"Answer: {target}") for i, target in enumerate(targets)]
    assert [score[0] for score in ask("gpqa", answers)["scores"]] == [1.0] * 8


@pytest.mark.shared
def test_gsm8k_compares_numbers(ask: Any) -> None:
    target = float(ask("gsm8k")["problems"][0]["target"])
    found = ask(
        "gsm8k",
        [
            (0, f"First 5, then 7. The answer is {target:.2f}."),
            (0, f"The answer is {target * 10:g}"),
            (0, ""),
        ],
    )
    assert [score[1] for score in found["scores"]] == [True, False, False]
    assert found["problems"][0]["metadata"].keys() == {"question"}  # no solution to peek at


@pytest.mark.shared
def test_math500_compares_mathematics(ask: Any) -> None:
    found = ask("math500", [(0, r"\boxed{\left( 3, \pi/2 \right)}"), (0, r"Answer: (\pi/2, 3)")])
    first = found["problems"][0]
    assert first["target"] == r"\left( 3, \frac{\pi}{2} \right)"
    assert first["category"] == "Precalculus"
    assert first["metadata"]["breakdowns"] == {"level": "Level 2"}
    assert "solution" not in first["metadata"]
    assert [score[1] for score in found["scores"]] == [True, False]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("language", "answer"),
    [
        ("de", "Antwort: 18"),
        ("bn", "উত্তর: ১৮"),
        ("te", "సమాధానం: 18"),
        ("th", "คำตอบ: ๑๘"),
        ("ja", "答え:18"),
        ("zh", "答案：18"),
        ("sw", "Jibu: 18"),
        ("ru", "**Ответ:** 18"),
    ],
)
def test_mgsm_reads_the_prefix_and_digits_of_each_language(
    ask: Any, language: str, answer: str
) -> None:
    found = ask("mgsm", [(0, answer), (0, answer + "0")], languages=language)
    assert found["size"] == 250
    first = found["problems"][0]
    assert first["target"] == 18 and first["category"] == language
    assert (
        answer.lstrip("*").split(":")[0].split("：")[0] in first["prompt"]
    )  # the prefix is asked for
    assert [score[1] for score in found["scores"]] == [True, False]
    assert found["identity"]["params"] == {"languages": language}


@pytest.mark.shared
def test_drop_shows_questions_in_its_examples_and_counts_f1(ask: Any) -> None:
    found = ask("drop", [(0, "")])
    first = found["problems"][0]
    assert found["identity"]["num_fewshot"] == 3
    examples, _, task = first["prompt"].partition("# Your task")
    assert examples.count("# Example") == 3
    assert examples.count("\nQuestion: ") == examples.count("\nAnswer: ") == 3
    assert "\nAnswer: \n" not in examples
    assert task.count("Passage: ") == 1
    assert first["cluster"]
    answers = [(0, f"Answer: {first['target'][0]}"), (0, "Answer: zzz"), (0, "")]
    scores = ask("drop", answers)["scores"]
    assert [(score[0], score[1]) for score in scores] == [(1.0, True), (0.0, False), (0.0, False)]
    assert scores[0][3]["metrics"] == {"f1": 1.0}


@pytest.mark.shared
def test_triviaqa_takes_every_alias_and_no_substring(ask: Any) -> None:
    first = ask("triviaqa")["problems"][0]
    alias = first["metadata"]["correct_answers"][-1]
    found = ask("triviaqa", [(0, alias.upper()), (0, f"the {alias}."), (0, alias[:-2]), (0, "")])
    assert [score[1] for score in found["scores"]] == [True, True, False, False]
    assert found["scores"][0][3]["metrics"] == {"f1": 1.0}
