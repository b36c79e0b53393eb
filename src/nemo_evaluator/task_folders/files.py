"""The files of a task folder: nothing of them lies outside, and a digest tells versions apart."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import ConfigError
from ..files.reading import read_document

SKIPPED = {".git", "__pycache__", ".DS_Store"}
"""Names that say nothing about a task, and change without it."""
TEXT_BYTES = 4 << 20
_CHUNK = 1 << 20


def read_text(path: Path) -> str:
    """A text file of a task. Raises ConfigError."""
    try:
        return read_document(path, TEXT_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError("there is no such file", where=str(path)) from None
    except UnicodeDecodeError:
        raise ConfigError("is no UTF-8 text", where=str(path)) from None


def check_links(folder: Path) -> None:
    """Raise ConfigError for a link that leads out of a task: it would bring a file of this machine
    into the task's container."""
    root = folder.resolve()
    for path in walk(folder):
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise ConfigError(
                f"is a link that leads out of the task: {path.readlink()}",
                where=str(path),
                hint="put the file itself there",
            )


def task_digest(folder: Path) -> str:
    """A digest over paths, run bits, links and contents of a task. Blocks."""
    found = hashlib.sha256(b"nel-task-1\0")
    for path in sorted(walk(folder), key=lambda path: path.relative_to(folder).as_posix()):
        mode = path.lstat().st_mode
        name = path.relative_to(folder).as_posix()
        if stat.S_ISLNK(mode):
            found.update(f"link {name}\0{path.readlink()}\0".encode(errors="surrogateescape"))
        elif stat.S_ISREG(mode):
            kind = "run" if mode & 0o100 else "file"
            found.update(f"{kind} {name}\0".encode(errors="surrogateescape"))
            found.update(_content_digest(path))
    return found.hexdigest()[:16]


def walk(folder: Path) -> Iterator[Path]:
    """Every file and link below a folder; links are not followed."""
    for where, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(where, name)
            if name not in SKIPPED and (name in names or path.is_symlink()):
                yield path
        folders[:] = [name for name in folders if name not in SKIPPED]


def _content_digest(path: Path) -> bytes:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.digest()


def packed(sources: Sequence[Path]) -> bytes:
    """A tar archive of the contents of folders, and of files by their names; what comes later
    replaces what has the same name. Everything is root's, and scripts can be run. Blocks."""
    members = {
        name: path
        for source in sources
        for name, path in (_entries_below(source) if source.is_dir() else [(source.name, source)])
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in members.items():
            member = archive.gettarinfo(path, name)
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            if member.isreg():
                member.mode |= 0o555 if path.suffix == ".sh" else 0o444
                with path.open("rb") as file:
                    archive.addfile(member, file)
            elif member.isdir() or member.issym():
                archive.addfile(member)
    return buffer.getvalue()


def _entries_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Everything in a folder, folders before what is in them."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not SKIPPED.intersection(parts):
            yield "/".join(parts), path
