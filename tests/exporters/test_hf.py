"""What goes to the Hugging Face hub: scores that its library reads, a dataset that it loads."""

from __future__ import annotations

from pathlib import Path

import pytest
from agent_run import agent_run
from commands import Nel
from published import write_results

from nemo_evaluator.results.view import RunView


def test_card_and_dataset(nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    import yaml
    from huggingface_hub.repocard_data import model_index_to_eval_results

    monkeypatch.chdir(tmp_path)
    run = RunView.open(agent_run(nel, tmp_path))
    code, out, err = nel("export", "run", "-d", "hf", "--output-dir", "out", "-o", "license=mit")
    assert code == 0, err
    index, folder = (Path(line.split(": ", 1)[1]) for line in out.splitlines())
    [view] = run.benchmarks()
    _, results = model_index_to_eval_results(
        yaml.safe_load(index.read_text(encoding="utf-8"))["model-index"]
    )
    values = {one.metric_type: one.metric_value for one in results}
    assert view.bundle.score is not None
    assert values["pass@1"] == round(view.bundle.score.value, 3)
    loaded = datasets.load_dataset(
        str(folder), "words", split="test", cache_dir=str(tmp_path / "cache")
    )
    assert loaded["reward"] == [row.reward for row in view.rows()]
    assert "license: mit" in (folder / "README.md").read_text(encoding="utf-8")


def test_what_is_gone_from_the_run_goes_and_no_score_is_no_card(nel: Nel, tmp_path: Path) -> None:
    write_results(tmp_path / "x/a", {0: [None]}, name="a", scores={})
    b = write_results(tmp_path / "x/b", {0: [1.0]}, name="b")
    words = ("export", str(tmp_path / "x"), "-d", "hf", "--output-dir", str(tmp_path / "out"))
    assert nel(*words)[0] == 0
    [folder] = (tmp_path / "out").iterdir()
    assert {path.stem for path in (folder / "dataset/data").iterdir()} == {"a", "b"}
    for path in b.iterdir():
        path.unlink()
    b.rmdir()
    (folder / "model-index.yml").unlink()
    assert nel(*words)[0] == 0
    assert {path.stem for path in (folder / "dataset/data").iterdir()} == {"a"}
    assert not (folder / "model-index.yml").exists()
