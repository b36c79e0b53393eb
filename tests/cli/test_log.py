"""``-v`` tells what the evaluator does, ``-vv`` every request; other libraries only warn."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from loopback import FAULTS, Loopback, answer
from runs import BENCH, NEL

QUIET = ["--no-progress", "-o", "run"]
LINE = re.compile(r"^[\d-]+ [\d:,]+ (DEBUG|INFO|WARNING|ERROR) (.*)$")


def logged(text: str) -> list[tuple[str, str]]:
    found = [LINE.match(line) for line in text.splitlines()]
    return [(match[1], match[2]) for match in found if match is not None]


def run(tmp_path: Path, *words: str) -> list[tuple[str, str]]:
    command = [*NEL, "eval", "run", "--bench", "sums.py", *words, *QUIET]
    (tmp_path / "sums.py").write_text(BENCH % {"size": 3})
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return logged(done.stderr)


@pytest.mark.slow
def test_each_v_logs_more(tmp_path: Path) -> None:
    simulated = ("--model-url", "simulated")
    assert run(tmp_path, *simulated) == []
    (tmp_path / "run").rename(tmp_path / "run0")
    told = run(tmp_path, *simulated, "-v")
    text = "\n".join(line for _, line in told)
    assert {level for level, _ in told} == {"INFO"}
    assert "sums: started: 3 of 3 rollouts are open, service model, at most 32 at once" in text
    assert "sums: ended: 3 with a verdict, 0 failed, 0 of 3 left" in text
    (tmp_path / "run").rename(tmp_path / "run1")
    told = run(tmp_path, *simulated, "-vv")
    requests = [line for level, line in told if level == "DEBUG"]
    assert len(requests) == 3 and all("(sums/" in line for line in requests)


def test_other_libraries_only_warn(tmp_path: Path) -> None:
    noisy = "import logging\nlogging.getLogger('urllib3').debug('noise')\n"
    noisy += "logging.getLogger('urllib3').warning('careful')\n"
    (tmp_path / "loud.py").write_text(noisy + BENCH % {"size": 3})
    command = [*NEL, "eval", "run", "--bench", "loud.py", "--model-url", "simulated", "-vv"]
    done = subprocess.run(
        [*command, *QUIET], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert ("WARNING", "careful") in logged(done.stderr) and "noise" not in done.stderr


async def test_retries_are_told(
    tmp_path: Path, loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    from nemo_evaluator import evaluate_async

    (tmp_path / "sums.py").write_text(BENCH % {"size": 1})
    loopback.script(FAULTS["overloaded"], answer)
    with caplog.at_level("INFO", "nemo_evaluator"):
        await evaluate_async(
            bench=str(tmp_path / "sums.py"),
            model_url=loopback.url,
            model_id="m",
            output_dir=tmp_path / "run",
        )
    said = [record.getMessage() for record in caplog.records]
    assert any(re.search(r"no answer for sums/0/0 at try 1 \(HTTP 503.*next in", s) for s in said)


def test_the_proxy_tells_its_requests(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(json.dumps({"type": "simulated"}))
    script = str(Path(__file__).resolve().parents[1] / "support" / "loopback.py")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        command = [*NEL, "proxy", "--upstream", url, "--port", "0", "-v"]
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as proxy:
            assert proxy.stdout is not None
            where = proxy.stdout.readline().split()[-1]
            body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
            httpx.post(f"{where}/v1/chat/completions?key=secret", json=body, timeout=10)
            httpx.get(f"{where}/v1/nothing", timeout=10)
            proxy.send_signal(signal.SIGINT)
            _, err = proxy.communicate(timeout=20)
        server.kill()
    told = [line for _, line in logged(err)]
    assert any(re.match(r"POST /v1/chat/completions 200 in \d+ ms", line) for line in told), err
    assert any(re.match(r"GET /v1/nothing 404", line) for line in told), err
    assert "secret" not in err


def test_lines_of_all_sorts(tmp_path: Path) -> None:
    """The quick records do what those of the standard library do."""
    program = """
import logging, sys
from nemo_evaluator.cli.log import show_log
show_log()
log = logging.getLogger("nemo_evaluator.traffic")
log.info("plain %")
log.info("%s and %d", "text", 3)
log.info("%(name)s by name", {"name": "value"})
log.info("a mapping: %s", {})
log.debug("not shown")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it failed")
beside = logging.StreamHandler(sys.stdout)
form = "%(name)s %(filename)s:%(lineno)d %(threadName)s %(message)s"
beside.setFormatter(logging.Formatter(form))
logging.getLogger().addHandler(beside)
log.warning("twice", extra={"more": 1})
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert logged(done.stderr) == [
        ("INFO", "plain %"),
        ("INFO", "text and 3"),
        ("INFO", "value by name"),
        ("INFO", "a mapping: {}"),
        ("ERROR", "it failed"),
        ("WARNING", "twice"),
    ]
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert done.stdout == "nemo_evaluator.traffic (unknown file):0 None twice\n"
