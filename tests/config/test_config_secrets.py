"""No secret is shown: not by repr, str, dump, error texts or the snapshot."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from nemo_evaluator.config.load import load, parse, secrets
from nemo_evaluator.config.proxy import ProxyConfig
from nemo_evaluator.config.quick import quick_config
from nemo_evaluator.config.secrecy import redact, secret_field, secret_variable
from nemo_evaluator.config.services import ApiService
from nemo_evaluator.config.snapshot import safe_command, safe_override
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.version import __version__

from .conftest import Fails, document

KEY, HEADER, TOKEN, LITERAL, PASSWORD = (
    "k-11111111",
    "h-22222222",
    "t-33333333",
    "l-4444",
    "p-55555",
)
ENV = {"MODEL_KEY": KEY, "MY_TOKEN": TOKEN}


def full() -> dict[str, Any]:
    return {
        "services": {
            "m": {
                "type": "api",
                "url": f"https://user:{PASSWORD}@host/v1",
                "protocol": "chat_completions",
                "api_key": "${MODEL_KEY}",
                "generation": {"extra_body": {"route": "x-${MY_TOKEN}"}},
                "proxy": {"extra_headers": {"Authorization": f"Bearer {HEADER}", "X-Team": "a"}},
            },
            "n": {"type": "api", "url": "http://h", "protocol": "completions", "api_key": LITERAL},
        },
        "solver": {"type": "simple", "service": "m"},
        "benchmarks": [{"name": "sample"}],
    }


ALL = (KEY, HEADER, TOKEN, LITERAL, PASSWORD)


def test_what_is_shown_of_a_configuration_holds_no_secret() -> None:
    loaded = parse(full(), env=ENV)
    service = loaded.config.services["m"]
    shown = [
        repr(loaded),
        str(loaded.config),
        repr(service),
        str(service.proxy),
        repr(service.generation),
        str(loaded.config.model_dump()),
        loaded.config.model_dump_json(),
        str(service.model_dump()),
    ]
    for text in shown:
        assert not [secret for secret in ALL if secret in text]
    assert '"X-Team":"a"' in shown[6]


def test_those_who_need_a_secret_get_it() -> None:
    service = parse(full(), env=ENV).config.services["m"]
    assert service.api_key.get_secret_value() == KEY
    assert service.proxy.extra_headers["Authorization"] == f"Bearer {HEADER}"
    assert service.generation.params() == {"route": f"x-{TOKEN}"}


def test_known_secrets() -> None:
    found = secrets(parse(full(), env=ENV))
    assert set(ALL) <= found
    assert not secrets(parse(document(), env={"API_KEY": "abcdefgh"}))


def test_records_made_in_python_hide_what_their_places_hold() -> None:
    proxy = ProxyConfig(extra_headers={"x-api-key": "abcdefgh", "X-Trace": "on"})
    assert "abcdefgh" not in repr(proxy)
    assert "on" in repr(proxy)
    assert proxy.model_dump()["extra_headers"] == {"x-api-key": "**********", "X-Trace": "on"}
    assert "abcdefgh" not in repr(
        ApiService(url="http://h", protocol="responses", api_key="abcdefgh")
    )


def test_a_bearer_token_is_a_secret_whatever_its_name() -> None:
    headers = {"X-Forwarded-2": "Bearer abc-123-token", "X-Trace": "Bearer of news"}
    service: dict[str, Any] = {"type": "api", "url": "http://h", "protocol": "chat_completions"}
    service["proxy"] = {"extra_headers": headers}
    loaded = parse(document(services={"m": service}), env={})
    assert secrets(loaded) == {"Bearer abc-123-token", "abc-123-token"}


def test_errors_do_not_repeat_secrets(fails: Fails) -> None:
    data = full()
    data["services"]["m"]["api_key"] = ["${MODEL_KEY}"]
    data["services"]["m"]["max_input_tokens"] = "${MY_TOKEN}"
    data["services"]["m"]["proxy"]["extra_headers"]["Authorization"] = 123456789
    error = fails(data, env=ENV)
    assert not [secret for secret in (*ALL, "123456789") if secret in error]
    assert "services.m.max_input_tokens: must be a whole number" in error.splitlines()[3]


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("OPENAI_API_KEY", True),
        ("hf_token", True),
        ("DB_PASSWORD", True),
        ("AWS_SECRET_X", True),
        ("MY_CREDENTIALS", True),
        ("MAX_TOKENS", False),
        ("TOKENIZER", False),
        ("MODEL", False),
    ],
)
def test_secret_variables(name: str, secret: bool) -> None:
    assert secret_variable(name) is secret


@pytest.mark.parametrize(
    ("name", "parent", "secret"),
    [
        ("api_key", "", True),
        ("Authorization", "extra_headers", True),
        ("X-Api-Key", "extra_headers", True),
        ("Proxy-Authorization", "extra_headers", True),
        ("access_token", "", True),
        ("HF_TOKEN", "container_env", True),
        ("MY_KEYS", "container_env", True),
        ("max_tokens", "", False),
        ("tokenizer", "", False),
        ("api_key_env", "", False),
        ("public_key_secret_arn", "", False),
        ("keyboard", "", False),
        ("stop_token_ids", "extra_body", False),
    ],
)
def test_secret_fields(name: str, parent: str, secret: bool) -> None:
    assert secret_field(name, parent) is secret


def test_longer_secrets_are_redacted_first() -> None:
    assert redact("abcdef abc", {"abc", "abcdef"}, "*") == "* *"


def test_snapshot_loads_back_and_holds_references_only() -> None:
    loaded = parse(full(), env=ENV, overrides=["services.n.api_key=o-666666"])
    text = loaded.snapshot(command="nel eval run c.yaml --api-key " + KEY)
    assert not [secret for secret in (*ALL, "o-666666") if secret in text]
    body = yaml.safe_load(text)
    service = body["services"]["m"]
    assert service["api_key"] == "${MODEL_KEY}"
    assert service["proxy"]["extra_headers"] == {"Authorization": "${REDACTED}", "X-Team": "a"}
    assert service["generation"]["extra_body"] == {"route": "x-${MY_TOKEN}"}
    assert body["services"]["n"]["api_key"] == "${REDACTED}"
    assert service["url"] == "https://user:${REDACTED}@host/v1"
    with pytest.raises(ConfigError, match=r"in clear, which is not kept — write \$\{NAME\} for"):
        parse(body, env=ENV)
    again = parse(body, env={**ENV, "REDACTED": "abc"})
    assert again.config.benchmarks == loaded.config.benchmarks


def test_snapshot_header(write: Any) -> None:
    path = write(document(output={"dir": "${WHERE:-./out}"}))
    loaded = load(path, ["benchmarks[0].repeats=2"], env={})
    lines = loaded.snapshot(command="nel eval run c.yaml").splitlines()
    header = [line for line in lines if line.startswith("#")]
    assert header[0].startswith("# The configuration of this run. Run it again: nel eval run ")
    assert header[1] == f"# nemo-evaluator version: {__version__}"
    assert header[2].startswith("# created: 20")
    assert header[3:] == [
        "# command: nel eval run c.yaml",
        f"# source config: {path}",
        "# override: benchmarks[0].repeats=2",
    ]
    body = yaml.safe_load("\n".join(lines))
    assert body == loaded.raw
    assert body["output"]["dir"] == "${WHERE:-./out}"
    assert load(write("\n".join(lines), "again.yaml"), env={}).config == loaded.config


def test_a_header_line_cannot_end_early() -> None:
    loaded = parse(document(), overrides=["benchmarks[0].label=a\nservices: x"], env={})
    assert yaml.safe_load(loaded.snapshot(command="x\nservices: {}")) == loaded.raw


def test_a_literal_default_of_a_secret_is_not_kept() -> None:
    service = {"type": "api", "url": "http://h", "protocol": "completions"}
    for default, kept in (("none", "${A_KEY:-none}"), ("abcdefgh", "${A_KEY}")):
        data = document(services={"m": {**service, "api_key": f"${{A_KEY:-{default}}}"}})
        body = yaml.safe_load(parse(data, env={}).snapshot(command=""))
        assert body["services"]["m"]["api_key"] == kept


def test_a_quick_run_keeps_its_key_out_of_the_snapshot() -> None:
    loaded = quick_config(
        ["sample"], model_url="http://h/v1", model_id="m", api_key="abc${x}", env={}
    )
    assert loaded.config.services["model"].api_key.get_secret_value() == "abc${x}"
    assert "abc" not in loaded.snapshot(command="")


def test_a_name_that_equals_a_secret_keeps_its_kind() -> None:
    data = document(services={"m": {"type": "simulated"}})
    data["services"]["m"]["generation"] = {"extra_body": {"password": "simulated"}}
    body = yaml.safe_load(parse(data, env={}).snapshot(command=""))
    assert body["services"]["m"]["type"] == "simulated"


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["nel", "--api-key", "abc", "-v"], "nel --api-key '***' -v"),
        (["nel", "--api-key=abc"], "nel '--api-key=***'"),
        (["nel", "--api-key-env", "NAME"], "nel --api-key-env NAME"),
        (["nel", "--max-tokens", "5"], "nel --max-tokens 5"),
        (["nel", "-O", "services.m.api_key=abc"], "nel -O 'services.m.api_key=${REDACTED}'"),
        (["nel", "-Oservices.m.api_key=abc"], "nel '-Oservices.m.api_key=${REDACTED}'"),
        (["nel", "-O", "services.m.api_key=${K}"], "nel -O 'services.m.api_key=${K}'"),
        (["nel", "-O", "output.dir=x y"], "nel -O 'output.dir=x y'"),
    ],
)
def test_command_lines(argv: list[str], shown: str) -> None:
    assert safe_command(argv) == shown


def test_overrides_of_secret_places() -> None:
    assert safe_override("a.token=abc") == "a.token=${REDACTED}"
    assert safe_override("s.x.extra_headers.Cookie=abc").endswith("=${REDACTED}")
    assert safe_override("a.b=xabcdefx", {"abcdef"}) == "a.b=x${REDACTED}x"


def test_dumps_keep_what_is_no_secret() -> None:
    loaded = parse(document(output={"dir": "./a"}), env={})
    dumped = json.loads(loaded.config.model_dump_json())
    assert dumped["output"]["dir"] == "./a"
    assert dumped["services"]["m"]["faults"]["rate_limit"] == 0.0
    assert loaded.config.services["m"].generation.model_dump(exclude_none=True) == {}
