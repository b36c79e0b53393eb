"""Variables that a task takes from this machine: ``${NAME}`` and ``${NAME:-default}``.

Invariant: a task reads only the variables that the user allows by name (``params.pass_env``): a
folder of tasks is somebody else's, and what it reads reaches its container.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from ..config.scrubber import KNOWN
from ..config.secrecy import secret_field, variable_secrets
from ..errors import ConfigError

_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-(.*))?\}", re.DOTALL)


def resolved(
    told: Mapping[str, str], env: Mapping[str, str], allowed: Collection[str], where: str
) -> dict[str, str]:
    """The variables of a task, with those of this machine (``env``) filled in. ConfigError for one
    that is not allowed, or not set."""
    found = {}
    for name, value in told.items():
        match = _REFERENCE.fullmatch(value)
        if match is None:
            found[name] = value
            continue
        source, default = match[1], match[2]
        if source in allowed and source in env:
            found[name] = env[source]
            if secret_field(source) or secret_field(name):
                KNOWN.learn(*variable_secrets(env[source]))
        elif default is not None:
            found[name] = default
        else:
            raise _missing(source, where, is_allowed=source in allowed)
    return found


def _missing(name: str, where: str, *, is_allowed: bool) -> ConfigError:
    if is_allowed:
        return ConfigError(f"the task needs the variable {name}, which is not set", where=where)
    return ConfigError(
        f"the task wants to read the variable {name} of this machine",
        where=where,
        hint=f"allow it: params: {{pass_env: [{name}]}}",
    )
