"""What a terminal shows when a run has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..results.summary import BenchmarkSummary, RunSummary, headline_line, interval
from .effort import effort_line
from .escape import visible

if TYPE_CHECKING:
    from rich.console import Console


def print_summary(run: RunSummary, console: Console | None = None) -> None:
    """A line per benchmark with its score, the marks of the score, and what went wrong; in plain
    text if there is no console."""
    if console is None:
        for text in summary_lines(run):
            print(text)
        return
    from rich.text import Text

    width = max((len(b.slug) for b in run.benchmarks), default=0)
    for benchmark in run.benchmarks:
        line = Text(f"{benchmark.slug:<{width}}  ", style="bold")
        line.append(f"{benchmark.shown_headline} ", style="dim")
        line.append(visible(headline_line(benchmark)), style="" if benchmark.score else "red")
        console.print(line)
        for note in _notes(benchmark):
            console.print(Text(f"{'':<{width}}  {visible(note)}", style="dim"))
    for text in _total(run):
        console.print(text)
    console.print(Text(visible(f"results: {run.directory}")))


def summary_lines(run: RunSummary) -> list[str]:
    """The same as plain lines, for files and pipes (rich takes a tenth of a second to import)."""
    width = max((len(b.slug) for b in run.benchmarks), default=0)
    lines = []
    for benchmark in run.benchmarks:
        name = f"{benchmark.slug:<{width}}  {benchmark.shown_headline}".rstrip()
        lines.append(f"{name} {headline_line(benchmark)}")
        lines += [f"{'':<{width}}  {note}" for note in _notes(benchmark)]
    return [*lines, *_total(run), f"results: {run.directory}"]


def _total(run: RunSummary) -> list[str]:
    """What the whole run used, where its benchmarks do not say so already."""
    if len(run.benchmarks) < 2:
        return []
    used = run.accounts
    cost = "" if used.cost_usd is None else f", {used.cost_usd:.4f} USD"
    return [f"in all: {used.prompt_tokens + used.completion_tokens:,} tokens{cost}"]


def _label(benchmark: BenchmarkSummary) -> str:
    """What the means of groups are: of verdicts where the headline is, else of rewards."""
    reward, score = benchmark.metrics.get("mean_reward"), benchmark.score
    same = reward is not None and score is not None and reward.value == score.value
    return (benchmark.headline or "score") if same else "mean reward"


def _notes(benchmark: BenchmarkSummary) -> list[str]:
    notes = []
    groups = benchmark.categories.get("category", {})
    if 1 < len(groups) <= 12:
        notes.append(f"by category ({_label(benchmark)}):")
        notes += [f"  {name}: {interval(value)} n={value.n}" for name, value in groups.items()]
    reward, score = benchmark.metrics.get("mean_reward"), benchmark.score
    if reward is not None and score is not None and reward.value != score.value:
        notes.append(f"mean reward {interval(reward)}, with partial credit")
    if benchmark.failures:
        kinds = sorted(benchmark.failures.items(), key=lambda item: -item[1].count)
        notes.append("failures: " + ", ".join(f"{kind} {f.count}" for kind, f in kinds))
    runtime = benchmark.runtime
    parts = [f"{runtime.total_tokens:,} tokens"]
    if runtime.cost_usd is not None:
        parts.append(f"{runtime.cost_usd:.4f} USD")
    if runtime.latency_percentiles_ms:
        parts.append(f"p50 {runtime.latency_percentiles_ms['p50']:.0f} ms")
    if runtime.cached_answers:
        parts.append(f"{runtime.cached_answers} from the cache")
    if runtime.total_retries:
        parts.append(f"{runtime.total_retries} retries")
    notes.append(", ".join(parts))
    if benchmark.effort is not None:
        notes.append(effort_line(benchmark.effort))
    if runtime.judge_calls:
        tokens = runtime.judge_prompt_tokens + runtime.judge_completion_tokens
        cost = "" if runtime.judge_cost_usd is None else f", {runtime.judge_cost_usd:.4f} USD"
        notes.append(f"judges: {runtime.judge_calls:,} replies, {tokens:,} tokens{cost}")
    return notes
