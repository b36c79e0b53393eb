"""lm_eval's index as it is kept on disk: the same that lm_eval makes, and never an old one."""

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
HEAD = f"""
import json, os, sys
from pathlib import Path
sys.path.append({str(SCRIPTS)!r})
import lm_eval.tasks
from lm_eval.tasks import TaskManager
from nel_lm_eval_index import manager_of_all
"""
COMPARED = """
def told(manager):
    index = manager.task_index
    return {n: (e.kind.name, str(e.yaml_path), sorted(e.tags)) for n, e in index.items()}
whole = told(TaskManager(include_path=sys.argv[1]))
made, kept = (told(manager_of_all(sys.argv[1], None)) for _ in range(2))
print(json.dumps([made == whole, kept == whole, len(kept)]))
"""
CHANGED = """
root = Path(sys.argv[1])
lm_eval.tasks.__file__ = str(root / "__init__.py")
def names():
    return sorted(manager_of_all(None, None).task_index)
lm_eval.tasks.manager.__file__ = lm_eval.tasks.__file__
(root / "one.yaml").write_text("{task: one, include: part}")
(root / "part").write_text("{tag: old}")
found = [names()]
(root / "two.yaml").write_text("{task: two}")
found.append(names())
(root / "part").write_text("{tag: newer}")
found.append(names())
[path] = Path(os.environ["XDG_CACHE_HOME"]).rglob("index-*.json")
path.write_text(path.read_text()[:50])
found.append(names())
(root / "two.yaml").unlink()
found.append(names())
print(json.dumps(found))
"""
GROUPED = """
root = Path(sys.argv[1])
own = root / "own"
lm_eval.tasks.__file__ = lm_eval.tasks.manager.__file__ = str(root / "theirs" / "__init__.py")
for folder in (root / "theirs", own):
    folder.mkdir()
(root / "docs.json").write_text('{"q": "a", "a": "b"}')
task = {
    "task": "their_task", "dataset_path": "json", "test_split": "test",
    "dataset_kwargs": {"data_files": {"test": str(root / "docs.json")}},
    "output_type": "generate_until", "doc_to_text": "{{q}}", "doc_to_target": "{{a}}",
}
(root / "theirs" / "one.yaml").write_text(json.dumps(task))
(own / "group.yaml").write_text("{group: own_group, task: [their_task]}")
from nel_lm_eval_loading import loaded_tasks
found = [list(loaded_tasks([n], str(own), None)["tasks"]) for n in ("own_group", "their_*")]
(own / "broken.yaml").write_text("task: [no end")
(own / "template.yaml").write_text("output_type: generate_until")
for name in ("broken", "their_takes*"):
    try:
        loaded_tasks([name], str(own), None)
    except Exception as error:
        found.append(str(error))
print(json.dumps(found))
"""


def said(script: str, folder: Path, cache: Path) -> object:
    """What a script in lm_eval's interpreter prints last, as JSON."""
    done = subprocess.run(
        [str(part("lm-eval") / "bin" / "python"), "-c", HEAD + script, str(folder)],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_what_was_kept_is_what_lm_eval_makes(tmp_path: Path) -> None:
    """With tasks of one's own, which come before those of the same name."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "gsm8k.yaml").write_text("{task: gsm8k, tag: own}")
    made, kept, size = said(COMPARED, folder, tmp_path / "cache")  # type: ignore[misc]
    assert made and kept and size > 1000


def test_the_index_is_made_again_when_a_file_has_changed(tmp_path: Path) -> None:
    """Also one that a task includes, whatever its name; and where what was kept is broken."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    found = said(CHANGED, folder, tmp_path / "cache")
    last = ["newer", "one", "two"]
    assert found == [["old", "one"], ["old", "one", "two"], last, last, ["newer", "one"]]


def test_where_nothing_can_be_kept_the_index_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    script = "print(json.dumps('gsm8k' in manager_of_all(None, None).task_index))"
    assert said(script, tmp_path, tmp_path / "file") is True


def test_names_of_tasks(tmp_path: Path) -> None:
    """A group of one's own may name tasks of lm_eval, a star stands for any text; and for a name
    that is not known the files are told that lm_eval passes over without a word."""
    grouped, starred, broken, none = said(GROUPED, tmp_path, tmp_path / "cache")  # type: ignore[misc]
    assert grouped == starred == ["their_task"]
    assert "no task 'broken'" in broken and str(tmp_path / "own" / "broken.yaml") in broken
    assert "template.yaml" not in broken  # it is no task, and well
    assert "no task 'their_takes*'" in none
