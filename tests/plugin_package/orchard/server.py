"""A model server that knows one answer: ``python -m orchard.server PORT FRUIT``."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = "There are an apple, a pear, a plum and a cherry.\n\nAnswer: {fruit}"


class Handler(BaseHTTPRequestHandler):
    """Answers chat completions, and everything else with an empty object."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """The one answer."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        message = {"role": "assistant", "content": ANSWER.format(fruit=sys.argv[2])}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 16, "total_tokens": 25}
        self._send({"model": "gardener", "choices": [choice], "usage": usage})

    def do_GET(self) -> None:
        """Whether it is up."""
        self._send({})

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _send(self, document: dict[str, object]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    request_queue_size = 64


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
