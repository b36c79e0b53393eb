"""Every `proxy` section of the documentation is started for real and answers a request."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from loopback import Loopback

from nemo_evaluator.config.load import load
from nemo_evaluator.config.proxy_file import load_proxy_file
from nemo_evaluator.config.runnable import check_runnable
from nemo_evaluator.kinds import INTERCEPTORS
from nemo_evaluator.traffic.door.server import ProxyServer
from nemo_evaluator.traffic.interceptors.reference import EXAMPLES, page
from nemo_evaluator.traffic.open import open_http_model

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = ("interceptors.md", "proxy.md")


def sections() -> list[tuple[str, str]]:
    found = []
    for name in PAGES:
        for number, text in enumerate(BLOCK.findall((DOCS / name).read_text(encoding="utf-8"))):
            step = re.search(r"- name: (\w+)", text)
            found.append((f"{name}:{number}:{step[1] if step else ''}", text))
    found.append(("examples/proxy.yaml", (DOCS.parent / "examples/proxy.yaml").read_text()))
    return found


def test_the_reference_is_up_to_date() -> None:
    assert (DOCS / "interceptors.md").read_text(encoding="utf-8") == page()
    assert set(EXAMPLES) == set(INTERCEPTORS.built_in)


async def test_all_sections_start_and_answer(
    tmp_path: Path, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    import aiohttp

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEMO_MODEL_URL", loopback.url)
    monkeypatch.setenv("NEMO_MODEL_ID", "m")
    monkeypatch.setenv("NEMO_API_KEY", "k-123456")
    found = sections()
    assert len(found) >= len(INTERCEPTORS.built_in)
    for name, text in found:
        path = tmp_path / "proxy.yaml"
        path.write_text(text)
        flags = {} if re.search(r"^url:", text, re.MULTILINE) else {"url": loopback.url}
        service = load_proxy_file(path, flags).service
        model = open_http_model("m", service, max_concurrent=4)
        server = ProxyServer(model)
        url = await server.start()
        body = {"model": "m", "messages": [{"role": "user", "content": "How much is 1 + 1?"}]}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url}/v1/chat/completions", json=body) as response,
        ):
            assert response.status == 200, f"{name}: {await response.text()}"
        await server.stop()
        await model.close()


def test_configurations_with_a_proxy_can_be_run(tmp_path: Path) -> None:
    env = {"NEMO_MODEL_URL": "http://127.0.0.1:1/v1", "NEMO_MODEL_ID": "m", "NEMO_API_KEY": "k"}
    for number, text in enumerate(BLOCK.findall((DOCS / "traffic.md").read_text("utf-8"))):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        check_runnable(load(path, env={**os.environ, **env}))
