"""What the worker makes of answers, in a real lm_eval: each document is scored once, and a task's
code may do with its documents what it likes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from parts import part

from nemo_evaluator.environments.lm_eval.options import Options
from nemo_evaluator.environments.lm_eval.remote import Remote

pytestmark = [pytest.mark.slow, pytest.mark.process]

CODE = """
import math
import random
import numpy as np

def scored(doc, results):
    doc.pop("q")
    doc["hints"].pop()
    drawn = random.SystemRandom().random()
    numbers = {"drawn": drawn, "listed": [drawn], "length": np.int64(len(results[0]))}
    return {**numbers, "raised": 0.5, "huge": 0.5, "endless": 0.5, "unknown": 0.5}

def of_lists(items):
    return sum(item[0] for item in items) / len(items)

def raises(items):
    raise ValueError("no such label")

def huge(items):
    return math.exp(1000)

def endless(items):
    return np.float64("inf")

def unknown(items):
    return math.nan

def longest(items):
    return np.max(items)
"""
TASK = """
task: own_scorer
dataset_path: json
dataset_kwargs: {data_files: {test: DOCS}}
test_split: test
output_type: generate_until
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
process_results: !function code.scored
filter_list:
- {name: whole, filter: [{function: take_first}]}
- {name: number, filter: [{function: regex, regex_pattern: "([0-9]+)"}, {function: take_first}]}
metric_list:
- {metric: drawn, aggregation: mean, higher_is_better: true}
- {metric: listed, aggregation: !function code.of_lists, higher_is_better: true}
- {metric: length, aggregation: !function code.longest, higher_is_better: true}
- {metric: raised, aggregation: !function code.raises, higher_is_better: true}
- {metric: huge, aggregation: !function code.huge, higher_is_better: true}
- {metric: endless, aggregation: !function code.endless, higher_is_better: true}
- {metric: unknown, aggregation: !function code.unknown, higher_is_better: true}
metadata: {version: 1.0}
"""
DOCS = 5


@pytest.fixture
async def remote(tmp_path: Path) -> AsyncIterator[Remote]:
    """A worker that holds a task whose scorer draws, and takes its document to pieces."""
    lines = (json.dumps({"q": f"q{i}", "a": str(i), "hints": [i]}) for i in range(DOCS))
    (tmp_path / "docs.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "code.py").write_text(CODE)
    (tmp_path / "own.yaml").write_text(TASK.replace("DOCS", str(tmp_path / "docs.jsonl")))
    worker = await Remote.start(str(part("lm-eval") / "bin" / "python"))
    try:
        given = {name: getattr(Options(), name) for name in Options.__struct_fields__}
        chat = {"chat": False, "messages": False, "tokenizer": None, "tokenizer_url": ""}
        await worker.load(["own_scorer"], {**given, "include_path": str(tmp_path), **chat})
        yield worker
    finally:
        await worker.close()


async def test_results_are_those_of_the_scores_of_the_documents(remote: Remote) -> None:
    rows = [(place, [["x" * place + "42"]]) for place in range(DOCS)]
    graded = await remote.grade(rows)
    assert {one.error for one in graded} == {None}
    told = {(one.name, one.filter): one.value for one in await remote.aggregate(rows)}
    for chosen in ("whole", "number"):
        drawn = [float(str(one.filters[chosen].metrics["drawn"])) for one in graded]
        assert told["drawn", chosen] == pytest.approx(sum(drawn) / DOCS, abs=1e-12)
        assert told["listed", chosen] == pytest.approx(sum(drawn) / DOCS, abs=1e-12)
    assert told["length", "whole"] == 2 + DOCS - 1
    assert told["length", "number"] == 2


async def test_a_metric_without_a_value_says_why_and_the_others_have_theirs(remote: Remote) -> None:
    """lm_eval ends with the first aggregation that fails, when all is paid for."""
    measured = await remote.aggregate([(place, [["x" * place]]) for place in range(DOCS)])
    found = {one.name: one for one in measured if one.filter == "whole"}
    assert {name: one.absent for name, one in found.items() if one.absent} == {
        "raised": "could not be made: ValueError: no such label",
        "huge": "is too large for a number",
        "endless": "is infinite",
        "unknown": "is not a number (nan)",
    }
    assert [name for name, one in found.items() if one.raised] == ["raised"]
    assert found["raised"].value is None and found["drawn"].value is not None
    assert found["drawn"].stderr is not None


async def test_what_another_process_scored_is_scored_again(remote: Remote) -> None:
    rows = [(place, [["x" * place]]) for place in range(DOCS)]
    [first, *_] = await remote.grade(rows[:1])
    told = {(one.name, one.filter): one.value for one in await remote.aggregate(rows)}
    assert told["length", "whole"] == DOCS - 1
    assert told["drawn", "whole"] != first.filters["whole"].metrics["drawn"]
