"""Tasks of the real lm_eval against an endpoint whose answers are a function of the request.

Equality with lm_eval's own command over many tasks is shown by `benchmarks/harness_parity.py`;
here its own functions score the same replies.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from parts import part
from running import kill_when
from runs import NEL, rows
from token_server import BARE, CANDIDATES, SHIFTED, SILENT, TokenServer

pytestmark = [pytest.mark.slow, pytest.mark.process]

GENERATED = {
    "task": "own_generated",
    "output_type": "generate_until",
    "doc_to_text": "Q: {{q}}\nA:",
    "doc_to_target": "{{a}}",
    "repeats": 3,
    "generation_kwargs": {"until": ["\n"], "temperature": 0.7, "do_sample": True},
    "filter_list": [
        {
            "name": "majority",
            "filter": [
                {"function": "regex", "regex_pattern": "(-?\\d+)"},
                {"function": "majority_vote"},
                {"function": "take_first"},
            ],
        },
        {
            "name": "first",
            "filter": [
                {"function": "regex", "regex_pattern": "(-?\\d+)"},
                {"function": "take_first"},
            ],
        },
    ],
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}
CHOSEN = {
    "task": "own_chosen",
    "fewshot_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "Q: {{q}}\nA:",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "{{gold}}",
    "num_fewshot": 2,
    "metric_list": [
        {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
        {"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True},
        {"metric": "f1", "aggregation": "f1", "higher_is_better": True},
    ],
}
ROLLING = {
    "task": "own_rolling",
    "output_type": "loglikelihood_rolling",
    "doc_to_text": "",
    "doc_to_target": "{{q}}",
    "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
}
GROUP = {
    "group": "own_group",
    "task": ["own_generated", "own_chosen"],
    "aggregate_metric_list": [
        {"metric": "exact_match", "weight_by_size": True, "filter_list": ["first"]}
    ],
}


@pytest.fixture
def python() -> str:
    """An interpreter that has lm_eval."""
    return str(part("lm-eval") / "bin" / "python")


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder of tasks over 24 documents."""
    data = tmp_path / "docs.jsonl"
    docs = [
        {"q": f"{i} and {3 * i}?", "a": str(i % 20), "choices": ["one", "two words"], "gold": i % 2}
        for i in range(24)
    ]
    data.write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    folder = tmp_path / "tasks"
    folder.mkdir()
    for task in (GENERATED, CHOSEN, ROLLING):
        text = {
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test",
            "metadata": {"version": 1.0},
            **task,
        }
        (folder / f"{task['task']}.yaml").write_text(yaml.safe_dump(text))
    (folder / "own_group.yaml").write_text(yaml.safe_dump(GROUP))
    return folder


class Nel:
    """Runs one task by the command."""

    def __init__(self, folder: Path, tasks: Path, python: str) -> None:
        self.out = folder / "run"
        self._config, self._tasks, self._python = folder / "config.yaml", tasks, python

    def write(
        self, task: str, url: str, params: dict[str, object], service: dict[str, object]
    ) -> None:
        document = {
            "services": {"m": {"type": "api", "url": url, "model": "m", **service}},
            "benchmarks": [
                {
                    "name": f"lm-eval://{task}",
                    "params": {
                        "include_path": str(self._tasks),
                        "python": self._python,
                        "bootstrap_iters": 100,
                        **params,
                    },
                    "solver": {"type": "simple", "service": "m"},
                }
            ],
            "output": {"dir": str(self.out), "timestamped": False},
        }
        self._config.write_text(yaml.safe_dump(document))

    def command(self, *more: str) -> list[str]:
        return [*NEL, "eval", "run", str(self._config), *more]

    def run(
        self,
        task: str,
        url: str,
        params: dict[str, object] | None = None,
        **service: object,
    ) -> subprocess.CompletedProcess[str]:
        self.write(task, url, params or {}, {"protocol": "completions", **service})
        return subprocess.run(self.command(), capture_output=True, text=True, timeout=100)


def bundle_in(folder: Path) -> dict[str, Any]:
    """The only bundle of a folder."""
    [path] = folder.glob("eval-*.json")
    found: dict[str, Any] = json.loads(path.read_text())["benchmark"]
    return found


@pytest.fixture
def nel(tmp_path: Path, tasks: Path, python: str) -> Nel:
    return Nel(tmp_path, tasks, python)


def replayed(python: str, tasks: Path, url: str, task: str) -> dict[str, dict[str, float]]:
    """What lm_eval's own model class and functions make of the task."""
    script = f"""
import json, logging, sys
logging.disable(logging.CRITICAL)
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
found = simple_evaluate(
    model="local-completions",
    model_args=dict(base_url={url + "/completions"!r}, model="m", tokenizer_backend="remote"),
    tasks=[{task!r}],
    task_manager=TaskManager(include_path={str(tasks)!r}, include_defaults=False),
    bootstrap_iters=100,
)
json.dump(found["results"], sys.stdout)
"""
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    return {
        name: {key: value for key, value in metrics.items() if isinstance(value, float)}
        for name, metrics in told.items()
    }


@pytest.mark.parametrize("task", ["own_group", "own_rolling"])
def test_scores_and_their_errors_are_those_of_lm_eval(
    nel: Nel, python: str, tasks: Path, task: str
) -> None:
    with TokenServer() as server:
        done = nel.run(task, server.url, tokenizer="remote")
        assert done.returncode == 0, done.stderr
        theirs = replayed(python, tasks, server.url, task)
    scores = bundle_in(nel.out / task)["scores"]
    compared = 0
    for name, metrics in theirs.items():
        for key, value in metrics.items():
            metric, _, chosen = key.partition(",")
            ours = (
                scores[key if name == task else f"{name}/{key}"] if "_stderr" not in key else None
            )
            if ours is None:
                continue
            compared += 1
            assert ours["value"] == pytest.approx(value, abs=1e-12)
            if (error := metrics.get(f"{metric}_stderr,{chosen}")) is not None:
                assert ours["stderr"] == pytest.approx(error, abs=1e-12)
    assert compared >= 2


def test_a_row_holds_the_metrics_of_each_filter(nel: Nel) -> None:
    with TokenServer() as server:
        assert nel.run("own_group", server.url, tokenizer="remote").returncode == 0
    found = rows(nel.out / "own_group")
    assert len(found) == 48
    assert found[0]["metadata"]["task"] == "own_generated"
    assert set(found[0]["scoring_details"]["metrics"]) == {
        "exact_match,majority",
        "exact_match,first",
    }
    assert found[30]["metadata"]["doc_id"] == 6
    assert set(found[30]["scoring_details"]["metrics"]) == {"acc,none", "acc_norm,none"}
    assert found[30]["extracted_answer"] in (" one", " two words")
    assert found[30]["prompt"].endswith("Q: 6 and 18?\nA:")
    scores = bundle_in(nel.out / "own_group")["scores"]
    assert {name for name in scores if "," in name and "/" not in name} == {"exact_match,first"}
    assert "own_chosen/acc,none" in scores  # and no mean over rows that have no such metric


def test_a_perplexity_has_no_reward_and_nothing_is_missing(nel: Nel) -> None:
    with TokenServer() as server:
        done = nel.run("own_rolling", server.url, tokenizer="remote")
    assert done.returncode == 0, done.stderr
    assert {row["reward"] for row in rows(nel.out / "own_rolling")} == {None}
    benchmark = bundle_in(nel.out / "own_rolling")
    assert benchmark["coverage"]["share"] == 1.0
    assert "mean_reward" not in benchmark["scores"]
    assert benchmark["scores"]["word_perplexity,none"]["higher_is_better"] is False


def test_without_a_tokenizer_a_text_with_nothing_before_it_is_refused(nel: Nel) -> None:
    with TokenServer() as server:
        done = nel.run("own_rolling", server.url)
    assert done.returncode != 0
    assert "set `tokenizer` of the service" in done.stderr


@pytest.mark.parametrize(
    ("manners", "protocol", "mode"),
    [
        ((), "completions", "loglikelihood"),
        ((BARE,), "completions", "loglikelihood"),
        ((SHIFTED,), "completions", "generate"),
        ((SILENT,), "completions", "generate"),
        ((), "chat_completions", "generate"),
        ((CANDIDATES,), "chat_completions", "first_token"),
    ],
)
def test_a_choice_is_asked_as_the_endpoint_can(
    nel: Nel, manners: tuple[str, ...], protocol: str, mode: str
) -> None:
    with TokenServer(*manners) as server:
        done = nel.run("own_chosen", server.url, protocol=protocol)
    assert done.returncode == 0, done.stderr
    lock = json.loads((nel.out / "plan.lock").read_text())
    assert lock["benchmarks"][0]["identity"]["environment.mode"] == mode
    assert f"pass@1 ({mode})" in done.stdout
    assert bundle_in(nel.out / "own_chosen")["mode"] == mode
    assert f"| pass@1 ({mode}) |" in (nel.out / "report.md").read_text()
    modes = {
        row["scoring_details"].get("mode", "loglikelihood") for row in rows(nel.out / "own_chosen")
    }
    assert modes == {mode}


def test_runs_of_different_modes_are_not_compared(nel: Nel, tmp_path: Path) -> None:
    with TokenServer(CANDIDATES) as server:
        for mode in ("first_token", "generate"):
            nel.out = tmp_path / mode
            done = nel.run("own_chosen", server.url, {"mode": mode}, protocol="chat_completions")
            assert done.returncode == 0, done.stderr
    command = [*NEL, "compare", str(tmp_path / "first_token"), str(tmp_path / "generate")]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2 and "mode: 'first_token' and 'generate'" in refused.stderr
    command += ["--force", "--no-strict"]
    forced = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert forced.returncode == 0 and "because of --force" in " ".join(forced.stdout.split())


@pytest.mark.parametrize("protocol", ["completions", "chat_completions"])
def test_measures_of_merged_shards_are_those_of_the_whole(nel: Nel, protocol: str) -> None:
    """A merge asks no endpoint how choices can be asked for: the rows tell how they were."""
    with TokenServer(CANDIDATES) as server:
        assert nel.run("own_chosen", server.url, protocol=protocol).returncode == 0
        whole = bundle_in(nel.out / "own_chosen")["scores"]
        shutil.rmtree(nel.out)
        for shard in ("0/2", "1/2"):
            command = nel.command("--shard", shard)
            done = subprocess.run(command, capture_output=True, text=True, timeout=100)
            assert done.returncode == 0, done.stderr
    command = [*NEL, "eval", "merge", str(nel.out)]
    merged = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert merged.returncode == 0, merged.stderr
    scores = bundle_in(nel.out / "own_chosen")["scores"]
    assert scores["acc,none"] == whole["acc,none"] and scores["f1,none"] == whole["f1,none"]


def test_an_echo_without_the_generated_token_gives_the_same(nel: Nel, tmp_path: Path) -> None:
    found = []
    for manners in ((), (BARE,)):
        with TokenServer(*manners) as server:
            assert nel.run("own_chosen", server.url, tokenizer="remote").returncode == 0
        found.append([row["scoring_details"]["metrics"] for row in rows(nel.out / "own_chosen")])
        nel.out = tmp_path / "second"
    assert found[0] == found[1]


def test_a_mode_that_the_endpoint_cannot_do_is_refused_before_anything_is_asked(nel: Nel) -> None:
    with TokenServer(SHIFTED) as server:
        done = nel.run("own_chosen", server.url, {"mode": "loglikelihood"})
        assert len(server.requests) == 2
    assert done.returncode == 2
    assert "not in their places" in done.stderr
    assert "Traceback" not in done.stderr


def test_options_without_letters_are_refused_before_anything_is_asked(
    nel: Nel, tasks: Path
) -> None:
    many = yaml.safe_load((tasks / "own_chosen.yaml").read_text())
    many |= {"task": "own_many", "doc_to_choice": "{{range(27) | map('string') | list}}"}
    (tasks / "own_many.yaml").write_text(yaml.safe_dump(many))
    (tasks / "own_both.yaml").write_text("{group: own_both, task: [own_chosen, own_many]}")
    with TokenServer() as server:
        done = nel.run("own_both", server.url, {"mode": "generate"}, protocol="chat_completions")
        assert not server.requests
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert "own_many has more than one question to a document, or more than 26" in done.stderr


def test_an_endpoint_that_fails_when_it_is_probed_chooses_no_mode(nel: Nel) -> None:
    with TokenServer() as server:
        url = server.url
    done = nel.run("own_chosen", url, proxy={"max_retries": 0})
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert not (nel.out / "own_chosen" / "results.jsonl").exists()


def test_an_unknown_task_gets_a_suggestion(nel: Nel) -> None:
    with TokenServer() as server:
        done = nel.run("gsm8kk", server.url)
    assert done.returncode == 2
    assert "no task 'gsm8kk'; did you mean" in done.stderr and "gsm8k" in done.stderr


def test_the_first_documents_of_a_group_are_asked_for_by_limit(nel: Nel) -> None:
    with TokenServer() as server:
        service = {"protocol": "completions", "tokenizer": "remote"}
        nel.write("own_group", server.url, {"limit": 3}, service)
        done = subprocess.run(nel.command(), capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        assert len(rows(nel.out / "own_group")) == 6
        command = nel.command("--max-problems", "3", "-o", str(nel.out) + "2")
        refused = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert refused.returncode == 2 and "limit: N" in refused.stderr


def test_max_problems_are_the_first_documents(nel: Nel) -> None:
    with TokenServer() as server:
        nel.write("own_chosen", server.url, {}, {"protocol": "completions", "tokenizer": "remote"})
        done = subprocess.run(
            nel.command("--max-problems", "5"), capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr
        assert [row["metadata"]["doc_id"] for row in rows(nel.out / "own_chosen")] == [
            0,
            1,
            2,
            3,
            4,
        ]


def test_a_task_whose_code_raises_is_one_line(nel: Nel, tasks: Path) -> None:
    bad = yaml.safe_load((tasks / "own_chosen.yaml").read_text())
    bad |= {"task": "own_bad", "doc_to_text": "{{ q.nothing.at_all }}"}
    (tasks / "own_bad.yaml").write_text(yaml.safe_dump(bad))
    with TokenServer() as server:
        done = nel.run("own_bad", server.url)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and "own_bad" in done.stderr


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"metric_list": [{"metric": "no_such_metric"}]}, "no_such_metric"),
        ({"metric_list": [{"metric": "acc", "aggregation": "no_such_mean"}]}, "no_such_mean"),
        ({"output_type": "no_such_type"}, "no_such_type"),
        (
            {
                "output_type": "generate_until",
                "filter_list": [{"name": "f", "filter": [{"function": "no_such_filter"}]}],
            },
            "no_such_filter",
        ),
        ({"doc_to_target": "{{nothing}}"}, "nothing"),
        ({"test_split": "no_such_split"}, "the dataset has no split 'no_such_split'"),
        ({"num_fewshot": 2, "fewshot_config": {"sampler": "no_such_sampler"}}, "no_such_sampler"),
    ],
)
def test_what_lm_eval_does_not_know_is_an_error_before_anything_is_asked(
    nel: Nel, tasks: Path, changed: dict[str, object], told: str
) -> None:
    bad = yaml.safe_load((tasks / "own_chosen.yaml").read_text())
    (tasks / "own_bad.yaml").write_text(yaml.safe_dump({**bad, "task": "own_bad", **changed}))
    with TokenServer() as server:
        done = nel.run(
            "own_bad", server.url, {"mode": "generate"} if "output_type" not in changed else {}
        )
        assert not server.requests
    assert done.returncode == 2, done.stdout
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert told in done.stderr and "Traceback" not in done.stderr
    assert "using default" not in done.stderr  # a warning that is no reason


def test_a_version_that_is_not_supported_is_told(nel: Nel, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho \'{"python": [3, 11, 7], "version": "0.3.0"}\'\n')
    python.chmod(0o755)
    with TokenServer() as server:
        done = nel.run("own_chosen", server.url, {"python": str(python)})
        assert not server.requests
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert "version 0.3.0" in done.stderr and "pip install -U 'lm_eval[api]>=0.4.12" in done.stderr


@pytest.mark.shared
def test_a_gated_dataset_says_how_to_get_it(nel: Nel, shared_dir: Path) -> None:
    hub = [sys.executable, str(shared_dir / "tools/hub.py"), "--root", str(shared_dir / "data/hf")]
    with TokenServer() as server:
        nel.write("gsm8k", server.url, {"limit": 2}, {"protocol": "completions"})
        command = [*hub, "--gated", "openai/gsm8k", "--", *nel.command()]
        env = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=env)
        assert not server.requests
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert "gated dataset" in done.stderr and "set HF_TOKEN" in done.stderr


def test_after_a_kill_nothing_that_was_answered_is_asked_again(nel: Nel) -> None:
    with TokenServer(holds_after=40) as server:
        nel.write("own_group", server.url, {}, {"protocol": "completions", "tokenizer": "remote"})
        kill_when(lambda: server.held() >= 4, nel.command("--max-concurrent", "4"))
        server.release()
        before = len(server.requests)
        done = subprocess.run(nel.command("--resume"), capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        # 24 documents of three samples, 24 of two options; each invocation probes with two. Four
        # were in flight with up to three questions each.
        assert 124 <= len(server.requests) <= 124 + 12
        assert before < len(server.requests)
    assert len(rows(nel.out / "own_group")) == 48


def test_tasks_are_searched_by_a_part_of_their_name(python: str) -> None:
    done = subprocess.run(
        [*NEL, "list", "lm-eval", "hendrycks_math5"],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "NEL_LM_EVAL_PYTHON": python},
    )
    assert done.stdout.split() == ["lm-eval://hendrycks_math500"]
