"""One server of nemo-gym, without Ray, uv and a head server; run by the interpreter of its part.

``python -P ng_servers.py weather|model|agent PORTS BASE_URL``: PORTS is JSON,
``{"weather": N, ...}``; where it names a ``gym``, that server takes the place of the weather. With
``-P`` nothing beside this file takes the place of a package.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main(which: str, ports: dict[str, int], base_url: str) -> None:
    import uvicorn
    from nemo_gym.server_utils import BaseServerConfig, ServerClient
    from omegaconf import OmegaConf

    def at(which: str, **fields: Any) -> dict[str, Any]:
        own = {"host": "127.0.0.1", "port": ports[which], "entrypoint": "app.py", "name": which}
        return {**own, **fields}

    resources = "gym" if "gym" in ports else "weather"
    model = at("model", openai_base_url=base_url, openai_model="m")
    model["openai_api_key"] = os.environ.get("OPENAI_API_KEY", "none")
    agent = at(
        "agent",
        resources_server={"type": "resources_servers", "name": resources},
        model_server={"type": "responses_api_models", "name": "model"},
    )
    weather = at(resources, domain="agent")
    config = OmegaConf.create(
        {
            resources: {"resources_servers": {"w": weather}},
            "model": {"responses_api_models": {"openai_model": model}},
            "agent": {"responses_api_agents": {"simple_agent": agent}},
        }
    )
    os.environ["NEMO_GYM_CONFIG_DICT"] = OmegaConf.to_yaml(config)  # else it parses sys.argv
    head = BaseServerConfig(host="127.0.0.1", port=1)
    client = ServerClient(head_server_config=head, global_config_dict=config)
    server = _server(which, {"weather": weather, "model": model, "agent": agent}[which], client)
    app = server.setup_webserver()
    server.setup_liveness(app)
    uvicorn.run(app, host="127.0.0.1", port=ports[which], log_level="warning")


def _server(which: str, config: dict[str, Any], client: Any) -> Any:
    if which == "weather":
        from resources_servers.example_single_tool_call import app as weather

        given = weather.SimpleWeatherResourcesServerConfig(**config)
        return weather.SimpleWeatherResourcesServer(config=given, server_client=client)
    if which == "model":
        from responses_api_models.openai_model import app as model

        given = model.SimpleModelServerConfig(**config)
        return model.SimpleModelServer(config=given, server_client=client)
    from responses_api_agents.simple_agent import app as agent

    given = agent.SimpleAgentConfig(**config)
    return agent.SimpleAgent(config=given, server_client=client)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3])
