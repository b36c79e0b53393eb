"""`trt_llm`: ``trtllm-serve``, on one node or, as an MPI program, on several."""

from __future__ import annotations

from ...config.servers import TrtLlmService
from ..contract import Place
from ..endpoint import Endpoint
from ..launch import Launch, Process
from .common import flags, gpus_of, launch_from, model_path, setup_of
from .opening import open_engine

MPI_LAUNCHER = "trtllm-llmapi-launch"
"""What every rank runs: the first becomes the server, the others serve it."""


class TrtLlm:
    """The kind of service that is a TensorRT-LLM server."""

    def launch(self, options: TrtLlmService) -> Launch:
        """See ``ServiceKind``. The server takes any model id, so it is told one only if that is
        set: older versions have no flag for it."""
        argv = (
            *("trtllm-serve", model_path(options), "--host", "{host}", "--port", "{port}"),
            *flags(
                **{
                    "--tp_size": options.tensor_parallel_size,
                    "--pp_size": options.pipeline_parallel_size,
                    "--served_model_name": options.served_model_name,
                }
            ),
            *options.extra_args,
        )
        if options.num_nodes == 1:
            return launch_from(options, argv)
        server = Process(
            argv=(MPI_LAUNCHER, *argv),
            setup=setup_of(options),
            nodes=options.num_nodes,
            tasks_per_node=max(1, gpus_of(options)),
            mpi=True,
            gpus=gpus_of(options),
        )
        return launch_from(options, processes=(server,))

    def open(self, name: str, options: TrtLlmService, place: Place) -> Endpoint:
        """See ``ServiceKind``."""
        return open_engine(name, options, place, self.launch(options))
