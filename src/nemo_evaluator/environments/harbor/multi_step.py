"""Tasks of several steps: each is asked and verified in the same container, one after the other.

As in harbor: a step whose rewards are below its ``min_reward`` is the last one; the rewards of the
steps that were verified become one by their mean or by the last of them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import NoVerdict
from ...sandboxes.contract import Sandbox, SandboxLost
from ...task_folders.files import packed
from ...task_folders.records import TESTS, Stage, Task
from ...types import Json, Phase
from .rewards import REWARD, Rewards
from .verifier import LOGS, SECONDS, Verified, without_reward

SETUP = "setup.sh"
SETUP_SECONDS = 600.0
_CLEAN = f"rm -rf {TESTS} {LOGS} && mkdir -p {LOGS} && chmod 777 {LOGS}"


def told_of(stage: Stage, verified: Verified) -> dict[str, Json]:
    """What became of a step, as data. ``over`` says why no step follows."""
    record: dict[str, Json] = {"step": stage.name}
    if verified.reward_file_before:
        record["reward_file_before"] = True
    if verified.rewards is None:
        return {**record, "error": str(without_reward(verified)), "over": "no reward"}
    rewards = dict(verified.rewards.by_name)
    short = stage.step.falls_short(rewards) if stage.step is not None else None
    return {**record, "rewards": rewards, **({"over": short} if short else {})}


async def begin(sandbox: Sandbox, stage: Stage, *, after: bool) -> None:
    """Make the container ready for a step: nothing of the tests ``after`` which it comes is left,
    and its own files are there. Raises SandboxLost."""
    if after:
        cleaned = await sandbox.exec(_CLEAN, user=0, cwd="/", timeout=SECONDS)
        sandbox.user = sandbox.spec.user
        if not cleaned.ok:
            raise SandboxLost(f"the tests cannot be removed: {cleaned.stderr.strip()[:300]}")
    if stage.files is None:
        return
    await sandbox.restore(".", await asyncio.to_thread(packed, [stage.files]))
    if (stage.files / SETUP).is_file():
        done = await sandbox.exec(f"bash {SETUP}", timeout=SETUP_SECONDS)
        if not done.ok:
            output = (done.stderr or done.stdout).strip()[-300:]
            raise SandboxLost(
                f"step {stage.name}: {SETUP} ended with exit code {done.exit_code}: {output}",
                phase=Phase.SOLVE,
            )


def one_reward(task: Task, steps: Sequence[Mapping[str, Any]]) -> Rewards:
    """The rewards of all steps as one. Raises NoVerdict where there is none."""
    if "rewards" not in steps[-1]:
        raise NoVerdict(f"step {steps[-1]['step']}: {steps[-1]['error']}", phase=Phase.VERIFY)
    found = [step["rewards"] for step in steps]
    if task.reward_of == "final":
        found = found[-1:]
    names = dict.fromkeys(name for rewards in found for name in rewards)
    means = {
        name: math.fsum(rewards.get(name, 0.0) for rewards in found) / len(found) for name in names
    }
    return Rewards(reward=means[REWARD], metrics=means if len(means) > 1 else {})
