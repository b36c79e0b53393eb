"""The pages of a viewer, as an ASGI application. Whatever takes time happens in a thread."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..errors import ConfigError
from . import pages, rollout_pages
from .labels import WORDS
from .links import Links
from .rendering import NotThere, Viewer
from .search import Query

STATIC = Path(__file__).parent / "static"
REPORT_STYLE = Path(__file__).parent.parent / "reports" / "html" / "style.css"
ASSETS = {
    "viewer.css": (STATIC / "viewer.css", "text/css"),
    "viewer.js": (STATIC / "viewer.js", "text/javascript"),
    "report.css": (REPORT_STYLE, "text/css"),
}
LABEL_BYTES = 64 << 10

log = logging.getLogger("nemo_evaluator.viewer")


def viewer_app(viewer: Viewer) -> Starlette:
    """The application. What may be asked of it is decided around it (`guard.py`)."""
    served = _Served(viewer)
    here = "/run/{key}/{benchmark}"
    return Starlette(
        routes=[
            Route("/", served.runs),
            Route("/run/{key}", served.run),
            Route("/run/{key}/audit", served.audit),
            Route("/run/{key}/live", served.live),
            Route(f"{here}/samples", served.samples),
            Route(f"{here}/sample/{{problem:int}}/{{repeat:int}}", served.sample),
            Route(f"{here}/steps/{{problem:int}}/{{repeat:int}}", served.steps),
            Route(f"{here}/text/{{problem:int}}/{{repeat:int}}/{{part}}", served.text),
            Route(f"{here}/image/{{problem:int}}/{{repeat:int}}/{{number:int}}", served.image),
            Route(f"{here}/label/{{problem:int}}/{{repeat:int}}", served.label, methods=["POST"]),
            Route("/compare", served.compare),
            Route("/pair", served.pair),
            Route("/history", served.history),
            Route("/static/{name}", served.asset),
        ],
        exception_handlers={
            HTTPException: served.failed,
            NotThere: served.failed,
            ConfigError: served.failed,
            Exception: served.failed,
        },
    )


class _Served:
    """The routes."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer, self._links = viewer, Links()

    async def runs(self, request: Request) -> Response:
        return await self._page(pages.runs_page, part=request.query_params.get("part"))

    async def run(self, request: Request) -> Response:
        part = request.query_params.get("part")
        return await self._page(pages.run_page, request.path_params["key"], part=part)

    async def live(self, request: Request) -> Response:
        state = await asyncio.to_thread(pages.live, self._viewer, request.path_params["key"])
        return _json(state)

    async def audit(self, request: Request) -> Response:
        return await self._page(pages.audit_page, request.path_params["key"])

    async def samples(self, request: Request) -> Response:
        return await self._page(
            pages.samples_page,
            request.path_params["key"],
            request.path_params["benchmark"],
            Query.of(request.query_params),
            part=request.query_params.get("part"),
        )

    async def sample(self, request: Request) -> Response:
        return await self._page(
            rollout_pages.sample_page,
            *self._rollout(request),
            Query.of(request.query_params),
            _number(request.query_params, "at"),
            _number(request.query_params, "step") or 1,
        )

    async def steps(self, request: Request) -> Response:
        first = _number(request.query_params, "step") or 1
        return await self._page(rollout_pages.steps_part, *self._rollout(request), first)

    async def text(self, request: Request) -> Response:
        part = request.path_params["part"]
        found = await asyncio.to_thread(
            rollout_pages.whole_text, self._viewer, *self._rollout(request), part
        )
        return PlainTextResponse(_sent(found))

    async def image(self, request: Request) -> Response:
        key, benchmark, problem, _ = self._rollout(request)
        number = request.path_params["number"]
        data, kind = await asyncio.to_thread(
            rollout_pages.image, self._viewer, key, benchmark, problem, number
        )
        return Response(data, media_type=kind)

    async def label(self, request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(415, "a label is sent as JSON")
        if int(request.headers.get("content-length") or 0) > LABEL_BYTES:
            raise HTTPException(413, "a note is too long")
        try:
            body = json.loads(await request.body())
            word, note = str(body.get("label") or ""), str(body.get("note") or "")
        except (ValueError, AttributeError):
            raise HTTPException(400, "a label is an object with label and note") from None
        if word and word not in WORDS:
            raise HTTPException(400, f"a label is one of {', '.join(WORDS)}")
        where = await asyncio.to_thread(
            rollout_pages.set_label, self._viewer, *self._rollout(request), word, note
        )
        return _json({"label": word, "file": where})

    async def compare(self, request: Request) -> Response:
        chosen = request.query_params.getlist("run")
        return await self._page(rollout_pages.compare_page, chosen)

    async def pair(self, request: Request) -> Response:
        params = request.query_params
        return await self._page(
            rollout_pages.pair_page,
            params.getlist("run"),
            params.get("benchmark", ""),
            _number(params, "problem"),
            _number(params, "repeat") or 0,
        )

    async def history(self, request: Request) -> Response:
        return await self._page(pages.history_page, request.query_params.get("benchmark", ""))

    async def asset(self, request: Request) -> Response:
        found = ASSETS.get(request.path_params["name"])
        if found is None:
            raise NotThere("there is no such file")
        path, kind = found
        data = await asyncio.to_thread(path.read_bytes)
        return Response(data, media_type=kind, headers={"cache-control": "max-age=3600"})

    async def failed(self, request: Request, error: Exception) -> Response:
        """One sentence, whatever went wrong."""
        status, what = 500, "this page cannot be made; the log of nel view says why"
        if isinstance(error, HTTPException):
            status, what = error.status_code, str(error.detail)
        elif isinstance(error, NotThere):
            status, what = 404, str(error)
        elif isinstance(error, ConfigError):
            status, what = 422, str(error)
        else:
            log.error("%s: %r", request.url.path, error, exc_info=error)
        page = await asyncio.to_thread(pages.error_page, self._viewer, self._links, what)
        return HTMLResponse(_sent(page), status)

    @staticmethod
    def _rollout(request: Request) -> tuple[str, str, int, int]:
        params = request.path_params
        return params["key"], params["benchmark"], params["problem"], params["repeat"]

    async def _page(self, make: Callable[..., str], *told: Any, **options: Any) -> Response:
        page = await asyncio.to_thread(make, self._viewer, self._links, *told, **options)
        return HTMLResponse(_sent(page))


def _sent(text: str) -> bytes:
    """A text as it is sent: half of a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace")


def _json(told: Mapping[str, object]) -> Response:
    return Response(json.dumps(told, separators=(",", ":")), media_type="application/json")


def _number(told: Mapping[str, str], name: str) -> int | None:
    value = told.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None
