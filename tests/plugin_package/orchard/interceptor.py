"""An interceptor that counts requests into a file."""

from __future__ import annotations

from pathlib import Path

from nemo_evaluator import Changes, Interceptor, ModelRequest
from nemo_evaluator.config.base import ConfigRecord


class Counter(Interceptor):
    """Appends a mark for every request."""

    changes = Changes.NOTHING

    class Options(ConfigRecord):
        """Where the marks go."""

        path: str
        """The file."""

    def __init__(self, options: Options) -> None:
        self._path = Path(options.path)

    def on_request(self, request: ModelRequest) -> None:
        """Count it."""
        with self._path.open("a") as file:
            file.write("|")
