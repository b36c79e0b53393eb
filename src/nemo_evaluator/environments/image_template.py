"""The images of problems by a template of the user's (``sandbox.image_template``)."""

from __future__ import annotations

import logging

import msgspec

from ..config.sandboxes import AnySandbox, ContainerFields
from ..sandbox_spec import SandboxSpec
from ..types import Problem
from .contract import Environment
from .decorated import Decorated

_LOG = logging.getLogger(__name__)


def with_images(environment: Environment, sandbox: AnySandbox | str) -> Environment:
    """The environment, each problem of which has the image that the template names."""
    if not isinstance(sandbox, ContainerFields) or sandbox.image_template is None:
        return environment
    return WithImages(environment, sandbox.image_template)


class WithImages(Decorated):
    """Problems whose image is a template filled in with their metadata."""

    def __init__(self, inner: Environment, template: str) -> None:
        super().__init__(inner)
        self._template = template
        self._warned = False

    async def seed(self, idx: int) -> Problem:
        """A problem, with its image; with that of its own spec where the template wants metadata
        that it does not have, which is said once."""
        problem = await self.inner.seed(idx)
        spec = problem.workspace or self.inner.needs.sandbox or SandboxSpec()
        try:
            image = self._template.format_map(problem.metadata)
        except (KeyError, IndexError, AttributeError, ValueError) as error:
            if not self._warned:
                self._warned = True
                _LOG.warning(
                    "%s: image_template %r cannot be filled in for problem %d: %r",
                    *(self.name, self._template, idx, error),
                )
            return problem
        spec = msgspec.structs.replace(spec, image=image, build=None)
        return msgspec.structs.replace(problem, workspace=spec)
