"""What was paid for is never lost, run over or mixed, whatever happens to a run's directory."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import Nel as InProcess
from commands import nel as in_process  # noqa: F401  (a fixture)
from runs import NEL, rows

from nemo_evaluator.results.journal import (
    Header,
    ProblemSeeded,
    Scored,
    Solved,
    encode,
    events,
    scan,
)
from nemo_evaluator.types import RolloutKey

SIZE = 8
WORDS = ("eval", "run", "--bench", "sample", "--model-url", "simulated", "--no-progress")
RUN = (*WORDS, "--max-problems", SIZE, "-o", "run")


@pytest.fixture
def nel(in_process: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InProcess:  # noqa: F811
    monkeypatch.chdir(tmp_path)
    return in_process


@pytest.fixture
def done(nel: InProcess, tmp_path: Path) -> Path:
    """A run that was finished."""
    assert nel(*RUN)[0] == 0
    return tmp_path / "run"


def journal(run: Path) -> Path:
    return run / "sample" / "journal.jsonl"


def solved(run: Path) -> list[tuple[int, int]]:
    return [(e.problem_idx, e.attempt) for e in events(journal(run)) if isinstance(e, Solved)]


def write_other_tools_run(directory: Path) -> dict[Path, bytes]:
    """What NVIDIA NeMo Evaluator leaves: a bundle and rows for each benchmark, no plan."""
    folder = directory / "sample"
    folder.mkdir(parents=True)
    bundle = {"run_id": "eval-20300101T000000Z-sample", "benchmark": {"name": "sample"}}
    (folder / "eval-20300101T000000Z-sample.json").write_text(json.dumps(bundle))
    (folder / "results.jsonl").write_text('{"problem_idx": 0, "repeat": 0, "reward": 1.0}\n')
    return content(directory)


def content(directory: Path) -> dict[Path, bytes]:
    return {
        path.relative_to(directory): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_of_another_tool_is_refused(nel: InProcess, tmp_path: Path, resume: bool) -> None:
    before = write_other_tools_run(tmp_path / "run")
    code, _, err = nel(*RUN, *(["--resume"] if resume else []))
    assert code == 2 and "contains files that this program did not write: sample/" in err
    assert "-o" in err and content(tmp_path / "run") == before


def test_a_run_of_another_tool_in_the_default_directory_is_set_aside(
    nel: InProcess, tmp_path: Path
) -> None:
    before = write_other_tools_run(tmp_path / "eval_results")
    code, _, err = nel(*WORDS, "--max-problems", SIZE)
    assert code == 0 and "eval_results-earlier" in err
    assert content(tmp_path / "eval_results-earlier") == before
    # And what another tool writes beside our run does not disappear with the next one.
    shutil.copytree(tmp_path / "eval_results-earlier/sample", tmp_path / "eval_results/mmlu")
    assert nel(*WORDS, "--max-problems", SIZE)[0] == 0
    (aside,) = tmp_path.glob("eval_results-2*")
    assert (aside / "mmlu" / "results.jsonl").is_file()


@pytest.mark.parametrize("name", ["config.yaml", "report.md", "run.json", "plan.lock"])
def test_files_of_the_user_are_not_written_over(nel: InProcess, tmp_path: Path, name: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "run" / name).write_text("mine")
    code, _, err = nel(*RUN)
    assert code == 2 and name in err
    assert (tmp_path / "run" / name).read_text() == "mine"
    (tmp_path / "run" / name).unlink()
    assert nel(*RUN)[0] == 0 and (tmp_path / "run" / "notes.txt").read_text() == "mine"


DOCUMENTS = ("plan.lock", "run.json", "config.yaml")


@pytest.mark.parametrize("how", ["empty", "zeros", "garbage", "gone"])
@pytest.mark.parametrize("names", [*[(name,) for name in DOCUMENTS], DOCUMENTS])
def test_a_run_that_lost_documents_goes_on(
    nel: InProcess, done: Path, names: tuple[str, ...], how: str
) -> None:
    """As a power failure leaves it, or a hand that deletes."""
    path, before = journal(done), solved(done)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))
    half = len(solved(done))
    assert 0 < half < len(before)
    for name in names:
        if how == "gone":
            (done / name).unlink()
        else:
            (done / name).write_bytes({"empty": b"", "zeros": bytes(300)}.get(how, b"\xff{"))
    if names != ("config.yaml",):
        code, out, err = nel("eval", "report", "run")
        assert code == 0 and "sample" in out, err
    code, _, err = nel(*RUN)
    assert code == 2 and "already holds the run" in err
    code, _, err = nel(*RUN, "--resume")
    assert code == 0, err
    assert solved(done)[:half] == before[:half] and len(solved(done)) == SIZE
    assert len({event.run_id for event in events(path) if isinstance(event, Header)}) == 1


def test_answers_of_two_models_are_never_mixed(nel: InProcess, done: Path) -> None:
    (done / "plan.lock").unlink()
    before = journal(done).read_bytes()
    code, _, err = nel(*RUN, "--temperature", "0.7", "--resume")
    assert code == 2 and "temperature" in err
    assert journal(done).read_bytes() == before


def test_a_journal_of_another_run_is_refused(nel: InProcess, done: Path) -> None:
    assert nel(*RUN[:-1], "other", "--temperature", "0.7")[0] == 0
    shutil.copy(journal(done.with_name("other")), journal(done))
    for words in (("eval", "report", "run"), (*RUN, "--resume")):
        code, _, err = nel(*words)
        assert code == 2 and "is the journal of another run" in err and "plan.lock" in err


def test_damage_is_named_and_only_what_is_damaged_is_asked_again(
    nel: InProcess, done: Path
) -> None:
    path = journal(done)
    data = path.read_bytes()
    victim = next(event for event in events(path) if isinstance(event, Solved))
    key = RolloutKey(victim.problem_idx, 0)
    at = data.index(encode(victim))
    damaged = bytearray(data)
    damaged[at + 30] ^= 4
    path.write_bytes(bytes(damaged))
    code, _, err = nel("eval", "report", "run")
    assert code == 0 and f"at byte {at} is damaged" in err and "1 damaged or foreign" in err
    assert key not in scan(path).rollouts or scan(path).rollouts[key].solved_at < 0
    code, _, err = nel(*RUN, "--resume")
    assert code == 0 and f"at byte {at} is damaged" in err
    assert len(solved(done)) == SIZE == len({idx for idx, _ in solved(done)})
    assert len(rows(done / "sample")) == SIZE


def test_damaged_problems_cost_no_answer(nel: InProcess, done: Path) -> None:
    """Their texts are written again; what was answered and scored stays so."""
    path, before, results = journal(done), solved(done), rows(done / "sample")
    texts = [event for event in events(path) if isinstance(event, ProblemSeeded)]
    data = path.read_bytes()
    for event in texts:
        data = data.replace(encode(event), encode(event).replace(b"digest", b"Digest"))
    path.write_bytes(data)
    code, _, err = nel(*RUN, "--resume")
    assert code == 0 and f"{SIZE} damaged" in err
    assert solved(done) == before and rows(done / "sample") == results
    again = [event for event in events(path) if isinstance(event, ProblemSeeded)]
    assert sorted(map(repr, again)) == sorted(map(repr, texts))


@pytest.mark.parametrize("left", [None, b"", bytes(4096), b"garbage\n" * 50])
def test_results_outlive_their_journal(nel: InProcess, done: Path, left: bytes | None) -> None:
    """What was paid for is neither asked again nor derived again from nothing."""
    journal(done).unlink()
    if left is not None:
        journal(done).write_bytes(left)
    before = content(done / "sample")
    code, _, err = nel(*RUN, "--resume")
    assert code == 2 and f"the results beside it have {SIZE} verdicts" in err
    code, _, err = nel(*RUN)
    assert code == 2 and "already holds the run" in err
    code, out, err = nel("eval", "report", "run")
    assert code == 0 and "100.0 %" in out, err
    assert content(done / "sample") == before


def test_a_journal_that_was_cut_between_lines_is_told(nel: InProcess, done: Path) -> None:
    lines = journal(done).read_bytes().splitlines(keepends=True)
    last = next(at for at, line in enumerate(lines) if b'"scored"' in line)
    journal(done).write_bytes(b"".join(lines[: last + 1]))
    code, _, err = nel(*RUN, "--resume")
    assert code == 0 and f"holds 1 verdicts, the results beside it {SIZE}" in err
    assert len(solved(done)) == SIZE


def test_lines_of_problems_outside_the_plan_never_count(nel: InProcess, done: Path) -> None:
    path = journal(done)
    some = [event for event in events(path) if isinstance(event, Solved | Scored)]
    with path.open("ab") as file:
        for number in range(SIZE, 3 * SIZE):
            for event in some[:2]:
                file.write(encode(type(event)(**{**_fields(event), "problem_idx": number})))
    code, _, err = nel("eval", "report", "run")
    assert code == 0 and "not in the plan" in err
    (bundle,) = (done / "sample").glob("eval-*.json")
    assert json.loads(bundle.read_bytes())["benchmark"]["scores"]["pass@1"]["n"] == SIZE


def _fields(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


@pytest.mark.parametrize("kind", ["fifo", "directory", "device"])
def test_a_journal_that_is_not_a_file_hangs_no_command(
    nel: InProcess, done: Path, kind: str
) -> None:
    path = journal(done)
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    for words in (("eval", "report", "run"), (*RUN, "--resume"), RUN, ("eval", "rescore", "run")):
        code, _, err = nel(*words)
        assert code == 2 and "journal.jsonl" in err and len(err.splitlines()) <= 2, words


@pytest.mark.parametrize("name", ["../../evil", "x/../../evil", "/tmp/evil", "", ".", "..", "a\0b"])
def test_names_that_were_read_lead_nowhere(
    nel: InProcess, done: Path, tmp_path: Path, name: str
) -> None:
    before = {path for path in tmp_path.parent.rglob("*") if path.name.startswith("evil")}
    for file, keys in (("run.json", ["run_id"]), ("plan.lock", ["benchmarks", 0, "slug"]),
                       ("plan.lock", ["run_id"]), ("run.json", ["benchmarks", 0])):  # fmt: skip
        original = (done / file).read_bytes()
        document = place = json.loads(original)
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = name
        (done / file).write_text(json.dumps(document))
        for words in (
            ("eval", "report", "run"),
            ("report", "run"),
            ("compare", "run", "run"),
            ("eval", "rescore", "run", "-o", "rescored"),
            (*RUN, "--resume"),
        ):
            nel(*words)
            shutil.rmtree(tmp_path / "rescored", ignore_errors=True)
        (done / file).write_bytes(original)
    after = {path for path in tmp_path.parent.rglob("*") if path.name.startswith("evil")}
    assert after == before and not Path("/tmp/evil").exists()
    code, _, err = nel("eval", "report", "run")
    assert code == 0, err


@pytest.mark.parametrize(
    ("key", "value"),
    [("n_problems", 10**9), ("dataset_size", 10**12), ("repeats", 10**9), ("repeats", 0),
     ("n_problems", -1), ("n_problems", 2.5), ("settings", {"shard": [5, 2]}),
     ("settings", {"shard": "x"}), ("settings", {"shuffle_seed": "x"})],
)  # fmt: skip
def test_a_plan_that_cannot_be_is_one_line(
    nel: InProcess, done: Path, key: str, value: Any
) -> None:
    lock = json.loads((done / "plan.lock").read_bytes())
    lock["benchmarks"][0][key] = value
    (done / "plan.lock").write_text(json.dumps(lock))
    journal(done).unlink()
    code, _, err = nel("eval", "report", "run")
    assert code == 2 and "plan.lock" in err and len(err.splitlines()) == 1


def test_a_folder_that_leads_out_of_the_run_is_not_written(
    nel: InProcess, done: Path, tmp_path: Path
) -> None:
    shutil.move(done / "sample", tmp_path / "elsewhere")
    (done / "sample").symlink_to(tmp_path / "elsewhere")
    before = content(tmp_path / "elsewhere")
    for words in (("eval", "report", "run"), (*RUN, "--resume")):
        code, _, err = nel(*words)
        assert code == 2 and "symbolic link" in err
    assert content(tmp_path / "elsewhere") == before


def _report(folder: Path) -> int:
    return subprocess.run(
        [*NEL, "eval", "report", "run"], cwd=folder, capture_output=True
    ).returncode


@pytest.mark.slow
def test_three_reports_at_once(done: Path, tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(_report, [tmp_path] * 6) == [0] * 6
    assert not list(done.rglob("*.partial"))


@pytest.mark.slow
def test_copies_of_a_run_in_progress_all_go_on(
    tmp_path: Path, bench: Callable[[int], Path], serve: Callable[..., str]
) -> None:
    """As a backup, or a snapshot of the disk, would have them."""
    file, size = bench(200), 200
    url = serve(latency_ms=60)
    command = [*NEL, "eval", "run", "--bench", str(file), "--model-url", url, "--model-id", "m"]
    command += ["--no-progress", "--max-concurrent", "8", "-o"]
    process = subprocess.Popen([*command, str(tmp_path / "run")], stderr=subprocess.DEVNULL)
    copies = []
    while process.poll() is None:
        copies.append(tmp_path / f"copy{len(copies)}")
        shutil.copytree(tmp_path, copies[-1], ignore=lambda f, names: [
            name for name in names if Path(f) == tmp_path and name != "run"])  # fmt: skip
        time.sleep(0.4)
    assert process.wait() == 0
    for copy in copies[:: max(1, len(copies) // 4)]:
        target = copy / "run"
        before = scan(target / "sums" / "journal.jsonl").answers if target.exists() else 0
        done = subprocess.run([*command, str(target), "--resume"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        again = [e for e in events(target / "sums" / "journal.jsonl") if isinstance(e, Solved)]
        assert len(again) == size and before <= size
