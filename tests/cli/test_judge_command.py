"""`nel judge calibrate` as it is typed: what it prints, how it exits, what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from loopback import Call, Loopback, Reply, text_reply
from replaying import shown, write_rows

from nemo_evaluator.cli.main import cli
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.reports.calibration import calibration_report, passes
from nemo_evaluator.reports.formats import in_format
from nemo_evaluator.tasks.calibrate import JudgeFlags, calibrate_judge


def nel(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["judge", "calibrate", *map(str, arguments)])


def grades(folder: Path, *labels: Any, name: str = "labels.jsonl", **columns: Any) -> Path:
    rows = [
        {"prompt": f"Task {i}", "response": f"answer {i}", "label": label, **columns}
        for i, label in enumerate(labels)
    ]
    write_rows(folder / name, rows)
    return folder / name


RIGHT_AND_WRONG = [True, False] * 20
TERNARY = ["correct", "incorrect", "not_attempted"]


@pytest.fixture
async def grading() -> AsyncIterator[Loopback]:
    """A judge that grades answers with an even number 5 and the others 0."""

    def script(call: Call) -> Reply:
        number = int(shown(call.body["messages"][1]["content"], "answer").split()[-1])
        score = 5 if number % 2 == 0 else 0
        return text_reply(call, json.dumps({"reasoning": "", "score": score}))

    async with Loopback(script) as server:
        yield server


@pytest.mark.parametrize(
    ("rows", "floor", "code", "word"),
    [
        (RIGHT_AND_WRONG, 0.8, 0, "PASS"),
        (RIGHT_AND_WRONG, 0.95, 1, "BELOW THE FLOOR"),  # 40 rows cannot show it
        ([True, False], 0.8, 1, "BELOW THE FLOOR"),  # right on both, and nothing is known
        ([True, True, True, True], 0.0, 1, "BELOW THE FLOOR"),
        ([True, True, True, True], None, 0, "AGREEMENT"),
    ],
)
async def test_the_floor_is_for_the_lower_end(
    tmp_path: Path, grading: Loopback, rows: list[bool], floor: float | None, code: int, word: str
) -> None:
    found = await calibrate_judge(grades(tmp_path, *rows), flags=JudgeFlags(grading.url, "j"))
    assert passes(found, floor) is (code == 0)
    assert word in in_format(calibration_report(found, floor=floor), "text")


async def test_an_undefined_kappa_passes_no_floor(tmp_path: Path) -> None:
    async with Loopback(lambda call: text_reply(call, "Score: 5")) as judge:
        found = await calibrate_judge(
            grades(tmp_path, True, True), flags=JudgeFlags(judge.url, "j")
        )
    assert found.agreement.kappa.value is None and not passes(found, -1.0)
    assert "used only one label" in in_format(calibration_report(found, floor=-1.0), "text")


async def test_what_could_not_be_judged_leaves_the_gate_open(tmp_path: Path) -> None:
    def script(call: Call) -> Reply:
        number = int(shown(call.body["messages"][1]["content"], "answer").split()[-1])
        return text_reply(call, "No." if number < 2 else f"Score: {5 * (number % 2 == 0)}")

    async with Loopback(script) as judge:
        labels = grades(tmp_path, *RIGHT_AND_WRONG)
        found = await calibrate_judge(labels, flags=JudgeFlags(judge.url, "j"))
    assert found.agreement.unjudged == 2 and found.agreement.accuracy.value == 1.0
    text = in_format(calibration_report(found, floor=0.5), "text")
    assert "INCOMPLETE" in text and "no verdict: line 1:" in text


def test_exit_codes_and_json(tmp_path: Path) -> None:
    labels = grades(tmp_path, *RIGHT_AND_WRONG)
    result = nel("--labels", labels, "--judge-url", "simulated", "--format", "json")
    document = json.loads(result.output)
    assert result.exit_code == 0 and document["simulated"] and "passed" not in document
    result = nel(
        "--labels", labels, "--judge-url", "simulated", "--min-kappa", 0.5, "--format", "json"
    )
    document = json.loads(result.output)
    assert result.exit_code == 1
    assert document["passed"] is False and document["min_kappa"] == 0.5


def test_a_simulated_judge_says_so(tmp_path: Path) -> None:
    result = nel("--labels", grades(tmp_path, True, False), "--judge-url", "simulated")
    assert result.exit_code == 0
    assert "simulated, AGREEMENT" in result.output and "nothing about a real one" in result.output


def test_repeats_measure_how_steady_a_judge_is(tmp_path: Path) -> None:
    labels = grades(tmp_path, *RIGHT_AND_WRONG)
    once = nel("--labels", labels, "--judge-url", "simulated")
    result = nel("--labels", labels, "--judge-url", "simulated", "--repeats", 3)
    assert "says the same each time" in result.output
    assert "says the same each time" not in once.output
    assert "120 replies" in result.output


async def test_a_judge_at_temperature_0_is_asked_again_for_its_steadiness(
    tmp_path: Path, grading: Loopback
) -> None:
    labels = grades(tmp_path, *RIGHT_AND_WRONG)
    flags = JudgeFlags(grading.url, "j")
    found = await calibrate_judge(labels, flags=flags, repeats=3, output=tmp_path / "out")
    assert len(grading.calls) == 120 and found.agreement.consistency is not None
    assert (found.agreement.consistency.value, found.agreement.n) == (1.0, 40)
    await calibrate_judge(labels, flags=flags, repeats=3, output=tmp_path / "out")
    assert len(grading.calls) == 120


@pytest.mark.parametrize(
    ("labels", "arguments", "message"),
    [
        ([0, 1, 1], (), "all labels are 0 or 1, and the judge's scale is 0 to 5"),
        ([0, 1, 9], (), "the label 9 is not on the judge's scale"),
        (["good", 3], (), "is not a word like the others"),
        (["good", ""], (), r"labels\.jsonl:2: has no label"),
        (["good", None], (), r"labels\.jsonl:2: has no label"),
        ([True], ("--bench", "gsm8k"), "gsm8k leaves no verdict to a judge"),
        ([True], ("--bench", "no-such"), "there is no benchmark 'no-such'"),
        (TERNARY, ("--bench", "simpleqa"), r"labels\.jsonl:1: is not a row of simpleqa: .*problem"),
        (TERNARY, ("--bench", "xstest", "--rubric", "Mine."), "give this judge none"),
        (TERNARY, ("--bench", "xstest", "--max-score", "3"), "max_score .* has no effect"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, labels: list[Any], arguments: tuple[str, ...], message: str
) -> None:
    path = grades(tmp_path, *labels, type="homonyms")
    result = nel("--labels", path, "--judge-url", "simulated", *arguments)
    assert isinstance(result.exception, ConfigError)
    assert re.search(message, str(result.exception))


@pytest.mark.parametrize("labels", [[0, 1, 1], [1, 0]])
def test_zero_and_one_on_a_scale_that_was_given(tmp_path: Path, labels: list[int]) -> None:
    path = grades(tmp_path, *labels)
    for scale in (1, 5):
        result = nel("--labels", path, "--judge-url", "simulated", "--max-score", scale)
        assert result.exit_code == 0 and "quadratic" in result.output


def test_a_csv_with_a_field_too_long(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("prompt,response,label\np," + "x" * 200_000 + ",yes\n")
    result = nel("--labels", path, "--judge-url", "simulated")
    assert "is not CSV: field larger" in str(result.exception)


def test_grades_are_listed_in_their_order(tmp_path: Path) -> None:
    path = grades(tmp_path, 2, 10, 9, 100)
    arguments = ("--judge-url", "simulated", "--max-score", 100, "--format", "json")
    labels = json.loads(nel("--labels", path, *arguments).output)["agreement"]["labels"]
    assert labels == sorted(labels, key=float)


SIMPLEQA = [
    {"problem": "Who?", "answer": "Ada", "response": "Ada.", "label": "correct"},
    {"problem": "When?", "answer": "1815", "response": "1816.", "label": "incorrect"},
    {
        "problem": "Where?",
        "answer": "London",
        "response": "I do not know.",
        "label": "not_attempted",
    },
    {"problem": "Why?", "answer": "x", "response": "", "label": "not_attempted"},
]


async def test_the_judge_of_a_benchmark_judges_as_the_benchmark_does(tmp_path: Path) -> None:
    def script(call: Call) -> Reply:
        prompt = call.body["messages"][1]["content"]
        right = shown(prompt, "answer").strip(".") == shown(prompt, "known_answer")
        grade = "A" if right else "C" if "not know" in prompt.split("<answer_")[1] else "B"
        return text_reply(call, json.dumps({"reasoning": "", "grade": grade}))

    write_rows(tmp_path / "labels.jsonl", SIMPLEQA)
    async with Loopback(script) as judge:
        flags = JudgeFlags(judge.url, "j")
        found = await calibrate_judge(tmp_path / "labels.jsonl", bench="simpleqa", flags=flags)
        assert len(judge.calls) == 3  # the empty answer needs nobody
        config = tmp_path / "config.yaml"
        config.write_text(
            f"""
services:
  model: {{type: simulated}}
  judge: {{type: api, url: "{judge.url}", protocol: chat_completions, model: j}}
solver: {{type: simple, service: model}}
benchmarks:
  - {{name: simpleqa, scoring: {{metrics: [{{type: judge, name: g, service: judge}}]}}}}
  - {{name: xstest, scoring: {{metrics: [{{type: judge, name: g, service: judge}}]}}}}
"""
        )
        result = await calibrate_judge(tmp_path / "labels.jsonl", bench="simpleqa", config=config)
        assert result.agreement == found.agreement
    agreed = found.agreement
    assert (agreed.n, agreed.unjudged) == (3, 1) and agreed.accuracy.value == 1.0
    assert agreed.labels == ("correct", "incorrect", "not_attempted")
    assert found.judge["benchmark"] == "simpleqa"
    assert "the benchmark gave no verdict (empty)" in found.failures[0]
    with pytest.raises(ConfigError, match=r"2 metrics .*\(g of simpleqa, g of xstest\)"):
        await calibrate_judge(tmp_path / "labels.jsonl", config=config)


PAIRS = [{"prompt": f"T{i}", "a": "good", "b": "bad", "label": "A"} for i in range(6)]


async def test_panels_and_reward_models_can_be_examined_too(tmp_path: Path) -> None:
    def score(call: Call) -> Reply:
        text = str(call.body["messages"][-1]["content"])
        return text_reply(call, "0.9" if text == "good" else "0.2")

    write_rows(tmp_path / "pairs.jsonl", PAIRS)
    labels = grades(tmp_path, *RIGHT_AND_WRONG)
    async with Loopback(score) as reward, Loopback(lambda c: text_reply(c, "Score: 5")) as judge:
        api = "type: api, protocol: chat_completions"
        config = tmp_path / "config.yaml"
        config.write_text(
            f"""
services:
  model: {{type: simulated}}
  one: {{{api}, url: "{judge.url}", model: one}}
  two: {{{api}, url: "{judge.url}", model: two}}
  rm: {{{api}, url: "{reward.url}", model: rm}}
benchmarks:
  - name: sample
    solver: {{type: simple, service: model}}
    scoring:
      primary: panel
      metrics:
        - {{type: ensemble_judge, name: panel, services: [one, two]}}
        - {{type: reward_model, name: reward, service: rm}}
"""
        )
        panel = await calibrate_judge(labels, config=config, metric="panel")
        assert panel.agreement.confusion == ((20, 0), (20, 0)) and panel.calls == 80
        assert panel.judge["model"] == "one, two"
        rewards = await calibrate_judge(tmp_path / "pairs.jsonl", config=config)
        assert rewards.agreement.accuracy.value == 1.0 and rewards.agreement.position is None
        assert rewards.judge["model"] == "rm"
