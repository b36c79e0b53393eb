"""The journal survives anything: kills, garbage, full disks."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from journals import plan

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.results.journal import (
    Errored,
    Event,
    Header,
    JournalIndex,
    ProblemSeeded,
    Scored,
    Solved,
    encode,
    events,
    scan,
)
from nemo_evaluator.results.journal_reader import JournalReader
from nemo_evaluator.results.sealed import sealed
from nemo_evaluator.types import (
    ErrorInfo,
    Failure,
    Outcome,
    RolloutKey,
    Score,
    Solution,
)

PLAN = plan(3, repeats=2)


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
    Header(format=2, benchmark="b", plan_digest="d", run_id="r"),
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


def test_any_cut_loses_only_the_torn_line(tmp_path: Path) -> None:
    lines = [encode(event) for event in EVENTS]
    data = b"".join(lines)
    ends = [sum(map(len, lines[: n + 1])) - 1 for n in range(len(lines))]  # without the newline
    for cut in range(len(data) + 1):
        path = write(tmp_path / "journal.jsonl", data[:cut])
        whole = sum(end <= cut for end in ends)
        assert list(events(path)) == EVENTS[:whole]
        index = scan(path)
        assert index.good_bytes + index.torn_bytes == cut
        assert not index.damaged


def test_any_changed_byte_is_noticed_and_costs_only_its_line(tmp_path: Path) -> None:
    lines = [encode(event) for event in EVENTS]
    data, path = b"".join(lines), tmp_path / "journal.jsonl"
    begin = 0
    for number, line in enumerate(lines):
        rest = [event for event in EVENTS if event is not EVENTS[number]]
        if number == EVENTS.index(solved(0)):
            rest.remove(scored(0))  # the verdict on an answer that is lost
        for position in range(begin, begin + len(line)):
            damaged = bytearray(data)
            damaged[position] ^= 1 << position % 8
            only_the_end = position == begin + len(line) - 1
            found = list(events(write(path, bytes(damaged))))
            assert found == (EVENTS if only_the_end else rest), position
            index = scan(path)
            assert index.damaged or index.torn_bytes, position
        begin += len(line)


@given(garbage=st.binary(max_size=200))
def test_garbage_lines_are_skipped_and_counted(
    tmp_path_factory: pytest.TempPathFactory, garbage: bytes
) -> None:
    line = b"\xff" + garbage.replace(b"\n", b"") + b"\n"
    data = encode(EVENTS[2]) + line + encode(EVENTS[4])
    index = scan(write(tmp_path_factory.mktemp("j") / "journal.jsonl", data))
    assert [damage.offset for damage in index.damage] == [len(encode(EVENTS[2]))]
    assert index.rollouts[RolloutKey(0, 0)].scored


def lines_of(*events: Event) -> bytes:
    return b"".join(map(encode, events))


@pytest.mark.parametrize(
    "between",
    [
        pytest.param(b"", id="lost line end"),
        pytest.param(bytes(4096), id="block of zeros"),
        pytest.param(bytes(50) + b"\n" + bytes(50), id="zeros over a line end"),
        pytest.param(encode(solved(7))[:40], id="torn line"),
        pytest.param(encode(solved(7))[40:].rstrip(), id="end of a line"),
        pytest.param(b'{"event":"' * 50, id="many beginnings"),
        pytest.param(b',"crc":"00000000"}' * 50, id="many ends"),
    ],
)
def test_what_is_whole_on_a_damaged_line_is_used(tmp_path: Path, between: bytes) -> None:
    data = lines_of(*EVENTS[:3]).rstrip() + between + lines_of(*EVENTS[3:])
    path = write(tmp_path / "journal.jsonl", data)
    assert list(events(path)) == EVENTS
    index = scan(path)
    assert bool(index.damaged) == bool(between)
    with JournalReader(path) as reader:
        assert reader.at(index.rollouts[RolloutKey(0, 0)].solved_at) == solved(0)
        assert reader.at(index.rollouts[RolloutKey(0, 0)].ended_at) == scored(0)


def test_text_of_a_model_that_looks_like_a_journal_is_only_text(tmp_path: Path) -> None:
    inside = encode(scored(9)).decode()
    path = write(tmp_path / "journal.jsonl", lines_of(solved(0, text=inside), scored(0)))
    assert list(events(path)) == [solved(0, text=inside), scored(0)]


def without_checksums(*events: Event) -> bytes:
    return b"".join(msgspec.json.encode(event) + b"\n" for event in events)


def test_a_journal_of_the_first_format_is_read(tmp_path: Path) -> None:
    old = [Header(benchmark="b", plan_digest="d", run_id="r"), *EVENTS[1:]]
    path = write(tmp_path / "journal.jsonl", without_checksums(*old))
    assert list(events(path)) == old
    # What a newer version appends has checksums, and from there on everything has.
    newer = [Header(format=2, benchmark="b", plan_digest="d", run_id="r"), solved(5)]
    path.write_bytes(path.read_bytes() + lines_of(*newer) + without_checksums(solved(6)))
    assert list(events(path)) == [*old, *newer]
    assert scan(path).damaged == 1


BEGIN = b'{"event":"solved","problem_idx":3,"repeat":0,"attempt":1,"at":1,"solution":'
DEEP = BEGIN + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"event":"solved","problem_idx":3,"repeat":0,"attempt":1}', id="fields"),
        pytest.param(b'{"event":"solved","problem_idx":"3"}', id="type"),
        pytest.param(b'{"event":"scored","problem_idx":3,"repeat":-1,"attempt":1}', id="range"),
        pytest.param(b'{"event":"poem","problem_idx":3}', id="kind"),
        pytest.param(b'["event"]', id="list"),
        pytest.param(b'{"event":"problem","problem_idx":3,"digest":"\xff"}', id="utf-8"),
        pytest.param(DEEP, id="deep"),
        pytest.param(b"", id="nothing"),
    ],
)
@pytest.mark.parametrize("seal", [True, False])
def test_lines_of_the_wrong_shape_are_left_out(tmp_path: Path, line: bytes, seal: bool) -> None:
    header = Header(format=2 if seal else 1, benchmark="b", plan_digest="d", run_id="r")
    if seal and line:
        data = lines_of(header) + sealed(line) + lines_of(solved(4))
    else:
        data = without_checksums(header) + line + b"\n" + without_checksums(solved(4))
    path = write(tmp_path / "journal.jsonl", data)
    assert list(events(path)) == [header, solved(4)]
    assert scan(path).damaged == bool(line)


def test_nothing_outside_the_plan_counts(tmp_path: Path) -> None:
    other = Header(benchmark="b", plan_digest="other", run_id="other")
    own = [EVENTS[0], solved(0), scored(0)]
    foreign = [solved(3), scored(3), solved(1, repeat=2), other, solved(1), scored(1)]
    path = write(tmp_path / "journal.jsonl", lines_of(*own, *foreign, EVENTS[0], solved(2)))
    index = scan(path, PLAN)
    assert set(index.rollouts) == {RolloutKey(0, 0), RolloutKey(2, 0)}
    assert index.damaged == 2 + 1 + 3
    assert {damage.reason for damage in index.damage} == {
        "belongs to problem 3, which is not in the plan",
        "belongs to repeat 2, which is not in the plan",
        "belongs to another run (other)",
    }
    assert list(events(path, PLAN)) == [*own, EVENTS[0], solved(2)]


@pytest.mark.parametrize("kind", ["empty", "fifo", "directory", "device"])
def test_a_path_that_holds_no_lines(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "journal.jsonl"
    if kind == "empty":
        path.touch()
        assert scan(path) == JournalIndex()
        JournalReader(path).close()
        return
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match=f"is a {kind}".replace("fifo", "FIFO")):
        scan(path)


ATTEMPTS = st.tuples(
    st.integers(0, 3), st.integers(0, 2), st.sampled_from(["problem", "solve", "score", "error"])
)


def reference(sequence: list[Event]) -> dict[RolloutKey, tuple[int, Event | None, Event | None]]:
    """Attempts, the answer that counts and the end of each rollout of the plan."""
    found: dict[RolloutKey, tuple[int, Event | None, Event | None]] = {}
    for event in sequence:
        if not isinstance(event, Solved | Scored | Errored):
            continue
        if event.problem_idx >= 3 or event.repeat >= 2:
            continue
        key = RolloutKey(event.problem_idx, event.repeat)
        attempts, answer, end = found.get(key, (0, None, None))
        if event.attempt > attempts:
            attempts, answer, end = event.attempt, None, None
        if event.attempt == attempts:
            if isinstance(event, Solved):
                answer = event
            elif isinstance(event, Errored) or (answer and not isinstance(end, Scored)):
                end = event
        found[key] = attempts, answer, end
    return found


@example([((0, 0, "solve"), 1)] * 2 + [((0, 0, "error"), 1)] * 2 + [((0, 0, "solve"), 2)])
@given(st.lists(st.tuples(ATTEMPTS, st.integers(1, 3)), max_size=8))
@settings(max_examples=20)
def test_any_history_cut_at_any_byte(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[tuple[int, int, str], int]]
) -> None:
    make = {"solve": solved, "score": scored, "error": errored}
    history: list[Event] = [Header(benchmark="b", plan_digest="d", run_id="r")]
    for number, ((idx, repeat, kind), attempt) in enumerate(steps):
        if kind == "problem":
            history.append(ProblemSeeded(problem_idx=idx, digest="p", prompt=f"Is it {number}?"))
        else:
            history.append(make[kind](idx, repeat, attempt))
    lines = [encode(event) for event in history]
    data = b"".join(lines)
    path = tmp_path_factory.mktemp("j") / "journal.jsonl"
    for cut in range(0, len(data) + 1, 11):
        index = scan(write(path, data[:cut]), PLAN)
        whole = sum(sum(map(len, lines[: n + 1])) <= cut + 1 for n in range(len(lines)))
        expected = reference(history[:whole])
        assert set(index.rollouts) == set(expected)
        with JournalReader(path) as reader:
            for key, (attempts, answer, end) in expected.items():
                state = index.rollouts[key]
                assert state.attempts == attempts
                assert (reader.at(state.solved_at) if state.solved_at >= 0 else None) == answer
                assert (reader.at(state.ended_at) if state.ended_at >= 0 else None) == end
                assert state.scored == isinstance(end, Scored)
            found = [reader.at(offset) for offset in sorted(index.superseded)]
        used = [e for e in events(path, PLAN) if isinstance(e, Solved | Errored)]
        last = {key: attempts for key, (attempts, _, _) in expected.items()}
        assert found == [e for e in used if e.attempt < last[RolloutKey(e.problem_idx, e.repeat)]]
