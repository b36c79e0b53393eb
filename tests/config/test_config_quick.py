"""Flags: a run without a file, and flags over a file. Each has effect or is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from nemo_evaluator.config.load import Loaded, parse
from nemo_evaluator.config.quick import apply_flags, quick_config
from nemo_evaluator.config.runnable import check_runnable
from nemo_evaluator.errors import ConfigError

from .conftest import document

URL = "http://host:8000/v1"


def quick(*benches: str, env: dict[str, str] | None = None, **flags: Any) -> Loaded:
    flags = {"model_url": URL, "model_id": "my-model", **flags}
    return quick_config(benches or ["gsm8k"], env=env or {}, **flags)


def refused(call: Any, *args: Any, **flags: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*args, **flags)
    return str(caught.value)


def test_the_least() -> None:
    config = quick("gsm8k", "mmlu").config
    service = config.services["model"]
    assert (service.type, service.url, service.protocol) == ("api", URL, "chat_completions")
    assert (service.model, service.api_key) == ("my-model", None)
    assert service.generation.params() == {}
    assert [b.name for b in config.benchmarks] == ["gsm8k", "mmlu"]
    assert all(b.solver.service == "model" for b in config.benchmarks)
    assert config.output.dir == "./eval_results"


def test_every_flag_has_its_effect() -> None:
    loaded = quick(
        "./mine.py:x",
        repeats=4,
        max_problems=10,
        max_concurrent=8,
        timeout=60,
        temperature=0.5,
        top_p=0.9,
        max_tokens=100,
        seed=3,
        system_prompt="Be ${brief}",
        output_dir="./out",
        overrides=["benchmarks[0].min_coverage=0.9"],
    )
    check_runnable(loaded)
    benchmark, service = loaded.config.benchmarks[0], loaded.config.services["model"]
    assert benchmark.name == "./mine.py:x"
    assert (benchmark.repeats, benchmark.max_problems) == (4, 10)
    assert (benchmark.max_concurrent, benchmark.timeout, benchmark.min_coverage) == (8, 60, 0.9)
    assert benchmark.solver.system_prompt == "Be ${brief}"
    assert service.generation.params() == {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 100,
        "seed": 3,
    }
    assert loaded.config.output.dir == "./out"


@pytest.mark.parametrize(
    ("url", "protocol"),
    [
        ("http://h", "chat_completions"),
        ("http://h/v1/", "chat_completions"),
        ("http://h/v1/chat/completions", "chat_completions"),
        ("http://h/v1/completions", "completions"),
        ("https://h/v1/responses?x=1", "responses"),
    ],
)
def test_the_url_tells_the_protocol(url: str, protocol: str) -> None:
    loaded = quick(model_url=url)
    assert loaded.config.services["model"].protocol == protocol
    assert loaded.warnings == ()


@pytest.mark.parametrize("url", ["simulated", "simulated:"])
def test_the_simulated_model(url: str) -> None:
    service = quick(model_url=url, model_id=None).config.services["model"]
    assert (service.type, service.model) == ("simulated", "simulated")
    assert quick(model_url=url, model_id="m").config.services["model"].model == "m"


@pytest.mark.parametrize(
    ("flags", "env", "key"),
    [
        ({}, {}, None),
        ({}, {"NEMO_API_KEY": "nemo-1"}, "nemo-1"),
        ({}, {"NVIDIA_API_KEY": "nvidia-1"}, "nvidia-1"),
        ({}, {"NEMO_API_KEY": "nemo-1", "NVIDIA_API_KEY": "nvidia-1"}, "nemo-1"),
        ({}, {"NEMO_API_KEY": ""}, None),
        ({"api_key": "flag-1"}, {"NEMO_API_KEY": "nemo-1"}, "flag-1"),
        ({"api_key_env": "MINE"}, {"NEMO_API_KEY": "nemo-1", "MINE": "mine-1"}, "mine-1"),
    ],
)
def test_the_key_is_taken_from_flag_or_environment(
    flags: dict[str, str], env: dict[str, str], key: str | None
) -> None:
    found = quick(env=env, **flags).config.services["model"].api_key
    assert (found.get_secret_value() if found else None) == key


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"model_url": None},
            "no model endpoint — give --model-url or set NEMO_MODEL_URL; 'simulated' needs none",
        ),
        ({"model_id": None}, "no model id — give --model-id or set NEMO_MODEL_ID"),
        (
            {"model_url": "host/v1"},
            "--model-url: 'host/v1' must start with http:// or https://;"
            " did you mean http://host/v1?",
        ),
        (
            {"model_url": "ftp://host"},
            "--model-url: 'ftp://host' must start with http:// or https://",
        ),
        *(
            (
                {"model_url": f"http://me:hush-hush@h:{port}/v1"},
                f"--model-url: the port in 'h:{port}' must be a number from 1 to 65535",
            )
            for port in ("99999", "80a", "0", "-1")
        ),
        ({"repeats": 0}, "--repeats: benchmarks[0].repeats: must be at least 1 (got 0)"),
        (
            {"temperature": 3.0},
            "--temperature: services.model.generation.temperature: must be at most 2 (got 3.0)",
        ),
        ({"repeets": 2}, "unknown setting 'repeets' — did you mean 'repeats'?"),
        (
            {"api_key_env": "MINE"},
            "--api-key-env: services.model.api_key_env: environment variable MINE is not set"
            " — set it, or put it in .env",
        ),
        (
            {"api_key": "a", "api_key_env": "B"},
            "--api-key and --api-key-env are both set — give one of them",
        ),
        (
            {"model_url": "simulated", "api_key": "a"},
            "the simulated model takes no key — leave the key out",
        ),
    ],
)
def test_what_is_refused(flags: dict[str, Any], message: str) -> None:
    assert refused(quick, **flags) == message


def test_no_benchmark() -> None:
    message = refused(quick_config, [], model_url=URL, model_id="m")
    assert message == "no benchmark — give --bench NAME; `nel list` shows the names"


API = {"type": "api", "url": "http://old/v1", "protocol": "completions", "model": "old"}


def from_file(**changes: Any) -> Loaded:
    data = document(
        services={"m": {**API, "api_key": "${OLD_KEY:-}"}, "s": {"type": "simulated"}},
        solver={"type": "simple", "service": "m", "generation": {"top_p": 0.5}},
        benchmarks=[
            {"name": "a", "repeats": 2},
            {"name": "b", "solver": {"type": "simple", "service": "s"}},
        ],
    )
    return parse({**data, **changes}, env={"NEW_KEY": "new-key-1"})


def test_no_flags_change_nothing() -> None:
    loaded = from_file()
    assert apply_flags(loaded) is loaded
    assert apply_flags(loaded, repeats=None, temperature=None) is loaded


def test_flags_reach_every_benchmark() -> None:
    loaded = apply_flags(
        from_file(),
        repeats=5,
        max_problems=7,
        max_concurrent=3,
        timeout=9,
        temperature=0.25,
        max_tokens=11,
        system_prompt="terse",
        output_dir="./there",
    )
    for benchmark in loaded.config.benchmarks:
        assert (benchmark.repeats, benchmark.max_problems) == (5, 7)
        assert (benchmark.max_concurrent, benchmark.timeout) == (3, 9)
        assert benchmark.solver.system_prompt == "terse"
    first, second = (b.solver for b in loaded.config.benchmarks)
    assert (first.service, second.service) == ("m", "s")
    assert first.generation.params() == {"temperature": 0.25, "top_p": 0.5, "max_tokens": 11}
    assert second.generation.params() == {"temperature": 0.25, "max_tokens": 11}
    assert loaded.config.output.dir == "./there"
    body = yaml.safe_load(loaded.snapshot(command=""))
    assert parse(body, env={}).config == loaded.config


def test_flags_reach_a_benchmark_without_a_solver() -> None:
    loaded = apply_flags(parse(document(), env={}), seed=1, top_p=0.5)
    solver = loaded.config.benchmarks[0].solver
    assert (solver.service, solver.generation.params()) == ("m", {"top_p": 0.5, "seed": 1})


def test_model_flags_change_the_only_endpoint() -> None:
    loaded = apply_flags(
        from_file(), model_url="http://new/v1/responses", model_id="new", api_key_env="NEW_KEY"
    )
    service = loaded.config.services["m"]
    assert (service.url, service.model) == ("http://new/v1/responses", "new")
    assert service.protocol == "responses"
    assert service.api_key.get_secret_value() == "new-key-1"
    literal = apply_flags(from_file(), api_key="lit-${eral}")
    assert literal.config.services["m"].api_key.get_secret_value() == "lit-${eral}"
    assert "lit-" not in literal.snapshot(command="")


def test_an_endpoint_can_be_simulated() -> None:
    services = {"m": {**API, "stream": True, "timeouts": {"connect": 1}, "generation": {"seed": 3}}}
    loaded = apply_flags(
        parse(document(services=services), env={}), model_url="simulated", model_id="x"
    )
    service = loaded.config.services["m"]
    assert (service.type, service.model, service.protocol) == ("simulated", "x", "completions")
    assert service.generation.seed == 3
    assert service.stream is True


@pytest.mark.parametrize(
    ("changes", "flags", "message"),
    [
        (
            {"services": {"m": API, "s": API}},
            {"model_url": URL, "model_id": "m"},
            "--model-url, --model-id needs exactly one api service in the configuration,"
            " there are 2 — set the field with -O services.NAME.FIELD=VALUE",
        ),
        (
            {"services": {"m": {"type": "simulated"}, "s": {"type": "simulated"}}},
            {"api_key": "k"},
            "--api-key needs exactly one api service in the configuration, there are 0"
            " — set the field with -O services.NAME.FIELD=VALUE",
        ),
        (
            {"solver": {"type": "oracle"}},
            {"temperature": 0.5},
            "--temperature cannot be applied to the solver 'oracle'"
            " — set what it supports in the file",
        ),
        (
            {},
            {"model_url": "h"},
            "--model-url: 'h' must start with http:// or https://; did you mean http://h?",
        ),
        (
            {},
            {"max_tokens": 0},
            "--max-tokens: benchmarks[0].solver.generation.max_tokens:"
            " must be greater than 0 (got 0)",
        ),
        ({}, {"tempreature": 0}, "unknown setting 'tempreature' — did you mean 'temperature'?"),
    ],
)
def test_flags_that_cannot_be_applied(
    changes: dict[str, Any], flags: dict[str, Any], message: str
) -> None:
    lines = refused(apply_flags, from_file(**changes), **flags).splitlines()
    assert message in [line.strip() for line in lines]


def test_a_judge_by_flags() -> None:
    loaded = quick(
        "simpleqa",
        "gsm8k",
        model_url=URL,
        model_id="m",
        judge_url="http://judge/v1",
        judge_id="j",
        judge_key_env="JUDGE_KEY",
        env={"JUDGE_KEY": "secret", "NEMO_API_KEY": "other"},
    )
    judge = loaded.config.services["judge"]
    assert (judge.url, judge.model) == ("http://judge/v1", "j")
    assert judge.api_key.get_secret_value() == "secret"
    for benchmark in loaded.config.benchmarks:
        [metric] = benchmark.scoring.metrics
        assert (metric.type, metric.service) == ("judge", "judge")
    assert "secret" not in loaded.snapshot()


def test_the_models_key_is_not_sent_to_the_judge() -> None:
    loaded = quick(
        "simpleqa",
        model_url=URL,
        model_id="m",
        judge_url="http://judge/v1",
        judge_id="j",
        env={"NEMO_API_KEY": "key"},
    )
    assert loaded.config.services["model"].api_key.get_secret_value() == "key"
    assert loaded.config.services["judge"].api_key is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"judge_id": "j"}, "--judge-id: no judge — give --judge-url too"),
        ({"judge_url": "http://judge/v1"}, "no judge id — give --judge-id"),
        ({"judge_url": "judge", "judge_id": "j"}, "--judge-url: "),
    ],
)
def test_a_judge_that_cannot_be(flags: dict[str, str], message: str) -> None:
    assert message in refused(quick, "simpleqa", model_url=URL, model_id="m", **flags)
