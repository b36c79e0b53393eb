"""`gym`: a server of NeMo Gym, or of ``nel serve``: resources and verification, or an agent."""

from __future__ import annotations

import sys

from ..config.agents import GymResourceService
from ..errors import ConfigError
from .contract import Launch, Place
from .server import Server, open_server

NEL = (sys.executable, "-m", "nemo_evaluator.cli")
"""This tool, on this machine."""
ANSWERS = ("/health", "/", "/openapi.json", "/server_instances")
"""Paths that gyms answer: those of ``nel serve``, of nemo-gym's servers, and of its head server."""


class Gym:
    """The kind of service that is a gym."""

    def launch(self, options: GymResourceService) -> Launch | None:
        """See ``ServiceKind``. Raises ConfigError where nothing says what is to be started."""
        if options.url is not None:
            return None
        if options.server_cmd is not None:
            argv: tuple[str, ...] = ("/bin/sh", "-c", options.server_cmd)
        elif options.benchmark is not None:
            program = ("nel",) if options.image is not None else NEL
            argv = (*program, *serve_words(options.benchmark))
        else:
            raise ConfigError(
                "a gym needs url, benchmark or server_cmd",
                hint="url: http://HOST:PORT of a running one, or benchmark: NAME to serve one",
            )
        return Launch(
            argv=argv,
            image=options.image,
            host_network=True,
            node_pool=options.node_pool,
            env=options.extra_env,
            port=options.listens_on,
            startup_timeout=options.startup_timeout,
            depends_on=options.requires,
        )

    def open(self, name: str, options: GymResourceService, place: Place) -> Server:
        """See ``ServiceKind``."""
        launch = self.launch(options)
        started = {"command": options.server_cmd} if options.server_cmd else {}
        if options.benchmark is not None:
            started["benchmark"] = options.benchmark
        identity = {} if launch is None else started
        return open_server(name, options, place, launch, answers=ANSWERS, identity=identity)


def serve_words(benchmark: str) -> tuple[str, ...]:
    """What follows ``nel`` to serve a benchmark on ``{port}``."""
    return ("serve", "-b", benchmark, "--host", "{host}", "--port", "{port}")
