"""Servers that are no models: gyms and agents, running already or started, and calls of them."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from gyms import routed
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nemo_evaluator.config.agents import GymResourceService, NatAgentService
from nemo_evaluator.config.load import parse
from nemo_evaluator.errors import ConfigError, InfraError, PermanentError
from nemo_evaluator.services.gym import Gym
from nemo_evaluator.services.json_server import JsonServer
from nemo_evaluator.services.launch import Launch
from nemo_evaluator.services.nat import Nat
from nemo_evaluator.services.open import Opened, launch_of, open_services
from nemo_evaluator.types import Failure

PYTHON = f"exec {sys.executable} -u"
ECHO = """
import http.server, os, json
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        data = json.dumps(dict(os.environ)).encode()
        self.send_response(200 if self.path == "/" else 404)
        self.end_headers()
        self.wfile.write(data)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
"""


async def opened(services: dict[str, Any], stack: AsyncExitStack, folder: Path) -> Opened:
    document = {"services": services, "benchmarks": [{"name": "sample", "solver": SOLVER}]}
    config = parse(document).config
    return await open_services(config.services, {"g": 2}, stack, folder)


SOLVER = {"type": "simple", "service": "m"}


def echo(tmp_path: Path) -> str:
    (tmp_path / "echo.py").write_text(ECHO)
    return f"{PYTHON} {tmp_path / 'echo.py'}  # on $PORT"


async def test_a_gym_is_started_told_its_model_and_ended(tmp_path: Path) -> None:
    gym = {
        "type": "gym",
        "server_cmd": echo(tmp_path),
        "model": "m",
        "extra_env": {"X": "1"},
    }
    async with AsyncExitStack() as stack:
        found = await opened({"m": {"type": "simulated"}, "g": gym}, stack, tmp_path)
        server = found.servers["g"]
        assert list(found.models) == ["m"] and "command" in server.identity
        assert await server.ready() is None and await server.ready() is None
        told: Any = await server.calls.session().get("/")
        assert told["OPENAI_BASE_URL"].startswith("http://127.0.0.1:")
        assert told["OPENAI_API_KEY"].startswith("nel-") and told["X"] == "1"
        assert server.endpoints[0] == server.calls.url
    with pytest.raises(InfraError, match="refused"):
        await JsonServer(server.calls.url).session().get("/")


async def test_a_server_that_dies_says_why(tmp_path: Path) -> None:
    gym = {"type": "gym", "server_cmd": "echo no such resource >&2; exit 3  # $PORT"}
    async with AsyncExitStack() as stack:
        found = await opened({"m": {"type": "simulated"}, "g": gym}, stack, tmp_path)
        with pytest.raises(ConfigError, match=r"(?s)services\.g: .*exit code 3.*no such resource"):
            await found.servers["g"].ready()


async def test_a_server_that_is_not_there_is_an_error_of_configuration(tmp_path: Path) -> None:
    gym = {"type": "gym", "url": "http://127.0.0.1:9"}
    async with AsyncExitStack() as stack:
        found = await opened({"m": {"type": "simulated"}, "g": gym}, stack, tmp_path)
        with pytest.raises(ConfigError, match=r"services\.g: does not answer: .*refused"):
            await found.servers["g"].ready()


def test_where_a_started_gym_listens() -> None:
    def of(**fields: Any) -> int | None:
        return GymResourceService.model_validate(fields).listens_on

    assert of(server_cmd="gym --port {port}") is None and of(server_cmd="gym $PORT") is None
    assert of(server_cmd="gym ${PORT}") is None and of(benchmark="gsm8k") is None
    assert of(server_cmd="gym") == 8000 and of(server_cmd="gym", port=9) == 9


def test_what_is_started() -> None:
    launch = Gym().launch(GymResourceService(benchmark="gsm8k", model="m", depends_on=["x"]))
    assert launch is not None and launch.argv[1:6] == (
        *("-m", "nemo_evaluator.cli", "serve", "-b", "gsm8k"),
    )
    assert launch.depends_on == ("x", "m")
    assert Gym().launch(GymResourceService(url="http://127.0.0.1:1")) is None
    with pytest.raises(ConfigError, match="needs url, benchmark or server_cmd"):
        Gym().launch(GymResourceService())
    launch = Nat().launch(NatAgentService(nat_config_file="a.yml", port=5))
    assert launch is not None and launch.argv[:4] == ("nat", "serve", "--config_file", "a.yml")


@pytest.mark.parametrize(
    ("service", "message"),
    [
        ({"type": "nat"}, "services.g: there is no file config.yml"),
        ({"type": "nat", "nat_config_file": __file__}, "services.g: there is no command `nat`"),
        ({"type": "gym"}, "needs url, benchmark or server_cmd"),
        ({"type": "gym", "url": "http://h", "model": "m"}, "model has no effect on a server"),
        ({"type": "gym", "benchmark": "x", "model": "y"}, "there is no service 'y'"),
        (
            {"type": "gym", "benchmark": "x", "model": "g"},
            "service 'g' is of type gym, not a model",
        ),
    ],
)
async def test_what_cannot_be(service: dict[str, Any], message: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(ConfigError) as error:
            await opened({"m": {"type": "simulated"}, "g": service}, stack, tmp_path)
    assert message in str(error.value)


# -- calls --------------------------------------------------------------------------------------


async def test_each_session_has_cookies_of_its_own() -> None:
    async def seed(request: Request) -> Response:
        response = JSONResponse({})
        response.set_cookie("session", f"of-{request.url.query}", httponly=True)
        response.set_cookie("other", "1")
        return response

    async def told(request: Request) -> Response:
        return JSONResponse(dict(request.cookies))

    routes = Route("/seed", seed, methods=["POST"]), Route("/told", told)
    async with routed(*routes) as url:
        server = JsonServer(url)
        one, two = server.session(), server.session()
        await one.post("/seed?a", {})
        await two.post("/seed?b", {})
        assert await one.get("/told") == {"session": "of-a", "other": "1"}
        assert await two.get("/told") == {"session": "of-b", "other": "1"}
        assert await server.session().get("/told") == {}
        await server.close()


async def test_what_goes_wrong_is_never_an_answer() -> None:
    async def late(request: Request) -> Response:
        await asyncio.sleep(30)
        return JSONResponse({})

    def answer(status: int, text: str) -> Any:
        async def handler(request: Request) -> Response:
            return Response(text, status)

        return handler

    detail = json.dumps({"error": {"message": "no such row"}})
    routes = [
        Route("/late", late),
        Route("/text", answer(200, "hello")),
        Route("/deep", answer(200, "[" * 200_000)),
        Route("/wrong", answer(500, detail)),
        Route("/key", answer(401, "who?")),
    ]
    cases: list[tuple[str, type[InfraError], Failure, str]] = [
        ("/late", InfraError, Failure.TIMEOUT, "/late was not answered within 0.2 s"),
        ("/text", InfraError, Failure.INVALID_RESPONSE, "the answer of /text is not JSON"),
        ("/deep", InfraError, Failure.INVALID_RESPONSE, "the answer of /deep is not JSON"),
        ("/wrong", InfraError, Failure.SERVER_ERROR, "answered with 500: no such row"),
        ("/gone", InfraError, Failure.NOT_FOUND, "/gone was answered with 404"),
        ("/key", PermanentError, Failure.AUTH, "answered with 401: who?"),
    ]
    async with routed(*routes) as url:
        server = JsonServer(url, token="sesame-secret")
        for path, kind, failure, message in cases:
            with pytest.raises(kind) as error:
                await server.session().call("GET", path, None, seconds=0.2)
            assert error.value.info.kind is failure and message in str(error.value)
            assert error.value.info.peer == url and "sesame" not in str(error.value)
        await server.close()


async def test_only_what_costs_nothing_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nemo_evaluator.services.json_server.PAUSES", (0.01, 0.01))
    seen: list[str] = []

    async def busy(request: Request) -> Response:
        seen.append(request.url.path)
        return Response("busy", 503) if len(seen) < 3 else JSONResponse({"n": len(seen)})

    async with routed(Route("/busy", busy, methods=["POST"])) as url:
        server = JsonServer(url)
        with pytest.raises(InfraError, match="503: busy"):
            await server.session().post("/busy", {})
        assert len(seen) == 1
        assert await server.session().post("/busy", {}, again=True) == {"n": 3}
        await server.close()


def test_a_server_in_a_container_is_the_programs_of_its_image() -> None:
    def launch(**fields: Any) -> Launch:
        services = {"m": {"type": "simulated"}, "g": {"image": "y", **fields}}
        given = {"services": services, "benchmarks": [{"name": "sample", "solver": SOLVER}]}
        found = launch_of("g", parse(given).config.services["g"])
        assert found is not None and found.image == "y" and found.host_network
        return found

    assert launch(type="gym", benchmark="x").argv[:4] == ("nel", "serve", "-b", "x")
    nat = launch(type="nat", nat_config_file="/agents/a.yml")
    assert nat.mounts == ("/agents/a.yml:/agents/a.yml:ro",) and nat.argv[0] == "nat"
