"""A run and a proxy with a secret of every kind, against a server that repeats all it is sent.

Every file, stream and answer is searched for every secret, in every encoding, whole or cut.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from runs import BENCH, NEL

CANARIES = {
    "MY_API_KEY": "zk1-9f8e7d6c5b4a39281706f5e4",
    "SIG": "zk2%2Bsig/9b8a7c6d=x",
    "TENANT_TOKEN": "zk3-tenant-55aa66bb77cc",
    "DOTENV_SECRET": 'zk4-"quoted"\\slash-1234567',
    "URL_PASSWORD": "zk5p@ss:word?9876",
    "QUERY_KEY": "zk6-literal-query-8888",
    "EXTRA_BODY": "zk7-extra-body-ümlaut-4242",
    "MODIFIER": "zk8-modifier-password-0001",
    "HEADER": "zk9-header-value-3333",
    "OVERRIDE": "zkA-override-header-7777",
    "OVERRIDE_MAP": "zkB-override-mapping-12",
    "NUMBER": "7316482905",
}
SHORT = "zQ7x"
CONFIG = """
services:
  m:
    type: api
    url: http://user:%(password)s@127.0.0.1:%(port)d/${TENANT_TOKEN}/v1?sig=${SIG}&api-key=%(query)s
    protocol: chat_completions
    model: m
    api_key: ${MY_API_KEY}
    stream: %(stream)s
    generation:
      extra_body:
        {provider: {apiKey: %(extra)s, tokens: 5}, auth: [%(number)s], session_token: zQ7x}
    proxy:
      max_retries: 1
      extra_headers: {X-Access-Token: "%(header)s", X-Dotenv: "${DOTENV_SECRET}"}
      model_traffic: {level: full, capture_request_body: true}
      interceptors:
        - name: logging
        - name: http_pairs_dump
          config: {dump_path: ./dump.json, first_n: 100}
        - name: record
          config: {path: ./record.jsonl}
        - name: caching
          config: {cache_dir: ./cache}
        - name: payload_modifier
          config: {params_to_add: {login: {password: %(modifier)s}}}
benchmarks:
  - name: ./bench.py
    solver: {type: simple, service: m}
"""


class Echo:
    """Repeats what it is sent: in errors, in answers, in headers, in its model's name."""

    def __init__(self) -> None:
        self.n = 0
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length")
                    ),
                    0,
                )
                body = await reader.readexactly(length)
                self.heads.append(head)
                writer.write(self.answer(head, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, head: bytes, body: bytes) -> bytes:
        self.n += 1
        said = self.repeated(head.decode("utf-8", "replace"), body.decode())
        status, kind = 200, "application/json"
        data = json.dumps(
            {
                "id": "x",
                "model": next(iter(CANARIES.values())),
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": said},
                        "finish_reason": "stop",
                    }
                ],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            },
            ensure_ascii=self.n % 2 == 0,
        ).encode()
        if self.n % 5 == 1:
            status, data = 500, json.dumps({"error": {"message": said}}).encode()
        elif self.n % 5 == 2:
            status, data, kind = 400, json.dumps({"error": {"message": said}}).encode(), kind
        elif self.n % 5 == 3:
            status, data, kind = 500, said.encode(), "text/html"
        elif b'"stream": true' in body or b'"stream":true' in body:
            kind = "text/event-stream"
            delta = {"choices": [{"index": 0, "delta": {"content": said}, "finish_reason": "stop"}]}
            data = f"data: {json.dumps(delta)}\n\ndata: [DONE]\n\n".encode()
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(data)}"]
        lines += [f"X-Echo: {quote(CANARIES['MY_API_KEY'])}", f"X-Key: {CANARIES['HEADER']}"]
        return "\r\n".join([*lines, "", ""]).encode() + data

    def repeated(self, head: str, body: str) -> str:
        everything = [head, body]
        for secret in CANARIES.values():
            raw = secret.encode()
            for before in ("", "u:", "us:"):
                everything.append(base64.b64encode(before.encode() + raw + b" tail").decode())
                everything.append(base64.urlsafe_b64encode(before.encode() + raw).decode())
            everything += [quote(secret), quote(secret, safe=""), json.dumps({"k": secret})]
            everything += [f"{secret[:9]}...", f"'{secret[:12]}'"]
        return "\n".join([*everything, f"cut: {next(iter(CANARIES.values()))[:20]}"])


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, int]]:
    server = Echo()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    yield server, listener.sockets[0].getsockname()[1]
    listener.close()


def written(folder: Path, port: int, stream: bool) -> Path:
    (folder / "work").mkdir()
    (folder / "work" / "bench.py").write_text(BENCH % {"size": 12})
    (folder / ".env").write_text(f"DOTENV_SECRET='{CANARIES['DOTENV_SECRET']}'\nUNUSED=1\n")
    config = folder / "config.yaml"
    config.write_text(
        CONFIG.replace("./", f"{folder}/work/")
        % {
            "port": port,
            "stream": str(stream).lower(),
            "password": quote(CANARIES["URL_PASSWORD"], safe=""),
            "query": CANARIES["QUERY_KEY"],
            "extra": CANARIES["EXTRA_BODY"],
            "header": CANARIES["HEADER"],
            "modifier": CANARIES["MODIFIER"],
            "number": CANARIES["NUMBER"],
        },
        encoding="utf-8",
    )
    return config


def traces(data: bytes, known: Collection[str] = tuple(CANARIES)) -> set[str]:
    """The secrets of which something can be read in this."""
    found = set()
    text = data.decode("utf-8", "replace")
    for name in known:
        secret = CANARIES[name]
        raw = secret.encode()
        encoded = [base64.b64encode(b"\0" * n + raw).decode()[n + 1 :][:10] for n in range(3)]
        parts = [secret[:8], quote(secret, safe="")[:10], secret[2:], *encoded]
        found |= {f"{name}: {part}" for part in parts if part in text}
    return found


async def run(*words: str, cwd: Path) -> tuple[int, bytes]:
    env = {**os.environ, **{n: CANARIES[n] for n in ("MY_API_KEY", "SIG", "TENANT_TOKEN")}}
    process = await asyncio.create_subprocess_exec(
        *NEL,
        *words,
        cwd=cwd,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(120):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
async def test_no_file_and_no_stream_of_a_run_holds_a_secret(
    echo: tuple[Echo, int], tmp_path: Path, stream: bool
) -> None:
    server, port = echo
    config = written(tmp_path, port, stream)
    override = f"services.m.proxy.extra_headers.X-Auth={CANARIES['OVERRIDE']}"
    mapping = f"services.m.proxy.extra_body={{secrets: {{a: {CANARIES['OVERRIDE_MAP']}}}}}"
    words = ("eval", "run", str(config), "-o", "out", "-O", override, "-O", mapping, "-v")
    work = tmp_path / "work"
    code, out = await run(*words, cwd=work)
    assert code in (0, 3), out.decode()
    code, report = await run("eval", "report", "out", "-f", "markdown", cwd=work)
    code, traffic = await run("traffic", "out", cwd=work)
    sent = b"".join(server.heads).decode()
    assert CANARIES["MY_API_KEY"] in sent and CANARIES["OVERRIDE"] in sent, "they were in use"
    assert not traces(out + report + traffic)
    files = [path for path in work.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        found = traces(path.read_bytes())
        assert not found, f"{path.relative_to(work)} tells {sorted(found)}"
    text = (work / "out").rglob("model_traffic.jsonl").__next__().read_text()
    assert "How much is 3 modulo 50?" in text and f'"{SHORT}"' not in text
    assert '\\"tokens\\": 5' in text, "what is no secret stays"
    assert (work / "out" / "config.yaml").read_text().count("${MY_API_KEY}") == 1


@pytest.mark.slow
async def test_the_flags_of_a_quick_run(echo: tuple[Echo, int], tmp_path: Path) -> None:
    _, port = echo
    written(tmp_path, port, False)
    url = f"http://u:{quote(CANARIES['URL_PASSWORD'], safe='')}@127.0.0.1:{port}/v1"
    url += f"?api-key={CANARIES['QUERY_KEY']}"
    words = ("eval", "run", "-b", "bench.py", "--model-url", url, "--model-id", "m")
    more = ("--api-key", CANARIES["HEADER"], "-o", "out", "--max-problems", "6")
    work = tmp_path / "work"
    _, out = await run(*words, *more, cwd=work)
    known = ("URL_PASSWORD", "QUERY_KEY", "HEADER")
    assert not traces(out, known)
    for path in (work / "out").rglob("*"):
        assert path.is_dir() or not traces(path.read_bytes(), known), path
    command = json.loads((work / "out" / "run.json").read_text())["command"]
    assert "127.0.0.1" in command and "--max-problems 6" in command


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
async def test_clients_of_the_proxy_get_no_secret(
    echo: tuple[Echo, int], tmp_path: Path, stream: bool
) -> None:
    _, port = echo
    written(tmp_path, port, stream)
    file = tmp_path / "proxy.yaml"
    file.write_text(
        f"""
url: http://127.0.0.1:{port}/v1?sig={CANARIES["QUERY_KEY"]}
api_key: {CANARIES["MY_API_KEY"]}
proxy:
  max_retries: 0
  pass_through: [/v1/files]
  extra_headers: {{X-Auth: {CANARIES["HEADER"]}}}
  interceptors: [{{name: logging}}]
""",
        encoding="utf-8",
    )
    known = ("MY_API_KEY", "QUERY_KEY", "HEADER")
    process = await asyncio.create_subprocess_exec(
        *(*NEL, "proxy", "-c", str(file), "--port", "0"),
        cwd=tmp_path,
        env={**os.environ, "NEL_PROXY_TOKEN": "zkT-token-of-the-proxy-1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().split()[-1]
    said = []
    async with aiohttp.ClientSession() as session:
        for _ in range(6):
            body = {"messages": [{"role": "user", "content": "x"}], "stream": stream}
            for path, extra in (("chat/completions", {}), ("messages", {"max_tokens": 5})):
                target = f"{url}/v1/{path}"
                async with session.post(target, json={"model": "m", **body, **extra}) as response:
                    said += [str(response.headers).encode(), await response.read()]
            async with session.get(f"{url}/v1/files/1") as response:
                said += [str(response.headers).encode(), await response.read()]
    process.send_signal(signal.SIGTERM)
    out, err = await process.communicate()
    for text in (*said, out, err):
        assert not traces(text, known)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_token_of_the_environment_is_not_printed(tmp_path: Path) -> None:
    token = "zkT-token-of-the-proxy-1"
    words = ("proxy", "--upstream", "http://127.0.0.1:9/v1", "--port", "0", "--host", "0.0.0.0")
    process = await asyncio.create_subprocess_exec(
        *NEL,
        *words,
        env={**os.environ, "NEL_PROXY_TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    await process.stdout.readuntil(b"listening on")
    process.send_signal(signal.SIGTERM)
    out, _ = await process.communicate()
    assert token.encode() not in out and b"NEL_PROXY_TOKEN" in out
