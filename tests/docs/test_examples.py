"""Every example configuration makes a plan, with stand-ins for the files that a user has."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from parts import part
from runs import NEL

from task_folders import TASK

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples" / "configs").glob("*.yaml"))
INTERPRETERS = {
    "lm-eval://": ("NEL_LM_EVAL_PYTHON", "lm-eval"),
    "inspect://": ("NEL_INSPECT_PYTHON", "inspect"),
    "type: harbor": ("NEL_HARBOR_PYTHON", "harbor"),
}
"""What an example needs an interpreter of its own for, and the part that has it."""
ELSEWHERE = {
    "31_inspect.yaml": "tasks of inspect_evals and data of ifeval",
    "55_one_suite.yaml": "tasks of inspect_evals and data of ifeval",
    "30_lm_eval.yaml": "the tokenizer of a running server",
    "52_ray.yaml": "Ray, which is in no environment of these tests",
}
"""Examples that need what cannot be had here; they are checked like all others, without a plan."""
PIXEL = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f"
    b"\x15\xc4\x89\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff?\x00\x05\xfe\x02\xfe\xa75\x81\x84\x00\x00"
    b"\x00\x00IEND\xaeB`\x82"
).decode()
GPQA = {
    "Question": "Which particle has no charge?",
    "Correct Answer": "neutron",
    "Incorrect Answer 1": "proton",
    "Incorrect Answer 2": "electron",
    "Incorrect Answer 3": "positron",
    "Subdomain": "Physics",
    "Record ID": "rec1",
}


@pytest.fixture(scope="module")
def world(
    shared_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with the examples and what they name, and the variables they read."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "examples", folder / "examples")
    hub = folder / "hub"
    hub.mkdir()
    for path in (shared_dir / "data" / "hf").iterdir():
        (hub / path.name).symlink_to(path)
    _write(hub / "Idavidrein" / "gpqa" / "gpqa_diamond" / "train.jsonl", json.dumps(GPQA) + "\n")
    _stand_ins(folder)
    sys.path.insert(0, str(shared_dir / "tools"))
    from hub import LocalHub

    with LocalHub(hub) as server:
        env = {
            **server.env(folder / "hf"),
            "NEMO_MODEL_URL": "http://127.0.0.1:1/v1",
            "NEMO_MODEL_ID": "m",
            "NEMO_API_KEY": "k-123456",
            "LMUData": str(folder / "lmu"),
            "XDG_DATA_HOME": str(folder / "data"),
        }
        yield folder, env


def _stand_ins(folder: Path) -> None:
    """Small ones of our own, in the places that the examples name."""
    subject = ["-subj", "/CN=example", "-keyout", "nel.key", "-out", "nel.pem"]
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run(new, cwd=folder, check=True, capture_output=True)
    shutil.copy(folder / "nel.pem", folder / "company-ca.pem")
    _write(folder / "my_eval.py", "print('an evaluation')\n")
    _write(folder / "my_agent" / "agent.py", "print('an agent')\n")
    _write(folder / "traffic.rec", "")
    _write(folder / "rows.csv", "question,answer\nOne and one?,2\n")
    for place, text in TASK.items():
        _write(folder / "tasks" / "answer" / place, text)
    problem = {"problem": "One and one?", "expected_answer": "2"}
    _write(folder / "skills" / "aime25" / "test.jsonl", json.dumps(problem) + "\n")
    _write(folder / "skills" / "aime25" / "__init__.py", 'METRICS_TYPE = "math"\n')
    table = f"index\tquestion\tanswer\tcategory\timage\n0\tWhat?\t['x']\ttext\t{PIXEL}\n"
    _write(folder / "lmu" / "OCRBench.tsv", table)
    head = "---\nid: task_one\nname: One\ncategory: basic\ngrading_type: automated\n"
    head += "timeout_seconds: 60\n"
    body = "workspace_files: []\n---\n## Prompt\nWrite one.\n\n## Automated Checks\n```python\n"
    check = "def grade(transcript, workspace_path):\n    return {'written': 1.0}\n```\n"
    _write(folder / "skill" / "tasks" / "task_one.md", head + body + check)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_makes_a_plan(path: Path, world: tuple[Path, dict[str, str]]) -> None:
    if path.name in ELSEWHERE:
        pytest.skip(ELSEWHERE[path.name])
    folder, known = world
    env, text = dict(known), path.read_text()
    for word, (variable, name) in INTERPRETERS.items():
        if word in text:
            env[variable] = str(part(name) / "bin" / "python")
    found = re.search(r"^  baseline: (\S+)", text, re.MULTILINE)
    if found is not None and not (folder / (baseline := found[1])).exists():
        words = ["eval", "run", "--bench", "gsm8k", "--bench", "mmlu_pro"]
        run = [*NEL, *words, "--model-url", "simulated", "-o", baseline, "--no-progress"]
        subprocess.run(run, cwd=folder, env=env, check=True, capture_output=True)
    command = [*NEL, "eval", "run", f"examples/configs/{path.name}", "--dry-run"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
