"""`dynamo`: a Dynamo deployment: nats, etcd, a frontend and the workers behind it."""

from __future__ import annotations

from collections.abc import Iterator

from ...config.servers import DynamoService, DynamoWorkerConfig
from ..contract import Place
from ..endpoint import Endpoint
from ..launch import Launch, Process
from .common import dashed, gpus_of, launch_from, model_path, served_name, setup_of
from .opening import open_engine
from .sglang import rendezvous

NATS_PORT, ETCD_PORT = 4222, 2379
INFRASTRUCTURE = ("nats", "etcd")
DISCOVERY = {
    "DYN_REQUEST_PLANE": "nats",
    "NATS_SERVER": f"nats://{{head}}:{NATS_PORT}",
    "ETCD_ENDPOINTS": f"http://{{head}}:{ETCD_PORT}",
    "DYN_SKIP_SGLANG_LOG_FORMATTING": "1",
}
OWN_FOLDER = 'cd "$(mktemp -d)"'
"""nats and etcd keep what they know in the folder they run in."""


class Dynamo:
    """The kind of service that is a Dynamo deployment."""

    def launch(self, options: DynamoService) -> Launch:
        """See ``ServiceKind``. What all programs share runs on the first node."""
        if options.prefill is None or options.decode is None:
            alone = DynamoWorkerConfig(num_nodes=options.num_nodes)
            workers = tuple(_workers(options, "worker", alone, first=0, ports=0))
            components = {"decode": 1}
        else:
            prefill = tuple(_workers(options, "prefill", options.prefill, first=0, ports=0))
            same = _pool(options, options.prefill) == _pool(options, options.decode)
            first = options.prefill.num_workers * options.prefill.num_nodes if same else 0
            more = _workers(options, "decode", options.decode, first=first, ports=len(prefill))
            workers = (*prefill, *more)
            components = {
                "prefill": options.prefill.num_workers,
                "decode": options.decode.num_workers,
            }
        pool = workers[0].node_pool
        return launch_from(
            options,
            env=DISCOVERY,
            processes=(*_infrastructure(options, pool), *workers),
            workers=components,
            host_network=True,
            nodes=sum(w.nodes for w in workers if w.node_pool == pool),
        )

    def open(self, name: str, options: DynamoService, place: Place) -> Endpoint:
        """See ``ServiceKind``."""
        return open_engine(name, options, place, self.launch(options))


def _infrastructure(options: DynamoService, pool: str | None) -> tuple[Process, ...]:
    etcd = dashed(
        listen_client_urls=f"http://0.0.0.0:{ETCD_PORT}",
        advertise_client_urls=f"http://{{head}}:{ETCD_PORT}",
    )
    return (
        Process(
            role="nats",
            argv=("nats-server", "-js", "-sd", ".", "-p", str(NATS_PORT)),
            setup=(OWN_FOLDER,),
            node_pool=pool,
            listens_on=NATS_PORT,
        ),
        Process(
            role="etcd",
            argv=("etcd", *etcd),
            setup=(OWN_FOLDER,),
            node_pool=pool,
            listens_on=ETCD_PORT,
        ),
        Process(
            role="frontend",
            argv=("python3", "-m", "dynamo.frontend", "--http-port", "{port}"),
            setup=setup_of(options),
            node_pool=pool,
            after=INFRASTRUCTURE,
        ),
    )


def _workers(
    options: DynamoService, role: str, worker: DynamoWorkerConfig, *, first: int, ports: int
) -> Iterator[Process]:
    """The workers of a role, each on the nodes after those of the one before. ``ports``: how many
    workers have ports already; those of one node must differ."""
    apart = options.prefill is not None
    for number in range(worker.num_workers):
        turn = ports + number
        several = rendezvous(worker.num_nodes, turn) if worker.num_nodes > 1 else ()
        mode = ("--disaggregation-mode", role) if apart else ()
        if role == "prefill":
            mode = (*mode, "--disaggregation-bootstrap-port", f"{{port+{2 * turn + 2}}}")
        yield Process(
            role=f"{role}-{number}" if apart else role,
            argv=(
                *("python3", "-m", "dynamo.sglang", "--model-path", model_path(options)),
                *("--served-model-name", served_name(options), "--host", "0.0.0.0"),
                *("--port", f"{{port+{2 * turn + 1}}}"),
                *_sizes(options, worker),
                *mode,
                *several,
                *options.extra_args,
                *worker.extra_args,
            ),
            setup=setup_of(options),
            env=worker.extra_env,
            node_pool=_pool(options, worker),
            first_node=first + number * worker.num_nodes,
            nodes=worker.num_nodes,
            gpus=_gpus(options, worker),
            after=INFRASTRUCTURE,
        )


def _sizes(options: DynamoService, worker: DynamoWorkerConfig) -> tuple[str, ...]:
    return dashed(
        tp_size=worker.tensor_parallel_size or options.tensor_parallel_size,
        pp_size=worker.pipeline_parallel_size or options.pipeline_parallel_size,
        dp_size=worker.data_parallel_size or options.data_parallel_size,
    )


def _gpus(options: DynamoService, worker: DynamoWorkerConfig) -> int:
    """GPUs of a node for one worker; 0 where nothing says."""
    if options.prefill is None:
        return gpus_of(options)
    return -(-options.worker_size(worker) // worker.num_nodes)


def _pool(options: DynamoService, worker: DynamoWorkerConfig) -> str | None:
    return worker.node_pool or options.node_pool
