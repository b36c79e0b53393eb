"""What is said beside a verdict, and in its place where there is none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..results.identity import Difference
from .comparability import doubts, same_run
from .interim_looks import note_on
from .measured import told_by_both
from .pairing import Pairs
from .sources import Source


def warnings_about(baseline: Source, candidate: Source, differs: Sequence[Difference]) -> list[str]:
    """What a reader must know beside the verdict."""
    found = [f"compared because of --force although they differ in {item}" for item in differs]
    found += [f"the models were served differently: {item}" for item in doubts(baseline, candidate)]
    if same_run(baseline, candidate):
        found.append(f"baseline and candidate are the same run ({baseline.run_id}): {_NOTHING_NEW}")
    for side, source in (("baseline", baseline), ("candidate", candidate)):
        rollouts = source.rollouts
        if (note := note_on(source)) is not None:
            found.append(f"{side}: {note}")
        if rollouts is None:
            found.append(f"{side}: no results.jsonl with rollouts in {source.folder}")
            continue
        found += [f"{side}: {count} × {why}" for why, count in rollouts.ignored.items()]
        missing = int(np.isnan(rollouts.rewards).sum())
        if missing and not _all_have_verdicts(source):
            text = f"{side}: {missing} of {len(rollouts)} rollouts have no verdict"
            found.append(f"{text}; they count as missing, not as wrong")
        if source.simulated:
            found.append(f"{side}: the model, or a judge, is simulated")
    return found


_NOTHING_NEW = "its answers are compared with themselves, which says nothing of another model"


def nothing_paired(baseline: Source, candidate: Source, pairs: Pairs | None) -> str:
    """Why there is nothing to compare."""
    if pairs is not None and (measures := _measures_of_both(baseline, candidate)):
        return f"its answers have no reward: name one of its measures ({', '.join(measures)})"
    if pairs is not None:
        return "no problem has a verdict on both sides"
    without = [
        side
        for side, source in (("baseline", baseline), ("candidate", candidate))
        if source.rollouts is None
    ]
    return f"no results.jsonl of the {' nor of the '.join(without)}: problems cannot be paired"


def _all_have_verdicts(source: Source) -> bool:
    """A verdict need not have a reward, as that of a perplexity."""
    return source.published is not None and source.published.coverage == 1.0


def _measures_of_both(baseline: Source, candidate: Source) -> list[str]:
    if not (_all_have_verdicts(baseline) and _all_have_verdicts(candidate)):
        return []
    assert baseline.published is not None
    names = baseline.published.metrics
    return [name for name in names if told_by_both(baseline, candidate, name) is not None]
