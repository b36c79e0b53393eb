"""No text of a configuration is run: whatever stands in a field comes to its program as it is."""

from __future__ import annotations

import copy
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slurm_scripts import config, planned, run_script, vllm, written

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.slurm.render import described, rendered

EVIL = (
    *("$(touch {x})", "`touch {x}`", "'; touch {x}; '", '"; touch {x}; "', "\n touch {x}\n"),
    *("|touch {x}", "&& touch {x}", "$((touch {x}))", "${{A:-$(touch {x})}}", "'$(touch {x})'"),
    *('"$(touch {x})"', "\\'; touch {x} #", "\nEOF\ntouch {x}\n", "#SBATCH --wrap=x\n"),
    *("%j", "ünï ✓", "\t", "* ~ !x", "-n", "{{{{ 7 }}}}", "{{% raw %}}", "{{port}}", "{{head}}"),
    *("'", '"', "\\", "$", "`", "a b"),
)
TEXT = st.lists(st.sampled_from(EVIL), min_size=1, max_size=3).map("".join)
Put = Callable[[dict[str, Any], str], None]


def _put(*path: str) -> Put:
    def put(document: dict[str, Any], text: str) -> None:
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = text

    return put


def _service_name(document: dict[str, Any], text: str) -> None:
    document["services"] = {text: document["services"]["m"]}
    document["benchmarks"][0]["solver"]["service"] = text


FIELDS: dict[str, Put] = {
    "name of a service": _service_name,
    "model": _put("services", "m", "model"),
    "served_model_name": _put("services", "m", "served_model_name"),
    "health_path": lambda d, text: _put("services", "m", "health_path")(d, f"/{text}"),
    "extra_args": lambda d, text: _put("services", "m", "extra_args")(d, [text, "--x", text]),  # type: ignore[arg-type]
    "extra_env": lambda d, text: _put("services", "m", "extra_env", "CANARY_E")(d, text),
    "image": _put("services", "m", "image"),
    "eval_image": _put("cluster", "eval_image"),
    "mounts": lambda d, text: d["cluster"].update(
        eval_image="x", container_mounts=[f"/{text}:/{text}"]
    ),
    "container_env": _put("cluster", "container_env", "CANARY_C"),
    "names of variables": lambda d, text: (
        d["cluster"].update(container_env={text: "x"}),
        d["services"]["m"].update(extra_env={text: "x"}),
    )[0],
    "conda_env": _put("cluster", "conda_env"),
    "account": _put("cluster", "account"),
    "qos": _put("cluster", "qos"),
    "reservation": _put("cluster", "reservation"),
    "comment": _put("cluster", "sbatch_comment"),
    "sbatch_extra": lambda d, text: d["cluster"].update(sbatch_extra=[f"--constraint={text}"]),
    "sbatch_extra_flags": _put("cluster", "sbatch_extra_flags", "constraint"),
    "partition": _put("cluster", "node_pools", "gpu", "partition"),
    "gres": _put("cluster", "node_pools", "gpu", "gres"),
    "name of a pool": lambda d, text: d["cluster"].update(
        node_pools={text: d["cluster"]["node_pools"]["gpu"]}
    ),
    "label": lambda d, text: d["benchmarks"][0].update(label=text),
    "system_prompt": _put("benchmarks", "0", "solver", "system_prompt"),
    "api_key": _put("services", "m", "api_key"),
}


def document() -> dict[str, Any]:
    made = config(
        services={"m": vllm(extra_env={}, startup_timeout=3)},
        benchmarks=[{"name": "sample", "solver": {"type": "simple", "service": "m"}}],
        cluster={"container_env": {}, "sbatch_extra_flags": {}, "auto_resume": False},
    )
    return copy.deepcopy(made)


def hostile(field: str, text: str) -> dict[str, Any]:
    made = document()
    if field == "system_prompt":
        made["benchmarks"][0]["solver"]["system_prompt"] = text
    else:
        FIELDS[field](made, text)
    return made


def _try(document: dict[str, Any], folder: Path, directory: Path) -> None:
    """Plan, check and run; nothing may have been made by the text itself."""
    try:
        plan = planned(document, directory)
        shown = rendered(plan)
    except ConfigError:
        return  # refused before anything is written
    written(plan)
    assert described(plan)
    script = directory / "nel_eval.sbatch"
    subprocess.run(["bash", "-n", script], check=True)
    for line in shown["nel_eval.sbatch"].split("set -uo pipefail")[0].splitlines():
        assert not line or line.startswith("#")  # nothing has left a directive
    run_script(plan, folder / "state", SHIM_EVALUATION="0")
    assert not (folder / "x").exists() and not (folder / "state" / "x").exists()


@pytest.mark.slow
@pytest.mark.parametrize("field", FIELDS)
def test_no_field_is_run(field: str, tmp_path: Path) -> None:
    text = "".join(EVIL).replace("{{", "{").replace("}}", "}").replace("{x}", str(tmp_path / "x"))
    for number, said in enumerate([text, text.replace("\n", " ").replace("\t", " ")]):
        _try(hostile(field, said), tmp_path, tmp_path / str(number))


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from([*FIELDS, "directory"]), TEXT, min_size=1, max_size=4))
def test_no_mixture_of_fields_is_run(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    made, name = document(), fields.pop("directory", "run").replace("/", "_")[:80]
    for field, text in fields.items():
        if field not in ("name of a service", "system_prompt"):
            FIELDS[field](made, text.format(x=folder / "x"))
    _try(made, folder, folder / name.format(x="x"))
    shutil.rmtree(folder)


def test_words_come_as_they_are(tmp_path: Path) -> None:
    text = 'it\'s "$(id)" `id`\n${PATH} \\ {x} ✓'
    said = text.replace("${", "$${")
    made = document()
    made["services"]["m"].update(extra_args=[said], extra_env={"CANARY_E": said})
    made["cluster"]["container_env"] = {"CANARY_C": said}
    plan = planned(made, tmp_path / text.replace("/", "_").replace("\n", "").replace("\\", ""))
    directory = written(plan)
    ran = run_script(plan, tmp_path / "state")
    assert ran.code == 0, ran.said
    (server,), (evaluation,) = ran.of("vllm"), ran.of("evaluation")
    assert server["words"][-1] == text
    assert server["seen"] == {"CANARY_E": text, "CANARY_C": text}
    assert evaluation["words"][4] == f"{directory}/job.yaml"
    assert evaluation["seen"] == {"CANARY_C": text}
