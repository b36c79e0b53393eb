"""What a user can get wrong: one message that says where, what and how to fix it; exit code 2."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import BENCH, rows

Nel = Callable[..., subprocess.CompletedProcess[str]]


def refused(done: subprocess.CompletedProcess[str], *words: str) -> str:
    """Assert one clear refusal; returns what was said."""
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    for word in words:
        assert word.lower() in done.stderr.lower(), done.stderr
    return done.stderr


def test_unknown_benchmark_with_suggestion(nel: Nel) -> None:
    refused(
        nel("eval", "run", "--bench", "gsm8", "--model-url", "simulated"),
        "gsm8",
        "did you mean 'gsm8k'",
    )


def test_unknown_field_with_file_and_line(nel: Nel, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "services:\n  m: {type: simulated}\nbenchmarks:\n  - name: sample\n    repeets: 2\n"
    )
    refused(nel("eval", "run", "c.yaml"), "c.yaml:5", "repeets", "did you mean 'repeats'")


def test_missing_key(nel: Nel, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "services:\n  m:\n    type: api\n    url: http://127.0.0.1:9/v1\n"
        "    protocol: chat_completions\n    api_key: ${NO_SUCH_KEY}\n"
        "benchmarks: [{name: sample}]\n"
    )
    refused(nel("eval", "run", "c.yaml"), "c.yaml:6", "NO_SUCH_KEY", "not set")


def test_wrong_url_scheme(nel: Nel) -> None:
    words = ("eval", "run", "--bench", "sample", "--model-id", "m", "--model-url")
    refused(nel(*words, "ftp://host/v1"), "ftp://host/v1", "http")
    refused(nel(*words, "localhost:8000"), "localhost:8000", "http://localhost:8000")


def test_unreachable_host(nel: Nel) -> None:
    done = nel(
        *("eval", "run", "--bench", "sample", "--model-id", "m"),
        *("--model-url", "http://127.0.0.1:9/v1"),
    )
    refused(done, "127.0.0.1:9", "unreachable", "check the service's url")


@pytest.mark.parametrize(
    ("fault", "words"),
    [("unauthorized", ("401", "api_key")), ("not_found", ("404",)), ("bad_request", ("400",))],
)
def test_an_endpoint_that_refuses_everything(
    nel: Nel,
    bench: Callable[[int], Path],
    refusing: Callable[[str], str],
    fault: str,
    words: tuple[str],
) -> None:
    """Stops at once, nothing is scored, and the directory can be used again."""
    url = refusing(fault)
    words_ = ("eval", "run", "--bench", bench(200), "--model-id", "m", "-o", "run")
    refused(nel(*words_, "--model-url", url), *words)
    asked = json.load(urllib.request.urlopen(url.replace("/v1", "/counts")))["asked"]
    assert 0 < sum(asked.values()) < 30
    done = nel(*words_, "--model-url", "simulated")
    assert done.returncode == 0, done.stderr


def test_malformed_row_with_file_and_line(nel: Nel, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"q": "1?", "target": "1"}\n{"q": "2?", \n')
    (tmp_path / "b.py").write_text(
        "from nemo_evaluator import benchmark, exact_match, scorer\n"
        "@benchmark(name='b', dataset='rows.jsonl', prompt='{q}')\n@scorer\n"
        "def b(sample):\n    return exact_match(sample)\n"
    )
    refused(
        nel("eval", "run", "--bench", "b.py", "--model-url", "simulated"), "rows.jsonl:2", "JSON"
    )


def test_prompt_field_missing_from_a_row(nel: Nel, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"q": "1?", "target": "1"}\n{"x": "2?", "target": "2"}\n')
    (tmp_path / "b.py").write_text(
        "from nemo_evaluator import benchmark, exact_match, scorer\n"
        "@benchmark(name='b', dataset='rows.jsonl', prompt='{q}')\n@scorer\n"
        "def b(sample):\n    return exact_match(sample)\n"
    )
    done = nel("eval", "run", "--bench", "b.py", "--model-url", "simulated")
    refused(done, "row 1", "'q'", "fields of the row: x, target")


def test_scorer_that_raises_loses_no_answer(nel: Nel, tmp_path: Path) -> None:
    broken = BENCH % {"size": 20}
    broken = broken.replace("return numeric_match(sample)", "return sample.metadata['nope']")
    (tmp_path / "b.py").write_text(broken)
    words = ("eval", "run", "--bench", "b.py", "--model-url", "simulated", "-o", "run")
    refused(nel(*words), "sums", "KeyError: 'nope'", "b.py:", "--resume")
    answered = sum(row["model_response"] is not None for row in rows(tmp_path / "run" / "sums"))
    assert answered > 0
    (tmp_path / "b.py").write_text(BENCH % {"size": 20})
    done = nel(*words, "--resume")
    assert done.returncode == 0, done.stderr
    assert all(row["outcome"] == "scored" for row in rows(tmp_path / "run" / "sums"))


def test_directory_that_holds_a_run(nel: Nel) -> None:
    words = ("eval", "run", "--bench", "sample", "--model-url", "simulated", "-o", "run")
    assert nel(*words, "--max-problems", 5).returncode == 0
    refused(nel(*words), "already holds the run", "--resume")


def test_directory_in_use(nel: Nel, tmp_path: Path) -> None:
    from nemo_evaluator.results.lock import directory_lock

    with directory_lock(tmp_path / "run"):
        done = nel("eval", "run", "--bench", "sample", "--model-url", "simulated", "-o", "run")
    refused(done, "in use by pid")


def test_default_directory_is_set_aside_not_mixed(nel: Nel, tmp_path: Path) -> None:
    words = ("eval", "run", "--bench", "sample", "--model-url", "simulated", "--max-problems", 5)
    assert nel(*words).returncode == 0
    done = nel(*words)
    assert (
        done.returncode == 0
        and "eval_results holds an earlier run: it was renamed to eval_results-" in done.stderr
    )
    assert len(list(tmp_path.glob("eval_results*/sample/results.jsonl"))) == 2


def test_changed_meaning_is_refused_on_resume(nel: Nel) -> None:
    words = ("eval", "run", "--bench", "sample", "--model-url", "simulated", "-o", "run")
    assert nel(*words, "--max-problems", 5).returncode == 0
    text = refused(
        nel(*words, "--max-problems", 5, "--temperature", "0.5", "--resume"), "temperature", "0.5"
    )
    assert "null → 0.5" in text
    done = nel(*words, "--max-problems", 5, "--max-concurrent", 3, "--timeout", 9, "--resume")
    assert done.returncode == 0, done.stderr


def test_full_disk(nel: Nel, bench: Callable[[int], Path], tmp_path: Path) -> None:
    """The journal stays whole, nothing that was written is lost, and the run can go on."""
    command = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)); "
        "from nemo_evaluator.cli.main import main; sys.argv = ['nel', *sys.argv[1:]]; main()"
    )
    import sys

    words = ["eval", "run", "--bench", str(bench(500)), "--model-url", "simulated", "-o", "run"]
    done = subprocess.run(
        [sys.executable, "-c", command, *words], cwd=tmp_path, capture_output=True, text=True
    )
    refused(done, "cannot write", "--resume")
    again = nel(*words, "--resume")
    assert again.returncode == 0, again.stderr
    assert len(rows(tmp_path / "run" / "sums")) == 500
