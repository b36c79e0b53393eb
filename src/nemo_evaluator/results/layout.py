"""Names of files in a run directory."""

from __future__ import annotations

import re

JOURNAL = "journal.jsonl"
RESULTS = "results.jsonl"
UNSCORED = "unscored.jsonl"
"""Rollouts without a verdict; other tools would take their rewards for zeros, or crash."""
TRAJECTORIES = "trajectories.jsonl"
TRAFFIC = "model_traffic.jsonl"
JUDGEMENTS = "judgements.jsonl"
RUNTIME = "runtime_stats.json"
FAILURES = "failure_analysis.json"
RUN_INFO = "run.json"
PROGRESS = "progress.json"
HARNESS = "harness"
"""Folder of a benchmark whose harness keeps files of its own."""
LOG = "nel_eval.log"
STOP = ".stop"
"""A request to the process that runs here, from another host."""
PLAN_LOCK = "plan.lock"
CONFIG = "config.yaml"
SUBMITTED_CONFIG = "full_config.yaml"
"""The configuration of a run that was submitted elsewhere."""
SUBMISSION = "submission.json"
"""What a run was submitted as, and to what: a batch system, a container, a cluster."""
FLIPS = "flips.json"
EXPORTS = "exports"
"""Folder of what exporters write."""
REPORTS = tuple(f"report.{suffix}" for suffix in ("md", "html", "json", "csv", "tex"))
ROOT_NAMES = (RUN_INFO, PROGRESS, PLAN_LOCK, CONFIG, FLIPS, *REPORTS, RESULTS, TRAJECTORIES)
"""Files in a run's own directory that we write, or that only a run has."""
LONGEST_SLUG = 150


def slug(name: str) -> str:
    """A name as a folder: ``lm-eval://gsm8k`` becomes ``lm-eval__gsm8k``; never empty or hidden."""
    stem = re.sub(r".*/(?=[^/]+\.py(:|$))", "", name).replace(".py:", "_").removesuffix(".py")
    safe = re.sub(r"[^a-zA-Z0-9_.-]+", "_", stem.replace("://", "__")).strip(".")[:LONGEST_SLUG]
    return safe or "benchmark"
