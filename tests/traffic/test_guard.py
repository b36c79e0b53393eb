"""Chat-template fields never reach a text completion unseen."""

from __future__ import annotations

from typing import Any

import pytest

from nemo_evaluator.config.services import ApiService
from nemo_evaluator.errors import ConfigError, PermanentError
from nemo_evaluator.traffic.guard import ALLOW, CompletionsGuard
from nemo_evaluator.traffic.open import open_http_model
from nemo_evaluator.traffic.types import ModelRequest


def guarded(body: dict[str, Any], protocol: str = "completions") -> dict[str, Any]:
    request = ModelRequest(protocol, body)
    CompletionsGuard().on_request(request)
    return request.body


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"chat_template_kwargs": {"n": 1}, "prompt": "p"}, {"prompt": "p"}),
        ({"prompt": "p", "x": [{"chat_template": "t", "y": 2}]}, {"prompt": "p", "x": [{"y": 2}]}),
        ({"prompt": "p", "chat_template_kwargs": {"a": 0}}, {"prompt": "p"}),
        ({"prompt": "p"}, {"prompt": "p"}),
    ],
)
def test_fields_are_removed(body: dict[str, Any], sent: dict[str, Any]) -> None:
    assert guarded(body) == sent


def test_switches_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"prompt": "p", "chat_template_kwargs": {"k": {"d": [True]}}}
    with pytest.raises(PermanentError, match=r"chat_template_kwargs switches .* set " + ALLOW):
        guarded(dict(body))
    assert guarded(dict(body), "chat_completions") == body
    monkeypatch.setenv(ALLOW, " Yes ")
    assert guarded(dict(body)) == {"prompt": "p"}


def test_a_configuration_with_a_switch_does_not_start() -> None:
    service = ApiService.model_validate(
        {
            "url": "http://127.0.0.1:9/v1",
            "protocol": "completions",
            "proxy": {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}}},
        }
    )
    with pytest.raises(ConfigError, match="chat_template_kwargs switches a chat template"):
        open_http_model("m", service, max_concurrent=1)
