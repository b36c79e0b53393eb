"""``${NAME}``, `.env` files, and keys by the name of their variable."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator.config.environment import environment, read_dotenv
from nemo_evaluator.config.expand import expand
from nemo_evaluator.config.load import load
from nemo_evaluator.config.tree import from_plain

from .conftest import Fails, Load, document

ENV = {"BENCH": "gsm8k", "EMPTY": "", "A": "1", "NESTED": "${A}"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${BENCH}", "gsm8k"),
        ("x-${BENCH}-${A}", "x-gsm8k-1"),
        ("${EMPTY}", ""),
        ("${EMPTY:-d}", ""),
        ("${MISSING:-default}", "default"),
        ("${MISSING:-}", ""),
        ("${MISSING:-a:-b}", "a:-b"),
        ("$${X}/v1", "${X}/v1"),
        ("$${X:-d}", "${X:-d}"),
        ("$${A} is ${A}", "${A} is 1"),
        ("cost: $$100", "cost: $$100"),
        ("${NESTED}", "${A}"),
        ("${}", "${}"),
        (3, 3),
        (None, None),
    ],
)
def test_references_are_replaced_by_their_values(text: Any, value: Any) -> None:
    result = expand(from_plain({"k": [text]}), ENV)
    assert result.data == {"k": [value]}
    assert result.problems == []


def test_keys_are_not_expanded() -> None:
    assert expand(from_plain({"${A}": "${A}"}), ENV).data == {"${A}": "1"}


def test_every_unset_variable_is_named_with_its_line(fails: Fails) -> None:
    text = (
        "services:\n  m:\n    type: api\n    url: ${URL_X}\n    protocol: completions\n"
        "benchmarks:\n  - name: ${NAME_X}\n    repeats: 0\n"
    )
    hint = "set it, put it in .env, or write"
    assert fails(text) == (
        "3 problems in the configuration:\n"
        "  c.yaml:4: services.m.url: environment variable URL_X is not set"
        f" — {hint} ${{URL_X:-default}}\n"
        "  c.yaml:7: benchmarks[0].name: environment variable NAME_X is not set"
        f" — {hint} ${{NAME_X:-default}}\n"
        "  c.yaml:8: benchmarks[0].repeats: must be at least 1 (got 0)"
    )


def test_a_number_may_come_from_a_variable(loads: Load) -> None:
    config = loads(document(benchmarks=[{"name": "sample", "repeats": "${N}"}]), env={"N": "4"})
    assert config.config.benchmarks[0].repeats == 4


def test_a_dotenv_file_is_read_as_shells_read_it(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "# comment\nA=1\nexport B = two words \nC='x # y'\nD=\"q\" # note\nE=v # note\n"
        "F=a=b\nG=\nnot a line\n  # H=1\nK=p#q\n"
    )
    assert read_dotenv(path) == {
        "A": "1",
        "B": "two words",
        "C": "x # y",
        "D": "q",
        "E": "v",
        "F": "a=b",
        "G": "",
        "K": "p#q",
    }
    assert read_dotenv(tmp_path / "missing") == {}


def test_the_environment_wins_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., Path]
) -> None:
    monkeypatch.setenv("NEL_T_REAL", "real")
    write("NEL_T_REAL=file\nNEL_T_HERE=cwd\n", ".env")
    write("NEL_T_HERE=beside\nNEL_T_BESIDE=beside\n", "sub/.env")
    path = write(
        document(output={"dir": "${NEL_T_REAL}-${NEL_T_HERE}-${NEL_T_BESIDE}"}), "sub/c.yaml"
    )
    assert load(path).config.output.dir == "real-cwd-beside"
    assert "NEL_T_HERE" not in os.environ
    assert environment([tmp_path])["NEL_T_HERE"] == "cwd"


def api(**fields: Any) -> dict[str, Any]:
    service = {"type": "api", "url": "http://h/v1", "protocol": "completions", **fields}
    return document(services={"m": service})


def test_a_key_by_the_name_of_its_variable(loads: Load) -> None:
    loaded = loads(api(api_key_env="MY_KEY"), env={"MY_KEY": "secret-value"})
    key = loaded.config.services["m"].api_key
    assert key is not None
    assert key.get_secret_value() == "secret-value"
    assert loaded.secrets == {"secret-value"}


def test_an_empty_key_is_no_key(loads: Load) -> None:
    assert loads(api(api_key="${K:-}")).config.services["m"].api_key is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"api_key_env": "MY_KEY"},
            "c.yaml:6: services.m.api_key_env: environment variable MY_KEY is not set"
            " — set it, or put it in .env",
        ),
        (
            {"api_key_env": "MY_KEY", "api_key": "x"},
            "c.yaml:2: services.m: api_key and api_key_env are both set — remove one of them",
        ),
        (
            {"api_key_env": "sk-123"},
            "c.yaml:6: services.m.api_key_env: must be the name of a variable"
            " (letters, digits and _)",
        ),
    ],
)
def test_keys_that_are_not_there(fails: Fails, fields: dict[str, str], message: str) -> None:
    assert fails(api(**fields)) == message
