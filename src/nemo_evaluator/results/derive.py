"""Everything that follows from a journal: results, trajectories, bundle, statistics, failures.

Reads ``journal.jsonl`` (and ``judgements.jsonl`` for what judges cost); can be repeated at any time
and gives the same bytes. Rollouts stream through; only numbers are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ..types import BenchmarkPlan
from .bundle import write_bundle
from .collect import Collector
from .failures import failure_analysis
from .files import line_writer, write_json
from .identity_facts import plan_facts
from .journal import Called, Errored, JournalIndex, Solved, UsedBeside
from .journal_reader import JournalReader
from .judgements import judge_totals
from .layout import FAILURES, JOURNAL, JUDGEMENTS, RESULTS, RUNTIME, TRAJECTORIES, UNSCORED
from .measures import measures_in, with_measures
from .result_row import ResultRow
from .rows import RolloutRecord, read_rollouts, result_row, rollouts_in, verifier_name
from .run_directory import load_journal, warn_of_damage
from .run_info import RunInfo
from .stopping import Stopping
from .summary import BenchmarkSummary
from .trajectory_row import trajectory_row


def summarise(
    folder: Path,
    plan: BenchmarkPlan,
    each: Callable[[RolloutRecord], None] | None = None,
    index: JournalIndex | None = None,
) -> BenchmarkSummary:
    """What came of a benchmark, from its journal alone; nothing is written.

    ``each`` is given every rollout in (problem_idx, repeat) order; ``index``: of the journal, which
    is kept open, where that is known; it is used up.
    """
    journal = folder / JOURNAL
    index = index or load_journal(folder, plan, keep=True)
    warn_of_damage(folder, index)
    collector = Collector(plan, index.began)
    with JournalReader(journal, index.content) as reader:
        for record in rollouts_in(reader, index):
            collector.add(record)
            if each is not None:
                each(record)
        # Attempts that do not count were paid for all the same, answered or not.
        for offset in sorted(index.superseded):
            event = reader.at(offset)
            assert isinstance(event, Solved | Errored | Called | UsedBeside)
            collector.add_attempt(event)
    collector.add_judges(judge_totals(folder / JUDGEMENTS))
    measures = measures_in(index, plan)
    index.forget()  # of a million rollouts it takes half the memory, and summing up takes some too
    return stopped(with_measures(collector.finish(), measures), index.stopping)


def stopped(summary: BenchmarkSummary, stopping: Stopping | None) -> BenchmarkSummary:
    """The summary with what was decided while the run went on, and a warning where it ended there:
    a score at an end that the answers have chosen is no estimate like others."""
    text = stopping.text if stopping is not None else None
    warnings = summary.warnings
    if text is not None and summary.n_scored < summary.n_rollouts:
        assert stopping is not None and stopping.decision is not None
        why = f"{text} ({stopping.decision.reason})"
        warnings = (*warnings, f"{why}; the interval of the score does not know of that")
    return msgspec.structs.replace(summary, stopping=stopping, warnings=warnings)


def publish(
    folder: Path,
    plan: BenchmarkPlan,
    run: RunInfo,
    into: Path | None = None,
    index: JournalIndex | None = None,
) -> BenchmarkSummary:
    """Write all derived files of a benchmark's folder, or write them ``into`` another one, and
    return its summary. ``index``: see ``summarise``."""
    method, into = verifier_name(plan), into or folder
    system = plan_facts(plan).system_prompt
    with (
        line_writer(into / RESULTS) as result,
        line_writer(into / UNSCORED, unless_empty=True) as unscored,
        line_writer(into / TRAJECTORIES) as trajectory,
    ):

        def write(record: RolloutRecord) -> None:
            row = result_row(record, method)
            (result if row.judged else unscored)(row)
            trajectory(trajectory_row(record, row, system))

        summary = summarise(folder, plan, write, index)
    write_bundle(into, summary, plan, run)
    write_json(into / RUNTIME, summary.runtime)
    write_json(into / FAILURES, failure_analysis(summary))
    return summary


def rows_of(folder: Path, plan: BenchmarkPlan) -> Iterator[ResultRow]:
    """The rows of every rollout, scored or not, straight from the journal."""
    journal, method = folder / JOURNAL, verifier_name(plan)
    for record in read_rollouts(journal, load_journal(folder, plan, keep=True)):
        yield result_row(record, method)
