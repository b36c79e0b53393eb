"""What servers say of themselves is kept as lines of JSON; what says nothing is not asked again."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

from nemo_evaluator.executors.slurm.scrape import scrape


class Metrics(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"# HELP x\nx 1\n" if self.path == "/metrics" else b"<html>")

    def log_message(self, *_: object) -> None:
        pass


def test_metrics_are_kept(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Metrics) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        targets = {
            tmp_path / "a.jsonl": f"{url}/metrics",
            tmp_path / "b.jsonl": f"{url}/",
            tmp_path / "c.jsonl": "http://127.0.0.1:1/metrics",
        }
        scrape(targets, rounds=1)
        server.shutdown()
    (line,) = (tmp_path / "a.jsonl").read_text().splitlines()
    kept = json.loads(line)
    assert (kept["text"], kept["exception"]) == ("# HELP x\nx 1\n", None)
    assert kept["t_sample"] > 1e9 and kept["scrape_latency_s"] < 5
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_nothing_to_ask_ends(tmp_path: Path) -> None:
    scrape({tmp_path / "c.jsonl": "http://127.0.0.1:1/metrics"})
    assert list(tmp_path.iterdir()) == []
