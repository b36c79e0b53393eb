"""How an endpoint is reached, by flags and by file: keys, headers, certificates, proxy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nemo_evaluator.config.connecting import parsed_headers
from nemo_evaluator.config.endpoints import ApiService
from nemo_evaluator.config.keys import find
from nemo_evaluator.config.load import Loaded, parse
from nemo_evaluator.config.proxy_file import load_proxy_file
from nemo_evaluator.config.quick import apply_flags, quick_config
from nemo_evaluator.errors import ConfigError

URL = "https://h/v1"
FLAGS: dict[str, Any] = {
    "api_key_command": "print-key --user ${USER}",
    "headers": ("X-Api-Key=secret-header-1", "X-Team: a=b"),
    "ca_file": "/ca.pem",
    "client_cert": "/me.pem",
    "client_key": "/me.key",
    "http_proxy": "http://proxy:3128",
}
SERVICE = {"type": "api", "url": URL, "protocol": "chat_completions"}


def quick(**flags: Any) -> Loaded:
    env = {"NEMO_API_KEY": "key-of-environment"}
    return quick_config(["sample"], model_url=URL, model_id="m", env=env, **flags)


def from_file(**fields: Any) -> Loaded:
    document = {"services": {"m": {**SERVICE, **fields}}, "benchmarks": [{"name": "sample"}]}
    return parse(document, env={})


@pytest.mark.parametrize(
    "loaded",
    [
        lambda: quick(**FLAGS),
        lambda: apply_flags(from_file(api_key="old-key-12"), **FLAGS),
    ],
)
def test_every_flag_has_its_effect(loaded: Any) -> None:
    [service] = (found := loaded()).config.services.values()
    assert service.api_key_command == "print-key --user ${USER}"
    assert (service.api_key, service.api_key_env) == (None, None)
    assert (service.ca_file, service.client_cert) == ("/ca.pem", "/me.pem")
    assert (service.client_key, service.http_proxy) == ("/me.key", "http://proxy:3128")
    headers = {"X-Api-Key": "secret-header-1", "X-Team": "a=b"}
    assert service.proxy.extra_headers == headers
    kept = found.snapshot(command="")
    assert "secret-header-1" not in kept
    assert "/me.key" in kept and "print-key" in kept


def test_headers_are_added_to_those_of_the_file() -> None:
    loaded = apply_flags(from_file(proxy={"extra_headers": {"A": "1"}}), headers={"B": "2"})
    assert loaded.config.services["m"].proxy.extra_headers == {"A": "1", "B": "2"}


def test_a_list_of_words_is_a_command_too() -> None:
    command = ["print-key", "${HOME}"]
    assert quick(api_key_command=command).config.services["model"].api_key_command == command


def test_a_function_is_a_key() -> None:
    def function() -> str:
        return "key-1234"

    service = quick(api_key=function).config.services["model"]
    assert (service.api_key, service.api_key_env) == (None, None)
    assert find(service.api_key_command) is function


@pytest.mark.parametrize("text", ["NoValue", "=x", ""])
def test_what_is_no_header_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a header is NAME=VALUE"):
        parsed_headers([text])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"api_key": "a", "api_key_command": "b"}, "--api-key and --api-key-command are both set"),
        ({"client_key": "/k"}, "client_key needs the client_cert it belongs to"),
        ({"headers": ["Content-Length"]}, "--header Content-Length: a header is NAME=VALUE"),
    ],
)
def test_what_does_not_go_together_is_refused(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        quick(**flags)


def test_certificates_are_of_no_use_without_tls() -> None:
    for name in ("ca_file", "client_cert"):
        with pytest.raises(ValidationError, match=f"{name} has no effect on an http:// url"):
            ApiService.model_validate({**SERVICE, "url": "http://h", name: "/x"})


@pytest.mark.parametrize(
    ("proxy", "read"),
    [("direct", "direct"), ("proxy:3128", "http://proxy:3128"), ("http://p/", "http://p")],
)
def test_a_proxy_may_be_named_shortly(proxy: str, read: str) -> None:
    assert ApiService.model_validate({**SERVICE, "http_proxy": proxy}).http_proxy == read


def test_a_proxy_of_another_kind_is_named() -> None:
    with pytest.raises(ConfigError, match="only http:// proxies are supported"):
        quick(http_proxy="https://h:1")


@pytest.mark.parametrize("proxy", ["socks5://h:1", "https://h:1", "http://h:99999", ""])
def test_a_proxy_that_cannot_be_is_refused_at_once(proxy: str) -> None:
    with pytest.raises(ConfigError, match=r"--http-proxy: services\.model\.http_proxy: "):
        quick(http_proxy=proxy)


@pytest.mark.parametrize("name", FLAGS)
def test_the_simulated_model_has_no_connection(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^the simulated model (takes no key|has no use for --)"):
        quick_config(
            ["sample"], model_url="simulated", model_id=None, env={}, **{name: FLAGS[name]}
        )


def test_a_proxy_alone_takes_them_too(tmp_path: Path) -> None:
    path = tmp_path / "proxy.yaml"
    path.write_text(f"url: {URL}\napi_key: old-key-12\nproxy: {{extra_headers: {{A: '1'}}}}\n")
    service = load_proxy_file(path, FLAGS).service
    assert service.api_key is None
    assert service.api_key_command == FLAGS["api_key_command"]
    assert service.proxy is not None
    assert service.proxy.extra_headers == {"A": "1", **parsed_headers(FLAGS["headers"])}
    assert service.http_proxy == "http://proxy:3128"
