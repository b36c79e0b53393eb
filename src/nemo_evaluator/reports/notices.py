"""What speaks against the numbers of a report, said before them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..results.audit_kinds import FLAGGED, LIMITED
from ..results.effort import Effort
from ..results.identity import incomparable, words
from ..results.published import Published
from ..results.run_info import RunInfo, RunStatus
from ..types import Record
from .blocks import Tone
from .figures import percent

TRUNCATED = 0.01
"""Share of cut-off answers above which the report gives a warning."""
STRICT_GAP = 0.02
"""Share of right answers in a wrong format above which the report gives a warning."""

ENDS = {
    RunStatus.INCOMPLETE: "is incomplete: some rollouts have no verdict",
    RunStatus.INTERRUPTED: "was interrupted",
    RunStatus.RUNNING: "has not ended, or was killed",
}

Labelled = tuple[str, Published]


class Notice(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One thing to know."""

    tone: Tone
    about: str
    """Label of a result, id of a run, or name of a benchmark."""
    text: str


def notices(
    results: Sequence[Labelled],
    runs: Mapping[str, RunInfo],
    missing: Mapping[str, Sequence[str]],
) -> Iterator[Notice]:
    """Everything to know, what weighs most first."""
    found = [*_of_runs(runs, missing)]
    for label, data in results:
        found += [Notice(tone=tone, about=label, text=text) for tone, text in _of_result(data)]
    found += _of_pairs(results)
    yield from sorted(found, key=lambda notice: notice.tone is not Tone.BAD)


def _of_runs(runs: Mapping[str, RunInfo], missing: Mapping[str, Sequence[str]]) -> Iterator[Notice]:
    for run_id, run in runs.items():
        if run.status in ENDS:
            yield Notice(tone=Tone.BAD, about=run_id, text=f"the run {ENDS[run.status]}")
        if run_id in missing:
            names = ", ".join(missing[run_id])
            yield Notice(tone=Tone.BAD, about=run_id, text=f"no results of {names}")


def _of_result(data: Published) -> Iterator[tuple[Tone, str]]:
    if data.simulated:
        who = "model or judge" if data.runtime.judge_calls else "model"
        yield Tone.BAD, f"a simulated {who}: the score says nothing about a real one"
    if data.score is None:
        whole = "" if data.n_rollouts is None else f" of {data.n_rollouts:,}"
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in data.failures.items())
        text = f"no score: {data.n_scored or 0:,}{whole} rollouts have a verdict"
        yield Tone.BAD, text + (f" ({kinds})" if kinds else "")
        yield from _differing_score(data)
        return
    yield from _differing_score(data)
    yield from _coverage(data)
    yield from _answers(data)
    yield from _limits(data.effort)
    yield from ((Tone.UNSURE, text) for text in data.warnings)
    gap = _strict_gap(data)
    if gap > STRICT_GAP:
        strict = data.metrics["strict"].value
        text = f"{percent(gap)} of the answers are right but not in the requested format: "
        text += f"with that format required, the score would be {strict:.3f}"
        yield Tone.UNSURE, text
    if data.score.ci_lower is None:
        yield Tone.UNSURE, "the bundle gives no interval for the score"
    if data.coverage is None:
        yield Tone.UNSURE, "the bundle does not say how many rollouts got a verdict"


def _differing_score(data: Published) -> Iterator[tuple[Tone, str]]:
    """A notice where a bundle of another tool counts rows that were not judged."""
    if data.told is not None:
        score = "no score" if data.score is None else f"{data.score.value:.4f}"
        text = f"the bundle itself says {data.told:.4f}, the rows in results.jsonl give {score}"
        if data.coverage is not None and data.coverage < 1:
            text += ": rows without a verdict do not count as wrong here"
        yield Tone.BAD, text


def _coverage(data: Published) -> Iterator[tuple[Tone, str]]:
    share = data.coverage
    if share is None or share >= 1 or data.n_rollouts is None or data.n_scored is None:
        return
    below = data.coverage_floor is not None and share < data.coverage_floor
    text = f"{data.n_rollouts - data.n_scored:,} of {data.n_rollouts:,} rollouts have no verdict"
    if below:
        text += f", which is below the floor of {percent(data.coverage_floor)} scored"
    low, high = data.score_if_rest_wrong, data.score_if_rest_right
    if low is not None and high is not None:
        text += f"; the mean reward would be {low:.3f} if they were wrong, {high:.3f} if right"
    yield Tone.BAD if below else Tone.UNSURE, text


def _answers(data: Published) -> Iterator[tuple[Tone, str]]:
    scored = data.n_scored
    if not scored:
        return
    if data.refused:
        text = f"{data.refused:,} of {scored:,} requests were refused by the endpoint (HTTP 4xx)"
        yield Tone.UNSURE, f"{text} and are scored by the benchmark's rule"
    if data.truncated and data.truncated / scored >= TRUNCATED:
        share = data.truncated / scored
        yield Tone.UNSURE, f"{percent(share)} of the scored answers were cut off by a token limit"
    if data.no_answer and data.no_answer / scored > FLAGGED:
        share = data.no_answer / scored
        yield (
            Tone.UNSURE,
            f"no answer was found in {percent(share)} of the responses; see nel audit",
        )


def _limits(effort: Effort | None) -> Iterator[tuple[Tone, str]]:
    """Limits that ended so many agents that the score may be about the limit."""
    if effort is None:
        return
    for limit, count in effort.ended_by.items():
        if count / effort.rollouts > LIMITED:
            share = percent(count / effort.rollouts)
            yield (
                Tone.UNSURE,
                f"{share} of the agents were ended by a limit ({limit}); see nel audit",
            )


def _strict_gap(data: Published) -> float:
    strict, score = data.metrics.get("strict"), data.score
    return score.value - strict.value if strict is not None and score is not None else 0.0


def _of_pairs(results: Sequence[Labelled]) -> Iterator[Notice]:
    """Results of one benchmark that are not comparable."""
    groups: dict[str, list[Published]] = {}
    for _, data in results:
        groups.setdefault(data.name, []).append(data)
    for name, group in groups.items():
        first, *others = group
        differing = sorted({key for other in others for key in _differences(first, other)})
        if differing:
            text = f"the results differ in {', '.join(differing)}: compare with care"
            yield Notice(tone=Tone.UNSURE, about=name, text=text)


def _differences(one: Published, other: Published) -> Iterator[str]:
    if one.n_problems != other.n_problems:
        yield "number of problems"
    if not one.identity or not other.identity:
        return
    for found in incomparable(one.identity, other.identity):
        if found.what != words("n_problems"):  # said above
            yield found.what
