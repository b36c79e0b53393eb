"""Fixtures every test may use."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import nel
from hypothesis import HealthCheck, settings
from loopback import loopback

from nemo_evaluator.config.scrubber import KNOWN
from nemo_evaluator.traffic import retry

__all__ = ["loopback", "nel"]

# The machine may be shared: slowness of a generator is no failure of what is tested.
settings.register_profile("nel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nel")

SLOW_SECONDS = 400
"""A slow test that takes longer hangs."""

PROCESSES = (
    "benchmarks/test_all_eight.py",
    "benchmarks/test_benchmark_examples.py",
    "benchmarks/test_benchmarks_hub.py",
    "cli/test_commands.py",
    "cli/test_judge_command.py",
    "cli/test_log.py",
    "cli/test_process.py",
    "cli/test_proxy_command.py",
    "decisions/test_odds.py",
    "decisions/test_properties.py",
    "decisions/test_rates.py",
    "docs/",
    "end_to_end/",
    "environments/test_hub.py",
    "executors/slurm/test_client.py",
    "executors/slurm/test_executor.py",
    "executors/test_background.py",
    "executors/test_ssh.py",
    "executors/test_submission.py",
    "reports/test_page.py",
    "results/test_status.py",
    "sandboxes/",
    "services/test_simulated_server.py",
    "stats/test_corrections.py",
    "stats/test_stats_simulation.py",
    "traffic/door/test_real_clients.py",
)
"""Tests that start processes, containers or browsers, or draw many samples: `make quick` leaves
them out, so that it can be run between two edits."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    root = Path(__file__).resolve().parent
    for item in items:
        if item.path.relative_to(root).as_posix().startswith(PROCESSES):
            item.add_marker(pytest.mark.process)
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))


OFFLINE = Path(__file__).resolve().parent / "support" / "offline"
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(OFFLINE), *filter(None, [os.environ.get("PYTHONPATH")])]
)
sys.path.insert(0, str(OFFLINE))
import sitecustomize  # noqa: E402  (the guard of this process, and by PYTHONPATH of its children)

if not hasattr(sitecustomize, "BeyondLoopbackError"):
    import importlib

    importlib.reload(sitecustomize)


@pytest.fixture(autouse=True)
def nothing_is_secret_any_more() -> Iterator[None]:
    """Secrets belong to the process; those of one test are not those of the next."""
    yield
    KNOWN.forget()


@pytest.fixture(autouse=True)
def no_list_of_runs(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs are noted in the user's folder; those of tests in one that is empty for each."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))


@pytest.fixture(autouse=True)
def signals_stay() -> Iterator[None]:
    """Children inherit ignored signals: a test that leaves one ignored makes others hang."""
    yield
    for number in (signal.SIGINT, signal.SIGTERM):
        assert signal.getsignal(number) is not signal.SIG_IGN, f"{number.name} is left ignored"


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoff in milliseconds instead of half seconds."""
    monkeypatch.setattr(retry, "BASE_SECONDS", 0.001)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with offline datasets and recorded outputs; skips where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("NEL_SHARED", default))
    if not (folder / "data").is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{folder} is missing: CI runs with the shared data")
        pytest.skip("shared test data not available")
    return folder
