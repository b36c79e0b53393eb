"""Benchmarks as objects, and files written for NVIDIA NeMo Evaluator, unchanged."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator import (
    ConfigError,
    EvalEnvironment,
    ScorerInput,
    SeedResult,
    VerifyResult,
    benchmark,
    evaluate_async,
    get_environment,
    list_environments,
    load_benchmark_file,
    register,
    scorer,
)

FILE = """
from nemo_evaluator import ScorerInput, benchmark, exact_match, scorer


@benchmark(
    name="mine",
    dataset="rows.jsonl",
    prompt="{question} Put it in \\\\boxed{{answer}}. Options: {choices[0]}, {choices[1]}",
    target_field="answer",
    field_mapping={"q": "question"},
    difficulty="hard",
)
@scorer
def mine(sample: ScorerInput) -> dict:
    assert sample.metadata["answer"] == 4 and sample.metadata["q"] == sample.metadata["question"]
    return {"correct": sample.response.strip() == sample.target, "extracted": sample.response}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [{"q": f"2 + 2 ({n})?", "answer": 4, "choices": ["4", "5"]} for n in range(3)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mine.py").write_text(FILE)
    return tmp_path / "mine.py"


async def test_a_file_as_written_for_the_known_system(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert load_benchmark_file(file) == ["mine"]
    assert "difficulty" in caplog.text and "no effect" in caplog.text
    assert "mine" in list_environments() and "gsm8k" in list_environments()
    env = get_environment("mine", num_examples=2)
    assert len(env) == await env.dataset_size() == 2
    seed = await env.seed(0)
    assert seed.prompt == "2 + 2 (0)? Put it in \\boxed{answer}. Options: 4, 5"
    assert seed.expected_answer == "4"
    right = await env.verify(" 4 ", seed.expected_answer, **seed.metadata)
    assert (right.reward, right.extracted_answer) == (1.0, " 4 ")
    assert right.scoring_details["correct"] is True
    await env.close()


def test_a_keyword_that_is_a_typo_is_an_error(file: Path) -> None:
    file.write_text(FILE.replace("target_field=", "target_feild="))
    with pytest.raises(ConfigError, match=r"target_feild.*did you mean.*target_field"):
        load_benchmark_file(file)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="there is no benchmark 'nosuch'"):
        get_environment("nosuch")
    with pytest.raises(ConfigError, match="it accepts"):
        get_environment("sample", level=3)


class Doubles(EvalEnvironment):
    name = "doubles"

    def __init__(self, num_examples: int = 5, factor: int = 2) -> None:
        self._dataset = list(range(num_examples))
        self.factor = factor

    async def seed(self, idx: int) -> SeedResult:
        return SeedResult(
            prompt=f"{idx} doubled?",
            expected_answer=str(self.factor * idx),
            metadata={"category": "even"},
            pre_agent_cmd="true",
        )

    async def verify(
        self, response: str, expected: Any, sandbox: Any = None, **metadata: Any
    ) -> VerifyResult:
        return VerifyResult(reward=float(expected in response), extracted_answer=response)


def test_a_dataset_gives_an_environment_its_length() -> None:
    assert len(Doubles()) == 5 and bool(Doubles(0))
    with pytest.raises(TypeError, match="dataset_size"):
        len(EvalEnvironment())


def test_registered_classes_take_what_they_accept() -> None:
    register("doubles")(Doubles)
    env = get_environment("doubles", num_examples=3, num_fewshot=9, params={"factor": 4})
    assert isinstance(env, Doubles) and (len(env), env.factor) == (3, 4)


async def test_a_class_with_a_dataset_runs(tmp_path: Path) -> None:
    (tmp_path / "bench.py").write_text(
        "from nemo_evaluator.environments import EvalEnvironment, SeedResult, VerifyResult\n"
        "from nemo_evaluator.environments.registry import register\n\n"
        "@register('short')\n"
        "class Short(EvalEnvironment):\n"
        "    def __init__(self):\n        self._dataset = [1, 2, 3]\n"
        "    async def seed(self, idx):\n"
        "        return SeedResult(prompt='?', expected_answer='4')\n"
        "    async def verify(self, response, expected, sandbox=None, **metadata):\n"
        "        return VerifyResult(reward=1.0, extracted_answer=response)\n"
    )
    result = await evaluate_async(
        bench=str(tmp_path / "bench.py"), model_url="simulated", output_dir=tmp_path / "out"
    )
    assert result.exit_code == 0 and result.summary.benchmarks[0].n_scored == 3


async def test_what_a_script_decorates_is_known_by_its_name(tmp_path: Path) -> None:
    @benchmark(name="of_a_script", dataset=lambda: [{"q": "a", "target": "a"}], prompt="{q}")
    @scorer
    def of_a_script(sample: ScorerInput) -> bool:
        return sample.target == "a"

    assert "of_a_script" in list_environments()
    environment = get_environment("of_a_script")
    assert len(environment) == 1 and (await environment.seed(0)).prompt == "a"
    result = await evaluate_async(
        bench="of_a_script", model_url="simulated", output_dir=tmp_path / "o"
    )
    assert result.summary.benchmarks[0].metrics["pass@1"].value == 1.0


def test_methods_that_are_not_called_are_said(caplog: pytest.LogCaptureFixture) -> None:
    @register("with_batch")
    class WithBatch(EvalEnvironment):
        async def run_batch(self, solver: Any, config: Any = None) -> None: ...

    get_environment("with_batch")
    assert caplog.messages == ["with_batch: run_batch() is not called by this version"]
