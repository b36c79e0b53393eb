"""Files in and out of a sandbox, by trusted commands run inside it.

Paths are resolved inside the sandbox, never on the host, so that a link planted there leads
nowhere but there. What comes out is taken as hostile: only regular files and folders are written,
below the folder named, up to a size.
"""

from __future__ import annotations

import asyncio
import io
import posixpath
import shlex
import tarfile
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from ..errors import ConfigError
from .contract import MAX_TRANSFER, SandboxLost, SandboxSpec

_SECONDS = 120.0
_NO_FILE = 66
_BLOCK = 512
"""Bytes of a header in a tar archive."""


class Output(NamedTuple):
    """The raw result of a trusted command."""

    code: int
    data: bytes
    truncated: bool
    error: str


class Trusted(Protocol):
    """Runs one of our own commands inside a sandbox."""

    def __call__(  # noqa: D102
        self, argv: list[str], *, timeout: float, stdin: bytes | None, limit: int
    ) -> Awaitable[Output]: ...


async def upload(run: Trusted, path: str, data: bytes) -> None:
    """Write one file. ValueError if it is too large."""
    _bounded(len(data), MAX_TRANSFER, path)
    script = 'mkdir -p -- "$(dirname -- "$1")" && exec cat > "$1"'
    await _done(run, script, path, stdin=data)


async def download(run: Trusted, path: str, max_bytes: int) -> bytes:
    """Read one regular file. FileNotFoundError, or ValueError if it is too large."""
    script = f'[ -f "$1" ] || exit {_NO_FILE}; exec head -c {max_bytes + 1} -- "$1"'
    got = await _done(run, script, path, limit=max_bytes + 1)
    _bounded(len(got.data), max_bytes, path)
    return got.data


async def upload_folder(run: Trusted, path: str, folder: Path) -> None:
    """Copy a folder of the host, links as links."""
    archive = await asyncio.to_thread(_packed_folder, folder)
    await _done(run, 'mkdir -p -- "$1" && exec tar -x -C "$1" -f -', path, stdin=archive)


async def download_folder(run: Trusted, path: str, folder: Path, max_bytes: int) -> None:
    """Copy a folder to the host. FileNotFoundError, or ValueError if it is too large."""
    # A tar archive pads every member to blocks: room for that, and no more.
    archive = await save(run, path, 2 * max_bytes + (1 << 20))
    await asyncio.to_thread(unpack, archive, folder, max_bytes, path)


async def save(run: Trusted, path: str, max_bytes: int) -> bytes:
    """What is in a folder as a tar archive: links, modes and all. FileNotFoundError, or ValueError
    if it is too large."""
    script = f'[ -d "$1" ] || exit {_NO_FILE}; exec tar -c -C "$1" -f - .'
    got = await _done(run, script, path, limit=max_bytes)
    if got.truncated:
        _bounded(max_bytes + 1, max_bytes, path)
    # The folder itself comes first; where the archive goes it may be of somebody else.
    return got.data[_BLOCK:] if got.data[:100].rstrip(b"\0") == b"./" else got.data


async def restore(run: Trusted, path: str, archive: bytes) -> None:
    """Unpack such an archive, by the hand of who runs commands there."""
    script = 'mkdir -p -- "$1" && exec tar -x --no-same-owner -C "$1" -f -'
    await _done(run, script, path, stdin=archive)


async def content(data: bytes | Path) -> bytes:
    """The bytes of an upload. ValueError for a file that is too large."""
    if isinstance(data, bytes):
        return data
    return await asyncio.to_thread(_read, data)


def _read(path: Path) -> bytes:
    _bounded(path.stat().st_size, MAX_TRANSFER, str(path))
    return path.read_bytes()


def pack(files: Mapping[str, bytes], *, shared: Sequence[str] = ()) -> bytes:
    """A tar archive of files by their relative paths, and of folders that all may write."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in shared:
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(member)
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def rooted(spec: SandboxSpec) -> dict[str, bytes]:
    """The spec's files by absolute path. ConfigError for one outside cwd and /tmp."""
    placed = {}
    for name, data in spec.files.items():
        path = posixpath.normpath(posixpath.join(spec.cwd, name))
        if not path.startswith((spec.cwd.rstrip("/") + "/", "/tmp/")):
            raise ConfigError(
                f"file {name!r} of a sandbox lies outside {spec.cwd} and /tmp",
                hint="give a path relative to the working directory",
            )
        placed[path] = data
    _bounded(sum(map(len, placed.values())), MAX_TRANSFER, "the files of a sandbox")
    return placed


async def _done(
    run: Trusted, script: str, path: str, *, stdin: bytes | None = None, limit: int = 1 << 16
) -> Output:
    argv = ["sh", "-c", script, "sh", path if path.startswith("/") else f"./{path}"]
    got = await run(argv, timeout=_SECONDS, stdin=stdin, limit=limit)
    if got.code == _NO_FILE:
        raise FileNotFoundError(f"{path}: nothing of that kind in the sandbox")
    if got.code != 0:
        raise SandboxLost(f"{shlex.quote(path)}: the transfer failed: {got.error.strip()[:300]}")
    return got


def _bounded(size: int, limit: int, what: str) -> None:
    if size > limit:
        raise ValueError(f"{what}: more than {limit} bytes")


def _packed_folder(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry in sorted(folder.iterdir()):
            archive.add(entry, entry.name)
            _bounded(buffer.tell(), MAX_TRANSFER, str(folder))
    return buffer.getvalue()


def _stays_below(name: str) -> bool:
    return not name.startswith("/") and ".." not in name.split("/")


def unpack(data: bytes, folder: Path, max_bytes: int, path: str) -> None:
    """Write the regular files and folders of an archive from a sandbox below a folder. ValueError
    for one that is too large, SandboxLost for what is none. Blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            # Python has this second check from 3.11.4 on.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            # A sparse member may claim terabytes with few bytes of archive.
            members = [
                m
                for m in archive
                if (m.isdir() or (m.isreg() and not m.issparse())) and _stays_below(m.name)
            ]
            _bounded(sum(m.size for m in members), max_bytes, path)
            for member in members:
                member.mode = 0o755 if member.isdir() else 0o644
                archive.extract(member, folder, set_attrs=False)
    except tarfile.TarError as error:
        raise SandboxLost(f"{path}: unreadable archive from the sandbox: {error}") from None
