"""A deterministic endpoint that knows tokens: completions with echo and log-probabilities, token
ids, chat with candidates, and the tokenizer of vLLM (`/tokenize`, `/tokenizer_info`).

Every answer is a function of the request, so two clients that ask the same get the same.
``python token_server.py PORT [MANNER ...]``; with TokenServer(...) as a context in tests.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = re.compile(r"\s*\w+|\s*[^\w\s]|\s+$")
SHIFTED, BARE, SILENT, CANDIDATES = "shifted", "bare", "silent", "candidates"
"""Manners: the echo's probabilities are shifted by one; the echo lacks the generated token; no
probabilities at all; chat tells candidates for its first token. Where a chat offers tools, the
first answer calls the first of them with x = 2 and y = 3."""


def share(*parts: object) -> float:
    """A number in [0, 1) drawn by the parts."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big") / 2**32


class TokenServer:
    """Serves on a free port of 127.0.0.1, or on the given one. ``holds_after``: how many model
    requests are answered; the others wait until they are released."""

    def __init__(self, *manners: str, port: int = 0, holds_after: int | None = None) -> None:
        self.manners, self.holds_after = manners, holds_after
        self.requests: list[dict[str, Any]] = []
        """Bodies of all model requests."""
        self._released = threading.Event()
        self._ids: dict[str, int] = {}
        self._texts: list[str] = []
        self._lock = threading.Lock()
        handler = type("Bound", (Handler,), {"served": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> TokenServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        self._server.serve_forever()

    def held(self) -> int:
        """How many requests wait."""
        return len(self.requests) - self.holds_after if self.holds_after is not None else 0

    def release(self) -> None:
        """Answer those that wait, and all others."""
        self._released.set()

    def ids(self, tokens: Sequence[str]) -> list[int]:
        with self._lock:
            for token in tokens:
                if token not in self._ids:
                    self._ids[token] = len(self._texts)
                    self._texts.append(token)
            return [self._ids[token] for token in tokens]

    def texts(self, ids: Sequence[int]) -> list[str]:
        return [self._texts[number] for number in ids]

    def answered(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("/detokenize"):
            return {"prompt": "".join(self.texts(body["tokens"]))}
        if path.endswith("/tokenize"):
            return {"tokens": self.ids(TOKEN.findall(body["prompt"]))}
        with self._lock:
            self.requests.append(body)
            waits = self.holds_after is not None and len(self.requests) > self.holds_after
        if waits:
            self._released.wait()
        if "chat" in path:
            return completed([self._chat(body)], 7)
        prompts = body["prompt"]
        if isinstance(prompts, str) or (prompts and isinstance(prompts[0], int)):
            prompts = [prompts]
        read = (TOKEN.findall(p) if isinstance(p, str) else self.texts(p) for p in prompts)
        choices = [self._completion(body, tokens) for tokens in read]
        return completed(choices, body.get("max_tokens", 7) if body.get("echo") else 7)

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        drawn = share(json.dumps(body["messages"]), body.get("temperature"))
        text = f"I think so. The answer is {int(drawn * 20)}. Option {'ABCD'[int(drawn * 4)]}."
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if body.get("tools") and all(one["role"] != "tool" for one in body["messages"]):
            function = {
                "name": body["tools"][0]["function"]["name"],
                "arguments": '{"x": 2, "y": 3}',
            }
            call = {"id": "call_1", "type": "function", "function": function}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
            return {"message": message, "finish_reason": "tool_calls"}
        choice: dict[str, Any] = {"message": message}
        if body.get("logprobs") and CANDIDATES in self.manners:
            letters = [
                {"token": letter, "logprob": -5 * share(json.dumps(body["messages"]), letter)}
                for letter in "ABCD"
            ]
            best = max(letters, key=lambda one: one["logprob"])
            choice["logprobs"] = {"content": [{**best, "top_logprobs": letters}]}
        return {**choice, "finish_reason": "stop"}

    def _completion(self, body: dict[str, Any], tokens: list[str]) -> dict[str, Any]:
        if not body.get("echo"):
            drawn = share("".join(tokens), body.get("temperature"))
            text = f" I say {int(drawn * 20)}. The answer is {int(drawn * 20)}"
            if not body.get("logprobs") or SILENT in self.manners:
                return {"text": text, "finish_reason": "stop"}
            token = " Berlin"
            value = logprob(tokens, token)
            return {
                "text": token,
                "finish_reason": "length",
                "logprobs": {
                    "tokens": [token],
                    "token_logprobs": [value],
                    "top_logprobs": [{token: value}],
                    "text_offset": [len("".join(tokens))],
                },
            }
        values: list[float | None] = [None]
        values += [logprob(tokens[:place], tokens[place]) for place in range(1, len(tokens))]
        if SHIFTED in self.manners:
            values = [*values[1:], -0.1]
        tops = [
            None if value is None else {token: value, "~": -3.0}
            for token, value in zip(tokens, values, strict=True)
        ]
        shown = list(tokens)
        if BARE not in self.manners:
            shown, values, tops = [*tokens, " x"], [*values, -1.0], [*tops, {" x": -1.0}]
        offsets = [len("".join(shown[:place])) for place in range(len(shown))]
        told = {
            "tokens": shown,
            "token_logprobs": values,
            "top_logprobs": tops,
            "text_offset": offsets,
        }
        return {
            "text": "".join(shown),
            "finish_reason": "length",
            **({} if SILENT in self.manners else {"logprobs": told}),
        }


def logprob(before: Sequence[str], token: str) -> float:
    """Of a token after others."""
    return -10 * share(tuple(before), token)


def completed(choices: list[dict[str, Any]], tokens: int) -> dict[str, Any]:
    """A whole response body."""
    return {
        "model": "m",
        "choices": [{"index": place, **choice} for place, choice in enumerate(choices)],
        "usage": {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens},
    }


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with connections that are kept."""

    served: TokenServer
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        info = {"tokenizer_class": "T", "bos_token": "<bos>", "eos_token": "<eos>"}
        self._send(info if "tokenizer_info" in self.path else {"data": [{"id": "m"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._send(self.served.answered(self.path, body))

    def _send(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


if __name__ == "__main__":
    TokenServer(*sys.argv[2:], port=int(sys.argv[1])).serve_forever()
