"""Runs a task's own tests on what an agent left, and reads the reward that they write.

Invariants: the tests come into the sandbox only now, into folders that are new; a reward file that
is there before is removed and reported; tests that could not start, or wrote no valid reward, are
never a score.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import InfraError, NoVerdict
from ...sandboxes.contract import ExecResult, Sandbox, SandboxLost
from ...task_folders.files import packed
from ...task_folders.records import TESTS, Check, Place
from ...types import Failure, Json, Phase
from .rewards import Rewards, of_json, of_text
from .spec import ready_command
from .startup import NOT_FOUND, NOT_RUNNABLE, Start, judged

LOGS = "/logs/verifier"
OUTPUT = f"{LOGS}/test-stdout.txt"
REWARD_FILES = ("reward.json", "reward.txt")
"""The first that is there counts, as in harbor."""
REWARD_BYTES = 64 << 10
HEAD, TAIL = 8 << 10, 24 << 10
"""Bytes of the tests' output that are read, from its beginning and from its end."""
SECONDS = 60.0
"""For our own commands."""
READY_SECONDS = 600.0
"""For an environment that must get healthy again."""
_OUTPUT = "output\n"
_BEFORE = "before"
_NOT_READY = 97
_CLEAN = f"""\
for f in {" ".join(REWARD_FILES)}; do [ -e {LOGS}/$f ] && echo {_BEFORE}; done
rm -rf {LOGS}
"""
_UNPACK = f"""\
rm -rf {TESTS} && mkdir -p {TESTS} && tar -x --no-same-owner -C {TESTS} -f - || exit 1
"""
_READ = f"""\
cd {LOGS} || exit 1
for f in {" ".join(REWARD_FILES)}; do
  [ -f $f ] || continue
  printf '%s ' $f; head -c {REWARD_BYTES} $f | od -An -v -tx1 | tr -d ' \\n'; echo
done
echo output
size=$(wc -c < {OUTPUT})
head -c {HEAD} {OUTPUT}
if [ "$size" -gt {HEAD + TAIL} ]; then
  printf '\\n[...]\\n'; tail -c {TAIL} {OUTPUT}
else
  tail -c +{HEAD + 1} {OUTPUT}
fi
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What one run of the tests came to."""

    exit_code: int
    timed_out: bool
    output: str
    rewards: Rewards | None
    wrong: str = ""
    """Why there is no reward."""
    reward_file_before: bool = False
    """There was a reward file before the tests ran: the agent had written it."""
    seconds: float = 0.0
    set_back: tuple[str, ...] = ()
    """What the agent had changed of what tests are run with."""

    @property
    def start(self) -> tuple[Start, str]:
        """Whether the tests started, and the line that says why not."""
        if self.timed_out:
            return Start.STARTED, ""
        reward = self.rewards.reward if self.rewards is not None else None
        return judged(self.output, self.exit_code, reward)


async def run_tests(
    sandbox: Sandbox, check: Check, place: Place, env: Mapping[str, str], seconds: float
) -> Verified:
    """Run the tests of a task in a sandbox in which nothing else runs any more. Raises
    SandboxLost."""
    user = await _user(sandbox, check)
    sandbox.user = 0  # whoever the agent was: what is ours is done by root
    tests = await asyncio.to_thread(packed, check.sources)
    cwd = shlex.quote(sandbox.spec.cwd)
    # The tests that an image brings are in it already; an agent may have removed its own folder.
    ready = f"{_CLEAN}{_UNPACK if check.sources else ''}{ready_command(place)}mkdir -p {cwd}"
    script = f"cd {cwd}\n({shlex.quote(f'{TESTS}/{check.script}')}) > {OUTPUT} 2>&1"
    if user == 0 and place.healthcheck is None:
        # Each command in a container costs a tenth of a second: one does it all.
        whole = f"({ready}) || exit {_NOT_READY}\nexec < /dev/null\n{script}; code=$?; ({_READ})"
        done = await sandbox.exec(
            f"{whole}; exit $code", timeout=seconds, env=env, user=0, cwd="/", stdin=tests
        )
        text = done.stdout
        if done.exit_code == _NOT_READY and _OUTPUT not in text:
            raise SandboxLost(f"not ready for the tests: {done.stderr.strip()[:300]}")
    else:
        made = await sandbox.exec(ready, timeout=READY_SECONDS, user=0, cwd="/", stdin=tests)
        if not made.ok:
            raise SandboxLost(f"not ready for the tests: {made.stderr.strip()[:300]}")
        done = await sandbox.exec(script, timeout=seconds, env=env, user=user, cwd="/")
        text = made.stdout
    if _OUTPUT not in text:
        text += await _read(sandbox)
    files, output = _parse_output(text)
    before = files.pop(_BEFORE, None) is not None
    rewards, wrong = _rewards(files, check, done)
    return Verified(
        exit_code=done.exit_code,
        timed_out=done.timed_out,
        output=output,
        rewards=rewards,
        wrong=wrong,
        reward_file_before=before,
        seconds=done.duration,
    )


async def _read(sandbox: Sandbox) -> str:
    """What our script shows of what the tests wrote. Raises SandboxLost."""
    read = await sandbox.exec(_READ, timeout=SECONDS, user=0, cwd="/")
    if not read.ok:
        raise SandboxLost(f"the reward cannot be read: {read.stderr.strip()[:300]}")
    return read.stdout


def without_reward(verified: Verified, details: Mapping[str, Json] | None = None) -> NoVerdict:
    """The error for tests that ran and gave no valid reward. ``details``: what they did say."""
    lines = verified.output.strip().splitlines()[-3:]
    output = f": {' | '.join(lines)[-300:]}" if lines else ""
    text = f"the task's tests gave no reward: {verified.wrong}{output}"
    return NoVerdict(text, phase=Phase.VERIFY, details=details)


def never_started(line: str) -> InfraError:
    """The error for tests that could not start."""
    return InfraError(
        f"the task's tests could not start: {line}", kind=Failure.SANDBOX, phase=Phase.VERIFY
    )


async def _user(sandbox: Sandbox, check: Check) -> int:
    """Who runs the tests: the task's choice, else the user of the image."""
    if check.user is None:
        return sandbox.spec.user
    if str(check.user).isdecimal():
        return int(check.user)
    found = await sandbox.exec(["id", "-u", str(check.user)], user=0, cwd="/", timeout=SECONDS)
    if not found.stdout.strip().isdecimal():
        raise never_started(f"there is no user {check.user!r} in the image")
    return int(found.stdout)


def _rewards(
    files: Mapping[str, bytes], check: Check, done: ExecResult
) -> tuple[Rewards | None, str]:
    """The reward, or why there is none."""
    if done.timed_out:
        return None, f"they took longer than {check.timeout:g} s"
    if check.by_exit_code and not files:
        if done.exit_code in (NOT_FOUND, NOT_RUNNABLE):
            return None, f"they ended with exit code {done.exit_code}"
        return Rewards(reward=float(done.exit_code == 0)), ""
    for name, read in zip(REWARD_FILES, (of_json, of_text), strict=True):
        if name in files:
            try:
                return read(files[name]), ""
            except ValueError as error:
                return None, str(error)
    return None, f"they wrote none, and ended with exit code {done.exit_code}"


def _parse_output(text: str) -> tuple[dict[str, bytes], str]:
    """The files and the output that our script shows."""
    files: dict[str, bytes] = {}
    head, _, output = text.partition(_OUTPUT)
    for line in head.splitlines():
        name, _, digits = line.partition(" ")
        files[name] = bytes.fromhex(digits)
    return files, output
