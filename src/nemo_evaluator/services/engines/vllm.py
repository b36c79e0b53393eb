"""`vllm`: ``vllm serve``, on one node or, over Ray, on several."""

from __future__ import annotations

import shlex

from ...config.servers import VllmService
from ..contract import Place
from ..endpoint import Endpoint
from ..launch import Launch, Process
from .common import dashed, gpus_of, launch_from, model_path, served_name, setup_of
from .opening import open_engine

RAY_PORT = 6379
JOIN_SECONDS = 600
"""How long the nodes of a server wait for each other."""


class Vllm:
    """The kind of service that is a vLLM server."""

    def launch(self, options: VllmService) -> Launch:
        """See ``ServiceKind``."""
        if options.num_nodes == 1:
            return launch_from(options, _serve(options))
        return launch_from(options, processes=_over_ray(options))

    def open(self, name: str, options: VllmService, place: Place) -> Endpoint:
        """See ``ServiceKind``."""
        return open_engine(name, options, place, self.launch(options))


def _serve(options: VllmService) -> tuple[str, ...]:
    several = options.num_nodes > 1
    return (
        *("vllm", "serve", model_path(options), "--host", "{host}", "--port", "{port}"),
        *dashed(
            tensor_parallel_size=options.tensor_parallel_size,
            pipeline_parallel_size=options.pipeline_parallel_size,
            data_parallel_size=options.data_parallel_size,
            distributed_executor_backend="ray" if several else None,
            data_parallel_backend="ray" if several and options.data_parallel_size else None,
            served_model_name=served_name(options),
        ),
        *options.extra_args,
    )


def _over_ray(options: VllmService) -> tuple[Process, ...]:
    """The first node has the head of a Ray cluster and the server, the others join it."""
    ray, gpus = shlex.quote(options.ray_binary), gpus_of(options)
    number = f" --num-gpus={gpus}" if gpus else ""
    nodes = options.num_nodes
    head = (
        f"{ray} start --head --node-ip-address={{head}} --port={RAY_PORT}{number}",
        f'until [ "$({ray} status 2>/dev/null | grep -cE "^ *1 node_")" -ge {nodes} ]; do'
        f' [ "$SECONDS" -lt {JOIN_SECONDS} ] ||'
        f' {{ echo "not all {nodes} nodes joined in {JOIN_SECONDS} s" >&2; exit 1; }};'
        " sleep 2; done",
    )
    others = (
        f"until (exec 3<>/dev/tcp/{{head}}/{RAY_PORT}) 2>/dev/null; do"
        f' [ "$SECONDS" -lt {JOIN_SECONDS} ] ||'
        f' {{ echo "the head node did not start Ray in {JOIN_SECONDS} s" >&2; exit 1; }};'
        " sleep 2; done",
    )
    join = ("start", f"--address={{head}}:{RAY_PORT}", "--block")
    before = setup_of(options)
    return (
        Process(role="head", argv=_serve(options), setup=(*before, *head), gpus=gpus),
        Process(
            role="worker",
            argv=(options.ray_binary, *join, *((f"--num-gpus={gpus}",) if gpus else ())),
            setup=(*before, *others),
            first_node=1,
            nodes=nodes - 1,
            gpus=gpus,
        ),
    )
