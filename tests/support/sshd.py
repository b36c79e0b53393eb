"""A real sshd on loopback, and an `ssh` on PATH whose configuration knows it as ``far``."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from free_ports import free_port
from parts import needed

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextlib.contextmanager
def far_host(folder: Path, env: Mapping[str, str] | None = None) -> Iterator[Path]:
    """The folder to be put on PATH, while sshd runs. ``env``: variables of sessions there."""
    ssh = shutil.which("ssh")
    if SSHD is None or ssh is None:
        (pytest.fail if needed("ssh") else pytest.skip)("openssh-server is absent")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host", "user"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True, timeout=60)
    port = free_port()
    sets = "".join(f'SetEnv "{name}={value}"\n' for name, value in (env or {}).items())
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/pid\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\n{sets}"
    )
    (folder / "ssh_config").write_text(
        f"Host far\n HostName 127.0.0.1\n Port {port}\n IdentityFile {folder}/user\n"
        f" StrictHostKeyChecking no\n UserKnownHostsFile {folder}/known\n LogLevel ERROR\n"
        f"Host closed\n HostName 127.0.0.1\n Port 1\n"
    )
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    shim = programs / "ssh"
    record = f"printf '%s\\n' \"$*\" >> {folder}/asked"
    shim.write_text(f'#!/bin/sh\n{record}\nexec {ssh} -F {folder}/ssh_config "$@"\n')
    shim.chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=sys.stderr)
    try:
        _answers(port)
        yield programs
    finally:
        server.terminate()
        server.wait(60)


def _answers(port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError("sshd does not answer")
