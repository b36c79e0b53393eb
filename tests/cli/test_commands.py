"""The commands as a user types them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from runs import NEL

import nemo_evaluator
from nemo_evaluator.kinds import KINDS


def nel(*words: object, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*NEL, *map(str, words)],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 12 problems, three repeats each."""
    folder = tmp_path_factory.mktemp("cli")
    words = ("eval", "run", "--bench", "sample", "--model-url", "simulated", "--max-problems", 12)
    done = nel(*words, "--repeats", 3, "-o", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "(simulated)" in done.stdout and "pass@1" in done.stdout
    return folder / "run"


def test_version_and_help() -> None:
    assert nel("--version").stdout == f"nel {nemo_evaluator.__version__}\n"
    assert "eval" in nel("--help").stdout
    assert "--resume" in nel("eval", "run", "--help").stdout


def test_a_misspelt_command_gets_a_suggestion() -> None:
    done = nel("evall")
    assert done.returncode == 2 and "Did you mean 'eval'" in done.stderr


@pytest.mark.parametrize("kind", ["benchmarks", "solvers", "services", "interceptors", "reports"])
def test_list_one_kind(kind: str) -> None:
    done = nel("list", kind)
    assert done.returncode == 0
    expected = {"benchmarks": "gsm8k", "solvers": "simple", "services": "simulated"}
    assert expected.get(kind, "") in done.stdout


def test_list_everything() -> None:
    text = nel("list").stdout
    assert all(f"{kind}:" in text for kind in ("benchmarks", "solvers", "scorers", "reports"))


def test_the_help_of_list_names_every_kind() -> None:
    text = nel("list", "--help").stdout
    assert set(KINDS) <= set(re.findall(r"[a-z-]+", text))


def test_report_formats(run: Path, tmp_path: Path) -> None:
    markdown = nel("eval", "report", run)
    assert markdown.returncode == 0 and "| sample (simulated) |" in markdown.stdout
    out = tmp_path / "deep" / "r.json"
    assert nel("eval", "report", run, "-f", "json", "-o", out).returncode == 0
    document = json.loads(out.read_text())
    assert document["benchmarks"]["sample"]["coverage"] == 1.0
    rows = list(csv.DictReader(io.StringIO(nel("eval", "report", run, "-f", "csv").stdout)))
    assert [row["metric"] for row in rows] == ["pass@1"]
    assert document["benchmarks"]["sample"].keys() >= {"pass@1", "pass@3", "pass^3"}
    every = nel("eval", "report", run, "--all-formats", "-o", tmp_path / "all")
    assert len(every.stdout.split()) == 5
    refused = nel("eval", "report", run, "-f", "pdf")
    assert refused.returncode == 2 and "markdown" in refused.stderr


def test_report_of_no_run(tmp_path: Path) -> None:
    done = nel("eval", "report", tmp_path)
    assert done.returncode == 2 and "holds no run" in done.stderr and "Traceback" not in done.stderr


def test_a_report_needs_nothing_but_the_journal(run: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    before = (copy / "sample" / "results.jsonl").read_bytes()
    for name in ("results.jsonl", "trajectories.jsonl", "runtime_stats.json"):
        (copy / "sample" / name).unlink()
    assert nel("eval", "report", copy).returncode == 0
    assert (copy / "sample" / "results.jsonl").read_bytes() == before


def test_dry_run_calls_nothing_and_writes_nothing(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.2)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        done = nel(
            *("eval", "run", "--bench", "sample", "--model-url", url, "--model-id", "m"),
            *("--repeats", 2, "--max-tokens", 100, "--dry-run"),
            *("-O", "services.model.price={prompt: 1, completion: 2}"),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        with pytest.raises(TimeoutError):
            listener.accept()
    assert "120 of 120 problems × 2 repeats = 240 rollouts" in done.stdout
    assert "at most 24,000 completion tokens" in done.stdout and "USD" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_plan_writes_nothing_for_interceptors_that_write(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("""
services:
  m:
    type: simulated
    proxy:
      interceptors:
        - {name: record, config: {path: ./a/traffic.rec}}
        - {name: http_pairs_dump, config: {dump_path: ./b/pairs.json}}
        - {name: caching, config: {cache_dir: ./c}}
benchmarks: [{name: sample, max_problems: 2}]
output: {dir: ./run}
""")
    assert nel("eval", "run", file, "--dry-run", cwd=tmp_path).returncode == 0
    assert list(tmp_path.iterdir()) == [file]
    assert nel("eval", "run", file, cwd=tmp_path).returncode == 0
    assert (tmp_path / "a" / "traffic.rec").stat().st_size
    assert (tmp_path / "b" / "pairs.json").stat().st_size


@pytest.mark.parametrize("to", ["/dev/stdout", "pipe"])
def test_results_are_written_into_a_pipe(run: Path, tmp_path: Path, to: str) -> None:
    """Also where the user may replace it by a file, as root may /dev/stdout."""
    place, reader = tmp_path / "link", None
    if to == "pipe":
        os.mkfifo(place)
        reader = subprocess.Popen(["cat", place], stdout=subprocess.PIPE)
    else:
        place.symlink_to("/proc/self/fd/1")
    done = nel("query", "SELECT 6 * 7 AS n", run, "-o", place, "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert (done.stdout if reader is None else reader.communicate()[0].decode()) == "n\n42\n"
    assert place.is_symlink() or place.is_fifo()


def test_a_full_disk_is_named(run: Path, tmp_path: Path) -> None:
    words = ("query", "SELECT 1", run, "--format", "csv", "-o", "/dev/full")
    done = nel(*words)
    assert done.returncode == 2 and "No space left on device" in done.stderr


def test_validate_verifies_the_first_problems(tmp_path: Path) -> None:
    done = nel("validate", "-b", "sample", "--samples", 4, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("expected=") == 4 and "4 of 4 verified" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(shell: str) -> None:
    assert "_NEL_COMPLETE" in nel("completion", shell).stdout


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("nel ev", "eval"),
        ("nel eval run --bench gs", "gsm8k"),
        ("nel export run --dest ins", "inspect"),
        ("nel config set model_u", "model_url"),
        ("nel config use st", "staging"),
    ],
)
def test_completion_completes(words: str, completed: str, tmp_path: Path) -> None:
    settings = tmp_path / "config.yaml"
    settings.write_text("profiles: {staging: {}}\n")
    env = {
        "_NEL_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
        "NEL_CONFIG": str(settings),
    }
    command = [str(Path(sys.executable).parent / "nel")]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True)
    assert done.stdout.split() == [f"plain,{completed}"]


@pytest.mark.parametrize(
    ("named", "what", "hint"),
    [
        ("gsm8k", "is a benchmark", "nel eval run --bench gsm8k "),
        ("mine.py", "is a benchmark", "nel eval run --bench mine.py "),
        ("rows.csv", "is a benchmark", "nel eval run --bench rows.csv "),
        ("folder", "is a folder", "nel eval resume folder"),
    ],
)
def test_what_is_no_configuration_file(named: str, what: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").touch()
    (tmp_path / "rows.csv").touch()
    (tmp_path / "folder").mkdir()
    done = nel("eval", "run", named, cwd=tmp_path)
    assert done.returncode == 2 and what in done.stderr and hint in done.stderr


@pytest.mark.parametrize("name", ["c.yaml", "c.json"])
def test_flags_change_a_configuration_file(name: str, tmp_path: Path) -> None:
    configuration = {
        "services": {"m": {"type": "simulated"}},
        "benchmarks": [{"name": "sample", "max_problems": 50}],
        "output": {"dir": "run", "report": ["json"]},
    }
    (tmp_path / name).write_text(json.dumps(configuration))  # JSON is YAML
    done = nel("eval", "run", name, "--max-problems", 3, "-n", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "run" / "sample" / "results.jsonl").read_text().splitlines()
    assert len(lines) == 6
    assert (tmp_path / "run" / "report.json").exists()


def test_api_key_on_the_command_line_is_not_recorded(tmp_path: Path) -> None:
    nel(
        *("eval", "run", "--bench", "sample", "--model-id", "m", "-o", "run"),
        *("--model-url", "http://127.0.0.1:9/v1", "--api-key", "sk-command-line-secret"),
        cwd=tmp_path,
    )
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"sk-command-line-secret" not in path.read_bytes(), path


def test_a_simulated_endpoint_is_labelled_over_http_too(tmp_path: Path) -> None:
    with subprocess.Popen([*NEL, "simulate"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        for protocol in ("chat/completions", "completions", "responses"):
            words = ("--bench", "sample", "--max-problems", 3, "--model-id", "m")
            out = tmp_path / protocol.replace("/", "_")
            done = nel("eval", "run", *words, "--model-url", f"{url}/{protocol}", "-o", out)
            assert done.returncode == 0, done.stderr
            assert "(simulated)" in done.stdout, protocol
            assert "simulated" in (out / "report.md").read_text()
        server.terminate()
