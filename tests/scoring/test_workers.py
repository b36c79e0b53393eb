"""Worker processes: what lies in the user's folder is not theirs, and a killed one is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nemo_evaluator.scoring.workers import Pool, WorkerFailed

SHADOWING = ("numbers", "json", "re", "fractions", "sympy", "logging", "resource")
PROGRAM = """
from nemo_evaluator import ScorerInput, math_match, regex
answer = ScorerInput(response=r"\\boxed{\\lfloor 5.5 \\rfloor}", target="5")
found = ScorerInput(response="a12", target="12", config={"pattern": r"\\d+"})
print(math_match(answer)["decided_by"], regex(found)["correct"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("by", ["folder", "PYTHONPATH"])
def test_files_in_the_users_folder_are_not_imported(tmp_path: Path, by: str) -> None:
    for name in SHADOWING:
        tmp_path.joinpath(f"{name}.py").write_text("open('imported', 'a').write(__name__)\n1 / 0\n")
    source = str(Path(__file__).parents[2] / "src")
    # As an installed command: the folder is not on the path of the parent, and PYTHONPATH may be.
    path = {"PYTHONPATH": f":{tmp_path}"} if by == "PYTHONPATH" else {}
    done = subprocess.run(
        [sys.executable, "-P" if by == "folder" else "-I", "-c",
         f"import sys; sys.path.append({source!r}){PROGRAM}"],
        cwd=tmp_path, env={**os.environ, **path}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.stdout.split() == ["math-verify", "True"], done.stderr
    assert not tmp_path.joinpath("imported").exists()


def test_a_worker_killed_from_outside_is_replaced_and_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = Pool("nemo_evaluator.scoring.regex_worker")
    assert pool.ask([r"\d+", "a1"], 5) == ([[1, 2], [1, 2]],)
    [worker] = pool._idle
    os.kill(worker._process.pid, signal.SIGKILL)
    worker._process.wait()
    assert pool.ask([r"\d+", "a1"], 5) == ([[1, 2], [1, 2]],)
    pool.close()


def test_a_worker_that_does_not_start_is_no_answer() -> None:
    with pytest.raises(WorkerFailed, match="no_such_module did not start"):
        Pool("nemo_evaluator.no_such_module").ask([], 5)
