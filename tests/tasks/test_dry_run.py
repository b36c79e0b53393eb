"""A plan calls nothing, pulls nothing and writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback

from nemo_evaluator.config.load import parse
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.local import run
from nemo_evaluator.executors.options import Options
from nemo_evaluator.tasks.dry_run import describe_plan

CODE = """
from nemo_evaluator import SandboxSpec, ScorerInput, benchmark, scorer


@benchmark(name="code", dataset=[{"a": 1, "target": 1}], prompt="{a}", sandbox=SandboxSpec())
@scorer
async def code(sample: ScorerInput) -> dict:
    return {"correct": True}
"""


def document(tmp_path: Path, url: str) -> dict[str, Any]:
    (tmp_path / "code.py").write_text(CODE)
    service = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
    sandbox = {"type": "docker", "image": "localhost:1/no/such:image"}
    return {
        "services": {"model": service},
        "benchmarks": [{"name": str(tmp_path / "code.py"), "sandbox": sandbox}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


async def test_a_plan_calls_nothing_and_pulls_no_image(tmp_path: Path, loopback: Loopback) -> None:
    asked: list[Any] = []
    loopback.models_reply = asked.append  # type: ignore[assignment]
    text = await describe_plan(parse(document(tmp_path, loopback.url)))
    assert "1 of 1 problems" in text and "nothing is called" in text
    assert loopback.calls == [] and asked == []
    assert not (tmp_path / "run").exists()


async def test_a_plan_says_what_ray_would_do(tmp_path: Path, loopback: Loopback) -> None:
    cluster = {"type": "ray", "address": "head:6379", "shards": 3, "resources": {"far": 1}}
    text = await describe_plan(parse({**document(tmp_path, loopback.url), "cluster": cluster}))
    assert (
        "cluster ray at head:6379: 3 shards, each a task that needs 1 CPUs, 0 GPUs, 1 far" in text
    )


async def test_a_run_wants_the_image(tmp_path: Path, loopback: Loopback) -> None:
    """The same configuration, to show that the plan above leaves something out."""
    with pytest.raises(ConfigError):
        await run(parse(document(tmp_path, loopback.url)), Options())
    assert loopback.calls == []
