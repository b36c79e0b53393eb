"""Our images: which one is needed, what it is built of, and that the build works."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from nel_image import nel_image

from nemo_evaluator.config.load import parse
from nemo_evaluator.executors.images.local import fill_context, local_name
from nemo_evaluator.executors.images.variants import Variant, variant_of
from nemo_evaluator.executors.images.wheel import build_file, write_wheel
from nemo_evaluator.sandbox_spec import BuildSpec
from nemo_evaluator.sandboxes.build_context import Context
from nemo_evaluator.sandboxes.dockerfile import instructions, needs_buildkit

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("names", "variant"),
    [
        (["sample", "./rows.csv"], Variant.BASE),
        (["sample", "lm-eval://gsm8k"], Variant.LM_EVAL),
        (["skills://aime25"], Variant.SKILLS),
        (["skills://aime25", "lm-eval://gsm8k"], Variant.FULL),
        (["harbor://folder"], Variant.FULL),
        (["container://image#task"], Variant.BASE),
    ],
)
def test_the_image_has_what_the_benchmarks_need(names: list[str], variant: Variant) -> None:
    benchmarks: list[dict[str, Any]] = [{"name": name} for name in names]
    services = {"model": {"type": "simulated"}}
    assert variant_of(parse({"services": services, "benchmarks": benchmarks}).config) is variant


def test_a_variant_is_in_a_tag_once() -> None:
    assert Variant.LM_EVAL.tagged("latest") == "latest-lm-eval"
    assert Variant.LM_EVAL.tagged("latest-lm-eval") == "latest-lm-eval"
    assert local_name(Variant.BASE) == "nemo-evaluator:local"


def test_there_is_a_target_for_every_variant_that_any_builder_understands() -> None:
    text = build_file("Dockerfile").read_text()
    stages = [line.split()[-1] for line in instructions(text) if line.startswith("FROM")]
    assert [*Variant] == [stage for stage in stages if stage in [*Variant]]
    assert needs_buildkit(text) is None


def test_a_checkout_is_a_context_without_what_the_image_does_not_need() -> None:
    context = Context(BuildSpec(context=str(ROOT), dockerfile="docker/Dockerfile"))
    names = {entry.name for entry in context.entries}
    assert {"pyproject.toml", "README.md", "LICENSE", "constraints.txt"} <= names
    assert "src/nemo_evaluator/cli/main.py" in names
    assert not {name for name in names if name.startswith(("tests", ".git/", ".venv", "docs"))}


def test_the_same_installation_is_the_same_context(tmp_path: Path) -> None:
    digests = set()
    for name in "ab":
        (tmp_path / name).mkdir()
        fill_context(tmp_path / name)
        digests.add(Context(BuildSpec(context=str(tmp_path / name))).digest())
    assert len(digests) == 1


def test_the_wheel_of_this_installation_can_be_installed(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index",
         "--target", str(tmp_path / "site"), str(wheel)],
        check=True, timeout=60,
    )  # fmt: skip
    shown = subprocess.run(
        [sys.executable, "-c", "import nemo_evaluator as n; print(n.__file__)"],
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith(str(tmp_path / "site"))
    assert (tmp_path / "site/bin/nel").exists()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "nemo_evaluator/executors/images/Dockerfile" in names
    assert len(names) == len(set(names)) and not [name for name in names if "__pycache__" in name]


@pytest.mark.slow
def test_the_image_runs_as_nobody_in_particular() -> None:
    run = ["docker", "run", "--rm"]
    for user in ([], ["--user", "23456:23456"]):
        words = [*user, "--entrypoint", "sh", nel_image(), "-c", "id -u; nel --version"]
        done = subprocess.run([*run, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        uid, version = done.stdout.splitlines()
        assert uid == ("23456" if user else "1000") and version.startswith("nel ")
    shown = subprocess.run([*run, nel_image()], capture_output=True, text=True, timeout=60)
    assert "Usage: nel" in shown.stdout
