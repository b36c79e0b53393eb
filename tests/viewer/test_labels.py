"""Labels of a person: kept beside the run, shown, and read by `nel judge calibrate`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from viewing import Client

from nemo_evaluator.judging.labels import read_labels

pytestmark = pytest.mark.process
View = Callable[..., Client]


def label(client: Client, rollout: str, word: str, note: str = "") -> None:
    path = f"{client.run('after')}/sample/label/{rollout}"
    answer = client.ask("POST", path, {"label": word, "note": note}, origin=client.base)
    assert answer.status == 200, answer.text


def test_labels_are_kept_changed_and_taken_back(view: View, runs: Path) -> None:
    client = view(runs)
    client.samples("after")
    label(client, "0/0", "right", "plainly <b>so</b>")
    label(client, "0/1", "wrong")
    label(client, "1/0", "unclear", "which unit?")
    file = runs / "after" / "sample" / "labels.jsonl"
    assert [json.loads(line)["label"] for line in file.read_text().splitlines()] == [
        True,
        False,
        "unclear",
    ]
    text = client.get(f"{client.run('after')}/sample/sample/0/0").text
    assert 'value="right" checked' in text and "plainly &lt;b&gt;so&lt;/b&gt;" in text
    assert client.rollouts(client.samples("after", "label=any")) == ["0/0", "0/1", "1/0"]
    assert client.rollouts(client.samples("after", "label=unclear")) == ["1/0"]
    label(client, "0/1", "right")
    label(client, "0/0", "")
    assert client.rollouts(client.samples("after", "label=right")) == ["0/1"]
    assert len(file.read_text().splitlines()) == 2


def test_a_judge_is_calibrated_by_them(view: View, runs: Path) -> None:
    client = view(runs)
    for rollout, word in (("0/0", "right"), ("0/1", "wrong"), ("1/0", "unclear"), ("1/1", "right")):
        label(client, rollout, word)
    found = read_labels(runs / "after" / "sample" / "labels.jsonl")
    assert found.kind == "verdicts"
    assert [row.label for row in found.rows] == [True, False, True], "unclear ones are left out"
    assert all(row.prompt and row.answers[0] and row.reference for row in found.rows)


@pytest.mark.parametrize("body", [["right"], {"label": "perhaps"}, "right"])
def test_what_is_no_label_is_refused(view: View, runs: Path, body: object) -> None:
    client = view(runs)
    path = f"{client.run('after')}/sample/label/0/0"
    assert client.ask("POST", path, body, origin=client.base).status == 400
    far = path.replace("0/0", "99999/0")
    assert client.ask("POST", far, {"label": "right"}, origin=client.base).status == 404
