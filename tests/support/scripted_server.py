"""A scripted model over HTTP, for agents in processes and sandboxes of their own.

The reply to a request is the script's entry at the number of assistant messages in it; the last one
stays. An entry is a text, a list of ``[tool, arguments]``, or a mapping ``{"status": 400, "error":
"..."}``. As a program: ``python scripted_server.py SCRIPT.json [PORT]`` prints its base URL.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ScriptedServer:
    """Serves a script while its block lasts."""

    def __init__(self, script: Sequence[Any], *, port: int = 0, price_tokens: int = 10) -> None:
        self.script, self.requests = list(script), list[tuple[dict[str, str], dict[str, Any]]]()
        self._tokens = price_tokens
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                self._reply(200, {"object": "list", "data": [{"id": "scripted"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((dict(self.headers), body))
                status, document = outer.answer(body)
                if status == 200 and body.get("stream"):
                    self._send(status, "text/event-stream", stream_of(document))
                else:
                    self._reply(status, document)

            def _reply(self, status: int, document: object) -> None:
                self._send(status, "application/json", json.dumps(document).encode())

            def _send(self, status: int, kind: str, data: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                self.wfile.flush()

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body for a request."""
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        said = self.script[min(turn, len(self.script) - 1)]
        if isinstance(said, dict):
            return said["status"], {"error": {"message": said["error"], "type": "invalid"}}
        message: dict[str, Any] = {"role": "assistant", "content": said}
        if not isinstance(said, str):
            calls = [
                {
                    "id": f"call_{turn}_{n}",
                    "type": "function",
                    "function": {"name": name, "arguments": json.dumps(given)},
                }
                for n, (name, given) in enumerate(said)
            ]
            message |= {"content": None, "tool_calls": calls}
        finish = "stop" if isinstance(said, str) else "tool_calls"
        prompt = self._tokens * (turn + 1)
        usage = {"prompt_tokens": prompt, "completion_tokens": 7, "total_tokens": prompt + 7}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return 200, {"id": "c", "model": body["model"], "choices": [choice], "usage": usage}

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def stream_of(document: dict[str, Any]) -> bytes:
    """The same answer as a stream of events."""
    [choice] = document["choices"]
    delta = dict(choice["message"])
    if "tool_calls" in delta:
        delta["tool_calls"] = [{**c, "index": n} for n, c in enumerate(delta["tool_calls"])]
    head = {"id": "c", "object": "chat.completion.chunk", "model": document["model"]}
    chunks = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {
            **head,
            "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}],
        },
        {**head, "choices": [], "usage": document["usage"]},
    ]
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


def streamed(document: dict[str, Any]) -> bytes:
    """The same answer as a stream, with the arguments of calls in pieces."""
    head = {name: document[name] for name in ("id", "model")}
    [choice] = document["choices"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": choice["message"]["content"]}]
    for index, call in enumerate(choice["message"].get("tool_calls", ())):
        function = call["function"]
        begun = {**call, "index": index, "function": {**function, "arguments": ""}}
        deltas.append({"tool_calls": [begun]})
        text = function["arguments"]
        for piece in (text[: len(text) // 2], text[len(text) // 2 :]):
            part = {"index": index, "function": {"arguments": piece}}
            deltas.append({"tool_calls": [part]})
    chunks = [{**head, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    end = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    chunks += [{**head, "choices": [end]}, {**head, "choices": [], "usage": document["usage"]}]
    events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*events, "data: [DONE]\n\n"]).encode()


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        served = ScriptedServer(json.load(file), port=int(sys.argv[2]) if sys.argv[2:] else 0)
    with served:
        print(served.url, flush=True)
        threading.Event().wait()
