"""Which services can be opened."""

from __future__ import annotations

import pytest

from nemo_evaluator.config.services import ApiService, CustomService, SimulatedService
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.kinds import SERVICES
from nemo_evaluator.services.open import open_model


async def test_api_and_simulated_services_open() -> None:
    api = ApiService(url="http://127.0.0.1:1/v1", protocol="completions", model="x")
    for service, name in ((api, "x"), (SimulatedService(model="y"), "y")):
        model = open_model("svc", service, max_concurrent=3)
        assert model.name == name and model.limiter.cap == 3
        await model.close()
    assert {"api", "custom", "gym", "nat", "simulated", "vllm", "nim"} <= {*SERVICES.names()}


def test_other_services_are_refused_by_name() -> None:
    service = CustomService(class_path="nowhere")
    with pytest.raises(ConfigError) as caught:
        open_model("svc", service, max_concurrent=3)
    assert "there is no service 'nowhere' — known: api, custom" in str(caught.value)
