"""When runs were made, and what follows from it."""

from __future__ import annotations

import datetime

from nemo_evaluator.results.run_info import new_run_info
from nemo_evaluator.results.times import order


def test_runs_of_one_second_have_an_order() -> None:
    infos = []
    for _ in range(3):
        infos.append(new_run_info())
        begun = datetime.datetime.now(datetime.UTC)
        while datetime.datetime.now(datetime.UTC) - begun < datetime.timedelta(milliseconds=2):
            pass
    assert sorted(infos, key=lambda info: order(info.created)) == infos
    assert len({info.created for info in infos}) == 3
    assert sorted(infos, key=lambda info: info.run_id) == infos


def test_files_of_earlier_versions_are_in_whole_seconds_and_come_first() -> None:
    before = "2030-01-01T00:00:00+00:00"
    after = "2030-01-01T00:00:00.001+00:00"
    assert order(before) < order(after) and before < after, "as times, and as text in SQL"
