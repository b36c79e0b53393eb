"""Suites of tasks for agents that have a name: the tasks themselves are on this machine, or not."""

from __future__ import annotations

from ..environments.harbor.registered import TaskSuite

CORE = ("terminal-bench-core@0.1.1", "terminal-bench-core")
"""What `tb` and harbor call the tasks of Terminal-Bench 1."""

TERMINAL_BENCH_V1 = TaskSuite("terminal-bench-v1", ("terminal-bench-v1", *CORE))
TERMINAL_BENCH_HARD = TaskSuite(
    "terminal-bench-hard", ("terminal-bench-hard", CORE[1]), difficulty="hard"
)
TERMINAL_BENCH_HARD_AA_SPLIT = TaskSuite(
    "terminal-bench-hard-aa-split", ("terminal-bench-hard-aa-split",)
)
NMP_HARBOR = TaskSuite(
    "nmp_harbor",
    repository="NMP_REPO",
    below="tests/agentic-use",
    dockerfile="Dockerfile.harbor",
)
