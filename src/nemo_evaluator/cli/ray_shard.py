"""The process of one shard on a node of a Ray cluster (``executors.ray.task`` starts it).

What it is to run comes as the first line of standard input. The end of the input means that the
worker of Ray is gone: then the shard ends too, so that whoever takes it over is alone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any

from ..executors.observers import Observer
from .main import ended
from .output import guarded_streams, open_descriptors, printable
from .signals import Signals

SECONDS_TO_END = 30.0


class Said(Observer):
    """Passes on what the user should read."""

    def said(self, text: str) -> None:
        """Print the message."""
        print(printable(text), file=sys.stderr, flush=True)


def main() -> None:
    """Run what standard input says."""
    signals = Signals()
    signals.install()
    open_descriptors()
    with guarded_streams():
        code = ended(_run, signals)
    sys.stdout.flush()
    os._exit(code)  # the thread that watches the input may be inside a read


def _run() -> int:
    from ..config.environment import environment
    from ..config.load import parse
    from ..config.quick import apply_flags
    from ..config.tree import plain
    from ..config.yaml_file import parse_yaml
    from ..engine.shards import Shard
    from ..executors.local import run
    from ..executors.options import Options
    from ..runtime import run_blocking
    from .log import show_log

    handed: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    os.environ.update(handed["secrets"])
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    show_log()
    index, total = handed["shard"]
    loaded = parse(plain(parse_yaml(handed["text"], "the configuration")), env=environment([]))
    loaded = apply_flags(loaded, output_dir=handed["directory"])
    options = Options(
        resume=True,
        shard=Shard(index=index, total=total),
        command=handed["command"],
        handle_signals=True,
        observers=(Said(),),
    )
    result = run_blocking(run(loaded, options))
    for message in result.messages:
        print(printable(message), file=sys.stderr, flush=True)
    return result.exit_code


def _end_with_the_worker() -> None:
    sys.stdin.buffer.read()
    for _ in range(2):  # the second time it gives up what is in flight
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
    time.sleep(SECONDS_TO_END)
    os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
