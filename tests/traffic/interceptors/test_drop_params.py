"""Parameters an endpoint would refuse do not reach it."""

from __future__ import annotations

from typing import Any

import pytest
from steps import configured, sent

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.pipeline import Pipeline
from nemo_evaluator.traffic.types import ModelRequest, ModelResponse


@pytest.mark.parametrize(
    ("params", "body", "expected"),
    [
        (["seed"], {"seed": 1, "n": 2}, {"n": 2}),
        (["seed", "absent"], {"seed": 1}, {}),
        (["seed"], {"metadata": {"seed": 1}}, {"metadata": {"seed": 1}}),
    ],
    ids=["named", "absent ones are no matter", "top level only"],
)
async def test_the_parameters_are_removed(
    params: list[str], body: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert (await sent("drop_params", {"params": params}, body)).body == expected


async def test_without_stream_the_answer_is_whole() -> None:
    seen: list[ModelRequest] = []

    async def terminal(request: ModelRequest) -> ModelResponse:
        seen.append(request)
        return ModelResponse(200, {})

    steps = open_interceptors([configured("drop_params", {"params": ["stream"]})])
    body = {"stream_options": {"include_usage": True}, "n": 1}
    await Pipeline(steps, terminal)(ModelRequest("chat_completions", body, stream=True))
    assert not seen[0].stream
    assert seen[0].body == {"n": 1}


@pytest.mark.parametrize("config", [{}, {"params": []}, {"params": ["stream_options"]}])
def test_wrong_options_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="params"):
        open_interceptors([configured("drop_params", config)])
