"""A model server in a program of its own, for services that are started.

``python model_server.py --port N [--slow S] [--die-after N] [--child FILE] [--deaf]``
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import ThreadingHTTPServer

from json_handler import JsonHandler


class Handler(JsonHandler):
    model = "m"
    up_at = 0.0
    die_after = 0
    answered = 0

    def do_GET(self) -> None:
        if self.path == "/health":
            self.reply({}, 200 if time.monotonic() >= self.up_at else 503)
        elif self.path == "/v1/models":
            self.reply({"object": "list", "data": [{"id": self.model}]})
        else:
            self.reply({}, 404)

    def do_POST(self) -> None:
        body = self.body()
        Handler.answered += 1
        if 0 < self.die_after < Handler.answered:
            print("CUDA error: out of memory", flush=True)
            os._exit(3)
        words = body["messages"][-1]["content"].split()
        number = next(word for word in words if word.isdigit())
        message = {"role": "assistant", "content": str(int(number) % 50)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        self.reply({"id": "x", "model": self.model, "choices": [choice], "usage": usage})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "0")))
    parser.add_argument("--model", default=os.environ.get("MODEL", "m"))
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--die-after", type=int, default=0)
    parser.add_argument("--child")
    parser.add_argument("--deaf", action="store_true")
    args = parser.parse_args()
    print(f"server of {args.model} with {os.environ.get('TOLD', 'nothing')}", flush=True)
    if args.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if args.child:  # leaves the group of its parent
        code = "import time; time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        with open(args.child, "w") as file:
            file.write(f"{os.getpid()} {child.pid}")
    Handler.model, Handler.die_after = args.model, args.die_after
    Handler.up_at = time.monotonic() + args.slow
    server = ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.sigwait([signal.SIGINT])  # SIGTERM ends it, unless it is deaf


if __name__ == "__main__":
    main()
