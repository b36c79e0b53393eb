"""A stream says the same however the network cuts it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.traffic.sse import SseParser

STREAM = (
    ': comment\r\n\r\nevent: x\nid: 1\ndata: {"n": 1, "text": "zwölf 🐬"}\n\n'
    'data: {"n": 2,\ndata: "b": [1, 2]}\r\n\r\ndata:{"n": 3}\n\n\ndata: [DONE]\n\n'
).encode()
EVENTS = [{"n": 1, "text": "zwölf 🐬"}, {"n": 2, "b": [1, 2]}, {"n": 3}]


def parse(chunks: list[bytes]) -> tuple[list[dict[str, Any]], bool]:
    parser = SseParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.close(), parser.done


@given(st.sets(st.integers(0, len(STREAM))))
def test_every_chunking_gives_the_same_events(cuts: set[int]) -> None:
    points = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[a:b] for a, b in pairwise(points)]
    assert parse(chunks) == (EVENTS, True)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@given(cuts=st.sets(st.integers(0, len(STREAM))))
def test_every_line_end_gives_the_same_events(end: str, mark: str, cuts: set[int]) -> None:
    text = mark + STREAM.decode().replace("\r\n", "\n").replace("\n", end)
    data = text.encode()
    points = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    assert parse([data[a:b] for a, b in pairwise(points)]) == (EVENTS, True)


@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b'data: "[DONE]"\n\n'])
def test_end_marks_and_nulls_are_no_events(end: bytes) -> None:
    assert parse([b'data: null\n\ndata: {"n": 1}\n\n', end]) == ([{"n": 1}], True)


def test_an_event_called_error_is_an_error() -> None:
    pieces = (
        b'event: error\n\ndata: {"n": 0}\n\n',
        b'event: error\ndata: {"message": "no"}\n\n',
        b'event: x\ndata: {"n": 1}\n\n',
        b'event: error\ndata: {"error": {"message": "no"}}\n\n',
        b'data: {"n": 2}\n\n',
    )
    error = {"error": {"message": "no"}}
    assert parse(list(pieces)) == ([{"n": 0}, error, {"n": 1}, error, {"n": 2}], False)


def test_a_last_event_without_its_empty_line_counts() -> None:
    assert parse([b'data: {"n": 1}\n\ndata: {"n": 2}']) == ([{"n": 1}, {"n": 2}], False)


@pytest.mark.parametrize("data", [b'data: {"n": \n\n', b"data: 12\n\n", b'data: {"n": 1'])
def test_a_torn_event_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse([data])


def test_a_long_event_in_tiny_chunks_is_not_copied_again_and_again() -> None:
    # Quadratic copying would move 125 GB here and run into the time limit of every test.
    line = b'data: {"text": "' + b"x" * 2_000_000 + b'"}\n\n'
    events, _ = parse([line[i : i + 16] for i in range(0, len(line), 16)])
    assert len(events[0]["text"]) == 2_000_000
