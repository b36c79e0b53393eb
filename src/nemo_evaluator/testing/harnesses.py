"""What every harness promises; see `environments.harness`.

```python
class TestMine(HarnessContract):
    @pytest.fixture
    def harness(self):
        return MyHarness()  # not prepared yet

    def answer(self, key, request):  # where it uses ``tools.call``
        return Answer(text="42")
```
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from ..asked import Answer, Request
from ..engine.failures import checked
from ..environments.harness import Finished, Harness, HarnessTools
from ..errors import ConfigError
from ..http.listener import Listener
from ..traffic.door.sessions import Endpoint
from ..types import RolloutKey


class OfflineTools:
    """Tools without a model: what is called is answered by a function."""

    model: str | None = None

    def __init__(self, folder: Path, answer: Callable[[RolloutKey, Request], Answer]) -> None:
        self.folder, self.stopping, self._answer = folder, asyncio.Event(), answer

    @property
    def concurrency(self) -> int:
        """A few."""
        return 4

    @property
    def protocol(self) -> str | None:
        """The protocol of the answers."""
        return "chat_completions"

    async def endpoint(
        self,
        key: RolloutKey | None = None,
        *,
        listener: Listener | None = None,
        answers: Path | None = None,
    ) -> Endpoint:
        """Raises ConfigError: there is no model."""
        raise ConfigError("there is no model in a test", hint="answer tools.call instead")

    async def call(self, key: RolloutKey, request: Request) -> Answer:
        """What the function says."""
        return self._answer(key, request)


class HarnessContract:
    """Needs the fixture ``harness``: one that is not prepared yet."""

    def answer(self, key: RolloutKey, request: Request) -> Answer:
        """What ``tools.call`` gives."""
        return Answer(text="", logprob=-1.0, greedy=False, tokens=1)

    @pytest.fixture
    def tools(self, tmp_path: Path) -> HarnessTools:
        """What the harness is given; override it where a model must be there."""
        return OfflineTools(tmp_path, self.answer)

    @pytest.fixture
    async def prepared(self, harness: Harness) -> AsyncIterator[Harness]:
        """The harness between ``prepare`` and ``close``, which may be called twice."""
        await harness.prepare()
        yield harness
        await harness.close()
        await harness.close()

    async def test_its_samples_are_always_the_same(self, prepared: Harness) -> None:
        """Each once, in one order: the place of an id is its problem_idx."""
        assert isinstance(prepared, Harness) and prepared.name
        ids = [str(one) for one in await prepared.plan()]
        assert ids and len(set(ids)) == len(ids)
        assert [str(one) for one in await prepared.plan()] == ids

    async def test_its_identity_is_written_down_and_stays(self, prepared: Harness) -> None:
        """A run is resumed only if it is equal."""
        before = json.dumps(dict(prepared.identity()), sort_keys=True)
        await prepared.plan()
        assert json.dumps(dict(prepared.identity()), sort_keys=True) == before

    async def test_every_rollout_is_handed_back_once(
        self, prepared: Harness, tools: HarnessTools
    ) -> None:
        """Each comes with a verdict, or with the reason why there is none."""
        todo = await self._todo(prepared)
        finished = await self._run(prepared, todo, tools)
        assert sorted(one.key for one in finished) == todo
        for one in finished:
            checked(one.solution)
            assert (one.score is None) != (one.error is None)
            assert one.score is None or math.isfinite(one.score.reward)

    async def test_it_does_what_is_open_and_nothing_else(
        self, prepared: Harness, tools: HarnessTools
    ) -> None:
        """A resumed run asks for the rest only."""
        rest = (await self._todo(prepared))[1::2]
        assert sorted(one.key for one in await self._run(prepared, rest, tools)) == rest

    async def _todo(self, harness: Harness) -> list[RolloutKey]:
        count = len(await harness.plan())
        return [RolloutKey(idx, repeat) for idx in range(count) for repeat in range(2)]

    async def _run(
        self, harness: Harness, todo: Sequence[RolloutKey], tools: HarnessTools
    ) -> list[Finished]:
        return [finished async for finished in harness.run(todo, tools)]
