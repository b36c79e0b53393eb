"""A real resources server of NeMo Gym, in the interpreter that has it."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest
from free_ports import free_port
from parts import part


@pytest.fixture
def nemo_gym() -> Iterator[str]:
    """A real resources server of NeMo Gym that keeps a counter for each session."""
    python = part("gym") / "bin" / "python"
    port = free_port()
    code = f"""
import os, uvicorn
from omegaconf import OmegaConf
from nemo_gym.server_utils import BaseServerConfig, ServerClient
from resources_servers.example_session_state_mgmt.app import (
    StatefulCounterResourcesServer as Server, StatefulCounterResourcesServerConfig as Config)
given = dict(host="127.0.0.1", port={port}, entrypoint="app.py", name="counter", domain="agent")
conf = OmegaConf.create({{"counter": {{"resources_servers": {{"c": given}}}}}})
os.environ["NEMO_GYM_CONFIG_DICT"] = OmegaConf.to_yaml(conf)
client = ServerClient(
    head_server_config=BaseServerConfig(host="127.0.0.1", port=1), global_config_dict=conf)
server = Server(config=Config(**given), server_client=client)
app = server.setup_webserver()
uvicorn.run(app, host="127.0.0.1", port={port}, log_level="warning")
"""
    with subprocess.Popen([python, "-c", code], stderr=subprocess.PIPE, text=True) as server:
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 100
        while True:
            try:
                urllib.request.urlopen(f"{url}/openapi.json", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, server.stderr.read() if server.stderr else ""
                assert time.monotonic() < end
                time.sleep(0.3)
        yield url
        server.terminate()
