"""A log as its head and its samples, whatever form it has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from ...errors import ConfigError
from ...files.reading import UNREADABLE, first_line, open_regular
from ...types import Json
from .archive import Archive
from .records import Head, Log, Sample

MAGIC = b"PK\x03\x04"
ATTACHED = "attachment://"
LARGEST = 2 << 30
"""A larger document is refused; archives are read by the sample."""
FORMAT = 2
SHELL = "/sample.json"
SAMPLE = re.compile(r"samples/[^/]+\.json")
T = TypeVar("T")


def is_archive(path: Path) -> bool:
    """Whether a file begins as an archive does."""
    with open_regular(path) as file:
        return file.read(len(MAGIC)) == MAGIC


def read_head(path: Path) -> Head:
    """The head of a log. Raises ConfigError."""
    if not is_archive(path):
        return _document(path)
    with Archive(path) as archive:
        name = next((n for n in ("header.json", "_journal/start.json") if n in archive.names), None)
        if name is None:
            raise ConfigError("is no log of Inspect: it has no header", where=str(path))
        head = _decoded(archive.read(name), Head, f"{path}: {name}")
    return _checked_version(head, path)


def sample_keys(path: Path) -> list[tuple[str | int, int]]:
    """Id and epoch of every sample."""
    return [(sample.id, sample.epoch) for sample in read_samples(path)]


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples, with their attachments in place. Raises ConfigError."""
    if not is_archive(path):
        for sample in _document(path).samples or ():
            yield _attached(sample)
        return
    with Archive(path) as archive:
        names = archive.names
        for name in names:
            if SAMPLE.fullmatch(name):
                yield _attached(_decoded(archive.read(name), Sample, f"{path}: {name}"))
            elif name.endswith(SHELL):
                prefix = name.removesuffix(SHELL)
                own = [other for other in names if other.startswith(f"{prefix}/")]
                yield _attached(_chunked(archive, prefix, own, path))


def _chunked(archive: Archive, prefix: str, names: Sequence[str], path: Path) -> Sample:
    """A sample whose messages and attachments are lists in members of their own, for its size."""

    def sequence(kind: str) -> list[Json]:
        starts = [
            name for name in names if re.fullmatch(rf"{re.escape(prefix)}/{kind}/\d+\.json", name)
        ]
        parts = sorted(starts, key=lambda name: int(Path(name).stem))
        lists = [_decoded(archive.read(name), list[Json], f"{path}: {name}") for name in parts]
        return [one for part in lists for one in part]

    shell = _decoded(archive.read(prefix + SHELL), dict[str, Json], f"{path}: {prefix}{SHELL}")
    if f"{prefix}/metadata.json" in names:
        name = f"{prefix}/metadata.json"
        shell["metadata"] = _decoded(archive.read(name), dict[str, Json], f"{path}: {name}")
    refs = shell.get("message_refs")
    pool = sequence("messages")
    shell["messages"] = [
        message for ref in (refs if isinstance(refs, list) else ()) for message in pool[slice(*ref)]
    ]
    attached = sequence("attachments")
    shell["attachments"] = {str(place): text for place, text in enumerate(attached)}
    return _decoded(msgspec.json.encode(shell), Sample, f"{path}: {prefix}")


def _document(path: Path) -> Log:
    with open_regular(path) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ConfigError(f"is larger than {LARGEST >> 30} GB", where=str(path))
    return _checked_version(_decoded(data, Log, str(path)), path)


H = TypeVar("H", bound=Head)


def _checked_version(head: H, path: Path) -> H:
    if head.version != FORMAT:
        hint = "write it anew with `inspect log convert`"
        what = f"is a log of version {head.version}, which cannot be read"
        raise ConfigError(what, where=str(path), hint=hint)
    return head


def _decoded(data: bytes, kind: type[T], where: str) -> T:
    try:
        return msgspec.json.decode(_without_constants(data), type=kind)
    except UNREADABLE as error:
        raise ConfigError(f"is no log of Inspect: {first_line(error)}", where=where) from None


_CONSTANT = re.compile(rb"(?<=[:,\[])(\s*)(NaN|-?Infinity)(?=\s*[,}\]])")


def _without_constants(data: bytes) -> bytes:
    """Without the numbers that JSON does not have: a score may be NaN there."""
    if b"NaN" not in data and b"Infinity" not in data:
        return data
    return _CONSTANT.sub(rb"\1null", data)


def _attached(sample: Sample) -> Sample:
    if not sample.attachments:
        return sample

    def put(value: Json) -> Json:
        if isinstance(value, str):
            if value.startswith(ATTACHED):
                return sample.attachments.get(value.removeprefix(ATTACHED), value)
            return value
        if isinstance(value, dict):
            return {key: put(part) for key, part in value.items()}
        return [put(part) for part in value] if isinstance(value, list) else value

    plain = msgspec.to_builtins(msgspec.structs.replace(sample, attachments={}))
    return msgspec.convert(put(plain), Sample)
