"""The package imports what it depends on, and nothing that only happens to be installed."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/nemo_evaluator"
IMPORT = re.compile(r"^\s*(?:from|import) ([a-zA-Z]\w*)", re.MULTILINE)
OTHERWISE = {"PyYAML": "yaml", "math-verify": "math_verify", "pillow": "PIL"}
"""Modules that are not called like their package."""
COMES_WITH = {
    "anyio": "mcp",
    "botocore": "boto3",
    "fsspec": "datasets",
    "httpx2": "mcp",
    "mcp_types": "mcp",
    "pyarrow": "datasets",
    "pydantic_core": "pydantic",
    "referencing": "jsonschema",
}
"""Modules of packages that ours depend on, and whose versions they choose."""
IMPORTED = ("ecs", "frames", "mcp", "ray", "scoring", "testing")
"""Extras whose packages the package itself imports, inside of functions."""
FOREIGN = (
    "environments/inspect/nel_inspect_memory.py",
    "environments/inspect/nel_inspect_tasks.py",
    "environments/inspect/worker.py",
    "environments/lm_eval/nel_lm_eval_errors.py",
    "environments/lm_eval/nel_lm_eval_index.py",
    "environments/lm_eval/nel_lm_eval_loading.py",
    "environments/lm_eval/nel_lm_eval_results.py",
    "environments/lm_eval/nel_lm_eval_tokens.py",
    "environments/lm_eval/worker.py",
    "exporters/mlflow/nel_mlflow.py",
    "exporters/wandb/nel_wandb.py",
    "solvers/harbor/script/",
)
"""Scripts that run in the interpreter of another package (`nemo_evaluator.foreign`)."""


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = [*project["dependencies"], *(name for extra in IMPORTED for name in extras[extra])]
    names = {re.match(r"[\w.-]+", text)[0] for text in listed}  # type: ignore[index]
    return {OTHERWISE.get(name, name.replace("-", "_")) for name in names}


def test_what_a_checkout_installs_has_one_version() -> None:
    """CI is the same tomorrow: `constraints.txt` pins what `make test` installs by name."""
    pinned = {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
        for one in [Requirement(line)]
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    names = ("dev", "testing", "mcp", "scoring", "stats")
    wanted = [*project["dependencies"], *(text for name in names for text in extras[name])]
    for one in map(Requirement, wanted):
        name = canonicalize_name(one.name)
        if name != "nemo-evaluator":
            assert name in pinned, f"{name} has no version in constraints.txt"
            assert one.specifier.contains(pinned[name]), f"{one} excludes {pinned[name]}"


def test_every_import_is_declared() -> None:
    found: dict[str, Path] = {}
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).as_posix().startswith(FOREIGN):
            continue
        code = re.sub(r'"""(?:.|\n)*?"""', "", path.read_text(encoding="utf-8"))
        found |= dict.fromkeys(IMPORT.findall(code), path)
    allowed = declared() | set(sys.stdlib_module_names) | {"nemo_evaluator"}
    allowed |= {name for name, package in COMES_WITH.items() if package in allowed}
    assert {name: path for name, path in found.items() if name not in allowed} == {}


def test_the_core_needs_no_http_library() -> None:
    assert not declared() & {"aiohttp", "httpx", "requests", "uvicorn"}
