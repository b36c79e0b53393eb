"""A run over several endpoints of one model, of which one dies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from loopback import Call, Loopback, Reply, answer
from runs import BENCH

from nemo_evaluator import evaluate_async
from nemo_evaluator.config.load import load
from nemo_evaluator.errors import ConfigError


async def test_a_run_outlives_a_replica(tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(BENCH % {"size": 60})
    servers = [Loopback(latency=0.005) for _ in range(3)]
    for server in servers:
        await server.start()
    secret = servers[1].url.replace("//", "//user:pass-of-replica@")
    path = tmp_path / "c.yaml"
    path.write_text(
        json.dumps(
            {
                "services": {
                    "m": {
                        "type": "api",
                        "url": servers[0].url,
                        "replicas": [secret, servers[2].url],
                        "protocol": "chat_completions",
                        "model": "m",
                    }
                },
                "benchmarks": [{"name": str(tmp_path / "sums.py"), "max_concurrent": 6}],
                "output": {"dir": str(tmp_path / "run")},
            }
        )
    )
    count = 0

    def dying(call: Call) -> Reply:
        nonlocal count
        count += 1
        if count == 8:
            server = servers[2]._server
            assert server is not None
            server.close()
            for connection in list(servers[2]._open):
                connection.abort()
        return answer(call)

    servers[2].script(dying)
    result = await evaluate_async(path)
    assert result.exit_code == 0
    asked = [sum(server.counts.values()) for server in servers]
    assert asked[0] > 15 and asked[1] > 15 and 8 <= asked[2] < 16
    written = b"".join(p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file())
    assert b"pass-of-replica" not in written
    for server in servers[:2]:
        await server.stop()


def test_replicas_that_make_no_sense(tmp_path: Path) -> None:
    for replicas, message in (
        (["ftp://h/v1"], "replicas"),
        (["http://h/v1"], "replicas name an endpoint twice"),
    ):
        service = {"type": "api", "url": "http://h/v1", "protocol": "chat_completions"}
        document = {"services": {"m": {**service, "replicas": replicas}}}
        document |= {"benchmarks": [{"name": "sample"}]}
        path = tmp_path / "bad.yaml"
        path.write_text(json.dumps(document))
        with pytest.raises(ConfigError, match=message):
            load(path)
