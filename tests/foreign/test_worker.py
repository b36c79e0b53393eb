"""Scripts in another interpreter: calls both ways, errors, cancellation, and their end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nemo_evaluator.foreign import ForeignError, Worker, WorkerLost

SCRIPT = """
import asyncio, os, sys

async def add(peer, a, b):
    print("a package that prints does not disturb the lines")
    return a + b

async def ask(peer, question):
    return (await peer.call("answer", question=question)) + "!"

async def fail(peer):
    raise FileNotFoundError("no such thing")

async def leave(peer):
    sys.exit(3)

async def crash(peer):
    print("the last words", file=sys.stderr, flush=True)
    os._exit(7)

async def sleep(peer, mark):
    try:
        await asyncio.sleep(60)
    finally:
        open(mark, "w").close()

async def block(peer):
    import time
    time.sleep(600)

async def long(peer, n):
    return "x" * n

async def environment(peer):
    return dict(os.environ)

METHODS = dict(add=add, ask=ask, fail=fail, leave=leave, crash=crash, sleep=sleep, block=block,
               long=long, environment=environment)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


async def started(script: Path, **env: str) -> Worker:
    async def answer(question: str) -> str:
        if question == "refuse":
            raise PermissionError("not that")
        return question.upper()

    return await Worker.start(
        script,
        python=Path(sys.executable),
        name="the script",
        env={"PATH": os.environ["PATH"], **env},
        handlers={"answer": answer},
    )


@pytest.fixture
async def worker(script: Path) -> AsyncIterator[Worker]:
    worker = await started(script)
    yield worker
    await worker.close()


async def test_both_sides_call_the_other(worker: Worker) -> None:
    sums = await asyncio.gather(*(worker.call("add", a=n, b=1) for n in range(50)))
    assert sums == list(range(1, 51))
    assert await worker.call("ask", question="why") == "WHY!"
    assert len(await worker.call("long", n=5_000_000)) == 5_000_000


async def test_errors_cross_in_both_directions(worker: Worker) -> None:
    with pytest.raises(ForeignError, match="FileNotFoundError: no such thing") as caught:
        await worker.call("fail")
    assert "OSError" in caught.value.kinds and "no such thing" in caught.value.traceback
    with pytest.raises(ForeignError, match="not that"):
        await worker.call("ask", question="refuse")
    with pytest.raises(ForeignError, match="SystemExit"):
        await worker.call("leave")
    with pytest.raises(ForeignError, match="KeyError"):
        await worker.call("unknown")
    assert await worker.call("add", a=1, b=1) == 2


async def test_a_process_that_ends_is_told_with_its_last_words(worker: Worker) -> None:
    waiting = asyncio.create_task(worker.call("block"))
    await asyncio.sleep(0.1)
    os.kill(worker._process.pid, signal.SIGKILL)
    with pytest.raises(WorkerLost, match="ended with exit code -9"):
        await waiting
    assert not worker.alive
    with pytest.raises(WorkerLost):
        await worker.call("add", a=1, b=1)


async def test_its_last_words_are_in_the_error(worker: Worker) -> None:
    with pytest.raises(WorkerLost, match=r"the script ended with exit code 7: .*the last words"):
        await worker.call("crash")


async def test_what_is_cancelled_here_is_cancelled_there(worker: Worker, tmp_path: Path) -> None:
    mark = tmp_path / "cleaned-up"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await worker.call("sleep", mark=str(mark))
    for _ in range(100):
        if mark.exists():
            break
        await asyncio.sleep(0.02)
    assert mark.exists() and await worker.call("add", a=1, b=1) == 2


async def test_its_environment_is_what_it_was_given(script: Path) -> None:
    worker = await started(script, GIVEN="1")
    try:
        found = await worker.call("environment")
    finally:
        await worker.close()
    assert found["GIVEN"] == "1" and set(found) <= {"PATH", "GIVEN", "TMPDIR", "LC_CTYPE"}
    assert found["TMPDIR"] == str(worker.folder) and not worker.folder.exists()


async def test_close_ends_what_hangs(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nemo_evaluator.foreign.worker.END_SECONDS", 0.2)
    worker = await started(script)
    hanging = asyncio.create_task(worker.call("block"))
    await asyncio.sleep(0.1)
    await worker.close()
    with pytest.raises(WorkerLost):
        await hanging
    await worker.close()


async def test_a_program_that_lives_on_holds_nothing_open(tmp_path: Path) -> None:
    """As services of packages do that end by themselves, some time after."""
    left = tmp_path / "left.py"
    left.write_text(
        "import subprocess, sys\n"
        "async def leave(peer):\n"
        "    code = 'import time; print(1, flush=True); time.sleep(5)'\n"
        "    started = subprocess.Popen([sys.executable, '-c', code], start_new_session=True)\n"
        "    return started.pid\n"
        "METHODS = {'leave': leave}\n"
    )
    worker = await started(left)
    pid = await worker.call("leave")
    begun = time.monotonic()
    await worker.close()
    assert time.monotonic() - begun < 4
    del worker
    gc.collect()  # a transport that is still open warns
    os.kill(pid, signal.SIGKILL)


async def test_a_script_that_does_not_load_says_why(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("import no_such_package_anywhere")
    with pytest.raises(ForeignError, match="no_such_package_anywhere"):
        await started(bad)
    with pytest.raises(WorkerLost, match="does not start"):
        await Worker.start(bad, python=tmp_path / "python", name="it", env={})


def test_it_dies_with_us(script: Path, tmp_path: Path) -> None:
    ours = textwrap.dedent(f"""
        import asyncio, sys
        from pathlib import Path
        from nemo_evaluator.foreign import Worker

        async def main():
            worker = await Worker.start(
                Path({str(script)!r}), python=Path(sys.executable), name="it", env={{}}
            )
            print(worker._process.pid, worker.folder, flush=True)
            await worker.call("sleep", mark={str(tmp_path / "mark")!r})

        asyncio.run(main())
    """)
    process = subprocess.Popen([sys.executable, "-c", ours], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    number, folder = process.stdout.readline().split()
    child = int(number)
    assert Path(folder).is_dir()
    process.kill()
    process.wait()
    process.stdout.close()
    end = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not Path(f"/proc/{child}").exists() and not Path(folder).exists()
