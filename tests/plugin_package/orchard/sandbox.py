"""A sandbox: that of this machine, with a motto in its environment."""

from __future__ import annotations

import msgspec

from nemo_evaluator.config.base import ConfigRecord
from nemo_evaluator.sandboxes.contract import Sandbox, SandboxSpec
from nemo_evaluator.sandboxes.local import LocalBackend


class Shed(LocalBackend):
    """Makes sandboxes that know the motto."""

    name = "shed"

    class Options(ConfigRecord):
        """What is different here."""

        motto: str
        """Stands in the variable MOTTO."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self._motto = options.motto

    async def create(self, spec: SandboxSpec) -> Sandbox:
        """A sandbox with the motto."""
        env = {**spec.env, "MOTTO": self._motto}
        return await super().create(msgspec.structs.replace(spec, env=env))
