"""A plain sandbox is the container that `docker run IMAGE` makes, with its author's user, folder,
variables, entry point and privileges; what a command leaves running runs on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.sandboxes import Backend, BuildSpec, Sandbox, SandboxPool, SandboxSpec
from nemo_evaluator.sandboxes.docker_plain import PlainSandbox
from nemo_evaluator.sandboxes.local import LocalBackend

DOCKERFILE = """\
FROM sandbox-base:latest
RUN useradd -m -u 1234 dev && useradd -m -u 1235 -G dev other
ENV COLOUR=blue
COPY --chown=dev:dev . /srv/app/
WORKDIR /srv/app
ENTRYPOINT ["sh", "/srv/app/entry.sh"]
USER dev
"""
HIDING_DAEMON = """\
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setgid(1234); os.setuid(1234)
        os.execve("/bin/sh", ["sh", "-c", "while :; do echo x >> /tmp/beat; sleep 0.05; done"], {})
    os._exit(0)
os.wait()
"""


@pytest.fixture
async def pool(backend_of: Callable[..., Backend]) -> AsyncIterator[SandboxPool]:
    async with SandboxPool(backend_of("docker"), limit=2) as made:
        yield made


@pytest.fixture
def spec(tmp_path: Path) -> SandboxSpec:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "entry.sh").write_text('echo $(id -un) > /tmp/entered\nexec "$@"\n')
    return SandboxSpec(build=BuildSpec(context=str(tmp_path)), plain=True, cwd="")


async def test_it_is_what_the_image_says(pool: SandboxPool, spec: SandboxSpec) -> None:
    async with pool.acquire(spec) as sandbox:
        assert sandbox.spec.cwd == "/srv/app"
        assert sandbox.spec.user == 1234
        shown = await sandbox.exec("id -un; pwd; echo $COLOUR $HOME; cat /tmp/entered; touch x")
        assert shown.stdout.split() == ["dev", "/srv/app", "blue", "/home/dev", "dev"]
        assert shown.exit_code == 0, shown.stderr
        root = await sandbox.exec("id -un; chown other x; touch /etc/x; su other -c id", user=0)
        assert root.exit_code == 0, root.stderr
        assert "(dev)" in root.stdout, "the groups of a user are those of the image"


async def test_another_user_and_folder(pool: SandboxPool, spec: SandboxSpec) -> None:
    spec = msgspec.structs.replace(spec, account="other", cwd="/new/folder")
    async with pool.acquire(spec) as sandbox:
        shown = await sandbox.exec("id -un; pwd")
        assert shown.stdout.split() == ["other", "/new/folder"]
    spec = msgspec.structs.replace(spec, account="nobody-here")
    with pytest.raises(ConfigError, match="no user 'nobody-here'"):
        async with pool.acquire(spec):
            pass


async def test_what_is_left_running_runs_on_until_all_ends(
    pool: SandboxPool, spec: SandboxSpec
) -> None:
    async with pool.acquire(spec) as sandbox:
        await sandbox.exec("(setsid sleep 300 & ) ; setsid sleep 301 >/dev/null 2>&1 &")
        count = (
            "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $f; echo; done 2>/dev/null"
            " | grep -c '^sleep 30[0-9]'"
        )
        assert (await sandbox.exec(count)).stdout.strip() == "2"
        slow = await sandbox.exec("setsid sleep 302 & sleep 303", timeout=1)
        assert slow.timed_out
        assert (await sandbox.exec(count)).stdout.strip() == "2", "only its own were ended"
        await sandbox.end_processes()
        assert (await sandbox.exec(count)).stdout.strip() == "0"
        assert (await sandbox.exec("cat /tmp/entered")).stdout.strip() == "dev"


async def test_no_process_outlives_the_end_of_all(pool: SandboxPool, image: str) -> None:
    """Not even one that left its session, its parents, its environment and its user behind."""
    async with pool.acquire(SandboxSpec(image=image, plain=True, cwd="/app/new")) as box:
        background = await box.start("sleep 600")
        await box.exec("touch /tmp/beat; chmod 666 /tmp/beat; echo kept > /root/kept")
        await box.exec(["python3", "-c", HIDING_DAEMON])
        assert await _beats(box)
        await box.end_processes()
        assert not background.running
        assert not await _beats(box)
        shown = await box.exec("pwd; cat /root/kept; ps -e -o comm=; true")
        folder, kept, *processes = shown.stdout.split()
        assert (folder, kept, {*processes}) == ("/app/new", "kept", {"bash", "ps", "sleep"})


async def test_root_inside_cannot_end_the_container(pool: SandboxPool, image: str) -> None:
    async with pool.acquire(SandboxSpec(image=image, plain=True)) as box:
        await box.exec("kill -9 1; pkill -9 sleep; kill -9 -1")
        assert (await box.exec("echo alive")).stdout == "alive\n"


async def _beats(box: Sandbox) -> bool:
    """Whether the daemon is at work."""
    before = await box.download("/tmp/beat")
    await asyncio.sleep(0.4)
    return await box.download("/tmp/beat") != before


def test_the_local_sandbox_refuses_it() -> None:
    with pytest.raises(ConfigError, match="container of an image"):
        LocalBackend().check(SandboxSpec(plain=True))


async def test_what_differs_from_the_image(pool: SandboxPool, image: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {image}\nRUN mkdir /d && echo 1 > /d/kept\n")
    spec = SandboxSpec(build=BuildSpec(context=str(tmp_path)), plain=True, cwd="/d")
    async with pool.acquire(spec) as sandbox:
        assert isinstance(sandbox, PlainSandbox)
        await sandbox.exec("echo 2 > kept; echo 3 > new; rm /usr/bin/env; ln -s x link")
        seen = {change.path: change.added for change in await sandbox.changes()}
        told = await sandbox._engine.expect("GET", f"/containers/{sandbox.id}/changes")
        assert seen.items() >= {one["Path"]: one["Kind"] == 1 for one in told}.items()
        assert (seen["/d/kept"], seen["/d/new"], seen["/usr/bin/env"]) == (False, True, False)
        await sandbox.set_back(["/d/kept", "/usr/bin/env", "/d/new"])
        shown = await sandbox.exec("cat kept; test -x /usr/bin/env && cat new")
        assert (shown.stdout, shown.exit_code) == ("1\n", 0)
