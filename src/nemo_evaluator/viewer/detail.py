"""One rollout in full: its row, its steps page by page, its model calls, what judges said.

Each is read where its line begins, so that nothing depends on the size of the run. The steps of a
long trajectory are split without being read; only those of the page are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..files.reading import UNREADABLE
from ..results.call import Call
from ..results.layout import TRAFFIC, TRAJECTORIES
from ..results.result_row import ResultRow, read_rows
from ..results.trajectory_row import decode_trajectory, read_trajectories
from ..results.view import BenchmarkView
from ..steps import Step, steps_from
from ..types import Json
from .index import Table, line_at, row_at
from .search import place_of, places_of

STEPS = 100
"""Steps on a page."""
MOST_CALLS = 200
"""Calls of one rollout that are shown."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Some steps of a rollout, of this many."""

    steps: tuple[Step, ...]
    first: int
    """Number of the first one, from 1."""
    total: int


class _Split(msgspec.Struct):
    steps: list[msgspec.Raw] = []


_splits = msgspec.json.Decoder(_Split)
_calls = msgspec.json.Decoder(Call)


class Rollouts:
    """Reads single rollouts; the trajectory that was read last stays at hand."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[object, Sequence[msgspec.Raw] | tuple[Step, ...]] | None = None

    def row(self, view: BenchmarkView, table: Table, problem: int, repeat: int) -> ResultRow | None:
        """The row of a rollout; None where there is none."""
        if table.progress.listed:
            found = place_of(table, problem, repeat)
            return row_at(*found) if found is not None else None
        rows = (row for row in read_rows(view.folder) if row.key == (problem, repeat))
        return next(rows, None)

    def steps(
        self, view: BenchmarkView, table: Table, problem: int, repeat: int, first: int = 1
    ) -> Steps:
        """A page of its steps. ``first``: the number of the first one."""
        path = view.folder / TRAJECTORIES
        key = (path, table.stamp, problem, repeat)
        with self._lock:
            if self._last is None or self._last[0] != key:
                self._last = (key, self._split(view, table, path, problem, repeat))
            parts = self._last[1]
        first = min(max(1, first), max(1, len(parts)))
        found = parts[first - 1 : first - 1 + STEPS]
        return Steps(tuple(_step(part) for part in found), first, len(parts))

    def _split(
        self, view: BenchmarkView, table: Table, path: Path, problem: int, repeat: int
    ) -> Sequence[msgspec.Raw] | tuple[Step, ...]:
        places = places_of(table, TRAJECTORIES, problem, repeat) if table.progress.listed else []
        if not places and not table.progress.searchable:
            rows = (r for r in read_trajectories(view.folder) if r.key == (problem, repeat))
            row = next(rows, None)
            return row.steps if row is not None else ()
        line = line_at(path, places[-1]) if places else b""
        try:
            if parts := _splits.decode(line).steps:
                return parts
        except UNREADABLE:
            pass
        found = decode_trajectory(line) if line else None
        return found.steps if found is not None else ()

    def calls(
        self, view: BenchmarkView, table: Table, problem: int, repeat: int
    ) -> tuple[list[Call], int]:
        """The model calls of a rollout, all attempts, and how many there are."""
        if not table.progress.searchable:
            found = [call for call in view.calls() if call.key == (problem, repeat)]
            return found[:MOST_CALLS], len(found)
        places = places_of(table, TRAFFIC, problem, repeat)
        path = view.folder / TRAFFIC
        return [*_read_calls(path, places[:MOST_CALLS])], len(places)


def images_of(calls: Sequence[Call], steps: Sequence[Step]) -> list[str]:
    """The images of a question that were recorded, as ``data:`` addresses."""
    found = dict.fromkeys(
        url
        for content in (
            *(message for call in calls for message in call.request_messages),
            *(step.message for step in steps),
        )
        for url in _images(content)
    )
    return list(found)


def _images(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        for name in ("url", "path"):
            url = value.get(name)
            if isinstance(url, str) and url.startswith(SAFE_IMAGES):
                yield url
        for inner in value.values():
            yield from _images(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _images(inner)


SAFE_IMAGES = tuple(f"data:image/{kind};base64," for kind in ("png", "jpeg", "gif", "webp"))


def _read_calls(path: Path, places: Sequence[int]) -> Iterator[Call]:
    for place in places:
        try:
            yield _calls.decode(line_at(path, place))
        except UNREADABLE:
            continue


def _step(part: msgspec.Raw | Step) -> Step:
    if isinstance(part, Step):
        return part
    try:
        return msgspec.json.decode(part, type=Step)
    except UNREADABLE:
        read = steps_from([msgspec.json.decode(part)])
        return read[0]
