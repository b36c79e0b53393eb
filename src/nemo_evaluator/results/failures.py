"""``failure_analysis.json``: failures by kind, with examples, in the published format."""

from __future__ import annotations

import msgspec

from .summary import BenchmarkSummary


def failure_analysis(summary: BenchmarkSummary) -> dict[str, object]:
    """The document; it stands in the bundle too. Shares are of all planned rollouts."""
    total = sum(kind.count for kind in summary.failures.values())
    examples = [msgspec.to_builtins(example) for example in summary.examples]
    return {
        "total_steps": summary.runtime.total_steps,
        "total_failures": total,
        "failure_rate": total / summary.n_rollouts if summary.n_rollouts else 0.0,
        "categories": {
            name: {
                "count": kind.count,
                "rate": kind.rate,
                "percentage": kind.rate,
                "exemplars": [example for example in examples if example["category"] == name],
            }
            for name, kind in summary.failures.items()
        },
    }
