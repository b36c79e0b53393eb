"""The ecs_fargate backend: its calls against moto, and all the rest against tasks that are
containers of this machine with a real sshd (`tests/support/fargate.py`)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fargate import REGION, Fargate, require_fargate

from nemo_evaluator.config.sandboxes import EcsFargateSandbox
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.files.owner import LABEL, find_owner
from nemo_evaluator.sandboxes import Backend, SandboxLost, SandboxSpec
from nemo_evaluator.sandboxes.ecs import EcsBackend
from nemo_evaluator.sandboxes.ecs_settings import assemble, image_of
from nemo_evaluator.testing.sandboxes import SandboxContract

SPEC = SandboxSpec(network="bridge")
BASE = "sandbox-base:latest"
KEYS = {"public_key_secret_arn": "arn:1", "private_key_secret_arn": "arn:2"}


@pytest.fixture
def fargate(
    tmp_path: Path, docker_engine: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fargate]:
    require_fargate()
    from moto import mock_aws

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        made = Fargate(tmp_path)
        yield made
        made.close()


@pytest.fixture
async def backend(fargate: Fargate, image: str) -> AsyncIterator[Backend]:
    config = EcsFargateSandbox(image=image, region=REGION)
    made = EcsBackend(config, clients=fargate.client, run_id="test")
    yield made
    await made.close()


@pytest.mark.slow
class TestEcs(SandboxContract):
    spec = msgspec.structs.replace(SandboxContract.spec, network="bridge")


async def test_definitions_hold_no_secret_and_are_shared(
    backend: Backend, fargate: Fargate
) -> None:
    ecs = fargate.client("ecs")
    boxes = [
        await backend.create(msgspec.structs.replace(SPEC, env={"TOKEN": secret}))
        for secret in ("s3cret-1", "s3cret-2")
    ]
    said = [(await box.exec("echo $TOKEN")).stdout for box in boxes]
    arns = ecs.list_task_definitions()["taskDefinitionArns"]
    made = ecs.describe_task_definition(taskDefinition=arns[0])
    running = list(ecs.tasks)
    told = f"{made}{ecs.describe_tasks(cluster='sandboxes', tasks=running, include=['TAGS'])}"
    await asyncio.gather(*(box.close() for box in boxes))
    assert said == ["s3cret-1\n", "s3cret-2\n"]
    assert len(arns) == 1 and "s3cret" not in told
    assert not ecs.tasks
    await backend.close()
    assert ecs.list_task_definitions()["taskDefinitionArns"] == []


async def test_code_inside_cannot_use_the_exec_server(backend: Backend) -> None:
    ask = (
        "import http.client as h; c = h.HTTPConnection('127.0.0.1', 19542); "
        "c.request('POST', '/containers/task/exec', '{}', {'X-Nel-Token': 'guess'}); "
        "print(c.getresponse().status)"
    )
    box = await backend.create(SPEC)
    got = await box.exec(["python3", "-c", ask])
    environment = (await box.exec("env")).stdout
    await box.close()
    assert got.stdout == "403\n"
    assert "AWS_" not in environment and "ECS_" not in environment


async def test_a_task_that_stops_says_why(fargate: Fargate) -> None:
    made = EcsBackend(EcsFargateSandbox(image=BASE, region=REGION), clients=fargate.client)
    fargate.ecs.command = ["-c", "raise SystemExit(3)"]
    with pytest.raises(SandboxLost, match=r"the task stopped: Essential.*; main: exit 3"):
        await made.create(SPEC)
    await made.close()
    assert not fargate.ecs.tasks


async def test_a_throttled_call_is_repeated(backend: Backend, fargate: Fargate) -> None:
    fargate.ecs.fail = [RuntimeError("ThrottlingException: Rate exceeded")]
    box = await backend.create(SPEC)
    assert (await box.exec("echo on")).stdout == "on\n"
    await box.close()
    fargate.ecs.fail = [RuntimeError("AccessDenied: not you")]
    with pytest.raises(SandboxLost, match="AccessDenied: not you"):
        await backend.create(SPEC)


async def test_the_tasks_of_a_dead_owner_are_stopped(backend: Backend, fargate: Fargate) -> None:
    await backend.create(SPEC)
    assert await backend.reap() == []
    tags = fargate.client("ecs")._moto.describe_tasks
    (arn,) = fargate.ecs.tasks
    told = tags(cluster="sandboxes", tasks=[arn], include=["TAGS"])["tasks"][0]["tags"]
    owner = find_owner(told[0]["value"])
    assert owner is not None and owner.pid == os.getpid()
    fargate.client("ecs").tag_resource(
        resourceArn=arn, tags=[{"key": LABEL, "value": str(owner._replace(start=1))}]
    )
    assert await backend.reap() == [f"task {arn.rpartition('/')[2]}"]
    assert not fargate.ecs.tasks


async def test_a_project_without_settings(fargate: Fargate) -> None:
    config = EcsFargateSandbox(image=BASE, region=REGION, ssm_project="nowhere")
    with pytest.raises(ConfigError, match="/nowhere/ecs-sandbox/config cannot be read"):
        await EcsBackend(config, clients=fargate.client).preflight()


def test_what_is_missing_is_named() -> None:
    config = EcsFargateSandbox(image=BASE, cluster="c", subnets=["s"])
    with pytest.raises(ConfigError, match=r"lacks execution_role_arn, ssh_sidecar\.public_key"):
        assemble(config, {})


def test_what_the_user_wrote_wins() -> None:
    stored = {"cluster": "theirs", "subnets": ["a"], "execution_role_arn": "r", "ssh_sidecar": KEYS}
    settings = assemble(EcsFargateSandbox(cluster="mine", cpu="256"), stored)
    assert (settings.cluster, settings.subnets, settings.cpu) == ("mine", ("a",), "256")
    assert (settings.sshd_port, settings.exec_port, settings.lifetime) == (52222, 19542, 14400)
    image = image_of(msgspec.structs.replace(settings, ecr_repository="1.dkr.ecr.x/r"), "a/b:1")
    assert image == "1.dkr.ecr.x/r:a-b-1"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"codebuild_project": "p"}, "not built by CodeBuild"),
        ({"efs_filesystem_id": "fs-1"}, "not by EFS"),
        ({"ssh_sidecar": {**KEYS, "exec_server_port": None}}, "no command can be run"),
    ],
)
def test_fields_without_an_effect_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        EcsBackend(EcsFargateSandbox.model_validate({"image": BASE, **fields}))


@pytest.mark.parametrize(
    ("spec", "said"),
    [(SandboxSpec(), "security groups"), (SandboxSpec(network="bridge", plain=True), "no plain")],
)
def test_what_it_cannot_do_is_refused(spec: SandboxSpec, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        EcsBackend(EcsFargateSandbox(image=BASE)).check(spec)
