"""Fargate on this machine: moto answers for AWS, and a task that is started is a container of the
local engine with the entry point of its definition, beside an sshd in the container's network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

REGION = "us-east-1"
PROJECT = "harbor"
PORT = 52222


class LocalEcs:
    """The client of ECS: moto's, whose tasks run."""

    def __init__(self, moto: Any, folder: Path) -> None:
        self._moto, self._folder = moto, folder
        self.tasks: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}
        self.fail: list[Exception] = []
        """What the next calls of run_task raise."""
        self.command: list[str] | None = None
        """Run instead of the definition's."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._moto, name)

    def run_task(self, **given: Any) -> Any:
        if self.fail:
            raise self.fail.pop(0)
        told = self._moto.run_task(**given)
        arn = told["tasks"][0]["taskArn"]
        self.tasks[arn] = self._begin(given["taskDefinition"])
        return told

    def describe_tasks(self, **given: Any) -> Any:
        if "include" in given:
            return self._moto.describe_tasks(**given)
        return {"tasks": [self._state(arn) for arn in given["tasks"]]}

    def stop_task(self, **given: Any) -> Any:
        if given["task"] in self.tasks:
            container, sshd = self.tasks.pop(given["task"])
            sshd.kill()
            sshd.wait()
            subprocess.run(["docker", "rm", "-f", container], capture_output=True, check=True)
        return self._moto.stop_task(**given)

    def _state(self, arn: str) -> dict[str, Any]:
        container, _ = self.tasks[arn]
        state = _inspect(container)
        if not state["State"]["Running"]:
            code = state["State"]["ExitCode"]
            return {"lastStatus": "STOPPED", "stopCode": "EssentialContainerExited",
                    "containers": [{"name": "main", "exitCode": code}]}  # fmt: skip
        address = state["NetworkSettings"]["IPAddress"]
        details = [{"name": "privateIPv4Address", "value": address}]
        return {"lastStatus": "RUNNING", "attachments": [{"details": details}]}

    def _begin(self, name: str) -> tuple[str, subprocess.Popen[bytes]]:
        made = self._moto.describe_task_definition(taskDefinition=name)["taskDefinition"]
        main = next(c for c in made["containerDefinitions"] if c["name"] == "main")
        words = ["docker", "run", "-d", "--user", main["user"], "--entrypoint", *main["entryPoint"]]
        if main["linuxParameters"]["initProcessEnabled"]:
            words.append("--init")
        for one in main["environment"]:
            words += ["-e", f"{one['name']}={one['value']}"]
        done = subprocess.run(
            [*words, main["image"], *(self.command or main["command"])],
            capture_output=True,
            text=True,
            check=True,
        )
        container = done.stdout.strip()
        pid = str(_inspect(container)["State"]["Pid"] or os.getpid())
        config = self._folder / "sshd_config"
        sshd = subprocess.Popen(
            ["nsenter", "-t", pid, "-n", "/usr/sbin/sshd", "-D", "-f", str(config)],
            stderr=subprocess.DEVNULL,
        )
        return container, sshd


class Fargate:
    """An account with a cluster, the project's settings and its keys."""

    def __init__(self, folder: Path) -> None:
        import boto3

        self._made: dict[str, Any] = {}
        key = folder / "key"
        for name in ("key", "host"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(words, check=True)
        Path("/run/sshd").mkdir(exist_ok=True)
        (folder / "sshd_config").write_text(
            f"Port {PORT}\nHostKey {folder}/host\nAuthorizedKeysFile {key}.pub\nStrictModes no\n"
            "PasswordAuthentication no\nAllowTcpForwarding yes\nUsePAM no\nPidFile none\n"
        )
        self._client = lambda name: boto3.client(name, region_name=REGION)
        secret = self.client("secretsmanager")
        private = secret.create_secret(Name="private", SecretString=key.read_text())["ARN"]
        public = secret.create_secret(Name="public", SecretString="public")["ARN"]
        ec2 = self.client("ec2")
        subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        self._made["ecs"] = self.ecs = LocalEcs(self._client("ecs"), folder)
        self.ecs.create_cluster(clusterName="sandboxes")
        settings = {
            "cluster": "sandboxes",
            "subnets": [subnet],
            "execution_role_arn": "arn:aws:iam::123456789012:role/exec",
            "assign_public_ip": False,
            "ssh_sidecar": {
                "sshd_port": PORT,
                "private_key_secret_arn": private,
                "public_key_secret_arn": public,
            },
        }
        self.client("ssm").put_parameter(
            Name=f"/{PROJECT}/ecs-sandbox/config", Type="String", Value=json.dumps(settings)
        )

    def client(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._client(name)
        return self._made[name]

    def close(self) -> None:
        for arn in list(self.ecs.tasks):
            self.ecs.stop_task(cluster="sandboxes", task=arn)


def require_fargate() -> None:
    """Skip where it cannot be played on this machine."""
    pytest.importorskip("moto")
    if os.geteuid() != 0 or shutil.which("sshd", path="/usr/sbin") is None:
        pytest.skip("needs root and /usr/sbin/sshd")


def _inspect(container: str) -> Any:
    done = subprocess.run(["docker", "inspect", container], capture_output=True, check=True)
    return json.loads(done.stdout)[0]
