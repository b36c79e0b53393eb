"""Services that whoever runs this process has started already: a Slurm job starts the servers of a
configuration itself, on the nodes they belong to, and says where they are.

A service that is started elsewhere stays what it is: its type, its identity and its plan do not
change, only nothing is started here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from ..config.local_servers import STARTED
from ..errors import ConfigError

VARIABLE = STARTED
"""JSON: by the name of a service its addresses, one for each instance, without a path:
``{"model": ["http://node1:8000"]}``."""


def started_elsewhere(name: str, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The addresses of a service that runs already; none: it is to be started here."""
    text = environ.get(VARIABLE)
    if not text:
        return ()
    try:
        known = msgspec.json.decode(text, type=dict[str, tuple[str, ...]])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"is not a mapping of addresses: {error}", where=VARIABLE) from None
    return tuple(url.rstrip("/") for url in known.get(name, ()))
