"""`custom`: a server of your own, started by a command."""

from __future__ import annotations

import shlex

from ..config.services import CustomService
from .contract import Launch, Place
from .endpoint import Endpoint
from .launched import open_launched


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

    def open(self, name: str, options: CustomService, place: Place) -> Endpoint:
        """See ``ServiceKind``."""
        return open_launched(
            name,
            self.launch(options),
            place,
            model=options.model or name,
            protocol=options.protocol,
            base_path=options.base_path,
            identity={"command": command_text(options)},
            asked=options.model is not None,
            life=options,
            api_key=options.api_key,
            stream=options.stream,
            timeouts=options.timeouts,
            price=options.price,
        )


def command_text(options: CustomService) -> str:
    """The command as it is written down: it says which model is served."""
    command = options.command or ""
    return command if isinstance(command, str) else shlex.join(command)
