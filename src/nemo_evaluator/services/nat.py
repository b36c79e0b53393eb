"""`nat`: a server of NeMo Agent Toolkit (``nat serve``)."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..config.agents import NatAgentService
from ..errors import ConfigError
from .contract import Launch, Place
from .server import Server, open_server

ANSWERS = ("/health", "/openapi.json")
CONFIG_FILE = "config.yml"


class Nat:
    """The kind of service that is an agent of NeMo Agent Toolkit."""

    def launch(self, options: NatAgentService) -> Launch | None:
        """See ``ServiceKind``."""
        if options.url is not None:
            return None
        file = options.nat_config_file or CONFIG_FILE
        mounts: tuple[str, ...] = ()
        if options.image is not None:
            file = str(Path(file).absolute())
            mounts = (f"{file}:{file}:ro",)
        return Launch(
            argv=("nat", "serve", "--config_file", file, "--port", "{port}", "--host", "{host}"),
            image=options.image,
            host_network=True,
            mounts=mounts,
            node_pool=options.node_pool,
            env=options.extra_env,
            port=options.port,
            startup_timeout=options.startup_timeout,
            depends_on=options.requires,
        )

    def open(self, name: str, options: NatAgentService, place: Place) -> Server:
        """See ``ServiceKind``."""
        launch, identity = self.launch(options), {}
        if launch is not None:
            file = Path(options.nat_config_file or CONFIG_FILE)
            _check(name, file, command=options.image is None)
            identity = {"nat_config_file": file.name}
        return open_server(name, options, place, launch, answers=ANSWERS, identity=identity)


def _check(name: str, file: Path, *, command: bool) -> None:
    """Raises ConfigError where ``nat`` or its file is not there."""
    where = f"services.{name}"
    if not file.is_file():
        hint = "nat_config_file: FILE of the agent, or url: of a server that runs already"
        raise ConfigError(f"there is no file {file}", where=where, hint=hint)
    if command and shutil.which("nat") is None:
        raise ConfigError(
            "there is no command `nat`",
            where=where,
            hint="pip install nvidia-nat, or url: of a server that runs already",
        )
