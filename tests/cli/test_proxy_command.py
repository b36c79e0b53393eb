"""`nel proxy` as a user starts, configures, misuses and stops it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import NEL

Process = subprocess.Popen[str]


@contextlib.contextmanager
def proxy(*words: str, **env: str) -> Iterator[tuple[Process, str]]:
    """The process and the URL of its first line."""
    process = subprocess.Popen(
        [*NEL, "proxy", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on http://"), process.stderr.read()
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()


def refused(*words: str, **env: str) -> str:
    """What the command says when it does not start."""
    done = subprocess.run(
        [*NEL, "proxy", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, **env},
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def post(url: str, body: Any, **headers: str) -> Any:
    data = json.dumps(body).encode()
    headers["Content-Type"] = "application/json"
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as response:
        return json.load(response)


def chat(url: str, **headers: str) -> Any:
    body = {"messages": [{"role": "user", "content": "How much is 2 modulo 50?"}]}
    return post(f"{url}/v1/chat/completions", body, **headers)


@pytest.fixture
def upstream() -> Iterator[str]:
    command = [NEL[0], str(Path(__file__).parents[1] / "support/loopback.py"), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().split()[-1]
    process.kill()
    process.communicate()


def test_flags_alone(upstream: str) -> None:
    words = ("--upstream", upstream, "--model", "m", "--port", "0", "--api-key-env", "MY_KEY")
    with proxy(*words, MY_KEY="key-123456") as (process, url):
        assert chat(url)["choices"]
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
        assert process.returncode == 0 and "Traceback" not in err
        assert "key-123456" not in out + err


def test_a_file_with_a_proxy_section(upstream: str, tmp_path: Path) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(
        f"""
url: {upstream}
model: m
price: {{prompt: 1, completion: 2}}
proxy:
  model_traffic: {{level: full, path: {tmp_path}/traffic.jsonl}}
  interceptors:
    - name: turn_counter
      config: {{max_turns: 1}}
    - name: logging
"""
    )
    with proxy("-c", str(file), "--port", "0") as (process, url):
        assert chat(f"{url}/s/one")["choices"]
        with pytest.raises(urllib.error.HTTPError) as caught:
            chat(f"{url}/s/one")
        assert caught.value.code == 429 and caught.value.headers["x-should-retry"] == "false"
        error = json.load(caught.value)["error"]
        assert error["code"] == "session_budget_exhausted"
        assert "Turn budget exhausted: 2/1" in error["message"]
        with urllib.request.urlopen(f"{url}/metrics") as response:
            page = response.read().decode()
        assert 'nel_calls_total{end="answer"} 1' in page
        assert re.search(r"^nel_cost_usd_total [1-9]", page, re.MULTILINE)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        assert "← one 200 from endpoint" in err
    rows = [json.loads(line) for line in (tmp_path / "traffic.jsonl").read_text().splitlines()]
    assert [row["session_id"] for row in rows] == ["one", "one"]
    assert rows[1]["error_type"] == "budget_exceeded"


def test_beyond_loopback_it_wants_its_token(upstream: str) -> None:
    words = ("--upstream", upstream, "--model", "m", "--port", "0", "--host", "0.0.0.0")
    with proxy(*words) as (process, url):
        assert process.stdout is not None
        token = process.stdout.readline().split()[-1]
        local = url.replace("0.0.0.0", "127.0.0.1")
        with pytest.raises(urllib.error.HTTPError) as caught:
            chat(local)
        assert caught.value.code == 401
        caught.value.close()
        assert chat(local, Authorization=f"Bearer {token}")["choices"]
    with proxy(*words, NEL_PROXY_TOKEN="mine") as (_, url):
        assert chat(url.replace("0.0.0.0", "127.0.0.1"), **{"x-api-key": "mine"})["choices"]


def test_a_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        text = refused("--upstream", "http://127.0.0.1:9/v1", "--port", port)
    assert f"127.0.0.1:{port}: cannot listen: " in text and "choose another port" in text


def test_the_upstream_is_gone(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("proxy: {max_retries: 0}")
    words = ("--upstream", "http://127.0.0.1:9/v1", "--model", "m", "--port", "0")
    with proxy(*words, "-c", str(tmp_path / "p.yaml")) as (_, url):
        with pytest.raises(urllib.error.HTTPError) as caught:
            chat(url)
        assert caught.value.code == 502
        assert json.load(caught.value)["error"]["code"] == "connection"
        with urllib.request.urlopen(f"{url}/healthz") as response:
            assert json.load(response) == {"status": "ok"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("proxy: {interceptors: [{name: cachin}]}", "p.yaml:1: proxy.interceptors[0].name: there "),
        (
            "proxy:\n  interceptors:\n    - name: turn_counter\n      config: {max_turn: 3}\n",
            "p.yaml:4: proxy.interceptors[0].config.max_turn: unknown field — did you mean",
        ),
        ("proxy: {max_retries: -1}", "p.yaml:1: proxy.max_retries: must be at least 0 (got -1)"),
        ("prox: {}", "p.yaml:1: prox: unknown field — did you mean 'proxy'?"),
        ("- a", "p.yaml:1: must be a mapping, not a list"),
        ("api_key: ${NOT_THERE}", "NOT_THERE"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    said = refused("--upstream", "http://127.0.0.1:9/v1", "-c", str(tmp_path / "p.yaml"))
    assert message in said


def test_no_endpoint() -> None:
    assert "there is no endpoint to send to — give --upstream URL" in refused()
    assert "must start with http:// or https://" in refused("--upstream", "localhost:1")
    assert "api_key_env" in refused("--upstream", "http://h/v1", "--api-key-env", "NOT_SET_X")
