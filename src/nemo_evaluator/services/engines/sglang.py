"""`sglang`: ``sglang serve``, on one node or on several."""

from __future__ import annotations

from ...config.servers import SglangService
from ..contract import Place
from ..endpoint import Endpoint
from ..launch import Launch, Process
from .common import (
    RENDEZVOUS_PORT,
    dashed,
    gpus_of,
    launch_from,
    model_path,
    served_name,
    setup_of,
)
from .opening import open_engine


class Sglang:
    """The kind of service that is an SGLang server."""

    def launch(self, options: SglangService) -> Launch:
        """See ``ServiceKind``. On several nodes each runs the same command with its rank."""
        argv = (
            *("sglang", "serve", "--model-path", model_path(options)),
            *("--host", "{host}", "--port", "{port}"),
            *dashed(
                tp_size=options.tensor_parallel_size,
                pp_size=options.pipeline_parallel_size,
                dp_size=options.data_parallel_size,
                served_model_name=served_name(options),
            ),
        )
        if options.num_nodes == 1:
            return launch_from(options, (*argv, *options.extra_args))
        server = Process(
            argv=(*argv, *rendezvous(options.num_nodes), *options.extra_args),
            setup=setup_of(options),
            nodes=options.num_nodes,
            gpus=gpus_of(options),
        )
        return launch_from(options, processes=(server,))

    def open(self, name: str, options: SglangService, place: Place) -> Endpoint:
        """See ``ServiceKind``."""
        return open_engine(name, options, place, self.launch(options))


def rendezvous(nodes: int, offset: int = 0) -> tuple[str, ...]:
    """How the nodes of one server find each other. ``offset``: another port, for another server
    whose first node may be the same."""
    address = f"{{leader}}:{RENDEZVOUS_PORT + offset}"
    return dashed(nnodes=nodes, node_rank="{rank}", dist_init_addr=address)
