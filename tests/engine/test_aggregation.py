"""Benchmarks whose metrics are no means: summed up once, from the journal, and published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import Nel

from nemo_evaluator import evaluate, evaluate_async
from nemo_evaluator.engine.aggregation import checked
from nemo_evaluator.engine.failures import ReturnedError, described
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.measured import Measure
from nemo_evaluator.results.aggregated import Aggregated
from nemo_evaluator.results.journal import events
from nemo_evaluator.results.layout import JOURNAL
from nemo_evaluator.results.read_bundle import BUNDLES, read_bundle
from nemo_evaluator.tasks.decide import compare_runs
from nemo_evaluator.tasks.rescore import rescore

CORPUS = """
from nemo_evaluator import Measure, ScorerInput, benchmark, scorer

ROWS = [{"n": i, "target": str(i)} for i in range(10)]


def corpus(rows):
    right = sum(row.score.details["right"] for row in rows)
    asked = {row.problem.metadata["n"] for row in rows}
    assert all(row.solution.response for row in rows)
    return [
        Measure(name="f1", value=right / len(rows), stderr=0.125, n=len(asked)),
        Measure(name="f1", value=0.5, n=len(asked), filter="strict", group="half"),
        Measure(name="perplexity", value=7.5, n=len(asked), higher_is_better=False),
    ]


@benchmark(name="corpus", dataset=ROWS, prompt="Say {n}", aggregate=corpus)
@scorer
def score(sample: ScorerInput) -> dict:
    right = sample.target in sample.response
    return {"reward": len(sample.response), "right": right}
"""
CLASS = """
from nemo_evaluator import EvalEnvironment, Measure, SeedResult, VerifyResult, register


@register("corpus")
class Corpus(EvalEnvironment):
    async def dataset_size(self):
        return 4

    async def seed(self, idx):
        return SeedResult(prompt=f"Say {idx}", expected_answer=str(idx))

    async def verify(self, response, expected, sandbox=None, **metadata):
        return VerifyResult(reward=1.0)

    def aggregate(self, rows):
        return [Measure(name="rows", value=len(rows), n=len(rows))]
"""
BROKEN = CORPUS.replace("right = sum(", "right = 1 / 0 + sum(")


LACKING = """
from pathlib import Path
from nemo_evaluator import Measure, ScorerInput, benchmark, scorer
from nemo_evaluator.measured import Measures


def corpus(rows):
    n, found = len(rows), float(Path(FOUND).read_text())
    perplexity = Measure(name="perplexity", value=7.5, n=n, higher_is_better=False)
    if found:
        return [perplexity, Measure(name="bleu", value=found, n=n)]
    return Measures(measures=(perplexity,), absent={"bleu": "is infinite"})


@benchmark(name="corpus", dataset=[{}] * 4, prompt="Say", aggregate=corpus)
@scorer
def score(sample: ScorerInput) -> dict:
    return {"reward": 2.0, "metrics": {"bleu": 0.3}}
"""
"""One of the measures has no value, as long as a file holds 0."""


def document(folder: Path, text: str = CORPUS, **benchmark: Any) -> dict[str, Any]:
    (folder / "corpus.py").write_text(text)
    return {
        "services": {"m": {"type": "simulated", "accuracy": 0.5}},
        "benchmarks": [{"name": str(folder / "corpus.py"), **benchmark}],
        "output": {"dir": str(folder / "r"), "report": ["markdown", "html"]},
    }


def aggregated(folder: Path) -> list[Aggregated]:
    found = events(folder / "corpus" / JOURNAL)
    return [event for event in found if isinstance(event, Aggregated)]


def test_measures_are_published_with_what_they_are(tmp_path: Path) -> None:
    result = evaluate(document(tmp_path))
    (summary,) = result.summary.benchmarks
    assert result.exit_code == 0 and summary.headline == "f1"
    assert summary.metrics["half/f1,strict"].group == "half"
    (path,) = (tmp_path / "r" / "corpus").glob(BUNDLES)
    scores = json.loads(path.read_text())["benchmark"]["scores"]
    value = summary.metrics["f1"].value
    assert scores["f1"] == {
        "value": value,
        "ci_lower": pytest.approx(value - 1.96 * 0.125, abs=1e-4),
        "ci_upper": pytest.approx(value + 1.96 * 0.125, abs=1e-4),
        "n": 10,
        "method": "aggregate",
        "stderr": 0.125,
    }
    published = read_bundle(path)
    assert published.headline == "f1" and published.metrics["f1"].stderr == 0.125
    assert published.metrics["half/f1,strict"].filter == "strict"
    assert published.metrics["perplexity"].ci_lower is None
    assert not published.metrics["perplexity"].higher_is_better
    report = (tmp_path / "r" / "report.md").read_text()
    assert "perplexity" in report and "half/f1,strict" in report


def test_measures_are_made_once_and_again_after_more_answers(tmp_path: Path) -> None:
    given = document(tmp_path, repeats=1)
    evaluate(given)
    evaluate(given, resume=True)
    assert len(aggregated(tmp_path / "r")) == 1
    evaluate(given | {"output": {"dir": str(tmp_path / "r"), "report": []}}, resume=True)
    (event,) = aggregated(tmp_path / "r")
    path = tmp_path / "r" / "corpus" / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    scored = [number for number, line in enumerate(lines) if b'"event":"scored"' in line]
    del lines[scored[-1]]  # one verdict is lost: what was made of all is of other rows
    path.write_bytes(b"".join(lines))
    evaluate(given, resume=True)
    first, second = aggregated(tmp_path / "r")
    assert first == event and second.of != first.of and second.measures == first.measures


def test_measures_of_other_rows_are_not_shown(tmp_path: Path) -> None:
    from nemo_evaluator.results.derive import summarise
    from nemo_evaluator.results.layout import PLAN_LOCK
    from nemo_evaluator.results.plan_lock import read_lock

    evaluate(document(tmp_path))
    path = tmp_path / "r" / "corpus" / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"problem_idx":7' not in line))
    lock = read_lock(tmp_path / "r" / PLAN_LOCK)
    assert lock is not None
    summary = summarise(path.parent, lock.benchmarks[0])
    assert "f1" not in summary.metrics and summary.headline == "mean_reward"
    assert summary.bound_if_rest_wrong is not None


def test_what_cannot_be_summed_up_keeps_its_verdicts(tmp_path: Path) -> None:
    result = evaluate(document(tmp_path, BROKEN))
    assert result.exit_code != 0
    assert any("could not be made: ZeroDivisionError" in text for text in result.messages)
    (summary,) = result.summary.benchmarks
    assert summary.n_scored == 10 and "f1" not in summary.metrics
    mended = evaluate(document(tmp_path, CORPUS), resume=True)
    assert mended.exit_code == 0 and mended.summary.benchmarks[0].headline == "f1"
    assert mended.summary.benchmarks[0].runtime.total_retries == 0


def test_a_measure_without_a_value_is_told_and_nothing_stands_in_for_it(tmp_path: Path) -> None:
    found = tmp_path / "found"
    found.write_text("0")
    given = document(tmp_path, LACKING.replace("FOUND", repr(str(found))))
    (summary,) = evaluate(given).summary.benchmarks
    assert "bleu" not in summary.metrics  # the mean over the rows, 0.3, is no BLEU of a corpus
    assert summary.metrics["perplexity"].value == 7.5
    (path,) = (tmp_path / "r" / "corpus").glob(BUNDLES)
    assert "bleu is infinite" in json.loads(path.read_text())["benchmark"]["warnings"]
    assert "bleu is infinite" in (tmp_path / "r" / "report.md").read_text()
    found.write_text("0.25")
    (summary,) = evaluate(given, resume=True).summary.benchmarks
    assert summary.metrics["bleu"].value == 0.25 and not summary.warnings


def test_a_measure_whose_function_raised_is_an_error_and_the_others_are_kept(
    tmp_path: Path,
) -> None:
    found = tmp_path / "found"
    found.write_text("0")
    raised = 'absent={"bleu": "could not be made: ValueError: x"}, raised=("bleu",)'
    text = LACKING.replace('absent={"bleu": "is infinite"}', raised)
    given = document(tmp_path, text.replace("FOUND", repr(str(found))))
    for resume in (False, True):
        result = evaluate(given, resume=resume)
        (summary,) = result.summary.benchmarks
        assert result.exit_code == 2 and summary.metrics["perplexity"].value == 7.5
        [message] = [text for text in result.messages if "bleu" in text and "--resume" in text]
        assert "bleu could not be made: ValueError: x" in message
    found.write_text("0.25")
    assert evaluate(given, resume=True).exit_code == 0


def test_a_class_sums_up_its_rows(tmp_path: Path) -> None:
    (summary,) = evaluate(document(tmp_path, CLASS)).summary.benchmarks
    assert summary.metrics["rows"].value == 4.0


async def test_a_rescoring_sums_up_again_and_another_scorer_does_not(tmp_path: Path) -> None:
    await evaluate_async(document(tmp_path))
    again = await rescore(tmp_path / "r", output=tmp_path / "again")
    assert again.after.benchmarks[0].headline == "f1"
    other = await rescore(
        tmp_path / "r", scorer=f"{tmp_path / 'corpus.py'}:score", output=tmp_path / "other"
    )
    assert other.after.benchmarks[0].headline == "mean_reward"


def test_a_comparison_shows_them(tmp_path: Path) -> None:
    evaluate(document(tmp_path))
    other = document(tmp_path) | {"output": {"dir": str(tmp_path / "s")}}
    evaluate(other)
    compared = compare_runs(tmp_path / "r", tmp_path / "s")
    assert "perplexity" in json.dumps(compared, default=str)


def test_an_error_of_ours_on_the_way_is_told_without_our_files() -> None:
    error = ConfigError("ended with exit code 3", where="command://x", hint="again")
    assert described(error) == "command://x: ended with exit code 3"


@pytest.mark.parametrize(
    "given",
    [
        None,
        [1.0],
        [Measure(name="a", value=float("nan"), n=1)],
        [Measure(name="a", value=1, n=1, stderr=float("inf"))],
        [Measure(name="", value=1, n=1)],
        [Measure(name="a", value=1, n=1)] * 2,
    ],
)
def test_what_is_no_measure(given: Any) -> None:
    with pytest.raises(ReturnedError) as caught:
        checked(given)
    assert described(caught.value) == str(caught.value), "no line of ours is named"


def test_a_comparison_tells_the_difference_of_measures(tmp_path: Path, nel: Nel) -> None:
    """They cannot be paired: the interval is by the errors that both runs tell."""
    for name, accuracy in (("r", 1.0), ("s", 0.0)):
        given = document(tmp_path) | {"output": {"dir": str(tmp_path / name)}}
        given["services"]["m"]["accuracy"] = accuracy
        summary = evaluate(given).summary.benchmarks[0]
        assert summary.warnings == ()  # those of the mean's interval say nothing of f1
    _, out, err = nel("compare", tmp_path / "r", tmp_path / "s")
    assert "not paired; judged where" in out, err
    line = next(line for line in out.splitlines() if line.strip().startswith("f1 "))
    *_, low, _, high, better = line.split()
    assert better == "higher" and float(high) - float(low) == pytest.approx(0.693, abs=1e-3)
    assert (float(low) + float(high)) / 2 == pytest.approx(-1.0, abs=0.3)
    code, out, _ = nel("compare", tmp_path / "r", tmp_path / "s", "--metric", "f1")
    assert code == 1 and "BLOCK" in out and "errors of both runs, taken for independent" in out
    code, out, _ = nel("compare", tmp_path / "r", tmp_path / "s", "--metric", "perplexity")
    assert code == 2 and "the runs tell no error of perplexity" in out
    code, _, err = nel("compare", tmp_path / "r", tmp_path / "s", "--metric", "f2")
    assert code == 2 and "or a measure of all rows that both runs have" in err


@pytest.mark.parametrize(
    ("rules", "code", "told"),
    [
        ({"metric": "f1", "max_drop": 0.05}, 1, "NO-GO"),
        ({"metric": "f1", "max_drop": 1.5}, 0, "GO"),
        ({"metric": "f1", "max_drop": 1.0}, 2, "straddles the limit"),
        ({"metric": "f1", "max_drop": 1.5, "min_problems": 11}, 2, "only 10 problems"),
        ({"metric": "perplexity", "max_drop": 1.0}, 2, "the runs tell no error of perplexity"),
    ],
)
def test_a_policy_may_name_a_measure(
    tmp_path: Path,
    nel: Nel,
    rules: dict[str, Any],
    code: int,
    told: str,
) -> None:
    for name, accuracy in (("r", 1.0), ("s", 0.0)):
        given = document(tmp_path) | {"output": {"dir": str(tmp_path / name)}}
        given["services"]["m"]["accuracy"] = accuracy
        evaluate(given)
    policy = tmp_path / "policy.yaml"
    policy.write_text(json.dumps({"version": 1, "benchmarks": {"corpus": rules}}))
    found, out, err = nel("gate", tmp_path / "r", tmp_path / "s", "--policy", policy, "--explain")
    assert found == code and told in " ".join(out.split()), out + err


def test_a_merge_makes_the_measures_of_the_whole(tmp_path: Path, nel: Nel) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(json.dumps(document(tmp_path)))
    whole, parts, again = (str(tmp_path / name) for name in ("whole", "parts", "again"))
    assert nel("eval", "run", config, "-o", whole)[0] == 0
    for shard in ("0/2", "1/2"):
        assert nel("eval", "run", config, "-o", parts, "--shard", shard)[0] == 0

    def value(run: str) -> float | None:
        [bundle] = Path(run).glob(f"*/{BUNDLES}")
        found = read_bundle(bundle).metrics.get("f1")
        return None if found is None else found.value

    code, out, err = nel("eval", "merge", parts)
    assert code == 0 and "left out" not in out + err
    assert value(parts) == value(whole)
    benchmark = Path(json.loads(config.read_text())["benchmarks"][0]["name"].partition(":")[0])
    benchmark.rename(benchmark.with_suffix(".away"))
    code, out, err = nel("eval", "merge", parts)
    assert code == 0 and "measures of all rows are left out" in out + err
    assert f"nel eval rescore {parts}" in out + err
    assert value(parts) is None
    benchmark.with_suffix(".away").rename(benchmark)
    assert nel("eval", "rescore", parts, "-o", again)[0] == 0
    assert value(again) == value(whole)
