"""The folder that an image is built of: what belongs to it, its digest, and its archive.

What belongs to it is decided as Docker does, by ``.dockerignore``. The digest covers paths, modes,
links and contents, and nothing else: neither times nor owners, so that a fresh checkout of the same
files is the same image.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from ..errors import ConfigError
from .contract import BuildSpec

IGNORE = ".dockerignore"
_CHUNK = 1 << 20


class Ignored:
    """The patterns of a ``.dockerignore``: the last one that matches a path, or a folder above it,
    decides.

    >>> ignored = Ignored(["*.log", "!keep.log", "a/**/b"])
    >>> [ignored(p) for p in ("x.log", "keep.log", "d/x.log", "a/b", "a/1/2/b/c")]
    [True, False, False, True, True]
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._rules: list[tuple[re.Pattern[str], bool]] = []
        for line in lines:
            text = line.strip()
            if not text or line.startswith("#"):
                continue
            keeps = text.startswith("!")
            path = posixpath.normpath(text.removeprefix("!").strip()).lstrip("/")
            if path in (".", ""):
                continue
            try:
                self._rules.append((re.compile(_expression(path), re.DOTALL), keeps))
            except re.error as error:
                raise ConfigError(f"{IGNORE}: {text!r} is no pattern: {error}") from None
        self.may_keep = any(keeps for _, keeps in self._rules)
        """Whether something below an ignored folder may belong to the context all the same."""

    def __call__(self, path: str) -> bool:
        """Whether a path, relative to the context, is left out."""
        parts = path.split("/")
        above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        ignored = False
        for pattern, keeps in self._rules:
            if keeps == ignored and any(map(pattern.fullmatch, above)):
                ignored = not keeps
        return ignored


def _expression(pattern: str) -> str:
    """The regular expression of a pattern in the language of Go's filepath.Match, and ``**``."""
    text, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**/", at):
            text, at = text + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            text, at = text + ".*", at + 2
        elif char == "[" and (end := pattern.find("]", at + 2)) > 0:
            text, at = (
                text + "[" + re.sub(r"([\[&~|])", r"\\\1", pattern[at + 1 : end]) + "]",
                end + 1,
            )
        elif char == "\\" and at + 1 < len(pattern):
            text, at = text + re.escape(pattern[at + 1]), at + 2
        else:
            text += {"*": "[^/]*", "?": "[^/]"}.get(char) or re.escape(char)
            at += 1
    return text


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or link of a context."""

    name: str
    path: Path
    mode: int


@dataclass(frozen=True)
class Context:
    """A folder to build of. ConfigError where it is none, or has no Dockerfile."""

    build: BuildSpec

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise ConfigError(f"the folder to build an image of is not there: {self.folder}")
        name = posixpath.normpath(self.build.dockerfile)
        if name.startswith(("/", "../")) or not (self.folder / name).is_file():
            raise ConfigError(f"{self.folder}: there is no {self.build.dockerfile} to build of")

    @property
    def folder(self) -> Path:
        """The folder of the context."""
        return Path(self.build.context)

    @cached_property
    def dockerfile(self) -> str:
        """What is to be done."""
        return (self.folder / self.build.dockerfile).read_text(errors="surrogateescape")

    @cached_property
    def entries(self) -> list[Entry]:
        """What belongs to the context, by name. The Dockerfile and ``.dockerignore`` always do: who
        builds needs them, and leaves them out of the image where they are ignored. Blocks."""
        return sorted(self._entries_below(""), key=lambda entry: entry.name)

    def digest(self) -> str:
        """What the image is made of; without its base. Blocks."""
        build, found = self.build, hashlib.sha256(b"nel-build-1\0")
        arguments = [f"{key}={value}" for key, value in sorted(build.args.items())]
        for text in (posixpath.normpath(build.dockerfile), build.target or "", *arguments):
            found.update(text.encode() + b"\0")
        for entry in self.entries:
            found.update(f"{entry.mode:o} ".encode() + os.fsencode(entry.name) + b"\0")
            if stat.S_ISLNK(entry.mode):
                found.update(os.fsencode(entry.path.readlink()) + b"\0")
            elif stat.S_ISREG(entry.mode):
                found.update(_file_digest(entry.path))
        return found.hexdigest()[:32]

    def write(self, file: IO[bytes]) -> None:
        """Write it as a tar archive, everything being root's, as Docker does. Blocks."""
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for entry in self.entries:
                member = archive.gettarinfo(entry.path, entry.name)
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                if not member.isreg():
                    archive.addfile(member)
                    continue
                with entry.path.open("rb") as source:
                    archive.addfile(member, source)
            end = archive.offset + 2 * tarfile.BLOCKSIZE
        # The engine stops reading at the end mark, and learns that we have left only after it has
        # read everything: no padding, or a build that is given up goes on.
        file.truncate(end)

    def _entries_below(self, where: str) -> Iterator[Entry]:
        for found in os.scandir(self.folder / where):
            name = posixpath.join(where, found.name)
            mode = found.stat(follow_symlinks=False).st_mode
            folder = stat.S_ISDIR(mode)
            ignored = name not in self._always and self._ignored(name)
            if not ignored and (folder or stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                yield Entry(name, Path(found.path), mode)
            needed = any(always.startswith(f"{name}/") for always in self._always)
            if folder and (not ignored or self._ignored.may_keep or needed):
                yield from self._entries_below(name)

    @cached_property
    def _always(self) -> tuple[str, str]:
        return (posixpath.normpath(self.build.dockerfile), IGNORE)

    @cached_property
    def _ignored(self) -> Ignored:
        try:
            text = (self.folder / IGNORE).read_text(encoding="utf-8-sig", errors="replace")
        except FileNotFoundError:
            text = ""
        return Ignored(text.splitlines())


def _file_digest(path: Path) -> bytes:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.digest()
