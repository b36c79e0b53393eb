"""`nim`: a NIM container, which is told what to serve by variables."""

from __future__ import annotations

from ...config.servers import NimService
from ..contract import Place
from ..endpoint import Endpoint
from ..launch import Launch
from .common import MODEL_IN_CONTAINER, launch_from, model_path, served_name
from .opening import open_engine


class Nim:
    """The kind of service that is a NIM container."""

    def launch(self, options: NimService) -> Launch:
        """See ``ServiceKind``. The image starts its server by itself; ``extra_args`` follow."""
        variables = {
            "NIM_SERVED_MODEL_NAME": served_name(options),
            "NIM_SERVER_PORT": "{port}",
            "NIM_HTTP_API_PORT": "{port}",
            "NIM_TENSOR_PARALLEL_SIZE": options.tensor_parallel_size,
            "NIM_PIPELINE_PARALLEL_SIZE": options.pipeline_parallel_size,
            "NIM_MODEL_PATH": MODEL_IN_CONTAINER
            if model_path(options) == MODEL_IN_CONTAINER
            else None,
        }
        env = {name: str(value) for name, value in variables.items() if value is not None}
        return launch_from(
            options,
            tuple(options.extra_args),
            env=env,
            own_entrypoint=options.pre_cmd is None,
        )

    def open(self, name: str, options: NimService, place: Place) -> Endpoint:
        """See ``ServiceKind``."""
        return open_engine(name, options, place, self.launch(options))
