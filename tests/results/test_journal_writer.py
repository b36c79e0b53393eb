"""The writer keeps every event, whatever the disk and other programs do."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from journals import plan

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.files.lines import LineFile
from nemo_evaluator.files.writing import write_afresh
from nemo_evaluator.results import journal_writer
from nemo_evaluator.results.journal import Event, Solved, encode, events, header_of, scan
from nemo_evaluator.results.journal_writer import JournalWriter
from nemo_evaluator.results.lock import directory_lock
from nemo_evaluator.results.rescue_files import rescue_files, take_in_rescued
from nemo_evaluator.types import Solution

PLAN = plan(1000, slug="bench")
HEADER = header_of(PLAN, "run")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(journal_writer, "PATIENCE_SECONDS", 0.3)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs to mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def solved(idx: int, text: str = "y" * 90) -> Solved:
    return Solved(problem_idx=idx, repeat=0, attempt=1, at=1.0, solution=Solution(response=text))


def open_journal(place: Path) -> tuple[JournalWriter, list[OSError]]:
    path = place / "bench" / "journal.jsonl"
    path.parent.mkdir(exist_ok=True)
    failures: list[OSError] = []
    return JournalWriter(path, scan(path), header=HEADER, on_failure=failures.append), failures


def answers(path: Path) -> list[Event]:
    return [event for event in events(path) if isinstance(event, Solved)]


async def test_a_torn_tail_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(encode(HEADER) + b'{"event":"sol')
    writer = JournalWriter(path, scan(path), header=HEADER)
    durable = asyncio.Event()
    writer.append(solved(5), then=durable.set)
    await asyncio.wait_for(durable.wait(), 5)
    assert list(events(path)) == [HEADER, solved(5)]
    assert await writer.close() is None
    assert (tmp_path / "journal.torn").read_bytes() == b'{"event":"sol\n'


async def test_a_whole_last_line_without_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes((encode(HEADER) + encode(solved(4))).rstrip())
    writer = JournalWriter(path, scan(path), header=HEADER)
    writer.append(solved(5))
    assert await writer.close() is None
    assert list(events(path)) == [HEADER, solved(4), solved(5)]


async def test_appending_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter(path, scan(path))
    for idx in range(1000):
        writer.append(solved(idx))
    assert not path.read_bytes()
    await writer.close()
    assert len(list(events(path))) == 1000


async def test_a_full_disk_takes_what_is_on_its_way_from_the_reserve(small_disk: Path) -> None:
    writer, failures = open_journal(small_disk)
    (small_disk / "filler").write_bytes(bytes(1 << 12))
    with (small_disk / "filler").open("ab", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(1 << 12))
    for idx in range(60):
        writer.append(solved(idx))
        await asyncio.sleep(0.002)
    error = await writer.close()
    assert [failure.strerror for failure in failures] == ["No space left on device"]
    assert error is not None and "every answer so far is in the journal" in str(error)
    assert answers(writer.path) == [solved(idx) for idx in range(60)]


async def test_a_full_disk_leaves_the_rest_in_a_rescue_file_that_is_named_and_taken_in(
    small_disk: Path,
) -> None:
    writer, failures = open_journal(small_disk)
    for idx in range(40):
        writer.append(solved(idx, "y" * 9000))
        await asyncio.sleep(0.002)
    error = await writer.close()
    assert len(failures) == 1 and error is not None
    folder = small_disk / "bench"
    (rescue,) = rescue_files(folder, "run")
    assert str(rescue) in str(error) and "--resume" in str(error)
    kept, rescued = answers(writer.path), answers(rescue)
    assert kept + rescued == [solved(idx, "y" * 9000) for idx in range(40)]
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    (said,) = take_in_rescued(folder, PLAN, "run")
    assert f"{len(rescued)} answers" in said and not rescue.exists()
    assert answers(writer.path) == [solved(idx, "y" * 9000) for idx in range(40)]


async def test_a_file_that_may_not_grow_is_rescued_beside_the_journal(tmp_path: Path) -> None:
    with largest_file(4000):
        writer, failures = open_journal(tmp_path)
        for idx in range(30):
            writer.append(solved(idx))
            await asyncio.sleep(0.002)
        error = await writer.close()
    assert failures and error is not None and "cannot write: File too large" in str(error)
    assert scan(writer.path).torn_bytes == 0
    (rescue,) = (tmp_path / "bench").glob("nel-rescue-*")
    assert answers(writer.path) + answers(rescue) == [solved(idx) for idx in range(30)]


async def test_room_made_before_the_end_saves_everything_in_place(tmp_path: Path) -> None:
    with largest_file(2000):
        writer, failures = open_journal(tmp_path)
        for idx in range(100):
            writer.append(solved(idx))
        await asyncio.sleep(0.1)
    error = await writer.close()
    assert failures and error is not None and "every answer so far" in str(error)
    assert answers(writer.path) == [solved(idx) for idx in range(100)]


async def test_a_deleted_journal_is_noticed_and_written_again(tmp_path: Path) -> None:
    writer, failures = open_journal(tmp_path)
    writer.append(solved(0))
    await asyncio.sleep(0.4)
    shutil.rmtree(tmp_path / "bench")
    writer.append(solved(1))
    await asyncio.sleep(0.4)
    assert [failure.strerror for failure in failures] == ["was deleted or replaced during the run"]
    writer.append(solved(2))
    assert await writer.close() is not None
    assert list(events(writer.path)) == [HEADER, solved(0), solved(1), solved(2)]


async def test_a_replaced_journal_is_not_written_over(tmp_path: Path) -> None:
    writer, failures = open_journal(tmp_path)
    writer.append(solved(0))
    await asyncio.sleep(0.4)
    writer.path.unlink()
    writer.path.write_bytes(encode(HEADER) + encode(solved(7)))
    writer.append(solved(1))
    error = await writer.close()
    assert failures and "all answers are in" in str(error)
    assert answers(writer.path) == [solved(7)]
    list(take_in_rescued(tmp_path / "bench", PLAN, "run"))
    assert answers(writer.path) == [solved(7), solved(0), solved(1)]


async def test_a_journal_cut_by_another_program_is_noticed(tmp_path: Path) -> None:
    writer, failures = open_journal(tmp_path)
    writer.append(solved(0))
    await asyncio.sleep(0.4)
    with writer.path.open("r+b") as file:
        file.truncate(10)
    writer.append(solved(1))
    assert await writer.close() is not None
    assert "changed by another program" in str(failures[0].strerror)


def test_a_rescue_file_of_another_run_is_not_taken_in(tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    folder.mkdir()
    other = header_of(PLAN, "other")
    path = folder / "nel-rescue-run-bench-x.jsonl"
    path.write_bytes(encode(other) + encode(solved(1)))
    assert not list(take_in_rescued(folder, PLAN, "run")) and path.exists()
    linked = folder / "nel-rescue-run-bench-y.jsonl"
    linked.symlink_to(path)
    assert path in rescue_files(folder, "run") and linked not in rescue_files(folder, "run")


async def test_a_journal_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / "journal.jsonl").symlink_to(tmp_path / "elsewhere")
    path = tmp_path / "journal.jsonl"
    with pytest.raises(ConfigError, match="Too many levels of symbolic links"):
        JournalWriter(path, scan(path))


async def test_a_directory_that_is_lost_gets_not_one_line_more(tmp_path: Path) -> None:
    path, told = tmp_path / "journal.jsonl", asyncio.Event()
    failures: list[OSError] = []
    with directory_lock(tmp_path) as lock:
        writer = JournalWriter(
            path, scan(path), header=HEADER, on_failure=failures.append, hold=lock
        )
        writer.append(solved(1), then=told.set)
        await asyncio.wait_for(told.wait(), 5)
        before = path.read_bytes()
        other = (tmp_path / ".lock").read_bytes().replace(b"token=1", b"token=2")
        (tmp_path / ".lock").write_bytes(other)
        told.clear()
        writer.append(solved(2), then=told.set)
        error = await writer.close()
    assert path.read_bytes() == before and not told.is_set()
    assert error is not None and "was taken over by pid" in str(error)
    assert [failure.strerror for failure in failures] == ["was taken over by another process"]
    assert not list(tmp_path.rglob("nel-rescue*"))
    assert (tmp_path / ".lock").read_bytes() == other


def test_an_owner_that_goes_on_writes_into_a_file_that_nobody_reads_any_more(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.jsonl"
    with LineFile(path) as old:
        old.append(b"1\n")
        write_afresh(path)
        old.append(b"2\n")
        assert path.read_bytes() == b"1\n" and old.moved
    write_afresh(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
