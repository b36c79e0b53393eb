"""`nel judge correct`: the judge's error is carried into the score."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from published import write_results

from nemo_evaluator import ConfigError
from nemo_evaluator.cli.main import cli
from nemo_evaluator.judging.agreement import agreement
from nemo_evaluator.judging.calibration import Calibration
from nemo_evaluator.stats.judge_error import prediction_powered, rogan_gladen

JUDGED = np.array([1.0] * 80 + [0.0] * 20)


def nel(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def calibrated(path: Path, rows: list[tuple[float, float]]) -> Path:
    said, human = zip(*[(str(a), str(b)) for a, b in rows], strict=True)
    found = Calibration(
        kind="verdicts",
        agreement=agreement(said, human),
        judge={"model": "judge-1"},
        judged=tuple(rows),
    )
    path.write_bytes(msgspec.json.encode(found))
    return path


LABELLED = [(1.0, 1.0)] * 36 + [(1.0, 0.0)] * 4 + [(0.0, 0.0)] * 10


def test_worked_examples() -> None:
    judge, human = (np.array(column) for column in zip(*LABELLED, strict=True))
    found = prediction_powered(JUDGED, judge, human)
    assert found.value == pytest.approx(0.72)
    assert (found.lower, found.upper) == pytest.approx((0.580, 0.824), abs=1e-3)
    judge = np.array([1.0] * 28 + [0.0] * 2 + [1.0] * 4 + [0.0] * 16)
    human = np.array([1.0] * 30 + [0.0] * 20)
    rates = rogan_gladen(JUDGED, judge, human)
    assert rates is not None and rates.value == pytest.approx(0.6 / (28 / 30 + 0.8 - 1))
    assert rogan_gladen(JUDGED, human, np.ones(50)) is None  # no wrong answer was labelled
    assert rogan_gladen(JUDGED, 1 - human, human) is None  # worse than guessing
    with pytest.raises(ValueError, match="at least 10"):
        prediction_powered(JUDGED, judge[:5], human[:5])


@pytest.mark.parametrize(("p", "s", "c"), [(0.1, 0.95, 0.9), (0.5, 0.8, 0.7), (0.9, 0.95, 0.9)])
def test_corrected_intervals_cover_where_raw_ones_do_not(p: float, s: float, c: float) -> None:
    rng = np.random.default_rng(1)

    def drawn(n: int) -> tuple[np.ndarray, np.ndarray]:
        right = rng.random(n) < p
        said = np.where(right, rng.random(n) < s, rng.random(n) > c)
        return said.astype(float), right.astype(float)

    held, folds = [0, 0], 300
    for _ in range(folds):
        judged, labelled = drawn(300)[0], drawn(100)
        found = prediction_powered(judged, *labelled), rogan_gladen(judged, *labelled)
        for i, one in enumerate(found):
            held[i] += one is not None and one.lower <= p <= one.upper
    assert min(held) / folds >= 0.95 - 3 * (0.05 * 0.95 / folds) ** 0.5


def test_a_run_is_corrected(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run", {i: [float(i < 80)] for i in range(100)})
    file = calibrated(tmp_path / "calibration.json", LABELLED)
    done = nel("judge", "correct", run, "--calibration", file, "--format", "json")
    assert done.exit_code == 0, done.exception
    [found] = json.loads(done.stdout)
    assert found["raw"]["value"] == 0.8 and found["corrected"]["value"] == pytest.approx(0.72)
    assert "does not say that judge-1 was its judge" in " ".join(found["notes"])
    for form in ("text", "markdown", "html"):
        said = nel("judge", "correct", run, "--calibration", tmp_path, "--format", form)
        assert said.exit_code == 0 and "0.720" in said.stdout
    for floor, code in ((0.5, 0), (0.6, 1)):
        args = ("judge", "correct", run, "--calibration", file, "--min-score", floor)
        assert nel(*args).exit_code == code


def test_what_cannot_be_corrected_is_said(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run", {i: [float(i < 80)] for i in range(100)})
    few = calibrated(tmp_path / "few.json", LABELLED[:4])
    enough = calibrated(tmp_path / "enough.json", LABELLED)
    grades = write_results(tmp_path / "grades", {i: [7.0] for i in range(20)})
    for folder, file, extra, said in (
        (run, few, (), "4 labelled rows"),
        (run, enough, ("--metric", "tone"), "'tone'"),
        (run, tmp_path / "none.json", (), "none.json"),
        (grades, enough, (), "outside 0 to 1"),
    ):
        done = nel("judge", "correct", folder, "--calibration", file, *extra)
        assert isinstance(done.exception, ConfigError) and said in str(done.exception)
