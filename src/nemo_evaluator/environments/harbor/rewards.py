"""What a verifier's reward file says: one reward, and further numbers by name.

Invariant: what is no finite number from 0 to 1 is no reward; it is never clipped or guessed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from ...measured import can_be_averaged
from ...types import Record

REWARD = "reward"
SHOWN = 60


class Rewards(Record, frozen=True, kw_only=True):
    """The numbers of one verification."""

    reward: float
    metrics: Mapping[str, float] = {}
    """All numbers by name, where the verifier gave more than one."""

    @property
    def by_name(self) -> dict[str, float]:
        """All numbers, the reward among them under its own name."""
        return {REWARD: self.reward, **self.metrics}


def of_text(data: bytes) -> Rewards:
    """``reward.txt``: one number. Raises ValueError with the reason."""
    text = data.decode(errors="replace").strip()
    if not text:
        raise ValueError("reward.txt is empty")
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"reward.txt holds no number but {text[:SHOWN]!r}") from None
    return Rewards(reward=_checked_reward(REWARD, value))


def of_json(data: bytes) -> Rewards:
    """``reward.json``: a number, or numbers by name. The reward is the one called ``reward``, the
    only one, or else the mean of all. Raises ValueError with the reason."""
    if not data.strip():
        raise ValueError("reward.json is empty")
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"reward.json is not JSON: {error}") from None
    if not isinstance(found, dict):
        return Rewards(reward=_checked_reward(REWARD, _number(REWARD, found)))
    if not found:
        raise ValueError("reward.json holds no reward")
    numbers = {str(name): _number(str(name), value) for name, value in found.items()}
    mean = math.fsum(numbers.values()) / len(numbers)
    reward = numbers.get(REWARD, mean)
    return Rewards(
        reward=_checked_reward(REWARD, reward), metrics=numbers if len(numbers) > 1 else {}
    )


def _number(name: str, value: object) -> float:
    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, int | float) or not can_be_averaged(value):
        raise ValueError(f"{name} is no finite number but {value!r:.{SHOWN}}")
    return float(value)


def _checked_reward(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{name} is no finite number but {value}")
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value:g}, which is not from 0 to 1")
    return value
