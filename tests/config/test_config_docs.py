"""The guide, its reference, the JSON schema and the examples say what the records say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator.config.load import load
from nemo_evaluator.config.root import EvalConfig
from nemo_evaluator.config.runnable import check_runnable
from nemo_evaluator.config.schema import descriptions, json_schema, records, with_reference

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples" / "configs").glob("*.yaml"))
ENV = {"NEMO_MODEL_URL": "http://127.0.0.1:1/v1", "NEMO_MODEL_ID": "m", "NEMO_API_KEY": "k-123456"}
BLOCK = re.compile(r'^```yaml(?: title="(.*?)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_can_be_run(path: Path) -> None:
    loaded = load(path, env=ENV)
    check_runnable(loaded)
    assert loaded.warnings == ()


def test_there_are_enough_examples() -> None:
    assert len(EXAMPLES) >= 12


def test_inherited_example() -> None:
    loaded = load(ROOT / "examples/configs/07_inherit.yaml", env=ENV)
    assert [b.max_problems for b in loaded.config.benchmarks] == [50, 50]
    assert loaded.config.services["model"].generation.params() == {"temperature": 0.7}
    assert loaded.config.output.report == ["markdown", "json", "csv"]


def test_blocks_of_the_guide_can_be_run(tmp_path: Path) -> None:
    paths = []
    for number, (title, text) in enumerate(BLOCK.findall(PAGE)):
        path = tmp_path / (title or f"block{number}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if not title.startswith("conf/"):
            paths.append(path)
    assert len(paths) >= 6
    for path in paths:
        check_runnable(load(path, env=ENV))


def test_the_reference_is_up_to_date() -> None:
    assert with_reference(PAGE) == PAGE


def test_every_field_is_described_in_guide_and_schema() -> None:
    schema = json_schema()
    for record in records():
        assert f"### {record.__name__}\n" in PAGE
        part = schema if record is EvalConfig else schema["$defs"][record.__name__]
        texts = descriptions(record)
        for name in record.model_fields:
            assert texts.get(name), f"{record.__name__}.{name} is not described"
            assert f"| `{name}` |" in PAGE
            assert part["properties"][name]["description"] == texts[name]


def test_every_record_refuses_unknown_fields() -> None:
    schema = json_schema()
    for name, part in schema["$defs"].items():
        if part.get("type") == "object":
            assert part["additionalProperties"] is False, name
    assert schema["additionalProperties"] is False


def test_the_schema_names_what_a_user_may_write() -> None:
    schema: dict[str, Any] = json_schema()
    assert list(schema["properties"])[:3] == ["defaults", "services", "sandboxes"]
    tags = schema["properties"]["services"]["additionalProperties"]["discriminator"]["mapping"]
    assert {"api", "simulated", "vllm", "sglang", "nim", "trt_llm", "dynamo", "gym"} <= set(tags)
    assert schema["$defs"]["BenchmarkConfig"]["properties"]["repeats"]["minimum"] == 1


def test_the_schema_as_a_command(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "nemo_evaluator.config.schema"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json_schema()
    page = tmp_path / "page.md"
    page.write_text(re.sub(r"\| `repeats` \|.*", "", PAGE), encoding="utf-8")
    subprocess.run([*command, "--docs", str(page)], check=True)
    assert page.read_text(encoding="utf-8") == PAGE
