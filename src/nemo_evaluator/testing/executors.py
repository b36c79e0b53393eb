"""What every executor promises; see `executors.contract`.

```python
class TestMine(ExecutorContract):
    @pytest.fixture
    def executor(self):
        return MyExecutor()
```
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ..config.load import Loaded, parse
from ..errors import ConfigError
from ..executors.contract import Executor
from ..executors.options import Options
from ..results.status import State
from ..results.view import RunView

PATIENCE = 60.0
ANSWER_SECONDS = 0.4


class ExecutorContract:
    """Subclass it with a fixture ``executor``; ``cluster`` is the section that names it."""

    cluster: dict[str, Any] | None = None

    def loaded(self, folder: Path, **service: Any) -> Loaded:
        """A small run of the bundled sample."""
        document: dict[str, Any] = {
            "services": {"model": {"type": "simulated", **service}},
            "benchmarks": [{"name": "sample", "max_problems": 20, "max_concurrent": 2}],
            "output": {"dir": str(folder), "report": []},
        }
        return parse(document | ({"cluster": self.cluster} if self.cluster else {}))

    async def test_a_run_ends_and_is_found_again(self, executor: Executor, tmp_path: Path) -> None:
        """A submitted run ends by itself; its directory is all that is needed to ask for it."""
        loaded = self.loaded(tmp_path / "run")
        assert not list(executor.problems(loaded))
        handle = await executor.submit(loaded, Options())
        ended = await asyncio.wait_for(handle.wait(), PATIENCE)
        assert ended.state is State.DONE and ended.exit_code == 0
        again = executor.attach(handle.directory)
        assert again is not None and (await again.status()).state is State.DONE
        assert [line async for line in again.logs()] and RunView.open(again.directory).benchmarks()

    async def test_a_run_is_stopped_and_resumed(self, executor: Executor, tmp_path: Path) -> None:
        """Stopping loses nothing that was answered; resuming does the rest."""
        slow = self.loaded(tmp_path / "run", latency={"mean_ms": 1000 * ANSWER_SECONDS})
        handle = await executor.submit(slow, Options())
        await self._begun(handle.directory, executor)
        await handle.stop()
        stopped = await asyncio.wait_for(handle.wait(), PATIENCE)
        assert stopped.state is State.INTERRUPTED
        done = sum(state.done for state in stopped.benchmarks.values())
        resumed = await handle.resume()
        ended = await asyncio.wait_for(resumed.wait(), PATIENCE)
        assert ended.state is State.DONE
        assert sum(state.done for state in ended.benchmarks.values()) == 20 >= done

    async def test_what_is_over_cannot_be_stopped(self, executor: Executor, tmp_path: Path) -> None:
        """The user is told, instead of nothing happening."""
        handle = await executor.submit(self.loaded(tmp_path / "run"), Options())
        await asyncio.wait_for(handle.wait(), PATIENCE)
        with pytest.raises(ConfigError):
            await handle.stop()

    async def test_a_directory_of_something_else_is_not_its_run(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        """Attaching to an empty directory gives nothing."""
        assert executor.attach(tmp_path) is None

    async def _begun(self, directory: Path, executor: Executor) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                handle = executor.attach(directory)
                state = await handle.status() if handle is not None else None
                if state is not None and any(b.done for b in state.benchmarks.values()):
                    return
                await asyncio.sleep(0.05)
