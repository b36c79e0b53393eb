"""The command line, run in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

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
        assert "Traceback" not in err
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run
