"""`drop_params`: removes parameters of the request that the endpoint would refuse."""

from __future__ import annotations

from pydantic import Field, field_validator

from ...config.base import ConfigRecord
from ..types import Changes, Interceptor, ModelRequest


class DropParams(Interceptor):
    """Removes top-level fields of the body; those a request does not have are no matter."""

    changes = Changes.ANSWERS

    class Options(ConfigRecord):
        """Which ones."""

        params: list[str] = Field(min_length=1)
        """Names of the fields. Without ``stream`` the endpoint is asked for a whole answer."""

        @field_validator("params")
        @classmethod
        def _can_go(cls, names: list[str]) -> list[str]:
            if "stream_options" in names:
                raise ValueError(
                    "stream_options cannot be dropped, it is how a stream tells its usage; "
                    "drop stream to have none"
                )
            return names

    def __init__(self, options: Options) -> None:
        self._names = tuple(dict.fromkeys(options.params))
        self._drops_stream = "stream" in self._names

    def on_request(self, request: ModelRequest) -> None:
        """Remove the parameters."""
        for name in self._names:
            request.body.pop(name, None)
        if self._drops_stream:
            request.stream = False
            request.body.pop("stream_options", None)
