"""The journal survives anything: kills, garbage, full disks."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.results.journal import (
    Errored,
    Header,
    JournalReader,
    ProblemSeeded,
    Scored,
    Solved,
    encode,
    events,
    scan,
)
from nemo_evaluator.results.journal_writer import JournalWriter
from nemo_evaluator.types import ErrorInfo, Failure, Outcome, RolloutKey, Score, Solution


def solved(idx: int, repeat: int = 0, attempt: int = 1, text: str = "x") -> Solved:
    return Solved(
        problem_idx=idx, repeat=repeat, attempt=attempt, at=1.0, solution=Solution(response=text)
    )


def scored(idx: int, repeat: int = 0, attempt: int = 1) -> Scored:
    return Scored(
        problem_idx=idx,
        repeat=repeat,
        attempt=attempt,
        at=2.0,
        outcome=Outcome.SCORED,
        score=Score(reward=1.0, correct=True),
    )


def errored(idx: int, repeat: int = 0, attempt: int = 1) -> Errored:
    return Errored(
        problem_idx=idx,
        repeat=repeat,
        attempt=attempt,
        at=2.0,
        outcome=Outcome.INFRA_ERROR,
        error=ErrorInfo(kind=Failure.CONNECTION, message="reset"),
    )


EVENTS = [
    Header(benchmark="b", plan_digest="d", run_id="r"),
    ProblemSeeded(problem_idx=0, digest="p0", prompt="What?"),
    solved(0),
    errored(1),
    scored(0),
    ProblemSeeded(problem_idx=1, digest="p1", prompt="Who? é\u2028"),
    solved(1, attempt=2),
    solved(2),
]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_scan_tells_what_is_open(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.jsonl", b"".join(map(encode, EVENTS)))
    index = scan(path)
    assert index.header is not None and index.header.run_id == "r"
    assert set(index.problems) == {0, 1}
    done, retried, paid = (index.rollouts[RolloutKey(i, 0)] for i in range(3))
    assert done.scored and done.attempts == 1
    assert not retried.scored and retried.attempts == 2 and retried.ended_at == -1
    assert paid.solved_at > 0 and paid.ended_at == -1
    with JournalReader(path) as reader:
        event = reader.at(paid.solved_at)
    assert isinstance(event, Solved) and event.problem_idx == 2


@given(cut=st.integers(min_value=0, max_value=10_000))
def test_any_cut_loses_only_the_torn_line(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    data = b"".join(map(encode, EVENTS))
    cut %= len(data) + 1
    path = write(tmp_path_factory.mktemp("j") / "journal.jsonl", data[:cut])
    whole = data[:cut].count(b"\n")
    assert list(events(path))[:whole] == EVENTS[:whole]
    index = scan(path)
    assert index.good_bytes + index.torn_bytes == cut
    assert not index.bad_lines


@given(garbage=st.binary(max_size=200))
def test_garbage_lines_are_skipped_and_counted(
    tmp_path_factory: pytest.TempPathFactory, garbage: bytes
) -> None:
    line = b"\xff" + garbage.replace(b"\n", b"") + b"\n"
    data = encode(EVENTS[2]) + line + encode(EVENTS[4])
    index = scan(write(tmp_path_factory.mktemp("j") / "journal.jsonl", data))
    assert index.bad_lines == [len(encode(EVENTS[2]))]
    assert index.rollouts[RolloutKey(0, 0)].scored


async def test_writer_sets_a_torn_tail_aside_and_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.jsonl", encode(EVENTS[0]) + b'{"event":"sol')
    writer = JournalWriter(path, scan(path))
    durable = asyncio.Event()
    writer.append(solved(5), then=durable.set)
    await asyncio.wait_for(durable.wait(), 5)
    assert list(events(path)) == [EVENTS[0], solved(5)]
    await writer.close()
    assert (tmp_path / "journal.torn").read_bytes() == b'{"event":"sol\n'


async def test_appending_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter(path, scan(path))
    for idx in range(1000):
        writer.append(solved(idx))
    assert not path.read_bytes()
    await writer.close()
    assert len(list(events(path))) == 1000


async def test_a_full_disk_keeps_every_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = tmp_path / "bench" / "journal.jsonl"
    path.parent.mkdir()
    failures: list[OSError] = []
    writer = JournalWriter(path, scan(path), on_failure=failures.append)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        for idx in range(30):
            writer.append(solved(idx, text="y" * 90))
            await asyncio.sleep(0.005)
        with pytest.raises(ConfigError, match="--resume"):
            await writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failures
    assert scan(path).torn_bytes == 0
    (rescue,) = tmp_path.glob("nel-rescue-*")
    assert list(events(path)) + list(events(rescue)) == [
        solved(idx, text="y" * 90) for idx in range(30)
    ]


async def test_room_made_before_the_end_saves_everything_in_place(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter(path, scan(path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        for idx in range(100):
            writer.append(solved(idx, text="y" * 90))
        await asyncio.sleep(0.1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await writer.close()
    assert list(events(path)) == [solved(idx, text="y" * 90) for idx in range(100)]
