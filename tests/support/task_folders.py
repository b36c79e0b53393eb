"""Task folders for tests: those of the shared data, and small ones of our own; and the images that
they start from, made of a local one, for an engine that can pull nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

BASE = "sandbox-base:latest"
PACKAGES = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments")
"""What pytest is made of; all of it is Python alone."""
PIP = """\
#!/bin/sh
# Installs nothing: what the tasks ask for is in this image already.
[ "$1" = install ] || exit 1
"""
DOCKERFILE = f"""\
FROM {BASE}
COPY packages /usr/lib/python3/dist-packages/
COPY --chmod=755 pip /usr/local/bin/pip
"""
TEST_SH = """\
#!/bin/bash
reward=0
[ "$(cat answer.txt 2>/dev/null)" = 42 ] && reward=1
echo $reward > /logs/verifier/reward.txt
"""
SOLVE_SH = "#!/bin/bash\necho 42 > answer.txt\n"
TASK: Mapping[str, str] = {
    "instruction.md": "Write the answer to answer.txt.\n",
    "task.toml": "[environment]\nallow_internet = false\n",
    "environment/Dockerfile": f"FROM {BASE}\nWORKDIR /app\n",
    "tests/test.sh": TEST_SH,
    "solution/solve.sh": SOLVE_SH,
}


def write_task(folder: Path, files: Mapping[str, str | None] = TASK) -> Path:
    """A task folder of these files; those that are None are left out."""
    for name, text in files.items():
        if text is None:
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if name.endswith(".sh") else 0o644)
    return folder


def own_task(folder: Path, **changed: str | None) -> Path:
    """A small task of ours; ``tests_test_sh`` replaces ``tests/test.sh``, and so on."""
    names = {name.replace("/", "_").replace(".", "_"): name for name in TASK}
    return write_task(folder, {**TASK, **{names.get(k, k): v for k, v in changed.items()}})


def shared_tasks(data: Path, folder: Path) -> Path:
    """The tasks of the shared data, each in its folder."""
    for line in (data / "harbor_tasks.jsonl").read_text(encoding="utf-8").splitlines():
        task = json.loads(line)
        write_task(folder / task["task"], task["files"])
    return folder


def have_images(folder: Path) -> None:
    """Have an image under each name that Dockerfiles of tasks start from, unless there is one."""
    wanted = [name for name in _starts(folder) if not _is_there(name)]
    if not wanted:
        return
    with tempfile.TemporaryDirectory() as made:
        context = Path(made)
        (context / "Dockerfile").write_text(DOCKERFILE.replace(" --chmod=755", ""))
        (context / "pip").write_text(PIP)
        (context / "pip").chmod(0o755)
        for package in PACKAGES:
            _copy(package, context / "packages")
        _docker("build", "-q", "-t", wanted[0], str(context))
    for name in wanted[1:]:
        _docker("tag", wanted[0], name)


def _copy(package: str, target: Path) -> None:
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0])
    shutil.copytree(source, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(source.parent / "py.py", target)
    if package in ("pytest", "pluggy"):
        metadata = Path(str(distribution(package)._path))  # type: ignore[attr-defined]
        shutil.copytree(metadata, target / metadata.name)


def _starts(folder: Path) -> Iterator[str]:
    found = set()
    for path in folder.rglob("Dockerfile"):
        for line in path.read_text().splitlines():
            if line.startswith("FROM ") and line.split()[1] != BASE:
                found.add(line.split()[1])
    return iter(sorted(found))


def _is_there(image: str) -> bool:
    shown = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False)
    return shown.returncode == 0


def _docker(*words: str) -> None:
    subprocess.run(["docker", *words], check=True, capture_output=True)
