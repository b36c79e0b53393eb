"""What a run may use: the `budget` section."""

from __future__ import annotations

from pydantic import Field

from .base import ConfigRecord


class BudgetConfig(ConfigRecord):
    """Once a limit is reached nothing more is asked; what is in flight is finished, and a higher
    limit with `--resume` goes on. Null is unlimited."""

    usd: float | None = Field(None, gt=0)
    """US dollars, by the `price` of the services; earlier invocations of the run count."""
    tokens: int | None = Field(None, ge=1)
    """Prompt and completion tokens; earlier invocations of the run count."""
    hours: float | None = Field(None, gt=0)
    """Hours of this invocation."""

    @property
    def unlimited(self) -> bool:
        """No limit is set."""
        return self.usd is None and self.tokens is None and self.hours is None
