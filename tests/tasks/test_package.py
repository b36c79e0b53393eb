"""`nel package`: what comes into the image, and that the image runs the benchmark."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from commands import Nel
from engines import require
from nel_image import base_image, nel_image

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.tasks.package import dockerfile_of
from nemo_evaluator.tasks.packaged import packaged

PLUGINS = Path(__file__).resolve().parents[1] / "plugin_package"
BENCH = """\
import beside_{mark}
from nemo_evaluator import ScorerInput, benchmark, exact_match, scorer


@benchmark(name="my-{mark}", dataset="rows.jsonl", prompt="ask.txt", requirements={requirements})
@scorer
def score(sample: ScorerInput) -> dict:
    return exact_match(sample)
"""


def write(folder: Path, mark: str, requirements: list[str] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"beside_{mark}.py").write_text("X = 1\n")
    (folder / "rows.jsonl").write_text('{"q": "2+2", "target": "4"}\n{"q": "1", "target": "1"}\n')
    (folder / "ask.txt").write_text("How much is {q}?")
    (folder / "secret.pem").write_text("not for the image")
    (folder / ".env").write_text("A_KEY=not-for-the-image")
    file = folder / f"bench_{mark}.py"
    file.write_text(BENCH.format(mark=mark, requirements=requirements or []))
    return file


def names(found: tuple[Path, ...], root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in found}


def test_what_a_file_uses_comes_with_it_and_nothing_else(tmp_path: Path) -> None:
    found = packaged(write(tmp_path / "a", "one", ["pandas>=2", "judge"]))
    wanted = {"bench_one.py", "beside_one.py", "rows.jsonl", "ask.txt"}
    assert names(found.files, tmp_path / "a") == wanted
    assert found.benchmarks == ("my-one",)
    assert found.requirements == ("pandas>=2",)


def test_a_folder_comes_whole_but_for_what_is_hidden(tmp_path: Path) -> None:
    write(tmp_path / "b", "two")
    (tmp_path / "b/__pycache__").mkdir()
    (tmp_path / "b/__pycache__/x.pyc").write_text("")
    found = packaged(tmp_path / "b")
    assert found.benchmarks[0] == "my-two"
    assert ".env" not in names(found.files, tmp_path / "b")
    assert not [path for path in found.files if "__pycache__" in path.parts]
    assert "secret.pem" in names(found.files, tmp_path / "b")


def test_a_project_is_installed_as_it_is() -> None:
    found = packaged(PLUGINS)
    assert found.is_project and found.benchmarks == ("fruit",)
    assert f"install -q {found.folder}\n" in dockerfile_of(found, "base")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", "defines no benchmark"),
        ("import not_there_either", "No module named 'not_there_either'"),
        ("from nemo_evaluator import benchmark\n1 / 0", "division by zero"),
    ],
)
def test_what_is_no_benchmark_is_refused_before_anything_is_built(
    text: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "bench.py").write_text(text)
    with pytest.raises(ConfigError, match=told):
        packaged(tmp_path / "bench.py")


def test_names_that_would_not_be_found_are_refused(tmp_path: Path) -> None:
    for file in ("a.py", "b.py"):
        (tmp_path / file).write_text(
            "from nemo_evaluator import benchmark, exact_match, scorer\n"
            "@benchmark(name='same', dataset=[{'target': 1}], prompt='x')\n"
            "@scorer\ndef s(sample):\n    return exact_match(sample)\n"
        )
    with pytest.raises(ConfigError, match="two files define 'same'"):
        packaged(tmp_path)
    (tmp_path / "b.py").unlink()
    (tmp_path / "a.py").write_text((tmp_path / "a.py").read_text().replace("same", "gsm8k"))
    with pytest.raises(ConfigError, match="built in"):
        packaged(tmp_path / "a.py")
    (tmp_path / "pyproject.toml").write_text("[project")
    with pytest.raises(ConfigError, match=r"pyproject\.toml: cannot be read"):
        packaged(tmp_path)
    for wrong in ("missing.py", "notes.md"):
        (tmp_path / "notes.md").write_text("")
        with pytest.raises(ConfigError, match=wrong):
            packaged(tmp_path / wrong)


def test_the_dockerfile_alone_is_written_with_all_it_needs(nel: Nel, tmp_path: Path) -> None:
    file = write(tmp_path / "c", "three", ["pandas>=2"])
    (tmp_path / "needs.txt").write_text("polars\n")
    words = ("--requirements", tmp_path / "needs.txt", "--base-image", "b:1")
    code, out, err = nel("package", "-m", file, "-o", tmp_path / "out/Dockerfile.mine", *words)
    assert code == 0 and out == f"written: {tmp_path}/out/Dockerfile.mine\n", err
    assert (tmp_path / "out/Dockerfile.mine").read_text().startswith("FROM b:1\n")
    assert (tmp_path / "out/wheels/requirements.txt").read_text() == "polars\npandas>=2\n"
    assert (tmp_path / "out/benchmark/rows.jsonl").exists()
    assert len(list((tmp_path / "out/wheels").glob("*.whl"))) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "give the PATH"),
        (("a.py", "-m", "a.py"), "give the PATH"),
        (("a.py", "--push", "-o", "x"), "leave out --output"),
        (("a.py", "--build-arg", "x"), "NAME=VALUE"),
        (("a.py", "-o", "x"), "there is nothing"),
    ],
)
def test_wrong_words(nel: Nel, words: tuple[str, ...], told: str) -> None:
    code, _, err = nel("package", *words)
    assert code == 2 and told in err


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_image_runs_the_benchmark_by_its_name_also_as_a_cluster(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("docker")
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path / "d", "four")
    tag = "nel-test-package:four"
    code, out, err = nel("package", file, "-t", tag, "--base-image", nel_image())
    assert code == 0 and out.splitlines()[0] == f"built: {tag}", err
    shutil.rmtree(tmp_path / "d")  # it is all in the image
    try:
        (tmp_path / "config.yaml").write_text(
            "services: {model: {type: simulated}}\nbenchmarks: [{name: my-four}]\n"
            f"output: {{dir: run}}\ncluster: {{type: docker, image: '{tag}', mount_home: false}}\n"
        )
        code, _, err = nel("eval", "run", "config.yaml", "--wait")
        assert code == 0, err
        lines = (tmp_path / "run/my-four/results.jsonl").read_text().splitlines()
        assert [json.loads(line)["prompt"] for line in lines] == [
            "How much is 2+2?",
            "How much is 1?",
        ]
        assert docker("run", "--rm", "--entrypoint", "id", tag, "-u").strip() == "1000"
        assert "A_KEY" not in docker(
            "run", "--rm", "--entrypoint", "sh", tag, "-c", "ls -aR /opt/benchmarks"
        )
    finally:
        (name,) = json.loads((tmp_path / "run/submission.json").read_text())["ids"]
        docker("rm", "-f", name)
        docker("rmi", "-f", tag)


@pytest.mark.slow
def test_a_base_without_nel_gets_it_and_a_project_is_known_by_its_names(nel: Nel) -> None:
    require("docker")
    tag = "nel-test-package:orchard"
    code, _, err = nel("package", PLUGINS, "-t", tag, "--base-image", base_image())
    assert code == 0, err
    try:
        assert "fruit" in docker("run", "--rm", tag, "list", "benchmarks")
    finally:
        docker("rmi", "-f", tag)


@pytest.mark.slow
def test_what_cannot_be_built_or_pushed_is_one_message(nel: Nel, tmp_path: Path) -> None:
    require("docker")
    file = write(tmp_path / "e", "five", ["not-a-package-of-this-name"])
    code, _, err = nel("package", file, "-t", "nel-test-package:five", "--base-image", base_image())
    assert code == 2 and "not-a-package-of-this-name" in err
    assert [line for line in err.splitlines() if line.startswith("error: ")] == [
        err.splitlines()[-1]
    ]
    write(tmp_path / "e", "five")
    tag = "127.0.0.1:9/nel-test-package:five"
    code, _, err = nel("package", file, "-t", tag, "--base-image", nel_image(), "--push")
    assert code == 2 and f"{tag}: cannot be pushed" in err
    docker("rmi", "-f", tag)
    assert os.path.exists(file)
