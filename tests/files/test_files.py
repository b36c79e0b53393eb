"""Files are read with bounds, replaced as a whole, and appended to line by line."""

from __future__ import annotations

import io
import multiprocessing
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.files import reading
from nemo_evaluator.files.lines import LineFile
from nemo_evaluator.files.reading import lines_of, read_document, read_json, read_lines
from nemo_evaluator.files.writing import (
    make_folder,
    remove_abandoned,
    replace_file,
    replacing,
)


@given(st.binary(max_size=300), st.integers(1, 40), st.integers(1, 60))
def test_lines_of_any_length_are_read_once(data: bytes, piece: int, limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "PIECE", piece)
        found = list(read_lines(io.BytesIO(data), limit))
    starts = [0, *(place + 1 for place, byte in enumerate(data) if byte == 10)]
    ends = [*starts[1:], len(data)]
    most = max(piece, limit)
    assert found == [
        (start, data[start:end][:most] if end - start > piece else data[start:end])
        for start, end in zip(starts, ends, strict=True)
        if start < end
    ]


@pytest.mark.parametrize("kind", ["FIFO", "directory", "device", "socket"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    with pytest.raises(ConfigError, match=f"x: (is a {kind}|cannot be read)"):
        read_document(path)
    with pytest.raises((ConfigError, OSError)):
        LineFile(path)


@pytest.mark.parametrize(
    "data",
    [b"", bytes(99), b"{", b"\xff", b"[" * 99_999, b"[1]", b'{"a":' * 99_999],
    ids=["empty", "zeros", "cut", "utf-8", "deep", "shape", "deep objects"],
)
def test_a_document_that_cannot_be_read_is_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        read_json(path, dict)
    assert str(path) in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_a_document_has_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"[1, 2, 3]")
    with pytest.raises(ConfigError, match="is larger than"):
        read_document(path, limit=5)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(ConfigError, match="symbolic links"):
        read_document(path)
    with pytest.raises(ConfigError, match="symbolic links"):
        list(lines_of(path))
    assert not list(lines_of(tmp_path / "none"))


def test_a_failed_replacement_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x"
    replace_file(path, b"old")
    with pytest.raises(RuntimeError), replacing(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_replacement_never_writes_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "x").symlink_to(tmp_path / "precious")
    replace_file(tmp_path / "x", b"new")
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert (tmp_path / "x").read_bytes() == b"new"


def test_nothing_is_renamed_before_it_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power failure leaves is the old document or the new one, never an empty one."""
    done: list[str] = []
    sync, rename = os.fsync, Path.replace

    def fsync(fd: int) -> None:
        done.append("sync " + Path(os.readlink(f"/proc/self/fd/{fd}")).name.split(".")[-1])
        sync(fd)

    def replace(self: Path, target: Path) -> Path:
        done.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    make_folder(tmp_path / "run" / "bench")
    replace_file(tmp_path / "run" / "plan.lock", b"{}", durable=True)
    above = "sync " + tmp_path.name.split(".")[-1]
    assert done == [above, "sync run", "sync partial", "rename", "sync run"]


def _replace_often(path: Path, number: int) -> None:
    for _ in range(50):
        replace_file(path, str(number).encode() * 1000)


def test_many_may_replace_one_file_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    path = tmp_path / "x"
    workers = [context.Process(target=_replace_often, args=(path, n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(set(path.read_bytes())) == 1 and list(tmp_path.iterdir()) == [path]


def test_only_partial_files_of_the_past_are_removed(tmp_path: Path) -> None:
    old, new = tmp_path / ".x.1.partial", tmp_path / ".x.2.partial"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == [new]


def test_lines_are_appended_after_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"whole\ntorn")
    with LineFile(path) as file:
        assert file.append(b"next\n") == len(b"whole\ntorn\n")
    assert path.read_bytes() == b"whole\ntorn\nnext\n"
    with LineFile(path, end=6) as file:
        file.append(b"last\n")
    assert path.read_bytes() == b"whole\nlast\n"
    assert path.with_suffix(".torn").read_bytes() == b"torn\nnext\n\n"


def test_a_tail_of_zeros_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"whole\n")
    os.truncate(path, 1 << 26)
    with LineFile(path, end=6) as file:
        file.append(b"next\n")
    assert path.read_bytes() == b"whole\nnext\n"
    assert path.with_suffix(".torn").stat().st_size == 1


def test_nothing_is_appended_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious\n")
    (tmp_path / "x").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        LineFile(tmp_path / "x")
    with LineFile(tmp_path / "x", follow_links=True) as file:
        file.append(b"asked for\n")
