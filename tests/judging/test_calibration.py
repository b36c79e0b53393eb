"""`nel judge calibrate`: a judge against people's labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from loopback import FAULTS, Call, Loopback, Reply, text_reply
from replaying import recorded, shown, write_rows

from nemo_evaluator.cli.main import cli
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.judging.calibration import Calibration
from nemo_evaluator.judging.labels import read_labels
from nemo_evaluator.tasks.calibrate import JudgeFlags, calibrate_judge


def saying(field: str, verdict: Callable[[str], Any]) -> Callable[[Call], Reply]:
    return lambda call: text_reply(
        call, json.dumps({"reasoning": "x", field: verdict(call.prompt)})
    )


def labelled(path: Path, rows: list[dict[str, Any]]) -> Path:
    write_rows(path / "labels.jsonl", rows)
    return path / "labels.jsonl"


async def calibrated(labels: Path, judge: Loopback, **flags: Any) -> Calibration:
    return await calibrate_judge(labels, flags=JudgeFlags(judge.url, "j", **flags))


GRADES = [
    {"prompt": f"Task {i}", "response": f"answer {i}", "label": i % 2 == 0} for i in range(40)
]


async def test_right_and_wrong(tmp_path: Path) -> None:
    """The judge grades by the number's end; it is wrong where that is 9."""

    def grade(prompt: str) -> int:
        number = int(shown(prompt, "answer").split()[-1])
        return 5 if number % 2 == 0 or number % 10 == 9 else 1

    async with Loopback(saying("score", grade)) as judge:
        found = await calibrated(labelled(tmp_path, GRADES), judge)
    agreed = found.agreement
    assert agreed.n == 40 and agreed.unjudged == 0
    assert agreed.labels == ("true", "false")
    assert agreed.confusion == ((20, 0), (4, 16))
    assert agreed.accuracy.value == 0.9
    assert agreed.kappa.value == pytest.approx((0.9 - 0.5) / 0.5)
    assert agreed.base_rate == {"true": 0.5, "false": 0.5}
    assert [row.line for row in found.disagreements] == [10, 20, 30, 40]
    assert found.calls == 40 and found.judge["model"] == "j"


async def test_grades_on_a_scale(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "response": f"{i}", "label": i % 4} for i in range(40)]
    async with Loopback(saying("score", lambda p: int(shown(p, "answer")) % 4)) as judge:
        found = await calibrated(labelled(tmp_path, rows), judge, max_score=3)
    assert found.kind == "numbers" and found.agreement.kappa.value == 1.0
    assert found.agreement.labels == ("0", "1", "2", "3")


async def test_a_judge_that_answers_by_words_is_calibrated(tmp_path: Path) -> None:
    rows = [
        {"prompt": "p", "response": f"r{i}", "label": ["refusal", "compliance"][i % 2]}
        for i in range(20)
    ]
    async with Loopback(saying("verdict", lambda p: "refusal")) as judge:
        found = await calibrated(labelled(tmp_path, rows), judge)
    assert found.agreement.accuracy.value == 0.5 and found.agreement.kappa.value == 0.0


PAIRS = [
    {"prompt": f"Task {i}", "a": "short", "b": f"a much longer answer {i}", "label": "A"}
    for i in range(20)
]


async def test_a_judge_that_prefers_what_stands_first(tmp_path: Path) -> None:
    async with Loopback(saying("verdict", lambda _: "A")) as judge:
        found = await calibrated(labelled(tmp_path, PAIRS), judge)
    agreed = found.agreement
    assert agreed.position is not None and agreed.position.value == 1.0
    assert agreed.first_preferred is not None and agreed.first_preferred.value == 1.0
    assert agreed.accuracy.value == 0.0, "a verdict that turns with the order is a tie"
    assert [share.value for share in found.by_order] == [1.0, 0.0]
    assert found.calls == 40


async def test_a_judge_that_prefers_what_is_long(tmp_path: Path) -> None:
    def longer(prompt: str) -> str:
        return "A" if len(shown(prompt, "answer_A")) > len(shown(prompt, "answer_B")) else "B"

    async with Loopback(saying("verdict", longer)) as judge:
        found = await calibrated(labelled(tmp_path, PAIRS), judge)
    assert found.agreement.position is not None and found.agreement.position.value == 0.0
    assert found.agreement.length is not None and found.agreement.length.value == 1.0


async def test_what_cannot_be_judged_is_no_verdict(tmp_path: Path) -> None:
    def script(call: Call) -> Reply:
        number = int(shown(call.prompt, "answer").split()[-1]) if "<answer_" in call.prompt else 0
        if number < 10:
            return text_reply(call, "I would rather not say.")
        return text_reply(call, json.dumps({"reasoning": "", "score": 5 * (number % 2 == 0)}))

    async with Loopback(script) as judge:
        found = await calibrated(labelled(tmp_path, GRADES), judge)
    assert (found.agreement.n, found.agreement.unjudged) == (30, 10)
    assert found.agreement.accuracy.value == 1.0
    assert len(found.failures) == 10 and "no readable verdict" in found.failures[0]


async def test_nothing_is_paid_twice(tmp_path: Path) -> None:
    labels = labelled(tmp_path, GRADES)
    async with Loopback(saying("score", lambda _: 5)) as judge:
        first = await calibrate_judge(
            labels, flags=JudgeFlags(judge.url, "j"), output=tmp_path / "out"
        )
        asked = len(judge.calls)
        again = await calibrate_judge(
            labels, flags=JudgeFlags(judge.url, "j"), output=tmp_path / "out"
        )
        assert len(judge.calls) == asked
    assert first.agreement == again.agreement
    assert (tmp_path / "out/judgements.jsonl").read_text().count("\n") == 40
    assert json.loads((tmp_path / "out/calibration.json").read_text())["kind"] == "verdicts"


async def test_an_endpoint_that_refuses_the_key(tmp_path: Path) -> None:
    async with Loopback(FAULTS["unauthorized"]) as judge:
        with pytest.raises(ConfigError, match=r"no row could be judged; line 1: .*401"):
            await calibrated(labelled(tmp_path, GRADES), judge)


CONFIG = """
services:
  model: {{type: api, url: "{url}", protocol: chat_completions, model: m}}
  judge: {{type: api, url: "{url}", protocol: chat_completions, model: j}}
benchmarks:
  - name: sample
    solver: {{type: simple, service: model}}
    scoring:
      primary: strict
      metrics:
        - {{type: judge, name: strict, service: judge, rubric: "Be strict.", max_score: 2}}
        - {{type: judge, name: mild, service: judge, rubric: "Be mild."}}
        - {{type: pairwise_judge, name: pair, judge_service: judge, baseline_service: judge,
            allow_self_judge: true}}
"""


async def test_the_judge_of_a_configuration(tmp_path: Path) -> None:
    async with Loopback(saying("score", lambda p: 2 if "Be strict." in p else 0)) as judge:
        config = tmp_path / "config.yaml"
        config.write_text(CONFIG.format(url=judge.url))
        labels = labelled(tmp_path, GRADES)
        found = await calibrate_judge(labels, config=config, metric="strict")
        assert found.agreement.confusion[0] == (20, 0) and found.judge["rubric"] == "Be strict."
        with pytest.raises(ConfigError, match=r"2 metrics .*\(strict, mild\).*--metric"):
            await calibrate_judge(labels, config=config)
        with pytest.raises(ConfigError, match="0 metrics could be examined"):
            await calibrate_judge(labels, config=config, metric="x")


async def test_labels_of_another_scale_are_refused(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "response": "r", "label": 7}]
    async with Loopback(saying("score", lambda _: 5)) as judge:
        with pytest.raises(ConfigError, match=r"labels.jsonl:1: the label 7 is not on .* 0 to 5"):
            await calibrated(labelled(tmp_path, rows), judge)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no labels"),
        ("{", "labels.jsonl:1: is not JSON"),
        ("3\n", "labels.jsonl:1: is not an object"),
        ('{"prompt": "p", "label": 1}\n', "labels.jsonl:1: has no response"),
        (
            '{"prompt": "p", "response": "r", "label": 1}\n{"prompt": "p", "response": "r"}\n',
            "labels.jsonl:2: has no label",
        ),
        ('{"prompt": "p", "a": "x", "b": "y", "label": "C"}\n', "the label is 'C'.*A, B or tie"),
        (
            '{"prompt": "p", "response": "r", "label": "good"}\n'
            '{"prompt": "p", "response": "r", "label": 3}\n',
            "labels.jsonl:2: the label 3.0 is not a word like the others",
        ),
        (
            "".join(
                f'{{"prompt": "p", "response": "r", "label": "word {i}"}}\n' for i in range(13)
            ),
            "more than 12 different labels",
        ),
    ],
)
def test_broken_label_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_labels(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_labels(tmp_path / "labels.jsonl")


def test_labels_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        '\ufeffprompt,response,label,reference\n"2, or ""two""?",2,yes,2\nx,y,no,\n', "utf-8"
    )
    labels = read_labels(path)
    assert labels.kind == "verdicts"
    assert [row.label for row in labels.rows] == [True, False]
    assert labels.rows[0].prompt == '2, or "two"?' and labels.rows[0].reference == "2"
    assert labels.rows[1].reference is None and labels.rows[1].line == 3


def nel(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["judge", "calibrate", *arguments])


def test_from_the_command_line(tmp_path: Path) -> None:
    labels = str(labelled(tmp_path, GRADES))
    result = nel("--labels", labels, "--judge-url", "simulated")
    assert result.exit_code == 0 and "Cohen's kappa" in result.output
    result = nel("--labels", labels, "--judge-url", "simulated", "--min-kappa", "0.8")
    assert result.exit_code == 1 and "BELOW THE FLOOR" in result.output
    result = nel("--labels", labels, "--judge-url", "simulated", "--format", "json")
    assert json.loads(result.output)["agreement"]["n"] == 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a --config, or --judge-url"),
        (["--config", "c.yaml", "--rubric", "x"], "give a --config, or --judge-url"),
        (["--config", "c.yaml", "--judge-url", "simulated"], "cannot be used with"),
    ],
)
def test_flags_that_do_not_fit(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = nel("--labels", str(labelled(tmp_path, GRADES)), *arguments)
    assert result.exit_code == 2 and message in result.output


@pytest.mark.shared
async def test_recorded_verdicts_of_gpt_4_on_llmbar(tmp_path: Path, shared_dir: Path) -> None:
    """Replayed verdicts give the accuracy that the file itself gives."""
    rows = [row for row in recorded(shared_dir, "llmbar_pairs") if row["gpt4_vanilla_judge"]]
    by_texts = {}
    labels = []
    for row in rows:
        a, b = row["output_1"], row["output_2"]
        label = "AB"[int(row["human_label"]) - 1]
        labels.append({"prompt": row["input"], "a": a, "b": b, "label": label})
        runs = row["gpt4_vanilla_judge"][0]
        # "winner" names the answer, not the place; the judge names the place.
        by_texts[(row["input"], a, b)] = runs["swap = False"]["winner"] == "1"
        by_texts[(row["input"], b, a)] = runs["swap = True"]["winner"] == "2"

    def verdict(prompt: str) -> str:
        texts = (shown(prompt, "task"), shown(prompt, "answer_A"), shown(prompt, "answer_B"))
        return "A" if by_texts[texts] else "B"

    async with Loopback(saying("verdict", verdict)) as judge:
        found = await calibrated(labelled(tmp_path, labels), judge)
    n = len(rows)
    human = [row["human_label"] for row in rows]
    for order, key in enumerate(("swap = False", "swap = True")):
        said = [row["gpt4_vanilla_judge"][0][key]["winner"] for row in rows]
        right = sum(str(a) == str(b) for a, b in zip(said, human, strict=True))
        assert found.by_order[order].value == pytest.approx(right / n)
    changed = sum(
        row["gpt4_vanilla_judge"][0]["swap = False"]["winner"]
        != row["gpt4_vanilla_judge"][0]["swap = True"]["winner"]
        for row in rows
    )
    position = found.agreement.position
    assert position is not None and position.value == pytest.approx(changed / n)
    assert found.agreement.n == n
