"""The in-process door of the pipeline: what a solver calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..types import Generation, Image, Json, Message
from .types import CallContext


class Model(Protocol):
    """A model endpoint as a solver sees it."""

    name: str
    """The model id sent to the endpoint."""

    async def generate(
        self,
        *,
        prompt: str = "",
        messages: Sequence[Message] = (),
        system: str | None = None,
        images: Sequence[Image] = (),
        params: Mapping[str, Json] | None = None,
        context: CallContext,
    ) -> Generation:
        """One answer. ``messages`` win over ``prompt``; ``system`` replaces a leading system
        message; ``params`` win over the service's generation parameters.

        Raises ModelError (the model refused), InfraError (after retries), PermanentError (no retry
        can help)."""
