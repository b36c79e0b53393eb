"""Poses as a model server: takes the arguments of a real engine, and answers from the prompt alone.

``engine.py vllm serve MODEL --port 8000 ...``; the programs beside this file call it by their own
names. It needs Python and nothing else. What it does wrong is said by variables:

FAKE_DIE_AFTER=N   it ends at the request after the Nth, saying why
FAKE_DIE_ON=FILE   it ends at the next request while FILE exists, and removes FILE
FAKE_SLOW=S        it answers 503 for S seconds
FAKE_MUTE=1        it answers its health path and no request
FAKE_FLOOD=N       it says N bytes before it listens
FAKE_NEVER=1       it never listens
FAKE_MODEL=NAME    it serves another model than it was told
FAKE_PAUSE=S       each answer takes S seconds
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FLAGS = {
    "vllm": (
        "--host --port --tensor-parallel-size --pipeline-parallel-size --data-parallel-size"
        " --served-model-name --max-model-len --distributed-executor-backend --seed --api-key"
    ),
    "sglang": (
        "--host --port --model-path --tp-size --pp-size --dp-size --served-model-name --nnodes"
        " --node-rank --dist-init-addr --context-length"
    ),
    "trtllm-serve": "--host --port --tp_size --pp_size --served_model_name --max_batch_size",
    "dynamo": "--http-port",
    "image": "--port --served-model-name",
}
BEGAN = time.monotonic()


def asked_for(engine: str, words: list[str]) -> argparse.Namespace:
    """The arguments; an unknown one ends the program, as with the real one."""
    parser = argparse.ArgumentParser(prog=engine, allow_abbrev=False)
    if engine in ("vllm", "sglang"):
        parser.add_argument("serve", choices=["serve"])
    if engine in ("vllm", "trtllm-serve"):
        parser.add_argument("model")
    for flag in FLAGS[engine].split():
        parser.add_argument(flag)
    return parser.parse_args(words)


def answer_to(prompt: str) -> str:
    """The number in it, as the sums of the tests want it, or words that depend on it alone."""
    numbers = [word for word in prompt.split() if word.isdigit()]
    if numbers:
        return str(int(numbers[0]) % 50)
    return "fake answer " + hashlib.sha256(prompt.encode()).hexdigest()[:8]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model = ""
    answered = 0

    def do_GET(self) -> None:
        slow = float(os.environ.get("FAKE_SLOW", "0"))
        if self.path in ("/health", "/v1/health/ready"):
            late = time.monotonic() - BEGAN < slow
            self.reply({"status": "ok", "instances": instances()}, 503 if late else 200)
        elif self.path == "/v1/models":
            self.reply({"object": "list", "data": [{"id": self.model, "object": "model"}]})
        elif self.path == "/env":
            self.reply({name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "TOLD")})
        else:
            self.reply({"error": {"message": "there is nothing here"}}, 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if os.environ.get("FAKE_MUTE"):
            time.sleep(600)
        self.die_where_asked()
        time.sleep(float(os.environ.get("FAKE_PAUSE", "0")))
        if body.get("model") != self.model:
            what = f"The model `{body.get('model')}` does not exist."
            return self.reply({"error": {"message": what, "type": "NotFoundError"}}, 404)
        prompt = body.get("prompt") or body.get("input") or body["messages"][-1]["content"]
        self.reply(document(self.path, self.model, answer_to(str(prompt))))

    def die_where_asked(self) -> None:
        Handler.answered += 1
        limit, flag = int(os.environ.get("FAKE_DIE_AFTER", "0")), os.environ.get("FAKE_DIE_ON")
        die = 0 < limit < Handler.answered
        if flag and not die:
            try:
                os.unlink(flag)
                die = True
            except OSError:
                pass
        if die:
            print("torch.OutOfMemoryError: CUDA out of memory", flush=True)
            os._exit(1)

    def reply(self, content: object, status: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        print(format % args, flush=True)


def document(path: str, model: str, text: str) -> dict[str, object]:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    base = {"id": "x", "created": 1, "model": model, "usage": usage}
    if path == "/v1/completions":
        return {**base, "choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}
    if path == "/v1/responses":
        content = [{"type": "output_text", "text": text}]
        output = [{"type": "message", "role": "assistant", "content": content}]
        usage = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
        return {**base, "status": "completed", "output": output, "usage": usage}
    message = {"role": "assistant", "content": text}
    return {**base, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def instances() -> list[dict[str, str]]:
    """The workers that have said they are there, for the frontend of Dynamo."""
    folder = os.environ.get("FAKE_DYNAMO")
    names = sorted(os.listdir(folder)) if folder else []
    return [{"endpoint": "generate", "component": name.partition("-")[0]} for name in names]


def main(engine: str, words: list[str]) -> None:
    args = asked_for(engine, words)
    port = getattr(args, "port", None) or getattr(args, "http_port", None) or os.environ["PORT"]
    named = getattr(args, "served_model_name", None) or os.environ.get("NIM_SERVED_MODEL_NAME")
    Handler.model = os.environ.get("FAKE_MODEL") or named or os.environ["MODEL"]
    print(f"{engine} serves {Handler.model} on {port}: {' '.join(words)}", flush=True)
    print("x" * int(os.environ.get("FAKE_FLOOD", "0")), flush=True)
    if os.environ.get("FAKE_NEVER"):
        time.sleep(600)
    server = ThreadingHTTPServer((getattr(args, "host", None) or "0.0.0.0", int(port)), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
