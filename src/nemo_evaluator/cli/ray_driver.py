"""The process that drives a run on a Ray cluster (``executors.ray.executor`` starts it).

What it is to run comes from standard input, as for a run in the background of this machine.
"""

from __future__ import annotations

from dataclasses import replace

from . import detached


def main() -> None:
    """Drive what standard input says."""
    detached.main(_run)


def _run() -> int:
    from ..reports.console import print_summary
    from ..tasks.ray_run import run_on_ray

    submission = detached.received()
    options = replace(submission.options, observers=(detached.Announcer(),))
    result = run_on_ray(submission.loaded, options)
    if result.summary is not None and result.summary.benchmarks:
        print_summary(result.summary, None)
    return int(result.ending.code)


if __name__ == "__main__":
    main()
