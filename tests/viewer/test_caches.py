"""What a viewer keeps for itself, and what it shows when files are not what they were."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import NEL
from viewing import Client

from nemo_evaluator.viewer import pages
from nemo_evaluator.viewer.library import Library
from nemo_evaluator.viewer.links import Links
from nemo_evaluator.viewer.rendering import Viewer

pytestmark = pytest.mark.process
View = Callable[..., Client]


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed; do not change it."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    words = ["eval", "run", "--bench", "sample", "--model-url", "simulated", "-o", str(folder)]
    subprocess.run([*NEL, *words, "--no-progress"], check=True, capture_output=True)
    bench = folder / "sample"
    for path in bench.iterdir():
        if path.name != "journal.jsonl":
            path.unlink()
    lines = (bench / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (bench / "journal.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    info = json.loads((folder / "run.json").read_text()) | {"status": "running"}
    (folder / "run.json").write_text(json.dumps(info))
    (folder / "progress.json").unlink()
    return folder


def test_without_a_cache_that_can_be_written(view: View, two_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    client = view(two_runs, XDG_CACHE_HOME=str(tmp_path / "file"), TMPDIR=str(tmp_path))
    assert "2 rollouts" in client.samples("after", "q=bakery")
    assert len(list(tmp_path.glob("nel-view-*/*.sqlite"))) == 1


def test_two_viewers_with_one_cache(view: View, two_runs: Path) -> None:
    clients = [view(two_runs), view(two_runs)]
    runs = [client.run("after") for client in clients]
    for client, run in zip(clients, runs, strict=True):
        assert client.get(f"{run}/sample/samples").status == 200
    for client in clients:
        assert "2 rollouts" in client.samples("after", "q=bakery")


def test_a_cache_that_is_emptied_is_filled_again(
    view: View, two_runs: Path, tmp_path: Path
) -> None:
    client = view(two_runs)
    client.samples("after")
    shutil.rmtree(tmp_path / "cache")
    assert "2 rollouts" in client.samples("after", "q=bakery")


def test_a_copy_with_mixed_up_times_shows_its_results(view: View, runs: Path) -> None:
    bench = runs / "after" / "sample"
    lines = (bench / "results.jsonl").read_text().splitlines(keepends=True)
    row = json.loads(lines[0]) | {"extracted_answer": "as it was scored again"}
    (bench / "results.jsonl").write_text("".join([json.dumps(row) + "\n", *lines[1:]]))
    late = time.time() + 60
    os.utime(bench / "journal.jsonl", (late, late))
    assert "as it was scored again" in view(runs).samples("after")


def test_the_journals_of_a_dead_run_are_counted_once(stopped: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stopped, tmp_path / "run"))
    viewer = Viewer(Library([folder]), tmp_path / "cache")
    [run] = viewer.library.runs()
    first = viewer.state(run)
    assert first is not None and first.state.value == "killed"
    done = first.benchmarks["sample"].done
    assert 0 < done < 120
    assert viewer.state(run) is first
    journal = folder / "sample" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    again = viewer.state(run)
    assert again is not None and again.benchmarks["sample"].done < done


def test_a_list_of_many_killed_runs_does_not_wait_for_all(stopped: Path, tmp_path: Path) -> None:
    for number in range(12):
        shutil.copytree(stopped, tmp_path / "runs" / f"run-{number}")
    viewer = Viewer(Library([tmp_path / "runs"]), tmp_path / "cache", patience=0.0)
    text = pages.runs_page(viewer, Links())
    assert "being read" in text and 'data-live="runs"' in text
    end = time.monotonic() + 30
    while "being read" in text and time.monotonic() < end:
        text = pages.runs_page(viewer, Links())
    assert text.count("<b>0.") == 12 and 'data-live=""' in text
    later = Viewer(Library([tmp_path / "runs"]), tmp_path / "cache", patience=0.0)
    assert pages.runs_page(later, Links()).count("<b>0.") == 12, "they are read once"


@pytest.mark.parametrize("gone", ["after", "after/sample", "after/sample/results.jsonl"])
def test_a_run_that_goes_away_while_it_is_open(view: View, runs: Path, gone: str) -> None:
    client = view(runs)
    client.samples("after")
    run, other = client.run("after"), client.run("before")
    keys = f"run={run.removeprefix('/run/')}&run={other.removeprefix('/run/')}"
    path = runs / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    for page in ("", "/live", "/audit", "/sample/samples", "/sample/samples?q=bakery",
                 "/sample/sample/0/0", "/sample/steps/0/0", "/sample/text/0/0/answer"):  # fmt: skip
        assert client.get(run + page).status in (200, 404, 422), page
    for page in ("/", f"/compare?{keys}", "/history?benchmark=sample",
                 f"/pair?{keys}&benchmark=sample&problem=0&repeat=0"):  # fmt: skip
        assert client.get(page).status in (200, 404, 422), page
    if gone == "after":
        time.sleep(2.1)  # the list of runs is read again
        assert "after-" not in client.get("/").text
        assert client.get(run).status == 404
