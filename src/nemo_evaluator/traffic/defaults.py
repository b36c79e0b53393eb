"""What the configuration sends with every request, for callers who did not leave it to us."""

from __future__ import annotations

from collections.abc import Mapping

from ..types import Json
from .dialects import Dialect, Question
from .types import Interceptor, ModelRequest

ASKED = {"model", "messages", "prompt", "input"}
SAME = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Two names of one parameter: where a request has one, the other is not filled in."""


class Defaults(Interceptor):
    """The first step of every pipeline: fills in what a request leaves open; what it sets wins."""

    def __init__(self, dialect: Dialect, params: Mapping[str, Json]) -> None:
        body = dialect.build(Question("", params=params))
        self._params = {name: value for name, value in body.items() if name not in ASKED}
        self._fields = ASKED & body.keys() - {"model"}

    def on_request(self, request: ModelRequest) -> None:
        """Fill in."""
        body = request.body
        if self._fields.isdisjoint(body):
            return  # another protocol than the service's
        for name, value in self._params.items():
            if name not in body and SAME.get(name) not in body:
                body[name] = value
