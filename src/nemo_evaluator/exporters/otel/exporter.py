"""A run as OpenTelemetry, to a collector over OTLP/HTTP, or into files that a collector reads.

Spans and events have identifiers that follow from the run, so a backend that is told of a run again
can tell; files are replaced as a whole.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Protocol
from urllib.parse import unquote

import msgspec
from pydantic import SecretStr, field_validator

from ...config.endpoints import check_url
from ...config.scrubber import encoded
from ...config.secrecy import hidden_urls
from ...errors import ConfigError
from ...files.reading import first_line
from ...files.writing import replacing
from ...http.client.errors import NetError
from ...http.client.single import request
from ...results.view import RunView
from ...types import Json
from ..options import FileOptions
from .encoding import logs_document, spans_document
from .telemetry import resource, rollout, scores

BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
BATCH = 100
"""Rollouts that are told at once."""
SECONDS = 30.0
TRIES = 4
TRANSIENT = (429, 502, 503, 504)
TRACES, LOGS = "traces", "logs"


class Otel:
    """See the module."""

    class Options(FileOptions):
        """Where telemetry is sent, and what of a run."""

        endpoint: str | None = None
        """Address of a collector (`http://HOST:4318`); null: `OTEL_EXPORTER_OTLP_ENDPOINT`. Without
        one, or with `output_dir`, files `<run id>.traces.jsonl` and `<run id>.logs.jsonl`."""
        headers: dict[str, SecretStr] | None = None
        """Headers of the requests; null: `OTEL_EXPORTER_OTLP_HEADERS`."""
        texts: bool = True
        """Tell what was said: messages, arguments and results of tools."""

        @field_validator("endpoint")
        @classmethod
        def _check_endpoint(cls, endpoint: str | None) -> str | None:
            return None if endpoint is None else check_url(endpoint)

    def __init__(self, options: Options) -> None:
        self._options = options

    async def export(self, run: RunView) -> Sequence[str]:
        """See ``Exporter.export``."""
        about = resource(run)
        async with self._open_sink(run) as (places, sink):
            await sink(LOGS, logs_document(about, scores(run)))
            for spans, events in self._batches(run):
                await sink(TRACES, spans_document(about, spans))
                await sink(LOGS, logs_document(about, events))
        return places

    def _batches(self, run: RunView) -> Iterator[tuple[list[Json], list[Json]]]:
        spans: list[Json] = []
        events: list[Json] = []
        n_sent = 0
        for benchmark in run.benchmarks():
            for row, trajectory in benchmark.rollouts():
                found = rollout(benchmark, row, trajectory, texts=self._options.texts)
                spans += found.spans
                events += found.events
                n_sent += 1
                if n_sent % BATCH == 0:
                    yield spans, events
                    spans, events = [], []
        if spans:
            yield spans, events

    @asynccontextmanager
    async def _open_sink(self, run: RunView) -> AsyncIterator[tuple[list[str], _Sink]]:
        endpoint = self._options.endpoint
        if endpoint is None and self._options.output_dir is None:
            endpoint = _of_environment()
        if endpoint:
            base = endpoint.rstrip("/").removesuffix("/v1/traces").removesuffix("/v1/logs")
            urls = {signal: f"{base}/v1/{signal}" for signal in (TRACES, LOGS)}
            yield [hidden_urls(base)], _Posted(urls, self._headers())
            return
        folder = self._options.folder(run)
        paths = {name: folder / f"{run.run_id}.{name}.jsonl" for name in (TRACES, LOGS)}
        with ExitStack() as stack:
            files = {name: stack.enter_context(replacing(path)) for name, path in paths.items()}

            async def write(signal: str, document: Mapping[str, Json]) -> None:
                files[signal].write(_encode(document) + b"\n")

            yield [str(path) for path in paths.values()], write

    def _headers(self) -> dict[str, str]:
        if self._options.headers is not None:
            return {k: v.get_secret_value() for k, v in self._options.headers.items()}
        pairs = (part.partition("=") for part in os.environ.get(HEADERS, "").split(","))
        return {unquote(name.strip()): unquote(value.strip()) for name, eq, value in pairs if eq}


class _Sink(Protocol):
    """Takes documents."""

    async def __call__(self, signal: str, document: Mapping[str, Json]) -> None:
        """Take one. Raises ConfigError where it is refused."""


class _Posted:
    """Sends documents to a collector."""

    def __init__(self, urls: Mapping[str, str], headers: Mapping[str, str]) -> None:
        self._urls = urls
        self._headers = {"Content-Type": "application/json", **headers}

    async def __call__(self, signal: str, document: Mapping[str, Json]) -> None:
        """Send one, again where the collector is busy."""
        url, body = self._urls[signal], _encode(document)
        status, answer, failure = 0, b"", ""
        for left in reversed(range(TRIES)):
            try:
                status, answer = await request("POST", url, body, self._headers, seconds=SECONDS)
                failure = f"HTTP {status}: {answer[:200].decode(errors='replace')}"
            except NetError as error:
                status, failure = 0, first_line(error)
            if status and status not in TRANSIENT:
                break
            if left:
                await asyncio.sleep(0.5 * 2 ** (TRIES - 1 - left))
        if not 200 <= status < 300:
            raise ConfigError(f"the collector refused: {failure}", where=hidden_urls(url))
        if (refused := _refused(answer)) is not None:
            raise ConfigError(f"the collector left out: {refused}", where=hidden_urls(url))


def _refused(answer: bytes) -> str | None:
    """What a collector says that it did not take."""
    try:
        reply = msgspec.json.decode(answer, type=dict[str, Json])
    except ValueError:
        return None
    partial = reply.get("partialSuccess")
    if not isinstance(partial, Mapping):
        return None
    names = ("rejectedSpans", "rejectedLogRecords")
    counts = [str(partial[name]) for name in names if str(partial.get(name, "0")) != "0"]
    return f"{counts[0]} records: {partial.get('errorMessage', '')}" if counts else None


_encoder = msgspec.json.Encoder(enc_hook=str)


def _encode(document: Mapping[str, Json]) -> bytes:
    return encoded(document, _encoder.encode)


def _of_environment() -> str | None:
    """The address that the variable of OpenTelemetry holds. Raises ConfigError."""
    if not (base := os.environ.get(BASE)):
        return None
    try:
        return check_url(base)
    except ValueError as error:
        raise ConfigError(str(error), where=BASE) from None
