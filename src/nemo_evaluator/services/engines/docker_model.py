"""`docker_model`: any container with a model server."""

from __future__ import annotations

from ...config.servers import DockerModelService
from ..contract import Place
from ..endpoint import Endpoint
from ..launch import Launch
from .common import launch_from
from .opening import open_engine


class DockerModel:
    """The kind of service that is a container with a server of its own."""

    def launch(self, options: DockerModelService) -> Launch:
        """See ``ServiceKind``. ``extra_args`` follow the image's own command. The server listens on
        ``port`` inside; which port of this machine leads there is for who starts it."""
        env = {"MODEL": "{model}", "PORT": str(options.port)}
        return launch_from(
            options,
            tuple(options.extra_args),
            env=env,
            container_port=options.port,
            own_entrypoint=options.pre_cmd is None,
        )

    def open(self, name: str, options: DockerModelService, place: Place) -> Endpoint:
        """See ``ServiceKind``."""
        return open_engine(name, options, place, self.launch(options))
