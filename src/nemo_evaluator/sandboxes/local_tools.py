"""What a local sandbox needs of this machine, and what is said where it is not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from ..errors import ConfigError

_TOOLS = {
    "bwrap": "bubblewrap",
    "prlimit": "util-linux",
    "nsenter": "util-linux",
    "mount": "util-linux (mount)",
    "tar": "tar",
}
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


def require_tools() -> None:
    """Raise ConfigError, with the way to install it, for what is missing."""
    if not sys.platform.startswith("linux"):
        raise ConfigError(
            "the local sandbox needs Linux (bubblewrap)",
            hint="use `sandbox: {type: docker}` with Docker running",
        )
    tools = dict(_TOOLS)
    if os.geteuid() == 0:
        tools["setpriv"] = "util-linux"
    missing = [tool for tool in tools if shutil.which(tool, path=ENV["PATH"]) is None]
    if missing:
        packages = sorted({tools[tool] for tool in missing})
        raise ConfigError(
            f"the local sandbox needs {', '.join(missing)}, not found on this machine",
            hint=f"install {', '.join(packages)} (`apt-get install bubblewrap util-linux tar`, "
            "`dnf install bubblewrap util-linux tar`), or use `sandbox: {type: docker}` with "
            "Docker running",
        )


def unusable(why: str) -> ConfigError:
    """The error where bubblewrap is there and makes no sandbox."""
    return ConfigError(
        f"bubblewrap cannot make a sandbox here: {why}",
        hint="unprivileged user namespaces may be off (`sysctl kernel.unprivileged_userns_clone=1`"
        " or `kernel.apparmor_restrict_unprivileged_userns=0`), or this is a container without"
        " them; or use `sandbox: {type: docker}` with Docker running",
    )


def output(argv: list[str]) -> str:
    """What a tool prints. Blocks."""
    done = subprocess.run(argv, capture_output=True, text=True, env=ENV, timeout=20, check=False)
    return done.stdout + done.stderr
