"""`streaming`: asks the endpoint for a stream, for every caller.

So the time to the first token is known, and a long answer is not cut off by an idle timeout on its
way. A caller who wants a whole answer gets the accumulated one.
"""

from __future__ import annotations

from ...config.base import ConfigRecord
from ..dialects.contract import as_dict, dicts
from ..types import Changes, Interceptor, ModelRequest, ModelResponse

STREAMED = ("chat_completions", "completions", "responses")


class Streaming(Interceptor):
    """Sets ``stream`` where the protocol has streams."""

    changes = Changes.NOTHING

    class Options(ConfigRecord):
        """What the caller gets of a streamed answer."""

        null_content_to_empty: bool = True
        """In a whole chat answer, ``content: null`` (tool calls only, say) becomes ``""``."""

    def __init__(self, options: Options) -> None:
        self._fills = options.null_content_to_empty

    def on_request(self, request: ModelRequest) -> None:
        """Ask for a stream."""
        if request.protocol in STREAMED:
            request.stream = True

    def on_response(self, request: ModelRequest, response: ModelResponse) -> None:
        """Fill in empty contents."""
        if not self._fills or request.protocol != "chat_completions":
            return
        for choice in dicts(response.body.get("choices")):
            message = as_dict(choice.get("message"))
            if message and message.get("content") is None:
                choice["message"] = {**message, "content": ""}
