"""Runs as OpenTelemetry: spans and evaluation events, in files and to a collector."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from agent_run import agent_run
from commands import Nel

from nemo_evaluator.results.view import RunView


class Collector(ThreadingHTTPServer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[tuple[int, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = self.server.answers.pop(0) if self.server.answers else (200, b"{}")
        if status == 200:
            self.server.got.append((self.path, dict(self.headers), body))
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunView:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.chdir(tmp_path)
    return RunView.open(agent_run(nel, tmp_path))


def values(told: list[dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for one in told:
        [(kind, value)] = one["value"].items()
        found[one["key"]] = int(value) if kind == "intValue" else value
    return found


def spans_of(documents: list[Any]) -> list[Any]:
    return [
        span
        for document in documents
        for scope in document["resourceSpans"][0]["scopeSpans"]
        for span in scope["spans"]
    ]


def records_of(documents: list[Any]) -> list[Any]:
    return [
        values(record["attributes"]) | {"trace": record.get("traceId")}
        for document in documents
        for scope in document["resourceLogs"][0]["scopeLogs"]
        for record in scope["logRecords"]
        if record["eventName"] == "gen_ai.evaluation.result"
    ]


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n")]


def test_spans_of_models_and_tools_and_a_verdict(nel: Nel, run: RunView) -> None:
    assert nel("export", "run", "-d", "otel", "--output-dir", "out")[0] == 0
    [logs, traces] = sorted(Path("out").iterdir())
    first = [logs.read_bytes(), traces.read_bytes()]
    assert nel("export", "run", "-d", "otel", "--output-dir", "out")[0] == 0
    assert [logs.read_bytes(), traces.read_bytes()] == first
    spans = spans_of(lines(traces))
    roots = [span for span in spans if "parentSpanId" not in span]
    assert len({span["traceId"] for span in spans}) == len(roots) == 8
    assert len({span["spanId"] for span in spans}) == len(spans)
    below = [span for span in spans if span.get("parentSpanId") == roots[0]["spanId"]]
    assert [span["name"] for span in below] == [
        *("chat looker", "execute_tool look", "execute_tool break", "chat looker")
    ]
    for span in spans:
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        assert len(span["traceId"]) == 32 and len(span["spanId"]) == 16
    chat, look, broken, _ = (values(span["attributes"]) for span in below)
    assert chat["gen_ai.operation.name"] == "chat" and chat["gen_ai.usage.input_tokens"] == 20
    given = json.loads(chat["gen_ai.input.messages"])
    assert [one["role"] for one in given] == ["system", "user"]
    assert look["gen_ai.tool.name"] == "look" and look["gen_ai.tool.call.result"] == "it is 1"
    assert below[2]["status"]["code"] == 2 and broken["error.type"] == "_OTHER"
    events = records_of(lines(logs))
    verdicts = [one for one in events if one["trace"]]
    rewards = [one.get("gen_ai.evaluation.score.value") for one in verdicts]
    [view] = run.benchmarks()
    assert rewards == [row.reward for row in view.rows()]
    assert verdicts[0]["gen_ai.evaluation.score.label"] == "correct"
    assert verdicts[0]["gen_ai.evaluation.explanation"] == "compared with 1"
    assert verdicts[4]["error.type"] == "infra_error"
    scores = {
        one["gen_ai.evaluation.name"]: one["gen_ai.evaluation.score.value"]
        for one in events
        if not one["trace"]
    }
    metrics = view.bundle.metrics.items()
    assert scores == {f"words/{name}": measure.value for name, measure in metrics}


def test_a_collector_is_told(
    nel: Nel, run: RunView, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=a%20b,authorization=Bearer t0ken")
    collector.answers = [(503, b"busy")]
    code, out, err = nel("export", "run", "-d", "otel", "-o", "texts=false")
    assert code == 0 and out == f"exported to otel: {collector.url}\n", err
    assert {path for path, _, _ in collector.got} == {"/v1/traces", "/v1/logs"}
    headers = {name.lower(): value for name, value in collector.got[0][1].items()}
    assert (headers["x-team"], headers["authorization"]) == ("a b", "Bearer t0ken")
    spans = spans_of([body for path, _, body in collector.got if path == "/v1/traces"])
    assert len(spans) > 8 and "You look numbers up" not in json.dumps(spans)
    assert not Path("run/exports").exists()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, b"who are you"), "the collector refused: HTTP 401: who are you"),
        (
            (200, b'{"partialSuccess": {"rejectedLogRecords": "3", "errorMessage": "too old"}}'),
            "the collector left out: 3 records: too old",
        ),
    ],
)
def test_what_a_collector_refuses_is_told(
    nel: Nel, run: RunView, collector: Collector, answer: tuple[int, bytes], said: str
) -> None:
    collector.answers = [answer] * 4
    where = f"endpoint={collector.url}"
    code, _, err = nel(
        *("export", "run", "-d", "otel", "-o", where, "-o", "headers={authorization: s3cret}")
    )
    assert code == 3 and said in err and "s3cret" not in err


@pytest.mark.parametrize("end", ["", "/", "/v1/traces", "/v1/logs/"])
def test_the_address_of_a_signal_is_that_of_the_collector(
    nel: Nel, run: RunView, collector: Collector, end: str
) -> None:
    assert nel("export", "run", "-d", "otel", "-o", f"endpoint={collector.url}{end}")[0] == 0
    assert {path for path, _, _ in collector.got} == {"/v1/traces", "/v1/logs"}


def test_an_address_that_is_none_is_told(
    nel: Nel, run: RunView, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = nel("export", "run", "-d", "otel", "-o", "endpoint=127.0.0.1:4318")
    assert code == 2 and "endpoint: " in err and "did you mean http://127.0.0.1:4318?" in err
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector")
    code, _, err = nel("export", "run", "-d", "otel")
    assert code == 3 and "OTEL_EXPORTER_OTLP_ENDPOINT: 'collector' must start with http" in err
