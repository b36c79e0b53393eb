"""How the command ends: no output problem fails a run, no crash shares a code with a verdict."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from runs import NEL

from nemo_evaluator.cli.main import ended
from nemo_evaluator.cli.output import ERRORS, Stream, guarded_streams
from nemo_evaluator.cli.signals import Signals
from nemo_evaluator.errors import ConfigError, ExitCode

RUN = ["eval", "run", "--bench", "sample", "--model-url", "simulated", "--max-problems", "8"]
RUN += ["--no-progress", "-o", "run"]


def shell(tmp_path: Path, line: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A shell line in which ``$NEL`` is the command."""
    return subprocess.run(
        ["bash", "-c", line],
        cwd=tmp_path,
        env={**os.environ, "NEL": " ".join(NEL), "RUN": " ".join(RUN), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    "redirect", [">&-", ">&- 2>&- <&-", "> /dev/full", "> /dev/full 2> /dev/full"]
)
def test_output_never_fails_a_run(tmp_path: Path, redirect: str) -> None:
    done = shell(tmp_path, f"$NEL $RUN {redirect}")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "run/report.md").exists()


def test_a_reader_that_went_away_changes_no_code(tmp_path: Path) -> None:
    done = shell(tmp_path, "$NEL $RUN 2>&1 | head -0; echo ${PIPESTATUS[0]}")
    assert done.stdout.split() == ["0"]
    done = shell(tmp_path, "$NEL list | head -0; echo ${PIPESTATUS[0]}")
    assert done.stdout.split() == ["0"] and done.stderr == ""


def test_what_only_prints_fails_where_it_cannot(tmp_path: Path) -> None:
    done = shell(tmp_path, "$NEL list > /dev/full")
    assert done.returncode == 2
    assert done.stderr == "error: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_will_do(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "c.yaml").write_text("benchmarks: 3\n")
    done = shell(tmp_path, "$NEL $RUN && $NEL eval run c.yaml", PYTHONIOENCODING=encoding)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "c.yaml" in done.stderr


def test_what_an_encoding_lacks_is_written_another_way() -> None:
    with guarded_streams():
        pass
    assert "a — b × é 😀".encode("ascii", ERRORS) == b"a - b x \\u00e9 \\ud83d\\ude00"
    assert "\udc80".encode("utf-8", ERRORS) == b"\\udc80"


def test_a_stream_drops_output_without_a_reader() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = Stream(writer)
    assert stream.write(b"x" * 100) == 100 and stream.write(b"y") == 1
    assert isinstance(stream.failure, BrokenPipeError)
    os.close(writer)


@pytest.mark.slow
def test_too_few_descriptors_are_told(tmp_path: Path) -> None:
    done = shell(tmp_path, "ulimit -n 10; $NEL $RUN")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "may have 10 open files, this needs 32" in done.stderr and "ulimit -n" in done.stderr
    done = shell(tmp_path, "ulimit -n 80; $NEL $RUN")
    assert done.returncode == 2 and "needs 118" in done.stderr
    done = shell(tmp_path, "ulimit -S -n 40; $NEL $RUN")
    assert done.returncode == 0, "the soft limit is raised"


def raised(error: BaseException) -> Any:
    def run() -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (SystemExit(1), 1, ""),
        (SystemExit(None), 0, ""),
        (ConfigError("no"), 2, "error: no\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (PermissionError(13, "Permission denied", "x"), 2, "error: x: Permission denied\n"),
        (OSError(24, "Too many open files"), 2, "ulimit"),
        (KeyError("x"), 70, "please report it, with the details in "),
        (RecursionError("deep"), 70, "please report it"),
        (OSError(5, "Input/output error"), 70, "please report it"),
    ],
)
def test_every_end_has_one_code_and_one_message(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    signals = Signals()
    with signals.installed():  # an interrupted command ignores what comes after
        assert ended(raised(error), signals) == code
    err = capsys.readouterr().err
    assert text in err and "Traceback" not in err and err.count("\n") <= 1
    if code == ExitCode.BUG:
        log = Path(err.split("details in ")[1].strip())
        assert type(error).__name__ in log.read_text()
        log.unlink()


def test_a_bug_report_holds_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-canary-123")
    monkeypatch.setenv("EMPTY_API_KEY", "")
    monkeypatch.setattr(sys, "argv", ["nel", "--api-key", "typed-secret"])
    ended(raised(ValueError("sent sk-canary-123")), Signals())
    err = capsys.readouterr().err
    log = Path(err.split("details in ")[1].strip())
    for text in (err, log.read_text()):
        assert "sk-canary-123" not in text and "typed-secret" not in text
    log.unlink()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_during_start_up_is_told(tmp_path: Path, number: int, code: int) -> None:
    (tmp_path / "slow.py").write_text(
        "import sys, time\nprint('loading', flush=True)\ntime.sleep(30)\n"
    )
    command = [*NEL, "eval", "run", "--bench", "slow.py", "--model-url", "simulated", "-o", "run"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert err.strip() == ("terminated" if code == 143 else "interrupted")


def test_a_signal_where_python_drops_exceptions_is_not_lost(
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Holder:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0)

    signals = Signals()
    with signals.installed(), pytest.raises(KeyboardInterrupt):
        holder = Holder()
        del holder
        time.sleep(5)
    with signals.installed():
        assert signals.code() == 143
    assert capfd.readouterr().err == "terminated\n"


def test_a_signal_after_the_end_changes_no_code(tmp_path: Path) -> None:
    code = (
        "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGTERM);"
        "from nemo_evaluator.cli.start import main; main()"
    )
    words = [sys.executable, "-c", code, "list", "solvers"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "") and "simple" in done.stdout


SLOW_REPORT = """
import sys, time
from nemo_evaluator.results import derive

publish = derive.publish

def slowly(*args):
    print("publishing", flush=True)
    time.sleep(30)
    return publish(*args)

derive.publish = slowly
from nemo_evaluator.cli.main import main
main()
"""


def test_a_signal_while_results_are_written_loses_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_REPORT, *RUN],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 143
    assert "every answer is in the journals" in err and "Traceback" not in err
    assert shell(tmp_path, "$NEL $RUN --resume").returncode == 0
