"""A question of several messages and images, in the logs of Inspect and back again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import Nel
from inspect_reader import read_logs

from nemo_evaluator.results.trajectory_row import read_trajectories

BENCH = """
from pathlib import Path
from nemo_evaluator import ScorerInput, SeedResult, benchmark, numeric_match, scorer

PNG = b"\\x89PNG\\r\\n\\x1a\\n" + bytes(16)
Path("a.png").write_bytes(PNG)
IMAGES = ["a.png", "https://example.com/a.png?size=2", PNG]


def seed(row, idx):
    messages = [
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "And that?"},
    ]
    images = [IMAGES[idx]] if idx < 3 else []
    return SeedResult(messages=messages, system="Be brief.", expected_answer="2", images=images)


@benchmark(name="talk", dataset=[{"a": i} for i in range(4)], seed_fn=seed)
@scorer
def talk(sample: ScorerInput) -> dict:
    return numeric_match(sample)
"""
DATA = "data:image/png;base64,iVBORw0KGgoAAAAAAAAAAAAAAAAAAAAA"


@pytest.fixture
def logs(nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    Path("talk.py").write_text(BENCH)
    words = ("--bench", "talk.py", "--model-url", "simulated", "-o", "run", "--no-progress")
    code, _, err = nel("eval", "run", *words)
    assert code == 0, err
    assert nel("export", "run", "-d", "inspect", "--output-dir", "logs")[0] == 0
    return [*Path("logs").iterdir()]


def _said(folder: str) -> dict[int, Any]:
    steps: dict[int, Any] = {}
    for row in read_trajectories(Path(folder) / "talk"):
        steps[row.problem_idx] = [
            (one.source.value, one.message, one.is_copied_context) for one in row.steps
        ]
    return steps


def test_roles_and_images_are_in_the_log(logs: list[Path]) -> None:
    [told] = read_logs(logs)
    samples = {one["id"]: one for one in told["log"]["samples"]}
    for number, image in enumerate((DATA, "https://example.com/a.png?size=2")):
        messages = samples[number]["messages"]
        assert [(one["role"], one["source"]) for one in messages] == [
            ("system", None), ("user", None), ("assistant", "input"), ("user", None),
            ("assistant", "generate"),
        ]  # fmt: skip
        shown, text = messages[3]["content"]
        assert (shown["image"], text["text"]) == (image, "And that?")
        assert [event["event"] for event in samples[number]["events"]] == ["model", "score"]
    kept_not, _ = samples[2]["messages"][3]["content"]
    assert kept_not["text"] == "[image: image/png, 24 bytes]"
    assert told["inputs"] == [[4]] * 4


def test_what_is_imported_has_the_roles_again(nel: Nel, logs: list[Path]) -> None:
    code, _, err = nel("import", *logs, "-o", "again")
    assert code == 0, err
    before, after = _said("run"), _said("again")
    assert after[1] == before[1] and after[3] == before[3]
    assert json.dumps(after[0]).replace(DATA, str(Path("a.png").absolute())) == json.dumps(
        before[0]
    )
    _, told, err = nel("compare", "run", "again", "--format", "json")
    assert "not comparable" not in err and json.loads(told)["difference"]["delta"] == 0


def test_other_exports_have_the_roles(nel: Nel, logs: list[Path]) -> None:
    assert nel("export", "run", "-d", "atif", "--output-dir", "atif")[0] == 0
    [path] = Path("atif").iterdir()
    [first, *_] = map(json.loads, path.read_text().splitlines())
    assert [one["source"] for one in first["steps"]] == [
        "system", "user", "agent", "user", "agent",
    ]  # fmt: skip
    code, _, err = nel("export", "run", "-d", "otel", "--output-dir", "otel")
    assert code == 0, err
    [path] = Path("otel").glob("*.traces.jsonl")
    found = path.read_text()
    for role in ("system", "user", "assistant"):
        assert f'{{\\"role\\":\\"{role}\\"' in found
    assert found.count("chat simulated") == 4, "one call of the model each"
