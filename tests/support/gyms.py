"""Benchmarks that are served in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from nemo_evaluator import ScorerInput, SeedResult, benchmark, numeric_match, scorer
from nemo_evaluator.environments.contract import Environment
from nemo_evaluator.environments.gym.app import Guarded, gym_app
from nemo_evaluator.environments.gym.served import Served
from nemo_evaluator.environments.registry import open_found
from nemo_evaluator.http.server.contract import Limits
from nemo_evaluator.http.server.server import Server

ROWS = [{"a": i, "b": 2 * i, "target": 3 * i, "level": i % 3} for i in range(230)]


@benchmark(name="sums", dataset=ROWS, prompt="How much is {a} + {b}?", category_field="level")
@scorer
def sums(sample: ScorerInput) -> dict[str, Any]:
    assert sample.metadata["target"] == sample.target_raw
    return numeric_match(sample)


def chat(row: dict[str, Any], idx: int) -> SeedResult:
    """A problem that is a conversation, with a system prompt and an image."""
    return SeedResult(
        messages=[{"role": "user", "content": f"And {row['a']}?"}],
        system="Be brief.",
        expected_answer=row["target"],
        metadata={"row": idx, "cluster": f"c{idx % 2}"},
        images=[b"\x89PNG\r\n\x1a\n0000"],
    )


@benchmark(name="talk", dataset=ROWS[:5], seed_fn=chat)
@scorer
def talk(sample: ScorerInput) -> dict[str, Any]:
    return numeric_match(sample)


async def prepared(definition: Any) -> Environment:
    environment = open_found(definition.__nel_benchmark__, {}, None)
    await environment.prepare()
    return environment


@asynccontextmanager
async def serving(
    definition: Any = sums, *, token: str | None = None, **options: Any
) -> AsyncIterator[tuple[str, Served]]:
    """Serves a benchmark; gives its URL, and what is served."""
    environment = await prepared(definition)
    served = Served(environment, await environment.size(), **options)
    app = Guarded(gym_app(served, max_body_mb=1), token)
    server = Server(app, Limits(body_bytes=1 << 20), failure=app.failure)
    port = await server.start("127.0.0.1", 0)
    app.open_at("127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{port}", served
    finally:
        await server.stop(1.0)
        await environment.close()


@asynccontextmanager
async def routed(*routes: Route) -> AsyncIterator[str]:
    """A server of a test's own routes; its URL."""
    server = Server(Starlette(routes=list(routes)))
    port = await server.start("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop(1.0)
