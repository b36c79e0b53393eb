"""What a new user begins with: `nel init`, `nel init-benchmark`, `nel doctor`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Nel
from runs import NEL

from nemo_evaluator.config.load import load


def test_a_first_configuration_runs(nel: Nel, tmp_path: Path) -> None:
    path = tmp_path / "nel.yaml"
    code, out, _ = nel("init", path, "--yes", "--max-problems", "3", "-o", tmp_path / "run")
    assert code == 0 and out.startswith(f"wrote {path}")
    assert nel("eval", "run", path, "--no-progress")[0] == 0
    assert (tmp_path / "run" / "sample" / "results.jsonl").exists()


def test_a_first_configuration_for_an_endpoint(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-init-1234567890")
    path = tmp_path / "nel.yaml"
    words = ["--model-url", "http://127.0.0.1:9/v1/completions", "--model-id", "tiny"]
    nel("init", path, "-y", *words, "--api-key-env", "MY_KEY", "-b", "gsm8k", "-b", "mmlu")
    text = path.read_text()
    assert "${MY_KEY}" in text and "sk-init" not in text
    config = load(path).config
    assert [benchmark.name for benchmark in config.benchmarks] == ["gsm8k", "mmlu"]
    assert config.services["model"].protocol == "completions"  # type: ignore[union-attr]


def test_questions_are_asked(tmp_path: Path) -> None:
    told = "http://127.0.0.1:9/v1\ntiny\n\nsample\n\n"
    words = [*NEL, "init", "mine.yaml"]
    done = subprocess.run(words, input=told, text=True, capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Endpoint of the model" in done.stdout
    assert "tiny" in (tmp_path / "mine.yaml").read_text()


def test_a_file_that_is_there_stays(nel: Nel, tmp_path: Path) -> None:
    path = tmp_path / "nel.yaml"
    path.write_text("mine")
    code, _, err = nel("init", path, "-y")
    assert code == 2 and "is there already" in err and path.read_text() == "mine"


def test_a_configuration_that_would_not_load_is_not_left(nel: Nel, tmp_path: Path) -> None:
    path = tmp_path / "nel.yaml"
    code, _, err = nel("init", path, "-y", "--model-url", "not a url")
    assert code == 2 and err and not path.exists()


def test_a_key_in_the_place_of_its_variable_is_written_nowhere(tmp_path: Path) -> None:
    key, env = "sk-abc-123456789012", {**os.environ, "NEL_CONFIG": str(tmp_path / "settings.yaml")}
    asked = {"input": f"http://127.0.0.1:9/v1\ntiny\n{key}\nsample\n\n", "text": True, "env": env}
    for words in (["init"], ["config", "set", "api_key_env", key], ["init", "--api-key-env", key]):
        done = subprocess.run([*NEL, *words], capture_output=True, cwd=tmp_path, **asked)
        assert done.returncode == 2 and "must be the name of a variable" in done.stderr
        assert key not in done.stdout + done.stderr and not list(tmp_path.iterdir())


def test_a_key_may_be_set_later(nel: Nel, tmp_path: Path) -> None:
    words = ("--model-url", "http://127.0.0.1:9/v1", "--model-id", "tiny", "-y")
    path = tmp_path / "nel.yaml"
    code, out, err = nel("init", path, *words, "--api-key-env", "NOT_YET_SET_KEY")
    assert code == 0 and "first: export NOT_YET_SET_KEY=..." in out, err
    assert "${NOT_YET_SET_KEY}" in path.read_text()


def test_nobody_to_ask(tmp_path: Path) -> None:
    words = [*NEL, "init", "mine.yaml"]
    done = subprocess.run(words, input="", text=True, capture_output=True, cwd=tmp_path)
    assert done.returncode == 2 and not (tmp_path / "mine.yaml").exists()
    assert done.stderr.startswith("error: standard input ended") and "--yes" in done.stderr


def test_a_benchmark_that_is_none_is_told_at_once(nel: Nel, tmp_path: Path) -> None:
    code, _, err = nel("init", tmp_path / "nel.yaml", "-y", "-b", "gsm8")
    assert code == 2 and "did you mean 'gsm8k'" in err and not (tmp_path / "nel.yaml").exists()


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("json", "a part of Python"),
        ("class", "a part of Python"),
        ("gsm8k", "a built-in bench"),
        ("pytest", "an installed package"),
    ],
)
def test_a_name_that_is_taken(nel: Nel, tmp_path: Path, name: str, taken: str) -> None:
    code, _, err = nel("init-benchmark", name, "-o", tmp_path / "out")
    assert code == 2 and taken in err and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_new_benchmark_passes_its_own_tests(nel: Nel, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    code, out, _ = nel("init-benchmark", "capital-cities", "-o", folder)
    assert code == 0 and out.count("wrote ") == 6
    # As if it were installed: an entry point is found by the metadata beside the package.
    info = folder / "src" / "capital_cities-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: capital-cities\nVersion: 0.1.0\n")
    entry = (
        "[nemo_evaluator.benchmarks]\ncapital_cities = capital_cities.benchmark:capital_cities\n"
    )
    (info / "entry_points.txt").write_text(entry)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=folder, env=_with_path(folder / "src")
    )
    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout + done.stderr


def _with_path(folder: Path) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.mark.parametrize("name", ["Capital", "1x", "a b", "../up", "a/b", "-x", ""])
def test_what_is_no_name_of_a_package(nel: Nel, tmp_path: Path, name: str) -> None:
    code, _, err = nel("init-benchmark", "-o", tmp_path / "out", "--", name)
    assert code == 2 and "is no name of a package" in err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_stays(nel: Nel, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    code, _, err = nel("init-benchmark", "cities", "-o", tmp_path)
    assert code == 2 and "is not empty" in err


def test_the_doctor_says_what_is_there(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEL_CONFIG", str(tmp_path / "config.yaml"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret_1234567890")
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out, _ = nel("doctor", "--json")
    found = {(item["group"], item["name"]): item for item in json.loads(out)}
    assert found["nel", "python"]["health"] == "ok"
    assert found["programs", "docker"]["health"] == "absent"
    assert found["programs", "docker"]["fix"]
    assert {name for group, name in found if group == "extras"} >= {"stats", "export", "frames"}
    assert found["credentials", "HF_TOKEN"]["health"] == "ok"
    assert "hf_secret" not in out
    assert code in (0, 1)


def test_an_engine_that_does_not_answer_is_a_problem(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho Cannot connect to the Docker daemon >&2\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("NEL_CONFIG", str(tmp_path / "config.yaml"))
    code, out, _ = nel("doctor")
    assert code == 1 and "✗ docker" in out and "Cannot connect to the Docker daemon" in out


def test_a_setting_that_names_a_missing_variable_is_a_problem(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEL_CONFIG", str(tmp_path / "config.yaml"))
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    nel("config", "set", "api_key_env", "NO_SUCH_KEY")
    code, out, _ = nel("doctor")
    assert code == 1 and "the variable NO_SUCH_KEY is not set" in out
