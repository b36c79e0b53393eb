"""The command line, run in this process, or as one of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from runs import NEL

from nemo_evaluator.cli.main import main

Nel = Callable[..., tuple[int, str, str]]


@pytest.fixture
def nel(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Nel:
    """Runs a command in this process: exit code, what it printed, what it complained of."""

    def run(*words: object) -> tuple[int, str, str]:
        # It puts streams of its own, on the descriptors, in the place of these.
        monkeypatch.setattr(sys, "stdout", sys.stdout)
        monkeypatch.setattr(sys, "stderr", sys.stderr)
        monkeypatch.setattr(sys, "argv", ["nel", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert "Traceback" not in err, err
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run


Process = subprocess.Popen[str]


@contextlib.contextmanager
def listening(*words: str, **env: str) -> Iterator[tuple[Process, str]]:
    """The process of a command that serves something, and the URL of its first line."""
    process = subprocess.Popen(
        [*NEL, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on http://"), process.stderr.read()
        yield process, line.split()[-1]
    finally:
        process.terminate()  # so that it removes what it made
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
