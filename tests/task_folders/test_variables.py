"""A task reads only the variables of this machine that the user allows by name."""

from __future__ import annotations

import pytest

from nemo_evaluator.config.scrubber import KNOWN
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.task_folders.variables import resolved

ENV = {"JUDGE_API_KEY": "sk-secret-1234567890", "HOME": "/root"}


def test_only_what_is_allowed_is_read() -> None:
    told = {"KEY": "${JUDGE_API_KEY}", "HOME": "${HOME:-/nowhere}", "PLAIN": "a ${HOME} b"}
    assert resolved(told, ENV, ["JUDGE_API_KEY"], "t") == {
        "KEY": ENV["JUDGE_API_KEY"],
        "HOME": "/nowhere",
        "PLAIN": "a ${HOME} b",
    }
    assert ENV["JUDGE_API_KEY"] not in KNOWN(f"x {ENV['JUDGE_API_KEY']} y")


@pytest.mark.parametrize(
    ("allowed", "message"),
    [
        ([], "wants to read the variable NAME of this machine — allow it: params: {pass_env"),
        (["NAME"], "needs the variable NAME, which is not set"),
    ],
)
def test_what_is_missing_is_named(allowed: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolved({"A": "${NAME}"}, ENV, allowed, "t")
    assert message in str(caught.value)
