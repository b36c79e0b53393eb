"""A shard's files arrive at the driver as they change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nemo_evaluator.executors.ray import files
from nemo_evaluator.executors.ray.files import Change, Sender, apply, content, requests


def arrive(sender: Sender, copy: Path) -> list[Change]:
    changes = list(sender.changes())
    for change in changes:
        apply(copy, change)
    return changes


def tree(top: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()
    }


def test_what_grew_is_sent_from_where_it_ended(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    journal = here / "sums" / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"one\n")
    sender = Sender(here)
    arrive(sender, there)
    with journal.open("ab") as file:
        file.write(b"two\n")
    assert arrive(sender, there) == [Change("sums/journal.jsonl", 4, b"two\n")]
    assert arrive(sender, there) == []
    assert tree(there) == tree(here)


def test_what_was_replaced_or_cut_is_sent_as_a_whole(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "progress.json").write_bytes(b"a long first text")
    (here / "journal.jsonl").write_bytes(b"whole\ntorn")
    sender = Sender(here)
    arrive(sender, there)
    (here / "new").write_bytes(b"longer than the first one was")
    (here / "new").replace(here / "progress.json")
    os.truncate(here / "journal.jsonl", 6)
    arrive(sender, there)
    assert tree(there) == tree(here)


def test_what_was_cut_and_grew_again_is_sent_as_a_whole(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "journal.jsonl").write_bytes(b"whole\ntorn")
    sender = Sender(here)
    sender.known()
    apply(there, Change("journal.jsonl", 0, b"whole\ntorn"))
    os.truncate(here / "journal.jsonl", 6)
    with (here / "journal.jsonl").open("ab") as file:
        file.write(b"a longer line\n")
    arrive(sender, there)
    assert tree(there) == tree(here)


def test_locks_and_requests_stay_where_they_are(tmp_path: Path) -> None:
    names = (".lock", ".lock.1", ".stop", ".reserve", ".ctl-1.json", "kept")
    for name in names:
        (tmp_path / name).write_text("x")
    assert [change.name for change in content(tmp_path)] == ["kept"]
    assert {change.name for change in Sender(tmp_path).changes()} == {".lock", "kept"}
    assert {change.name for change in requests(tmp_path)} == {".stop", ".ctl-1.json"}
    assert list(requests(tmp_path)) == []


def test_an_empty_file_arrives(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "empty").touch()
    arrive(Sender(tmp_path / "here"), tmp_path / "there")
    assert tree(tmp_path / "there") == {"empty": b""}


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b"])
def test_no_change_leads_out_of_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no file of a shard"):
        apply(tmp_path, Change(name, 0, b"x"))


writes = st.lists(
    st.tuples(
        st.sampled_from(["a", "sub/b", "sub/c"]),
        st.sampled_from(["append", "replace", "cut", "send"]),
        st.binary(max_size=30),
    ),
    max_size=30,
)


@pytest.fixture(autouse=True)
def small_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "AT_ONCE", 7)


@given(writes)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_any_writes_the_copy_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, str, bytes]]
) -> None:
    top = tmp_path_factory.mktemp("copies")
    here, there = top / "here", top / "there"
    here.mkdir()
    sender = Sender(here)
    for name, how, data in writes:
        path = here / name
        path.parent.mkdir(exist_ok=True)
        match how:
            case "append":
                with path.open("ab") as file:
                    file.write(data)
            case "replace":
                (top / "new").write_bytes(data)
                (top / "new").replace(path)
            case "cut" if path.exists():
                os.truncate(path, path.stat().st_size // 2)
            case _:
                arrive(sender, there)
    arrive(sender, there)
    assert tree(there) == tree(here)
