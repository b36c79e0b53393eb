"""A digest covers the function, wherever it stands and whatever decorates it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from nemo_evaluator.environments.fingerprint import source_of
from nemo_evaluator.environments.registry import resolve

BENCH = """
from nemo_evaluator import benchmark, scorer

@benchmark(
    name="sums", prompt="{q}", dataset=%(dataset)r,
    prepare_row=lambda row, idx, rng: {**row, "n": idx},
)
@scorer
def sums(sample):
    return %(body)s
"""


def loaded(path: Path, text: str) -> ModuleType:
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def identity(folder: Path, dataset: str, body: str) -> dict[str, object]:
    folder.mkdir(exist_ok=True)
    (folder / dataset).write_text('{"q": "1+1", "target": 2}\n')
    file = folder / "bench.py"
    file.write_text(BENCH % {"dataset": dataset, "body": body})
    [environment] = resolve(str(file), params={})
    await environment.prepare()
    return dict(environment.identity())


async def test_the_name_of_the_dataset_is_not_part_of_the_scorer(tmp_path: Path) -> None:
    one = await identity(tmp_path / "one", "a.jsonl", "sample.response == sample.target")
    two = await identity(tmp_path / "two", "renamed.jsonl", "sample.response == sample.target")
    for key in ("scorer", "prompt_digest", "dataset_digest"):
        assert one[key] == two[key]
    other = await identity(tmp_path / "three", "a.jsonl", "sample.target in sample.response")
    assert one["scorer"] != other["scorer"]


def test_decorators_of_classes_are_not_part_of_them(tmp_path: Path) -> None:
    plain = loaded(tmp_path / "plain.py", "class X:\n    a = 1\n")
    text = "from nemo_evaluator import register\n\n@register(\n  'named')\nclass X:\n    a = 1\n"
    assert source_of(plain.X) == source_of(loaded(tmp_path / "decorated.py", text).X)


@pytest.mark.parametrize(
    "call", ["f = lambda row: row + 1", "f = dict(a=5,\n  f=lambda row: row + 1,\n)['f']"]
)
def test_a_lambda_is_itself_alone(tmp_path: Path, call: str) -> None:
    assert source_of(loaded(tmp_path / "one.py", call).f) == "lambda row: row + 1"


def test_what_has_no_source_is_its_name() -> None:
    assert source_of(len) == "len" and source_of(None) is None
