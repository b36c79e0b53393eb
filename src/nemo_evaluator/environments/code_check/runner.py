"""Runs inside the sandbox: the benchmark's tests in one process, the model's program in another.

The program can only take arguments and give back plain data, as JSON with tags for what JSON lacks.
It never shares memory with the tests, so it cannot change them; it does not know the word that says
"passed", and the process that does cannot be looked into. Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from typing import IO, Any, NoReturn

PLAIN: tuple[Any, ...] = (bool, int, float, str)
MAX_MESSAGE = 64 << 20


def pack(value: Any) -> Any:
    """JSON for plain data; containers and what JSON lacks are lists that begin with a tag.

    Subclasses (a Counter, a named tuple) go as what they are made of. Raises TypeError.
    """
    if value is None or type(value) in PLAIN:
        return value
    for kind in PLAIN:
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, dict):
        return ["d", *([pack(key), pack(item)] for key, item in value.items())]
    for tag, kind in (("l", list), ("t", tuple), ("s", set), ("f", frozenset)):
        if isinstance(value, kind):
            return [tag, *(pack(item) for item in value)]
    if isinstance(value, complex):
        return ["c", value.real, value.imag]
    if isinstance(value, bytes):
        return ["b", value.hex()]
    raise TypeError(f"{type(value).__name__} is not plain data")


def unpack(value: Any) -> Any:
    """The value of ``pack``. Raises whatever a malformed message raises."""
    if not isinstance(value, list):
        return value
    tag, items = value[0], value[1:]
    if tag == "d":
        return {unpack(key): unpack(item) for key, item in items}
    if tag == "c":
        return complex(*items)
    if tag == "b":
        return bytes.fromhex(items[0])
    kinds = {"l": list, "t": tuple, "s": set, "f": frozenset}
    return kinds[tag](unpack(item) for item in items)


def send(stream: IO[bytes], *message: Any) -> None:
    """One message, after its length."""
    data = json.dumps(message).encode()
    stream.write(struct.pack("<I", len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """The next message. Raises EOFError at the end."""
    head = stream.read(4)
    if len(head) < 4:
        raise EOFError
    size = struct.unpack("<I", head)[0]
    if size > MAX_MESSAGE:
        raise ValueError("too much data")
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return json.loads(data)


class ProgramError(Exception):
    """The model's program raised, or is gone."""


class OutOfTime(BaseException):
    """The tests took too long. Not an Exception, so that no test can catch it."""


class Program:
    """The model's program in its own process."""

    def __init__(self, runner: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", runner, "program"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, *message: Any) -> Any:
        """Send a message; the value that comes back. Raises ProgramError."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            send(self.process.stdin, *message)
            kind, value = receive(self.process.stdout)
        except (EOFError, OSError, ValueError):
            raise ProgramError("the program ended, or answers nonsense") from None
        if kind != "value":
            raise ProgramError(str(value)[:500])
        return unpack(value)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the program's function."""
        return self.ask("call", pack(args), pack(kwargs))


def be_program() -> NoReturn:
    """The process of the model's program: its messages go over what were stdin and stdout."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    namespace: dict[str, Any] = {"__name__": "solution"}
    entry_point = ""
    while True:
        kind, *message = receive(requests)
        try:
            if kind == "load":
                entry_point, source = message[0]
                exec(compile(source, "solution.py", "exec"), namespace)
                value = None
                if not callable(namespace.get(entry_point)):
                    raise NameError(f"{entry_point} is not defined")
            else:
                args, kwargs = map(unpack, message)
                value = namespace[entry_point](*args, **kwargs)
            answer: tuple[str, Any] = ("value", pack(value))
        except BaseException as error:
            answer = ("error", f"{type(error).__name__}: {error}")
        send(answers, *answer)


def hide() -> None:
    """Nobody may look into this process (Linux prctl PR_SET_DUMPABLE)."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    except (OSError, AttributeError):
        pass


def out_of_time(*_: object) -> None:
    """The alarm."""
    raise OutOfTime


def check(task: dict[str, Any]) -> str | None:
    """Run the tests; None if they pass, else why not."""
    entry_point = task["entry_point"]
    program = Program(task["runner"])
    signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, task["timeout"])
    try:
        program.ask("load", (entry_point, task["source"]))
        namespace: dict[str, Any] = {"__name__": "tests"}
        exec(compile(task["prelude"], "prelude.py", "exec"), namespace)
        namespace[entry_point] = program.call
        exec(compile(task["test"], "tests.py", "exec"), namespace)
        namespace["check"](program.call)
    except OutOfTime:
        return "timeout"
    except AssertionError as error:
        return f"wrong: {error}" if str(error) else "wrong"
    except ProgramError as error:
        return f"error: {error}"
    except BaseException as error:
        return f"error: {type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        program.process.kill()
    return None


def main() -> None:
    """What the process is for, its arguments say."""
    if sys.argv[1:] == ["program"]:
        be_program()
    hide()
    task = json.loads(sys.stdin.buffer.read())
    reason = check(task)
    os.write(1, f"\n{task['word']} {json.dumps(reason)}\n".encode())
    os._exit(0)


main()
