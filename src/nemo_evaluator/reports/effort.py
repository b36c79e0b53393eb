"""What agents took for their tasks: a line for a terminal, and blocks of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..results.effort import Effort, Quantity
from . import figures as show
from .blocks import Block, Shares, Table, Tone

NOTE = (
    "Of rollouts with a verdict, by the attempt that was verified. Where too few are solved to "
    "tell, the price of a solved task has no upper limit."
)


def effort_line(effort: Effort) -> str:
    """``12 of 40 solved: 0.0421 USD [0.0301, 0.0712] and 12,345 tokens per solved task; 8.3 turns
    and 42.0 s per rollout; 3 ended by turns``."""
    parts = [f"{effort.solved:,} of {effort.rollouts:,} solved{_prices(effort)}"]
    means = [] if effort.turns is None else [f"{amount(effort.turns.value)} turns"]
    if effort.seconds is not None:
        means.append(show.duration(effort.seconds.value))
    if means:
        parts.append(f"{' and '.join(means)} per rollout")
    ended = [f"{count:,} ended by {limit}" for limit, count in effort.ended_by.items()]
    return "; ".join([*parts, *ended])


def _prices(effort: Effort) -> str:
    if not effort.solved:
        spent = [] if effort.cost_usd is None else [show.usd(effort.cost_usd)]
        spent += [f"{effort.tokens:,} tokens"] if effort.tokens else []
        return f", for {' and '.join(spent)}" if spent else ""
    prices = []
    if (cost := effort.cost_per_solved) is not None:
        prices.append(f"{show.usd(cost.value)} {limits(cost, show.usd_value)}")
    if (tokens := effort.tokens_per_solved) is not None:
        prices.append(f"{amount(tokens.value)} tokens")
    return f": {' and '.join(prices)} per solved task" if prices else ""


def effort_blocks(effort: Effort | None) -> Iterator[Block]:
    """What a solved task and a rollout took, and by what limits rollouts ended."""
    if effort is None:
        return
    rows = [
        ("Cost per solved task", *_cells(effort.cost_per_solved, show.usd, show.usd_value)),
        ("Tokens per solved task", *_cells(effort.tokens_per_solved, amount, amount)),
        ("Turns per rollout", *_cells(effort.turns, amount, amount)),
        ("Time per rollout", *_cells(effort.seconds, show.duration, show.duration)),
    ]
    none = "" if effort.solved else "Nothing is solved, so a solved task has no price. "
    title = f"Effort: {effort.solved:,} of {effort.rollouts:,} solved"
    yield Table(title, ("", "Value", "95 % CI", "Problems"), tuple(rows), none + NOTE)
    if effort.ended_by:
        rest = effort.rollouts - sum(effort.ended_by.values())
        limited = ((f"ended by {name}", n, Tone.UNSURE) for name, n in effort.ended_by.items())
        parts = (("ended by itself", rest, Tone.PLAIN), *limited)
        yield Shares("What ended the agent", parts)


def limits(quantity: Quantity, text: Callable[[float], str]) -> str:
    """``[0.0301, 0.0712]``, or ``[0.0301, no limit]``."""
    upper = "no limit" if quantity.ci_upper is None else text(quantity.ci_upper)
    return f"[{text(quantity.ci_lower)}, {upper}]"


def amount(value: float) -> str:
    """A number of tokens or turns: ``12,345``, ``8.3``."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _cells(
    quantity: Quantity | None, value: Callable[[float], str], limit: Callable[[float], str]
) -> tuple[str, str, str]:
    if quantity is None:
        return show.UNKNOWN, show.UNKNOWN, show.UNKNOWN
    return value(quantity.value), limits(quantity, limit), show.count(quantity.n)
