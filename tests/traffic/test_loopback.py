"""The loopback server as a process of its own, and the bare client that is measured against it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest
from loopback import Call, drawn, number_of

ROOT = Path(__file__).resolve().parents[2]


def asked(prompt: str, nth: int) -> Call:
    return Call("POST", "/v1/chat/completions", {}, {}, prompt, nth)


@contextmanager
def serving(*options: str) -> Iterator[str]:
    command = [sys.executable, str(ROOT / "tests/support/loopback.py"), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        yield line.split()[-1]
        process.terminate()


@pytest.fixture
def plain() -> Iterator[str]:
    with serving() as url:
        yield url


def post(url: str, prompt: str) -> str:
    body = json.dumps({"messages": [{"role": "user", "content": prompt}]}).encode()
    request = urllib.request.Request(f"{url}/chat/completions", body)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)["choices"][0]["message"]["content"]


def test_replays_recorded_answers(tmp_path: Path) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"recorded?": "yes, recorded"}))
    with serving("--answers", str(answers)) as url:
        assert post(url, "recorded?") == "yes, recorded"
        with pytest.raises(HTTPError, match="404"):
            post(url, "never recorded?")


def test_faults_as_told() -> None:
    with serving("--faults", '{"overloaded": 1.0}') as url, pytest.raises(HTTPError, match="503"):
        post(url, "a?")


def test_answers_and_counts(plain: str) -> None:
    assert post(plain, "a?") == f"The answer is {number_of('a?')}"
    assert post(plain, "a?") == f"The answer is {number_of('a?')}"
    with urllib.request.urlopen(f"{plain}/counts", timeout=10) as response:
        assert json.load(response) == {"asked": {"a?": 2}, "answered": {"a?": 2}}


def test_the_bare_client_prints_its_rate(plain: str) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/bare_client.py"), plain, "50", "8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    result = json.loads(done.stdout)
    assert result["n"] == 50
    assert result["rate"] == pytest.approx(50 / result["seconds"], rel=0.05)


def test_faults_are_drawn_by_share_and_not_by_order() -> None:
    script = drawn({"rate_limit": 0.2, "server_error": 0.1}, seed=1)
    first = [script(asked(f"p{n}", 1)).status for n in range(2000)]
    assert first == [script(asked(f"p{n}", 1)).status for n in range(2000)]
    assert 0.17 < first.count(429) / 2000 < 0.23
    assert 0.08 < first.count(500) / 2000 < 0.12
    assert first != [script(asked(f"p{n}", 2)).status for n in range(2000)]
    assert first != [drawn({"rate_limit": 0.3}, 2)(asked(f"p{n}", 1)).status for n in range(2000)]


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no fault typo"):
        drawn({"typo": 1.0})
