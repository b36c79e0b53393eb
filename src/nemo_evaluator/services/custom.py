"""`custom`: a server of your own, started by a command."""

from __future__ import annotations

import os
import shlex

import msgspec

from ..config.services import CustomService
from .contract import Launch, Place
from .endpoint import http_client, model_identity
from .launched import Launched, launched_transport
from .supervisor import HOST, Supervisor, free_port


class Custom:
    """The kind of service that runs a command."""

    def launch(self, options: CustomService) -> Launch:
        """See ``ServiceKind``. A line is run by the shell."""
        command = options.command or ()
        argv = ("/bin/sh", "-c", command) if isinstance(command, str) else tuple(command)
        return Launch(
            argv=argv,
            env=options.extra_env,
            folder=options.workdir,
            port=options.port,
            health_path=options.health_path,
            startup_timeout=options.startup_timeout,
            stop_timeout=options.stop_timeout,
            depends_on=tuple(options.depends_on),
        )

    def open(self, name: str, options: CustomService, place: Place) -> Launched:
        """See ``ServiceKind``."""
        model = options.model or name
        launch = filled_in(self.launch(options), options.port or free_port(), model)
        log = None if place.folder is None else place.folder / f"service_{name}.log"
        supervisor = Supervisor(name, launch, log, tuple(place.needs.values()))
        url = f"http://{HOST}:{launch.port}{options.base_path}"
        client = http_client(
            name,
            place,
            url,
            protocol=options.protocol,
            transport=launched_transport(supervisor),
            model=model,
            api_key=options.api_key,
            stream=options.stream,
            timeouts=options.timeouts,
            price=options.price,
            http_proxy="direct",
        )
        identity = {**model_identity(options, options.protocol), "command": command_text(options)}
        return Launched(client, supervisor, protocol=options.protocol, identity=identity, url=url)


def command_text(options: CustomService) -> str:
    """The command as it is written down: it says which model is served."""
    command = options.command or ""
    return command if isinstance(command, str) else shlex.join(command)


def filled_in(launch: Launch, port: int, model: str) -> Launch:
    """With what the placeholders of the command stand for, also as variables. Other braces stay:
    they may be JSON."""
    values = {"port": str(port), "host": HOST, "model": model}

    def fill(text: str) -> str:
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    env = {"PORT": values["port"], "HOST": HOST, "MODEL": model}
    given = {name: fill(value) for name, value in launch.env.items()}
    unset = {name: value for name, value in env.items() if name not in os.environ or name == "PORT"}
    return msgspec.structs.replace(
        launch, argv=tuple(map(fill, launch.argv)), port=port, env={**unset, **given}
    )
