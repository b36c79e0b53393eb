"""`nel proxy` as a user starts, configures, misuses and stops it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from commands import Process, listening
from runs import NEL

from nemo_evaluator.config.proxy_file import load_proxy_file


def proxy(*words: str, **env: str) -> AbstractContextManager[tuple[Process, str]]:
    """The process and the URL of its first line."""
    return listening("proxy", *words, **env)


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


def nel(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*NEL, *words], capture_output=True, text=True, check=False, timeout=60)


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


def ended(process: Process) -> tuple[str, str]:
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    return out, err


def test_the_environment_names_the_endpoint(upstream: str, tmp_path: Path) -> None:
    env = {"NEMO_MODEL_URL": upstream, "NEMO_MODEL_ID": "from-env", "NEMO_API_KEY": "key-123456"}
    with proxy("--port", "0", **env) as (process, url):
        with urllib.request.urlopen(f"{url}/v1/models") as response:
            assert json.load(response)["data"][0]["id"] == "from-env"
        ended(process)
    file = tmp_path / "p.yaml"
    file.write_text(f"url: {upstream}\nmodel: from-file")
    with proxy("-c", str(file), "--port", "0", **env | {"NEMO_MODEL_URL": "x"}) as (process, url):
        with urllib.request.urlopen(f"{url}/v1/models") as response:
            assert json.load(response)["data"][0]["id"] == "from-file"
        ended(process)


def test_clients_may_name_the_model(upstream: str) -> None:
    with proxy("--upstream", upstream, "--port", "0") as (process, url):
        body = {"model": "theirs", "messages": [{"role": "user", "content": "2 + 2?"}]}
        assert post(f"{url}/v1/chat/completions", body)["choices"]
        _, err = ended(process)
    assert "does not list" not in err


def test_a_key_of_the_environment_is_not_sent_where_a_file_says(tmp_path: Path) -> None:
    env = {"NEMO_API_KEY": "key-123456", "NEMO_MODEL_URL": "http://env/v1"}
    file = tmp_path / "p.yaml"
    file.write_text("url: http://file/v1")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for name, value in env.items():
            patch.setenv(name, value)
        assert load_proxy_file(file, {}).service.api_key is None
        assert load_proxy_file(file, {"url": "http://flag/v1"}).service.api_key is not None
        assert load_proxy_file(None, {}).service.api_key is not None
        file.write_text("url: http://file/v1\napi_key: mine")
        assert load_proxy_file(file, {"url": "http://flag/v1"}).service.api_key is not None


def test_flags_for_limits_and_the_log(upstream: str, tmp_path: Path) -> None:
    words = ("--upstream", upstream, "--model", "m", "--port", "0")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        with proxy(*words, "--max-turns", "2", "--log", "full") as (process, url):
            for _ in range(2):
                assert chat(f"{url}/s/one")["choices"]
            with pytest.raises(urllib.error.HTTPError) as caught:
                chat(f"{url}/s/one")
            assert "Turn budget exhausted" in caught.value.read().decode()
            assert chat(url)["choices"]
            _, err = ended(process)
    assert re.search(
        r"^4 calls in 1 session: 3 answered, 1 failed \(budget_exceeded 1\),"
        r" \d+ prompt and \d+ completion tokens",
        err,
        re.MULTILINE,
    )
    with proxy(*words, "--budget-tokens", "1", "--log", "off") as (process, url):
        assert chat(url)["choices"]
        with pytest.raises(urllib.error.HTTPError) as caught:
            chat(url)
        assert "of 1 tokens" in caught.value.read().decode()
        ended(process)
    file = tmp_path / "model_traffic.jsonl"
    shown = nel("traffic", str(file)).stdout
    assert "session" in shown.splitlines()[1] and re.search(r"^ +one  ", shown, re.MULTILINE)
    assert "(no session)" in shown
    talk = nel("traffic", str(file), "--session", "one").stdout
    assert talk.startswith("session one, attempt 1: 3 calls, 1 failed") and "modulo 50" in talk
    assert "no call of session none" in nel("traffic", str(file), "-s", "none").stderr


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        (("--budget-usd", "1"), "", "a limit in usd needs prices"),
        (("--max-turns", "1"), "proxy: 5", "proxy: must be a mapping"),
        (("--log", "off"), "proxy: {model_traffic: 5}", "must be a mapping"),
    ],
)
def test_flags_that_cannot_be(tmp_path: Path, flag: Any, text: str, message: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    said = refused("--upstream", "http://h/v1", "-c", str(tmp_path / "p.yaml"), *flag)
    assert message in said or "cannot be set" in said


def test_flags_change_the_steps_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    steps = "[{name: logging}, {name: turn_counter, config: {max_turns: 9, every: 3}}]"
    file.write_text(f"url: http://h/v1\nproxy: {{interceptors: {steps}}}")
    given = {"max_turns": 2, "budget_tokens": 5, "log": "meta"}
    config = load_proxy_file(file, given).service.proxy
    assert config is not None
    found = {listed.name: listed.config for listed in config.interceptors}
    assert found["turn_counter"] == {"max_turns": 2, "every": 3}
    assert found["budget"] == {"run": {"tokens": 5}} and len(found) == 3
    assert config.model_traffic.kept == "summary"
    assert config.model_traffic.path == "model_traffic.jsonl"


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
    with proxy(*words, "-c", str(tmp_path / "p.yaml")) as (process, url):
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("warning: the upstream: http://127.0.0.1:9: unreachable: ")
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
