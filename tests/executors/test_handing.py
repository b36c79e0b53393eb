"""A configuration comes to another process as it is, and no secret of it comes by the document."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.config.cluster import LocalCluster
from nemo_evaluator.config.load import Loaded, load, parse
from nemo_evaluator.config.quick import apply_flags
from nemo_evaluator.config.root import EvalConfig
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.handing import JobDocument, job_document

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples" / "configs").glob("*.yaml"))
KEY = "k-99887766"
ENV = {"NEMO_MODEL_URL": "http://127.0.0.1:1/v1", "NEMO_MODEL_ID": "m", "NEMO_API_KEY": KEY}


def again(document: JobDocument, folder: Path, **env: str) -> Loaded:
    """What the other process loads."""
    path = folder / "job.yaml"
    path.write_text(document.text, encoding="utf-8")
    return load(path, env={**env, **document.secrets})


def ran(loaded: Loaded) -> EvalConfig:
    """The configuration but for where it runs, and where its results go."""
    output = loaded.config.output.model_copy(update={"dir": ""})
    return loaded.config.model_copy(update={"cluster": LocalCluster(), "output": output})


def document(**service: Any) -> dict[str, Any]:
    api = {"type": "api", "url": "http://h/v1", "protocol": "chat_completions", **service}
    return {
        "services": {"m": api},
        "benchmarks": [{"name": "sample", "solver": {"type": "simple", "service": "m"}}],
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_the_same_elsewhere(path: Path, tmp_path: Path) -> None:
    loaded = load(path, env=ENV)
    handed = job_document(loaded)
    assert ran(again(handed, tmp_path)) == ran(loaded)
    assert "cluster" not in yaml.safe_load(handed.text)
    assert KEY not in handed.text


def test_references_stay_and_bring_their_values(tmp_path: Path) -> None:
    loaded = parse(document(api_key="${MODEL_KEY}", model="${MODEL:-m-1}"), env={"MODEL_KEY": KEY})
    handed = job_document(loaded)
    assert handed.secrets == {"MODEL_KEY": KEY}
    service = yaml.safe_load(handed.text)["services"]["m"]
    assert (service["api_key"], service["model"]) == ("${MODEL_KEY}", "m-1")
    elsewhere = again(handed, tmp_path, MODEL="another", MODEL_KEY="another")
    assert ran(elsewhere) == ran(loaded)


@pytest.mark.parametrize(
    "service",
    [
        {"api_key": KEY},
        {"url": f"https://user:{KEY}@host/v1"},
        {"url": f"https://host/v1?api_key={KEY}"},
        {"url": "https://host/v1?sig=abc"},
        {"proxy": {"extra_headers": {"Authorization": f"Bearer {KEY}", "X-Also": f"a {KEY} b"}}},
        {"proxy": {"extra_headers": {"Authorization": "Token ${PART}"}}},
        {"api_key": f"${{UNSET:-{KEY}}}"},
        {"api_key": "a'b\"c`id`$(id)$${X}\\n\nd" + KEY},
    ],
)
def test_secrets_in_clear_come_by_variables(service: dict[str, Any], tmp_path: Path) -> None:
    loaded = parse(document(**service), env={"PART": KEY})
    handed = job_document(loaded)
    assert KEY not in handed.text and "sig=abc" not in handed.text
    assert handed.secrets and all(value not in handed.text for value in handed.secrets.values())
    assert ran(again(handed, tmp_path)) == ran(loaded)
    assert KEY not in repr(handed)


def test_a_secret_that_is_not_handed_over_is_said(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(job_document(parse(document(api_key=KEY), env={})).text)
    with pytest.raises(ConfigError, match="a secret stood here in clear, which is not kept"):
        load(tmp_path / "job.yaml", env={})


def test_what_belongs_to_a_machine_is_written_out(tmp_path: Path) -> None:
    env = {"HOME": "/home/me", "PATH": "/bin", "SLURM_JOB_ID": "7", "UID": "5"}
    config = document(model="${HOME}-${PATH}-${SLURM_JOB_ID}-${UID}-$${HOME}")
    handed = job_document(parse(config, env=env))
    assert handed.secrets == {}
    elsewhere = again(handed, tmp_path, HOME="/root", PATH="/usr/bin", SLURM_JOB_ID="8")
    assert elsewhere.config.services["m"].model == "/home/me-/bin-7-5-${HOME}"  # type: ignore[union-attr]


def test_keys_named_by_their_variable_come_along(tmp_path: Path) -> None:
    loaded = parse(document(api_key_env="MODEL_KEY"), env={"MODEL_KEY": KEY, "HF_TOKEN": "hf-123"})
    handed = job_document(loaded)
    assert handed.secrets == {"MODEL_KEY": KEY, "HF_TOKEN": "hf-123"}
    assert ran(again(handed, tmp_path)) == ran(loaded)


def test_what_exporters_and_sandboxes_read_comes_along() -> None:
    env = {"WANDB_API_KEY": KEY, "MLFLOW_TRACKING_URI": "http://m", "AWS_REGION": "x", "PATH": "/"}
    config = {**document(), "output": {"export": ["wandb"]}}
    assert job_document(parse(config, env=env)).secrets == {"WANDB_API_KEY": KEY}
    config["benchmarks"][0]["sandbox"] = {"type": "ecs_fargate"}
    handed = job_document(parse(config, env=env))
    assert handed.secrets == {"WANDB_API_KEY": KEY, "AWS_REGION": "x"}


def test_flags_and_the_directory_are_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = apply_flags(parse(document(), env={}), repeats=3, temperature=0.5, output_dir="a ${b}")
    handed = job_document(loaded)
    elsewhere = again(handed, tmp_path).config
    assert elsewhere.benchmarks[0].repeats == 3
    assert elsewhere.output.dir == str(tmp_path / "a ${b}")
    assert handed.folder == str(tmp_path)


def test_what_cannot_be_handed_on_is_refused() -> None:
    loaded = apply_flags(parse(document(), env={}), api_key_command=lambda: KEY)
    with pytest.raises(ConfigError, match=r"api_key_command: .* is a function of this process"):
        job_document(loaded)
    numbered = {**document(), "benchmarks": [{"name": "sample", "params": {"api_key": 12345678}}]}
    with pytest.raises(ConfigError, match="write it as text, in quotes"):
        job_document(parse(numbered, env={}))


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30) | st.text(
    st.sampled_from("${}:-'\"\\`\n AB" + string.ascii_lowercase), max_size=20
)


VALUES: st.SearchStrategy[object] = st.recursive(
    TEXTS | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(VALUES)
def test_any_value_is_the_same_elsewhere(tmp_path_factory: Any, value: object) -> None:
    config = {**document(), "benchmarks": [{"name": "sample", "params": {"x": value}}]}
    try:
        loaded = parse(config, env={"A": "1'${B}", "B": "$"})
    except ConfigError:
        return  # refers to a variable that is not set, or cannot be written
    handed = job_document(loaded)
    assert ran(again(handed, tmp_path_factory.mktemp("job"))) == ran(loaded)
