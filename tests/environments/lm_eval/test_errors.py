"""Standard errors by bootstrap are those of lm_eval's own functions, and take no minutes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from parts import part

import nemo_evaluator

pytestmark = [pytest.mark.slow, pytest.mark.process]

SCRIPTS = Path(nemo_evaluator.__file__).parent / "environments" / "lm_eval"
SLOW, QUICK = 200, 2500
"""Draws, where lm_eval takes a millisecond for each and where it takes less."""
SCRIPT = f"""
import json, random, sys, warnings
sys.path.append({str(SCRIPTS)!r})
warnings.simplefilter("ignore")
from lm_eval.api import metrics
from nel_lm_eval_errors import quick_errors

drawn = random.Random(5)
def pairs(*labels):
    return [(drawn.choice(labels), drawn.choice(labels)) for _ in range(13)]

GIVEN = {{
    "f1": (metrics.f1_score, pairs(0, 1)),
    "f1 without a right one": (metrics.f1_score, [(0, 0)] * 5 + [(1, 0)]),
    "mcc": (metrics.matthews_corrcoef, pairs(0, 1)),
    "mcc of three": (metrics.matthews_corrcoef, pairs(-1, 0, 7)),
    "mcc of texts": (metrics.matthews_corrcoef, pairs("a", "b")),
    "perplexity": (metrics.perplexity, [-9 * drawn.random() for _ in range(41)]),
    "median": (metrics.median, [drawn.random() for _ in range(40)]),
    "nanmean": (metrics.nanmean, [0.5, float("nan"), 0.25] * 8),
}}
def errors():
    made = metrics.stderr_for_metric
    draws = {{metrics.f1_score: {SLOW}, metrics.matthews_corrcoef: {SLOW}}}
    return {{name: made(f, draws.get(f, {QUICK}))(items) for name, (f, items) in GIVEN.items()}}

with quick_errors():
    ours = errors()
    endless = metrics.stderr_for_metric(metrics.perplexity, 100)([-1e4, -1.0])
    whole = metrics.stderr_for_metric(metrics.f1_score, 100_000)(pairs(0, 1) * 20)
print(json.dumps([errors(), ours, endless, whole]))
"""


def test_the_errors_are_those_of_lm_eval() -> None:
    """100,000 draws of 260 documents, as its command makes them, take it minutes."""
    done = subprocess.run(
        [str(part("lm-eval") / "bin" / "python"), "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "DISABLE_MULTIPROC": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    theirs, ours, endless, whole = json.loads(done.stdout.splitlines()[-1])
    assert len(theirs) == 8 and theirs["mcc of three"] > 0
    for name, error in theirs.items():
        assert ours[name] == pytest.approx(error, rel=1e-12, abs=1e-12), name
    assert endless != endless  # of a perplexity that is infinite there is none
    assert 0 < whole < 0.1
