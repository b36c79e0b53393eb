"""The schema: what is accepted, and how a mistake is told."""

from __future__ import annotations

import copy
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from nemo_evaluator.config.benchmark import BenchmarkConfig
from nemo_evaluator.config.load import parse
from nemo_evaluator.config.root import EvalConfig
from nemo_evaluator.config.runnable import check_runnable, unsupported
from nemo_evaluator.config.sandboxes import NoSandbox
from nemo_evaluator.errors import ConfigError

from .conftest import Fails, Load, document

API = {"type": "api", "url": "http://h/v1", "protocol": "chat_completions"}
VLLM = {"type": "vllm", "model": "org/m", "protocol": "chat_completions"}
SIMPLE = {"type": "simple", "service": "m"}


def one(**fields: Any) -> dict[str, Any]:
    """A document with one benchmark that has these fields."""
    return document(benchmarks=[{"name": "sample", **fields}])


def service(**fields: Any) -> dict[str, Any]:
    return document(services={"m": {**API, **fields}})


def config(data: dict[str, Any]) -> EvalConfig:
    return parse(data, env={}).config


def error(data: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(data, env={})
    return str(caught.value)


def test_the_smallest_document() -> None:
    parsed = config(document())
    benchmark = parsed.benchmarks[0]
    assert parsed.cluster.type == "local"
    assert parsed.output.trajectories.enrich is True
    assert parsed.output.report == ["markdown"]
    assert (benchmark.repeats, benchmark.max_concurrent, benchmark.timeout) == (1, 32, 1800)
    assert (benchmark.shuffle_seed, benchmark.params) == (42, {})
    assert benchmark.solver is not None
    assert (benchmark.solver.type, benchmark.solver.service) == ("simple", "m")
    assert isinstance(benchmark.sandbox, NoSandbox)
    assert benchmark.sandbox.stateful is False


def test_a_document_with_every_mistake_is_told_in_one_error(fails: Fails) -> None:
    text = """\
services:
  m:
    type: api
    url: h/v1
    protocl: completions
    model: 1.10
    generation: {temperature: 3, max_tokens: 0, stop: x, seed: 1.5}
  n:
    type: nim2
  o: text
benchmarks:
  - nme: gsm8k
    repeats: 0
    skip_failed: perhaps
    solver: {service: m}
    params: [1]
    scoring:
      metrics:
        - type: judge
          service: m
output:
  dir: ""
  report: [pdf]
outputs: {}
"""
    assert fails(text) == (
        "20 problems in the configuration:\n"
        "  c.yaml:2: services.m.protocol: is required\n"
        "  c.yaml:4: services.m.url: 'h/v1' must start with http:// or https://;"
        " did you mean http://h/v1?\n"
        "  c.yaml:5: services.m.protocl: unknown field — did you mean 'protocol'?\n"
        "  c.yaml:6: services.m.model: must be text (got 1.1) — put it in quotes\n"
        "  c.yaml:7: services.m.generation.temperature: must be at most 2 (got 3)\n"
        "  c.yaml:7: services.m.generation.max_tokens: must be greater than 0 (got 0)\n"
        "  c.yaml:7: services.m.generation.seed: must be a whole number (got 1.5)\n"
        "  c.yaml:7: services.m.generation.stop: must be a list (got 'x')\n"
        "  c.yaml:8: services.n: there is no type 'nim2' — did you mean 'nim'?\n"
        "  c.yaml:10: services.o: must be a mapping (got 'text')\n"
        "  c.yaml:12: benchmarks[0].name: is required\n"
        "  c.yaml:12: benchmarks[0].nme: unknown field — did you mean 'name'?\n"
        "  c.yaml:13: benchmarks[0].repeats: must be at least 1 (got 0)\n"
        "  c.yaml:14: benchmarks[0].skip_failed: must be true or false (got 'perhaps')\n"
        "  c.yaml:15: benchmarks[0].solver: must be a mapping that includes a 'type' field\n"
        "  c.yaml:16: benchmarks[0].params: must be a mapping\n"
        "  c.yaml:19: benchmarks[0].scoring.metrics[0].name: is required\n"
        "  c.yaml:22: output.dir: must not be empty (got '')\n"
        "  c.yaml:23: output.report: there is no format 'pdf'"
        " (formats: markdown, html, json, csv, latex)\n"
        "  c.yaml:24: outputs: unknown field — did you mean 'output'?"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"services": {}}, "benchmarks: is required"),
        ({"services": {}, "benchmarks": []}, "benchmarks: needs at least 1 entry"),
        (
            {"benchmarks": [{"name": "x"}]},
            "benchmarks[0]: needs a solver: it can be left out only with exactly one model service "
            "(there is none) — solver: {type: simple, service: NAME}",
        ),
        (one(max_concurrent=0), "benchmarks[0].max_concurrent: must be at least 1 (got 0)"),
        (one(max_problems=0), "benchmarks[0].max_problems: must be at least 1 (got 0)"),
        (one(timeout=0), "benchmarks[0].timeout: must be greater than 0 (got 0)"),
        (one(min_coverage=1.5), "benchmarks[0].min_coverage: must be at most 1 (got 1.5)"),
        (one(timeout=".inf"), "benchmarks[0].timeout: must be a number (got '.inf')"),
        (one(timeout=float("inf")), "benchmarks[0].timeout: must be a finite number (got inf)"),
        (
            service(generation={"frequency_penalty": 3}),
            "services.m.generation.frequency_penalty: must be at most 2 (got 3)",
        ),
        (
            service(generation={"presence_penalty": -3}),
            "services.m.generation.presence_penalty: must be at least -2 (got -3)",
        ),
        (
            service(protocol="chat"),
            "services.m.protocol: must be one of"
            " 'chat_completions', 'completions', 'responses' (got 'chat')",
        ),
        (service(url="http://"), "services.m.url: 'http://' names no host"),
        (service(url="ftp://h"), "services.m.url: 'ftp://h' must start with http:// or https://"),
        (
            service(proxy={"retry_on_status": [200]}),
            "services.m.proxy.retry_on_status: 200 is not an HTTP error status (400 to 599)",
        ),
        (
            service(proxy={"request_timeout": 5}, timeouts={"total": 9}),
            "services.m.proxy.request_timeout:"
            " means the same as timeouts.total, and both are set — remove one",
        ),
        (
            document(services={"m": {"type": "simulated", "faults": {"drop": 0.6, "hang": 0.5}}}),
            "services.m.faults: the probabilities of all faults together exceed 1",
        ),
        (
            document(services={"m": {**VLLM, "gpus": ["a"]}}),
            "services.m.gpus[0]: must be a whole number (got 'a')",
        ),
        (
            document(services={"m": {**VLLM, "type": "dynamo", "prefill": {}}}),
            "services.m: prefill and decode go together: set both or none",
        ),
        (
            document(services={"m": {**VLLM, "reasoning_pattern": "("}}),
            "services.m.reasoning_pattern: not a regular expression:"
            " missing ), unterminated subpattern at position 0",
        ),
        (
            document(sandboxes={"s": {"type": "apptainer", "node_pool": "a"}}),
            "sandboxes.s: sif_cache_dir is required with node_pool",
        ),
        (
            document(cluster={"type": "slurm", "walltime": "4h", "node_pools": {}}),
            "2 problems in the configuration:\n"
            "  cluster.walltime: '4h' is not HH:MM:SS or D-HH:MM:SS\n"
            "  cluster.node_pools: needs at least 1 entry",
        ),
        (
            one(scoring={"metrics": [{"type": "scorer", "name": "a"}] * 2}),
            "benchmarks[0].scoring: Duplicate metric names: a",
        ),
        (
            one(scoring={"primary": "b", "metrics": [{"type": "scorer", "name": "a"}]}),
            "benchmarks[0].scoring: primary 'b' is not a metric (metrics: a)",
        ),
        (
            one(
                scoring={
                    "metrics": [
                        {"type": "judge", "name": "a", "service": "x"},
                        {"type": "sandbox", "name": "b"},
                    ]
                }
            ),
            "benchmarks[0].scoring: several metrics need a primary",
        ),
        (
            one(
                scoring={
                    "metrics": [
                        {"type": "judge", "name": "a", "service": "m"}
                        | {"rubric": "x", "rubric_file": "y"}
                    ]
                }
            ),
            "benchmarks[0].scoring.metrics[0]: rubric and rubric_file exclude each other",
        ),
        (
            one(
                scoring={
                    "metrics": [
                        {"type": "reward_model", "name": "a", "service": "m", "score_range": [1, 0]}
                    ]
                }
            ),
            "benchmarks[0].scoring.metrics[0]:"
            " score_range: the first number must be below the second",
        ),
        (
            one(solver={"type": "harbor", "service": "m", "agent": "a", "timeout_strategy": "min"}),
            "benchmarks[0].solver.timeout_strategy: must be one of 'override', 'task', 'max'"
            " (got 'min')",
        ),
    ],
)
def test_values_that_are_refused(data: dict[str, Any], message: str) -> None:
    assert error(data) == message


SLURM = {
    "type": "slurm",
    "node_pools": {"a": {"partition": "p", "gres": "gpu:h100:8"}, "b": {"partition": "q"}},
}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            document(services={"default": {"type": "simulated"}}),
            "services.default: Reserved service name 'default' — choose another",
        ),
        (
            one(solver={**SIMPLE, "service": "modle"})
            | {"services": {"model": {"type": "simulated"}}},
            "benchmarks[0].solver.service: there is no service 'modle' — did you mean 'model'?",
        ),
        (
            one(solver={**SIMPLE, "service": "g"})
            | {"services": {"g": {"type": "gym"}, "m": {"type": "simulated"}}},
            "benchmarks[0].solver.service: service 'g' is of type gym, not a model",
        ),
        (
            one(solver={"type": "nat", "service": "m"}),
            "benchmarks[0].solver.service: service 'm' is of type simulated, not an agent server",
        ),
        (
            document(services={"a": {"type": "simulated"}, "b": {"type": "simulated"}}),
            "benchmarks[0]: needs a solver: it can be left out only with exactly one model service"
            " (services: a, b) — solver: {type: simple, service: NAME}",
        ),
        (
            document(services={}),
            "benchmarks[0]: needs a solver: it can be left out only with exactly one model service"
            " (there is none) — solver: {type: simple, service: NAME}",
        ),
        (
            document(
                cluster={**SLURM, "shards": 2}, gate={"policy": "p.yaml", "baseline": "runs/a"}
            ),
            "gate: cannot be decided on shards: each has a part of the answers only — leave it"
            " out, and use nel gate on the merged run",
        ),
        (
            one(solver={"type": "tool_calling", "service": "m"}),
            "benchmarks[0].solver: tool_calling needs tools: sandbox_tools, resource_service or"
            " mcp_servers",
        ),
        (
            one(solver={"type": "tool_calling", "service": "m", "sandbox_tools": True}),
            "benchmarks[0]: sandbox_tools requires a sandbox — set sandbox",
        ),
        (
            one(solver={"type": "tool_calling", "service": "m", "resource_service": "m"}),
            "benchmarks[0].solver.resource_service:"
            " service 'm' is of type simulated, not a gym server",
        ),
        (
            one(solver={"type": "gym_delegation", "service": "m", "gym_service": "x"}),
            "benchmarks[0].solver.gym_service: there is no service 'x' — known: m",
        ),
        (
            one(solver={"type": "harbor", "service": "m", "agent": "a"}),
            "benchmarks[0]: solver harbor requires a sandbox — set sandbox",
        ),
        (one(verifier="v"), "benchmarks[0].verifier: there is no service 'v' — known: m"),
        (
            one(verifier="m"),
            "benchmarks[0].verifier: service 'm' is of type simulated, not a gym server",
        ),
        (
            one(sandbox="box") | {"sandboxes": {"boxes": {"type": "docker"}}},
            "benchmarks[0].sandbox: there is no sandbox 'box' — did you mean 'boxes'?",
        ),
        (
            document(benchmarks=[{"name": "a", "label": "x"}, {"name": "b", "label": "x"}]),
            "benchmarks[1].label: the label 'x' is that of benchmarks[0] too"
            " — labels name folders: choose another",
        ),
        (
            one(scoring={"metrics": [{"type": "judge", "name": "j", "service": "m"}]}),
            "benchmarks[0].scoring.metrics[0].service:"
            " the judge 'm' is the same as the solver's model — allow_self_judge: true permits it",
        ),
        (
            one(
                scoring={
                    "metrics": [
                        {
                            "type": "ensemble_judge",
                            "name": "e",
                            "services": ["m", "x"],
                            "allow_self_judge": True,
                        }
                    ]
                }
            ),
            "benchmarks[0].scoring.metrics[0].services[1]: there is no service 'x' — known: m",
        ),
        (
            document(services={"m": {**VLLM, "depends_on": ["m"]}}),
            "services.m.depends_on[0]: 'm' depends on itself",
        ),
        (
            document(
                services={
                    "m": {**VLLM, "depends_on": ["g"]},
                    "g": {"type": "gym", "depends_on": ["m"]},
                }
            ),
            "services.g.depends_on: circular dependency: g → m → g",
        ),
        (
            document(services={"m": {**VLLM, "node_pool": "c"}}, cluster=SLURM),
            "services.m.node_pool: there is no node pool 'c' — known: a, b",
        ),
        (
            document(
                services={"m": {**VLLM, "node_pool": "a", "tensor_parallel_size": 16}},
                cluster=SLURM,
            ),
            "services.m.tensor_parallel_size: needs 16 GPUs, a node of 'a' has 8",
        ),
        (
            document(services={"m": {**VLLM, "node_pool": "a", "num_nodes": 2}}, cluster=SLURM),
            "services.m.num_nodes: needs 2 nodes, the pool 'a' has 1",
        ),
        (
            document(
                services={"m": {**VLLM, "node_pool": "a"}, "g": {"type": "gym", "node_pool": "b"}},
                cluster={**SLURM, "shards": 4},
            ),
            "cluster.shards: shards are incompatible with heterogeneous jobs"
            " (several node pools are used) — use one pool, or no shards",
        ),
        (
            document(cluster={**SLURM, "hostname": "login"}),
            "output.dir: must be absolute with cluster.hostname (got './eval_results')",
        ),
    ],
)
def test_cross_checks(data: dict[str, Any], message: str) -> None:
    assert error(data) == message


def test_a_server_on_several_nodes_is_split_over_their_gpus() -> None:
    wide = {"services": {"m": {**VLLM, "num_nodes": 2, "tensor_parallel_size": 16}}}
    wide["services"]["m"]["node_pool"] = "a"
    pools = {"a": {**SLURM["node_pools"]["a"], "nodes": 2}}
    assert parse(document(**wide, cluster={**SLURM, "node_pools": pools}))
    wide["services"]["m"]["tensor_parallel_size"] = 32
    told = error(document(**wide, cluster={**SLURM, "node_pools": pools}))
    assert "tensor_parallel_size: needs 32 GPUs, 2 nodes of 'a' have 16" in told


def test_two_wide_services_do_not_share_a_pool() -> None:
    wide = {**VLLM, "node_pool": "a", "num_nodes": 2}
    slurm = {"type": "slurm", "node_pools": {"a": {"partition": "p", "nodes": 4}}}
    data = document(services={"m": wide, "n": wide}, cluster=slurm, solver=SIMPLE)
    assert error(data) == (
        "services.n.node_pool: 'm' takes several nodes of the pool 'a' already"
        " — give each its own pool"
    )


def test_cross_checks_are_collected(fails: Fails) -> None:
    text = (
        "services:\n  none: {type: simulated}\nbenchmarks:\n  - name: a\n    verifier: x\n"
        "  - name: b\n    sandbox: y\n"
    )
    assert fails(text) == (
        "3 problems in the configuration:\n"
        "  c.yaml:2: services.none: Reserved service name 'none' — choose another\n"
        "  c.yaml:5: benchmarks[0].verifier: there is no service 'x' — known: none\n"
        "  c.yaml:7: benchmarks[1].sandbox: there is no sandbox 'y' — none is defined"
    )


def test_python_users_get_the_cross_checks_too() -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError, match="there is no service 'x'"):
        EvalConfig.model_validate(one(verifier="x"))


def test_shards_with_one_pool_and_auto_resume() -> None:
    cluster = {**SLURM, "shards": 4, "auto_resume": True}
    parsed = config(document(services={"m": {**VLLM, "node_pool": "a"}}, cluster=cluster))
    assert parsed.cluster.shards == 4
    assert config(document(cluster=SLURM)).cluster.shards is None
    for wrong in (0, -1):
        with pytest.raises(ConfigError, match=r"cluster\.shards: must be at least 1"):
            parse(document(cluster={**SLURM, "shards": wrong}), env={})


def test_defaults_for_every_benchmark() -> None:
    scoring = {"metrics": [{"type": "scorer", "name": "exact_match"}]}
    parsed = config(
        document(
            services={"m": {"type": "simulated"}, "n": {"type": "simulated"}},
            solver={**SIMPLE, "system_prompt": "shared"},
            scoring=scoring,
            benchmarks=[
                {"name": "a"},
                {"name": "b", "solver": {"type": "simple", "service": "n"}, "scoring": {}},
            ],
        )
    )
    first, second = parsed.benchmarks
    assert first.solver.system_prompt == "shared"
    assert [metric.name for metric in first.scoring.metrics] == ["exact_match"]
    assert second.solver.service == "n"
    assert second.scoring.metrics == []


def test_a_named_sandbox_is_looked_up() -> None:
    parsed = config(one(sandbox="box") | {"sandboxes": {"box": {"type": "docker", "cpus": 4}}})
    assert parsed.benchmarks[0].sandbox == parsed.sandboxes["box"]
    assert config(one(sandbox="none")).benchmarks[0].sandbox == NoSandbox()


def test_self_judging_can_be_allowed() -> None:
    metric = {"type": "judge", "name": "j", "service": "m", "allow_self_judge": True}
    assert config(one(scoring={"metrics": [metric]})).benchmarks[0].scoring.metrics[0].name == "j"


def test_model_services() -> None:
    parsed = config(
        document(
            services={
                "a": {**API, "model": "gpt"},
                "v": {**VLLM, "port": 9000},
                "w": {**VLLM, "served_model_name": "served"},
                "s": {"type": "simulated"},
                "g": {"type": "gym"},
            },
            solver={"type": "simple", "service": "a"},
        )
    )
    assert list(parsed.managed_services()) == ["v", "w"]
    assert [parsed.model_id(name) for name in "avws"] == ["gpt", "v", "served", "simulated"]
    assert parsed.model_url("a") == "http://h/v1"
    assert parsed.model_url("v") == "http://localhost:9000/v1"
    assert parsed.model_url("s") == "simulated:"
    with pytest.raises(KeyError, match="g is not a model service"):
        parsed.model_url("g")


@pytest.mark.parametrize(
    ("url", "protocol", "warns"),
    [
        ("http://h/v1/chat/completions", "chat_completions", False),
        ("http://h/v1/chat/completions", "completions", True),
        ("http://h/v1/completions?x=1", "completions", False),
        ("http://h/v1/responses", "chat_completions", True),
        ("http://h/v1", "responses", False),
    ],
)
def test_a_path_of_another_protocol_is_warned_of(url: str, protocol: str, warns: bool) -> None:
    loaded = parse(service(url=url, protocol=protocol), env={})
    expected = f"services.m: the path of {url} belongs to"
    assert len(loaded.warnings) == int(warns)
    assert all(warning.startswith(expected) for warning in loaded.warnings)


def test_a_budget_in_dollars_needs_prices() -> None:
    services = {
        "m": API,
        "priced": {**API, "price": {"prompt": 1, "completion": 2}},
        "unused": API,
    }
    benchmarks = [
        {"name": "sample", "solver": {"type": "simple", "service": name}}
        for name in ("m", "priced")
    ]
    data = document(services=services, benchmarks=benchmarks)
    assert parse(data | {"budget": {"tokens": 5}}, env={}).warnings == ()
    assert parse(data | {"budget": {"usd": 5}}, env={}).warnings == (
        "services.m has no price: budget.usd does not count what it costs",
    )


def test_other_warnings() -> None:
    box = {"type": "docker", "stateful": True, "capture_cmd": "x", "scrub_git_history": True}
    loaded = parse(one(sandbox="box") | {"sandboxes": {"box": box}}, env={})
    assert loaded.warnings == (
        "sandboxes.box.capture_cmd is accepted and has no effect",
        "sandboxes.box.stateful is accepted and has no effect",
        "sandboxes.box.scrub_git_history is accepted and has no effect",
    )
    cluster = {**SLURM, "walltime": "00:29:59"}
    assert parse(document(cluster=cluster), env={}).warnings == (
        "cluster.walltime 00:29:59 is shorter than the start of the services and one rollout may"
        " take (1800 s)",
    )


def test_defaults_of_records_that_run_later() -> None:
    parsed = config(
        one(
            sandbox="box",
            solver={"type": "harbor", "service": "m", "agent": "a"},
        )
        | {"sandboxes": {"box": {"type": "docker"}}, "services": {"m": {**API, "proxy": {}}}}
    )
    solver, proxy = parsed.benchmarks[0].solver, parsed.services["m"].proxy
    assert (solver.timeout_strategy, solver.skill, solver.skill_dir) == ("override", None, None)
    traffic = proxy.model_traffic
    assert (traffic.capture_messages, traffic.capture_request_body) == (True, False)
    assert traffic.max_content_chars == 0
    assert {429, 503} <= set(proxy.retry_on_status)
    assert (proxy.request_timeout, proxy.max_retries) == (None, 6)
    for strategy in ("task", "max"):
        data = one(
            sandbox={"type": "docker"},
            solver={"type": "harbor", "service": "m", "agent": "a", "timeout_strategy": strategy},
        )
        assert config(data).benchmarks[0].solver.timeout_strategy == strategy


def test_records_are_frozen_and_the_input_is_left_alone() -> None:
    data = one(sandbox="box") | {"sandboxes": {"box": {"type": "docker"}}}
    before = copy.deepcopy(data)
    parsed = config(data)
    assert data == before
    with pytest.raises(Exception, match="frozen"):
        parsed.output.dir = "x"


def test_generation_sends_what_is_set() -> None:
    parsed = config(
        service(generation={"temperature": 0, "top_k": 5, "extra_body": {"a": 1, "b": None}})
    )
    assert parsed.services["m"].generation.params() == {"temperature": 0, "top_k": 5, "a": 1}


RUNNABLE = (
    document(),
    service(
        stream=True,
        timeouts={"connect": 1},
        price={"prompt": 1, "completion": 2},
        proxy={
            "interceptors": [{"name": "endpoint"}],
            "extra_headers": {"a": "b"},
            "request_timeout": 9,
        },
    ),
    one(instruction_template="off", sandbox={"type": "none"}, params={"x": 1}, fewshot=2),
    document(output={"timestamped": False, "report": ["markdown", "html", "json", "csv", "latex"]}),
    one(scoring={"metrics": [{"type": "scorer", "name": n} for n in ("a", "b")]}),
)


@pytest.mark.parametrize("data", RUNNABLE)
def test_what_can_be_run(data: dict[str, Any]) -> None:
    check_runnable(parse(data, env={}))


LATER = "not supported by this version"


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        (
            document(services={"m": {"type": "simulated", "proxy": {"request_timeout": 5}}}),
            [f"services.m.proxy.request_timeout: {LATER}"],
        ),
        (one(instruction_template="x.j2"), [f"benchmarks[0].instruction_template: {LATER}"]),
        (
            one(scoring={"metrics": [{"type": "custom", "name": "c", "class_path": "m:C"}]}),
            [f"benchmarks[0].scoring.metrics[0].type: 'custom' is {LATER}"],
        ),
        (
            document(scoring={"metrics": [{"type": "sandbox", "name": "s"}]}),
            [f"scoring.metrics[0].type: 'sandbox' is {LATER}"],
        ),
    ],
)
def test_what_cannot_be_run_is_refused(data: dict[str, Any], problems: list[str]) -> None:
    loaded = parse(data, env={})
    assert unsupported(loaded.config) == problems
    with pytest.raises(ConfigError):
        check_runnable(loaded)


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (
            service(max_input_tokens=1, max_output_tokens=1, tokenizer="t", health_path="/h"),
            [
                f"services.m.{name}"
                for name in ("max_input_tokens", "max_output_tokens", "health_path")
            ],
        ),
        (
            {
                **service(max_input_tokens=1, max_output_tokens=1),
                "solver": {"type": "harbor", "agent": "nop", "service": "m"},
                "sandboxes": {"box": {"type": "docker"}},
                "benchmarks": [{"name": "sample", "sandbox": "box"}],
            },
            [],
        ),
        (one(context_window=5), ["benchmarks[0].context_window"]),
        (one(sandbox={"type": "none", "stateful": True}), ["benchmarks[0].sandbox.stateful"]),
        (
            document(cluster={"type": "local", "gpus": [0], "max_memory": "4g"}),
            ["cluster.max_memory"],
        ),
        (
            document(output={"timestamped": True, "trajectories": {"enrich": False}}),
            ["output.timestamped", "output.trajectories.enrich"],
        ),
        (document(output={"timestamped": False, "trajectories": {"enrich": True}}), []),
    ],
)
def test_what_has_no_effect_is_said(data: dict[str, Any], fields: list[str]) -> None:
    loaded = parse(data, env={})
    check_runnable(loaded)
    assert list(loaded.warnings) == [f"{field} is accepted and has no effect" for field in fields]


def test_a_sandbox_that_nothing_uses_is_no_obstacle() -> None:
    loaded = parse(document(sandboxes={"box": {"type": "slurm"}}), env={})
    check_runnable(loaded)
    assert list(loaded.warnings) == ["sandboxes.box is used by no benchmark"]


def test_the_sandbox_may_say_how_long_verification_takes() -> None:
    box = {"type": "local", "verify_timeout": 9}
    assert parse(one(sandbox=box), env={}).config.benchmarks[0].verify_timeout == 9
    own = parse(one(sandbox=box, verify_timeout=5), env={})
    assert own.config.benchmarks[0].verify_timeout == 5
    assert parse(one(sandbox={"type": "local"}), env={}).config.benchmarks[0].verify_timeout == 600


def test_a_null_for_a_field_that_does_not_exist_deletes_nothing() -> None:
    data = service(extra_field=None, api_key=None)
    data["benchmarks"][0]["another"] = None
    data["nothing_at_all"] = None
    assert parse(data, env={}).config.benchmarks[0].name
    with pytest.raises(ConfigError, match="extra_field"):
        parse(service(extra_field=0), env={})


@pytest.mark.parametrize("kind", ["judge", "ensemble_judge", "pairwise_judge"])
def test_a_judge_that_is_the_solvers_model_by_another_name_is_a_warning(kind: str) -> None:
    api = {"type": "api", "url": "http://h/v1", "protocol": "chat_completions", "model": "x"}
    named: dict[str, Any] = {
        "judge": {"service": "twin"},
        "ensemble_judge": {"services": ["twin", "other"]},
        "pairwise_judge": {"judge_service": "twin", "baseline_service": "other"},
    }[kind]
    data = {
        "services": {"m": api, "twin": api, "other": {**api, "model": "y"}},
        "benchmarks": [
            {
                "name": "b",
                "solver": {"type": "simple", "service": "m"},
                "scoring": {"metrics": [{"type": kind, "name": "j", **named}]},
            }
        ],
    }
    [warning] = parse(data, env={}).warnings
    assert "the judge 'twin' is the same as the solver's model" in warning
    metric = data["benchmarks"][0]["scoring"]["metrics"][0]  # type: ignore[index]
    metric["allow_self_judge"] = True
    assert not parse(data, env={}).warnings


def test_what_cannot_be_run_is_told_with_its_line(loads: Load, fails: Fails) -> None:
    loaded = loads(
        "services:\n  m:\n    type: simulated\n    proxy:\n      request_timeout: 5\n"
        "benchmarks:\n  - name: a\n    instruction_template: m\n"
    )
    with pytest.raises(ConfigError) as caught:
        check_runnable(loaded)
    lines = [line.rpartition("/")[2] for line in str(caught.value).splitlines()]
    assert lines == [
        "2 problems in the configuration:",
        f"c.yaml:5: services.m.proxy.request_timeout: {LATER} — remove it",
        f"c.yaml:8: benchmarks[0].instruction_template: {LATER} — remove it",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="subprocess start-up")
def test_importing_the_configuration_imports_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys, nemo_evaluator.config.load, nemo_evaluator.config.quick\n"
        "heavy = {'datasets', 'numpy', 'aiohttp', 'rich', 'jinja2', 'sympy', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("field", ["repeats", "max_problems", "timeout", "shuffle_seed"])
@pytest.mark.parametrize("value", [True, False])
def test_a_truth_value_is_no_number(field: str, value: bool) -> None:
    """`max_problems: yes` is a mistake, not one problem."""
    with pytest.raises(ValidationError, match=r"valid (number|integer)"):
        BenchmarkConfig.model_validate({"name": "sample", field: value})
