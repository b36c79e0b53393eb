"""A run as logs of Inspect, one per benchmark: for `inspect view` and what else reads logs.

Files are named as Inspect names its own, so that its viewer lists them with their tasks. A
benchmark of a run has one file, which is replaced as a whole; the same run gives the same bytes.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Literal

import msgspec

from ...config.scrubber import encoded
from ...files.writing import replacing
from ...results.view import BenchmarkView, RunView
from ...types import Json
from ..options import FileOptions
from .header import file_stem, header
from .sample import sample
from .summary import summary

EARLIEST = (1980, 1, 1, 0, 0, 0)
"""Time of every member of an archive: the same run gives the same bytes."""
_encoder = msgspec.json.Encoder(enc_hook=str)


def _encode(document: Json) -> bytes:
    return encoded(document, _encoder.encode)


class InspectLog:
    """One log per benchmark, ``<output_dir>/<created>_<benchmark>_<run id>.eval``."""

    class Options(FileOptions):
        """What is written, and where."""

        format: Literal["eval", "json"] = "eval"
        """`eval`: an archive, of which Inspect reads what it shows; `json`: one document."""

    def __init__(self, options: Options) -> None:
        self._options = options

    async def export(self, run: RunView) -> Sequence[str]:
        """See ``Exporter.export``."""
        folder = self._options.folder(run)
        write = _archive if self._options.format == "eval" else _document
        paths = []
        for benchmark in run.benchmarks():
            path = folder / f"{file_stem(run, benchmark)}.{self._options.format}"
            write(path, header(run, benchmark), _samples(benchmark))
            paths.append(str(path))
        return paths


def _samples(benchmark: BenchmarkView) -> Iterator[dict[str, Json]]:
    for row, trajectory in benchmark.rollouts():
        yield sample(benchmark, row, trajectory)


def _archive(path: Path, head: Mapping[str, Json], samples: Iterator[Mapping[str, Json]]) -> None:
    """An archive with a member per sample: memory holds one sample."""
    start = {name: head[name] for name in ("version", "eval", "plan")}
    with (
        replacing(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        TemporaryFile() as summaries,
    ):
        _member(archive, "_journal/start.json", start)
        for number, one in enumerate(samples):
            _member(archive, f"samples/{one['id']}_epoch_{one['epoch']}.json", one)
            summaries.write((b"," if number else b"[") + _encode(summary(one)))
        summaries.write(b"]" if summaries.tell() else b"[]")
        summaries.seek(0)
        with archive.open(_info("summaries.json"), "w", force_zip64=True) as member:
            shutil.copyfileobj(summaries, member)
        _member(archive, "header.json", head)


def _member(archive: zipfile.ZipFile, name: str, document: Json) -> None:
    archive.writestr(_info(name), _encode(document))


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, EARLIEST)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _document(path: Path, head: Mapping[str, Json], samples: Iterator[Mapping[str, Json]]) -> None:
    """One JSON document; its samples come last, as Inspect's reader of headers expects."""
    with replacing(path) as file:
        file.write(_encode(head)[:-1] + b',"samples":[')
        _joined(file, samples)
        file.write(b"]}\n")


def _joined(file: BinaryIO, samples: Iterator[Mapping[str, Json]]) -> None:
    for number, one in enumerate(samples):
        file.write((b",\n" if number else b"\n") + _encode(one))
