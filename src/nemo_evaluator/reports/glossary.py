"""Plain words for what a report's tables say in short: methods of intervals, metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..results.published import AGGREGATE, Published

INTERVALS = {
    "wilson, mid-p": (
        "Wilson's score interval for a share of problems with one verdict each, widened to the "
        "mid-p exact interval where that is wider (few right or few wrong verdicts)"
    ),
    "wilson (by problem)": (
        "Repeats of a problem are averaged first, then Wilson's score interval is computed "
        "with the effective number of independent verdicts, estimated from the spread between "
        "problems"
    ),
    "wilson (clustered)": (
        "Problems of a cluster, such as questions on one text, are not independent: Wilson's score "
        "interval with the effective number of independent verdicts, estimated from the spread "
        "between clusters"
    ),
    "wilson (units)": (
        "All problems got the same reward: Wilson's score interval at the number of problems or "
        "clusters"
    ),
    "wilson": "Wilson's score interval for a share",
    "t": "The mean ± Student's t times its standard error, for rewards not between 0 and 1",
    AGGREGATE: (
        "A measure that the benchmark makes of all rows at once: ± 1.96 times the standard error "
        "that it tells"
    ),
    "none (one unit)": "A single problem or cluster allows no interval",
    "bootstrap": "Quantiles of the means of resampled problems (from the other tool)",
}
SHARED = (
    "A 95 % interval tells where the score would be on other problems of the same kind: of a "
    "hundred such intervals, about 95 hold the true score."
)


def glossary(results: Iterable[Published]) -> Iterator[tuple[str, str]]:
    """Term and explanation of what the results use."""
    results = list(results)
    measures = [
        measure
        for data in results
        for measure in (
            *data.metrics.values(),
            *(m for groups in data.categories.values() for m in groups.values()),
        )
    ]
    methods = dict.fromkeys(m.method for m in measures if m.method and m.ci_lower is not None)
    if methods:
        yield "95 % CI", SHARED
    for method in methods:
        if method in INTERVALS:
            yield f"Interval: {method}", f"{INTERVALS[method]}."
    names = {name for data in results for name in data.metrics}
    if any(name.startswith("pass@") and name != "pass@1" for name in names):
        yield "pass@k", "The chance that at least one of k attempts at a problem is right."
    if any(name.startswith("pass^") for name in names):
        yield "pass^k", "The chance that k attempts at a problem are all right."
    if "strict" in names:
        yield "strict", "Right if only the requested answer format is accepted."
    if any(data.no_answer for data in results):
        yield "No answer", "Scored as wrong, because no answer was found in the response."
    if any(data.refused for data in results):
        yield (
            "Refused",
            "The endpoint refused the request (HTTP 4xx); scored by the benchmark's rule.",
        )
    if any(data.truncated for data in results):
        yield (
            "Truncated",
            "Cut off by a token limit, or reasoning that never ended; scored as it is.",
        )
