"""How often a run reads its journal: once to go on, once to derive the results."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback, answer, error
from runs import BENCH, rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.files import reading


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was opened to read it, by any module."""
    import sys

    counts: Counter[str] = Counter()
    real = reading.open_regular

    def counting(path: Path) -> Any:
        counts[path.name] += 1
        return real(path)

    for name, module in list(sys.modules.items()):
        if name.startswith("nemo_evaluator") and getattr(module, "open_regular", None) is real:
            monkeypatch.setattr(module, "open_regular", counting)
    return counts


async def test_a_resumed_run_reads_its_journal_twice(
    tmp_path: Path, loopback: Loopback, opened: Counter[str]
) -> None:
    (tmp_path / "sums.py").write_text(BENCH % {"size": 12})
    # Two answers of three are missing at first, so there are earlier attempts and open rollouts.
    scripts = [answer, error(500, "broken"), error(500, "broken")] * 4
    loopback.script(*scripts, answer)
    config = {
        "services": {
            "model": {
                "type": "api",
                "url": loopback.url,
                "protocol": "chat_completions",
                "model": "m",
                "proxy": {"max_retries": 0},
            }
        },
        "benchmarks": [
            {"name": str(tmp_path / "sums.py"), "max_concurrent": 1, "max_system_retries": 1}
        ],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }
    first = await evaluate_async(config)
    assert first.exit_code == 3
    assert opened["journal.jsonl"] <= 2
    opened.clear()
    second = await evaluate_async(config, resume=True)
    assert second.exit_code == 0 and len(rows(tmp_path / "run/sums")) == 12
    assert opened["journal.jsonl"] == 2
    opened.clear()
    third = await evaluate_async(config, resume=True)  # there is nothing left to do
    assert third.exit_code == 0 and opened["journal.jsonl"] == 2
    assert [b.runtime for b in third.summary.benchmarks] == [
        b.runtime for b in second.summary.benchmarks
    ]
