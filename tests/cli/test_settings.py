"""Settings of a user: defaults of flags, and of nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Nel

SIMULATED = "services: {model: {type: simulated}}\nbenchmarks: [{name: sample, max_problems: 2}]\n"


@pytest.fixture(autouse=True)
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings" / "config.yaml"
    monkeypatch.setenv("NEL_CONFIG", str(path))
    monkeypatch.delenv("NEL_PROFILE", raising=False)
    monkeypatch.delenv("NEMO_MODEL_URL", raising=False)
    return path


def planned(nel: Nel, *words: object) -> tuple[str, str]:
    code, out, err = nel("eval", "run", *words, "--dry-run")
    assert code == 0, err
    return out, err


def test_a_setting_stands_for_a_flag_that_is_not_given(nel: Nel) -> None:
    nel("config", "set", "model_url", "http://127.0.0.1:9/v1")
    nel("config", "set", "model_id", "tiny")
    nel("config", "set", "temperature", "0.25")
    out, err = planned(nel, "-b", "sample")
    assert "http://127.0.0.1:9" in out and "tiny" in out and "0.25" in out
    assert err.count("setting: ") == 3
    out, err = planned(nel, "-b", "sample", "--temperature", "0.75")
    assert "0.75" in out and "0.25" not in out and "temperature" not in err


def test_a_file_of_a_run_knows_no_settings(nel: Nel, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(SIMULATED)
    before = planned(nel, config)
    nel("config", "set", "temperature", "0.25")
    nel("config", "set", "max_tokens", "7")
    assert planned(nel, config) == before


def test_the_key_of_one_endpoint_is_not_sent_to_another(
    nel: Nel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-settings-1234567890")
    nel("config", "set", "model_url", "http://127.0.0.1:9/v1")
    nel("config", "set", "api_key_env", "MY_KEY")
    assert "api_key_env" in planned(nel, "-b", "sample", "--model-id", "m")[1]
    _, err = planned(nel, "-b", "sample", "--model-id", "m", "--model-url", "http://127.0.0.1:8/v1")
    assert "api_key_env" not in err
    assert "api_key_env" not in planned(nel, "-b", "sample", "--model-url", "simulated")[1]


def test_profiles_lie_over_the_settings(nel: Nel, monkeypatch: pytest.MonkeyPatch) -> None:
    nel("config", "set", "max_tokens", "100")
    nel("config", "set", "max_tokens", "200", "--profile", "long")
    assert nel("config", "get", "max_tokens")[1] == "100\n"
    nel("config", "use", "long")
    assert nel("config", "get", "max_tokens")[1] == "200\n"
    assert "(profile long)" in nel("config", "show")[1]
    nel("config", "use")
    monkeypatch.setenv("NEL_PROFILE", "long")
    assert nel("config", "get", "max_tokens")[1] == "200\n"
    nel("config", "unset", "max_tokens", "--profile", "long")
    assert nel("config", "get", "max_tokens")[1] == "100\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("set", "temprature", "1"), "did you mean 'temperature'?"),
        (("set", "api_key", "sk-123456789"), "nel config set api_key_env NAME_OF_A_VARIABLE"),
        (("set", "max_tokens", "many"), "max_tokens: "),
        (("set", "max_tokens", "0"), "greater than or equal to 1"),
        (("use", "nowhere"), "there is no profile 'nowhere'"),
        (("get", "colour"), "there is no setting 'colour'"),
    ],
)
def test_what_is_wrong_is_one_line_and_changes_nothing(
    nel: Nel, own_file: Path, words: tuple[str, ...], says: str
) -> None:
    code, out, err = nel("config", *words)
    assert code == 2 and says in err and err.count("\n") == 1 and not out
    assert "sk-123456789" not in err
    assert not own_file.exists()


@pytest.mark.parametrize("text", ["- a list\n", "settings: {colour: red}\n", "settings: [\n"])
def test_a_file_that_cannot_be_read_names_itself(nel: Nel, own_file: Path, text: str) -> None:
    own_file.parent.mkdir()
    own_file.write_text(text)
    code, _, err = nel("config", "show")
    assert code == 2 and str(own_file) in err and err.count("\n") == 1
    code, out, _ = nel("doctor", "--json")
    assert code == 1, "a problem"
    assert any(item["health"] == "problem" for item in json.loads(out))


def test_a_setting_that_is_not_there_is_told_by_the_exit_code(nel: Nel) -> None:
    assert nel("config", "get", "max_tokens") == (1, "", "")
    assert "nothing is set" in nel("config", "show")[1]


def test_the_schema_of_configurations(nel: Nel) -> None:
    found = json.loads(nel("config", "schema")[1])
    assert {"services", "benchmarks", "cluster", "output"} <= found["properties"].keys()
