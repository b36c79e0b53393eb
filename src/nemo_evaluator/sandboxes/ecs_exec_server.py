"""Runs commands in a container for the evaluator: the few calls of the Docker API that a sandbox
makes, served on 127.0.0.1 of the task. It is sent as text and runs there, on the standard library
of Python 3.9 or newer; nothing here imports it.

Invariants: the first caller sets the token, before any other program runs there; a caller
without it is refused. It ends after its lifetime, or when no call came for some minutes.
"""

from __future__ import annotations

import hmac
import http.server
import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

SILENCE = 300.0
HIDDEN = ("AWS_", "ECS_", "NEL_ECS_")
"""Variables of the task that commands do not get."""


class Command:
    """One command, from its creation to its exit code."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.process: subprocess.Popen[bytes] | None = None
        self.code: int | None = None

    @property
    def running(self) -> bool:
        """Whether the command was started and has not ended."""
        return self.process is not None and self.code is None

    def start(self, stdin: int, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
        """Start the command on these files. OSError where it cannot be."""
        user, _, group = self.body["User"].partition(":")
        env = {k: v for k, v in os.environ.items() if not k.startswith(HIDDEN)}
        env.update(pair.split("=", 1) for pair in self.body.get("Env") or ())
        self.process = subprocess.Popen(
            self.body["Cmd"],
            cwd=self.body["WorkingDir"] or "/",
            env=env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            user=int(user),
            group=int(group or user),
            extra_groups=[],
            start_new_session=True,
        )
        threading.Thread(target=self._wait, daemon=True).start()
        return self.process

    def _wait(self) -> None:
        assert self.process is not None
        code = self.process.wait()
        self.code = 128 - code if code < 0 else code


class State:
    """What all connections share."""

    def __init__(self) -> None:
        self.token = ""
        self.commands: dict[str, Command] = {}
        self.lock = threading.Lock()
        self.heard = time.monotonic()

    def allows(self, token: str) -> bool:
        """Whether a caller may go on; the first one decides who may."""
        with self.lock:
            self.heard = time.monotonic()
            self.token = self.token or token
            return bool(token) and hmac.compare_digest(token.encode(), self.token.encode())


STATE = State()


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Commands are not for the log."""

    def do_GET(self) -> None:
        """State of a command, or of the container."""
        path = self._begin()
        if path is None:
            return
        if found := re.fullmatch(r"/exec/(\w+)/json", path):
            command = STATE.commands[found[1]]
            self._answer(200, {"Running": command.running, "ExitCode": command.code})
        elif re.fullmatch(r"/containers/\w+/json", path):
            self._answer(200, {"State": {"Running": True, "Pid": 0}})
        else:
            self._answer(404, {"message": f"no such path: {path}"})

    def do_POST(self) -> None:
        """Create or start a command, or end the container."""
        path = self._begin()
        if path is None:
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or b"{}")
        if re.fullmatch(r"/containers/\w+/exec", path):
            number = f"c{len(STATE.commands)}"
            STATE.commands[number] = Command(body)
            self._answer(201, {"Id": number})
        elif found := re.fullmatch(r"/exec/(\w+)/start", path):
            self._run(STATE.commands[found[1]], tty=bool(body.get("Tty")))
        elif re.fullmatch(r"/containers/\w+/kill", path):
            os._exit(1)
        else:
            self._answer(404, {"message": f"no such path: {path}"})

    def _begin(self) -> str | None:
        """The path without the version; None for who may not call."""
        self.close_connection = True
        if not STATE.allows(self.headers.get("X-Nel-Token", "")):
            self._answer(403, {"message": "no valid token"})
            return None
        return re.sub(r"^/v[\d.]+", "", self.path)

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _run(self, command: Command, *, tty: bool) -> None:
        try:
            if tty:
                ours, theirs = pty.openpty()
                command.start(theirs, theirs, theirs)
                os.close(theirs)
                outputs, stdin = [(ours, 0)], os.dup(ours)
            else:
                process = command.start(subprocess.PIPE, subprocess.PIPE, subprocess.PIPE)
                assert process.stdin and process.stdout and process.stderr
                outputs = [(process.stdout.fileno(), 1), (process.stderr.fileno(), 2)]
                stdin = os.dup(process.stdin.fileno())
                process.stdin.close()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            command.code = 127
            self._answer(400, {"message": str(error)})
            return
        self.wfile.write(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        self.wfile.flush()
        if not command.body.get("AttachStdin"):
            os.close(stdin)
        else:
            threading.Thread(target=self._feed, args=(stdin, tty), daemon=True).start()
        copies = [
            threading.Thread(target=self._copy, args=output, daemon=True) for output in outputs
        ]
        for copy in copies:
            copy.start()
        for copy in copies:
            copy.join()

    def _feed(self, stdin: int, tty: bool) -> None:
        try:
            while data := self.connection.recv(1 << 16):
                while data:
                    data = data[os.write(stdin, data) :]
            if tty:
                os.write(stdin, b"\x04")
        except OSError:
            pass
        finally:
            os.close(stdin)

    def _copy(self, source: int, kind: int) -> None:
        while True:
            try:
                data = os.read(source, 1 << 16)
            except OSError:
                return
            if not data:
                return
            head = bytes([kind, 0, 0, 0]) + len(data).to_bytes(4, "big") if kind else b""
            try:
                with STATE.lock:
                    self.connection.sendall(head + data)
            except OSError:
                pass  # no reader is left: the command must not stand still for that


class Server(http.server.ThreadingHTTPServer):
    """Serves until its time is over."""

    daemon_threads = True
    request_queue_size = 128


def watch(ends: float) -> None:
    """End everything when the time is over."""
    while time.monotonic() < ends and time.monotonic() - STATE.heard < SILENCE:
        time.sleep(1)
    os._exit(0)


def main() -> None:
    """Port, seconds to live, and the working directory are arguments."""
    port, seconds, cwd = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    Path(cwd).mkdir(parents=True, exist_ok=True)
    Path(cwd).chmod(0o1777)
    threading.Thread(target=watch, args=(time.monotonic() + seconds,), daemon=True).start()
    Server(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
