"""Names of files in a run directory."""

from __future__ import annotations

import re
import unicodedata

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
"""Bytes of the name of a benchmark's folder: file systems take 255."""
_REST = re.compile(r"[^a-zA-Z0-9_.-]+")


def slug(name: str) -> str:
    """A name as a folder, never empty or hidden. Letters and digits of every script stay.

    >>> slug("lm-eval://gsm8k"), slug("../data/北京 1.py:f"), slug("हिन्दी?")
    ('lm-eval__gsm8k', '北京_1_f', 'हिन्दी_')
    """
    named = unicodedata.normalize("NFC", _without_path(name))
    safe = re.sub(r"\0+", "_", "".join(c if is_safe(c) else "\0" for c in named)).strip(".")
    return safe.encode()[:LONGEST_SLUG].decode(errors="ignore") or "benchmark"


def ascii_slug(name: str) -> str:
    """The same where names are of ASCII: those of containers, of jobs, and in addresses."""
    return _REST.sub("_", _without_path(name)).strip(".")[:LONGEST_SLUG] or "benchmark"


def is_safe(character: str) -> bool:
    """Whether a character may be part of the name of a folder of ours: a letter, a digit, a mark
    on a letter, or one of ``_.-``."""
    if character.isascii():
        return _REST.match(character) is None
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _without_path(name: str) -> str:
    stem = re.sub(r".*/(?=[^/]+\.py(:|$))", "", name).replace(".py:", "_").removesuffix(".py")
    return stem.replace("://", "__")
