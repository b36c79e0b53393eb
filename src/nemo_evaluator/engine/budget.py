"""What a run has used, against what it may use, and a forecast from its first rollouts.

An attempt is begun only where what is used, what is on its way and what it will use itself, each at
the mean so far, stay within the limits; otherwise it waits for one that is on its way. So a limit
is met, not overrun by all that is in flight. The forecast takes the first rollouts that were
*begun*, not the first that came back: those are the short ones.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from ..config.budget import BudgetConfig
from ..errors import BudgetExceeded
from ..stats.student import t_quantile
from ..types import EndedBy, RolloutKey, Usage
from .accounts import NOTHING, Spent
from .control import Control

PILOT = 20
"""Rollouts a forecast is made from."""
UNTOLD = {
    "tokens": "no answer said how many tokens it took",
    "usd": "no answer has a cost (a service needs its price)",
}


@dataclass(slots=True)
class RunBudget:
    """The budget of one run. ``say`` is called with the forecasts."""

    config: BudgetConfig
    control: Control
    say: Callable[[str], None]
    tokens: int = 0
    usd: float | None = None
    attempts: int = 0
    """Attempts that used something, whatever became of them."""
    on_their_way: int = 0
    _in_flight: dict[tuple[str, RolloutKey], Spent] = field(default_factory=dict)
    """What attempts that are not over have used, as of their last call."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """The clock of ``hours`` runs from here."""
        if self.config.hours is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.config.hours * 3600, self._time_is_up)

    def stop(self) -> None:
        """The run is over."""
        if self._timer is not None:
            self._timer.cancel()

    def attempted(self, spent: Spent) -> None:
        """Count what an attempt used, of this invocation or an earlier one."""
        if spent is NOTHING:
            return
        self.attempts += 1
        self.spend(spent.usage, spent.usd)

    def spend(self, usage: Usage, usd: float | None) -> None:
        """Count what was paid for besides attempts: what judges used."""
        self.tokens += usage.total_tokens or 0
        if usd is not None:
            self.usd = (self.usd or 0.0) + usd

    async def admit(self) -> bool:
        """Wait until an attempt may begin; False if none may any more. Pair with ``release``."""
        while not self.control.stopping:
            limit = self._reached_limit()
            if limit is None:
                self.on_their_way += 1
                return True
            if self.on_their_way == 0:
                self.control.stop(f"the budget of {limit} is used up")
                return False
            self._changed.clear()
            await self._changed.wait()
        return False

    def release(self) -> None:
        """An attempt that was admitted is over."""
        self.on_their_way -= 1
        self._changed.set()

    @property
    def bounds_calls(self) -> bool:
        """Whether calls are to be asked for: tokens or money are limited."""
        return self.config.tokens is not None or self.config.usd is not None

    def go_on(self, who: tuple[str, RolloutKey], used: Spent) -> None:
        """Before a further call of an attempt that has used this much. Raises BudgetExceeded where
        all that was used, by this one and others, reaches a limit: an agent may go on for long."""
        if not used.calls:
            return  # its first call was admitted
        self._in_flight[who] = used
        tokens = sum(spent.usage.total_tokens or 0 for spent in self._in_flight.values())
        usd = sum(spent.usd or 0.0 for spent in self._in_flight.values())
        for limit, most, all_used in (
            (EndedBy.COST, self.config.usd, (self.usd or 0.0) + usd),
            (EndedBy.TOKENS, self.config.tokens, self.tokens + tokens),
        ):
            if most is not None and all_used >= most:
                shown = _amount_text(most, "usd" if limit is EndedBy.COST else "tokens")
                raise BudgetExceeded(f"the run's budget of {shown} is used up").of(limit)

    def over(self, who: tuple[str, RolloutKey]) -> None:
        """An attempt is over; what it used is counted by ``attempted``."""
        self._in_flight.pop(who, None)

    def check(self) -> None:
        """Stop the run where a limit is reached, for what asks without being admitted."""
        for kind, limit in (("usd", self.config.usd), ("tokens", self.config.tokens)):
            used = (self.tokens if kind == "tokens" else self.usd) or 0.0
            if limit is not None and used >= limit and not self.control.stopping:
                self.control.stop(f"the budget of {_amount_text(limit, kind)} is used up")

    def used(self) -> str:
        """What was used, for people."""
        parts = [_amount_text(self.tokens, "tokens")]
        return ", ".join(parts if self.usd is None else [_amount_text(self.usd, "usd"), *parts])

    def pilot(self, label: str, open_rollouts: int) -> Pilot | None:
        """The forecast of a benchmark, if it is large enough for one and anything is limited."""
        if self.config.unlimited or open_rollouts <= PILOT:
            return None
        return Pilot(self, label, open_rollouts)

    def _reached_limit(self) -> str | None:
        """The limit that one more rollout would exceed. Until a rollout ends, a few may begin."""
        for kind, limit in (("usd", self.config.usd), ("tokens", self.config.tokens)):
            if limit is None:
                continue
            used = (self.tokens if kind == "tokens" else self.usd) or 0.0
            mean = used / self.attempts if self.attempts else 0.0
            if used + (self.on_their_way + 1) * mean > limit:
                return _amount_text(limit, kind)
            if not self.attempts and self.on_their_way >= PILOT:
                return _amount_text(limit, kind)
        return None

    def _time_is_up(self) -> None:
        self.control.stop(f"the budget of {self.config.hours:g} hours is used up")


@dataclass(slots=True)
class Pilot:
    """The first rollouts of a benchmark."""

    budget: RunBudget
    label: str
    open_rollouts: int
    _waiting: dict[RolloutKey, Spent] = field(default_factory=dict)
    """What those that are not over have used so far, in all their attempts."""
    _begun: int = 0
    _spent: list[Spent] = field(default_factory=list)

    def begin(self, key: RolloutKey) -> None:
        """A rollout is begun."""
        if self._begun < PILOT:
            self._begun += 1
            self._waiting[key] = NOTHING

    def attempted(self, key: RolloutKey, spent: Spent) -> None:
        """An attempt of a rollout used this."""
        if key in self._waiting:
            self._waiting[key] = self._waiting[key].plus(spent)

    def end(self, key: RolloutKey) -> None:
        """A rollout was answered, or failed. The last one of the pilot makes the forecast."""
        spent = self._waiting.pop(key, None)
        if spent is None:
            return
        if spent.calls:
            self._spent.append(spent)
        if self._begun == PILOT and not self._waiting and len(self._spent) > 1:
            self.budget.say(self._forecast())

    def _forecast(self) -> str:
        parts, warnings = [], []
        for kind, limit in (("tokens", self.budget.config.tokens), ("usd", self.budget.config.usd)):
            known = [value for spent in self._spent if (value := _amount(spent, kind)) is not None]
            if len(known) < 2 or not any(known):
                if limit is not None:
                    warnings.append(
                        f"{UNTOLD[kind]}: the budget of {_amount_text(limit, kind)} limits nothing"
                    )
                continue
            low, mean, high = total_interval(known, self.open_rollouts)
            interval = f"[{_amount_text(low, kind)}, {_amount_text(high, kind)}]"
            parts.append(f"about {_amount_text(mean, kind)} {interval}")
            used = (self.budget.tokens if kind == "tokens" else self.budget.usd or 0) - sum(known)
            if limit is not None and used + mean > limit:
                share = max(0.0, (limit - used) / mean)
                enough = f"is enough for about {share:.0%} of the rollouts"
                warnings.append(f"the budget of {_amount_text(limit, kind)} {enough}")
        about = ", ".join(parts) or "nothing is known"
        text = f"forecast for {self.label}, from {len(self._spent)} rollouts: {about}"
        return "; ".join([text, *warnings])


def _amount(spent: Spent, kind: str) -> float | None:
    return float(spent.usage.total_tokens or 0) if kind == "tokens" else spent.usd


def total_interval(values: list[float], count: int) -> tuple[float, float, float]:
    """Low, mean and high of a total over ``count`` items, from a sample of them: a 95 % t-interval
    of the mean with finite population correction, times ``count``. Needs two values.

    Example: values 10, 12, 14 of 30 items: mean 12·30 = 360, s = 2, t(0.975, 2) = 4.303,
    half = 30·4.303·2/√3·√(27/29) = 143.8.
    """
    n = len(values)
    mean = sum(values) / n
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    correction = math.sqrt(max(0, count - n) / max(1, count - 1))
    half = t_quantile(0.975, n - 1) * deviation / math.sqrt(n) * correction
    return count * max(0.0, mean - half), count * mean, count * (mean + half)


def _amount_text(value: float, kind: str) -> str:
    return f"{value:,.0f} tokens" if kind == "tokens" else f"{value:.2f} USD"
