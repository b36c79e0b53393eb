"""``SeedResult``: a problem as a ``seed_fn`` or ``EvalEnvironment.seed`` poses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from ..asked import Request, RequestKind
from ..errors import ConfigError
from ..sandbox_spec import HandoverSpec, SandboxSpec
from ..types import Image, Json, Message, Problem


@dataclass(slots=True)
class SeedResult:
    """One problem: a ``prompt`` (the user's turn) or whole ``messages``, and what is expected.

    Not frozen: users fill theirs in step by step.
    """

    prompt: str = ""
    expected_answer: Json = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    """Handed to the scorer; ``category`` and ``cluster`` group the results."""
    messages: Sequence[Message] | None = None
    system: str | None = None
    images: Sequence[Image | str | bytes] | None = None
    """URLs (``http…``, ``data:…``), paths, bytes or ``Image`` records."""
    requests: Sequence[Request] = ()
    """What is asked where that is not one generation: several questions, or the probability of a
    given text. The scorer reads ``sample.answers``."""
    sandbox_spec: SandboxSpec | None = None
    """The problem's workspace: the solver works there, and the verifier gets what it left."""
    verify_sandbox_spec: SandboxSpec | None = None
    """The verifier's own sandbox, which gets what the solver left; None: one like the workspace."""
    capture_cmd: str | None = None
    apply_cmd: str | None = None
    pre_agent_cmd: str | None = None
    """These three run in the sandboxes (see `HandoverSpec`); without a ``sandbox_spec`` there is
    nothing to do."""


def from_seed(seed: SeedResult, idx: int, system: str | None, where: str) -> Problem:
    """A ``SeedResult`` as a problem. Raises ConfigError for what this version cannot do."""
    if not isinstance(seed, SeedResult):
        raise ConfigError(f"seeding returned {type(seed).__name__}, not a SeedResult", where=where)
    if not (seed.prompt or seed.messages or seed.images or seed.requests):
        raise ConfigError("the problem has neither prompt nor messages", where=where)
    cluster = seed.metadata.get("cluster")
    return Problem(
        idx=idx,
        prompt=seed.prompt,
        messages=tuple(seed.messages or ()),
        system=seed.system if seed.system is not None else system,
        target=seed.expected_answer,
        metadata=dict(seed.metadata),
        images=tuple(_image(image) for image in seed.images or ()),
        cluster=None if cluster is None else str(cluster),
        requests=_requests(seed, where),
        workspace=workspace_spec(seed.sandbox_spec, "sandbox_spec", where),
        handover=HandoverSpec(
            verifier=workspace_spec(seed.verify_sandbox_spec, "verify_sandbox_spec", where),
            pre_agent_cmd=seed.pre_agent_cmd,
            capture_cmd=seed.capture_cmd,
            apply_cmd=seed.apply_cmd,
        ),
    )


def workspace_spec(given: object, what: str, where: str) -> SandboxSpec | None:
    """A problem's workspace as user code gives it. Raises ConfigError for what is none."""
    if given is None or isinstance(given, SandboxSpec):
        return given
    raise ConfigError(
        f"{what} is {type(given).__name__}, not a SandboxSpec",
        where=where,
        hint="from nemo_evaluator import SandboxSpec",
    )


def _requests(seed: SeedResult, where: str) -> tuple[Request, ...]:
    return tuple(
        _request(request, seed, f"request {number}", where)
        for number, request in enumerate(seed.requests)
    )


def _request(request: Request, seed: SeedResult, what: str, where: str) -> Request:
    if not isinstance(request, Request):
        raise ConfigError(f"{what} is a {type(request).__name__}, not a Request", where=where)
    if request.kind not in list(RequestKind):
        raise ConfigError(
            f"unknown kind {request.kind!r}", where=where, hint=", ".join(RequestKind)
        )
    if request.kind == RequestKind.LOGLIKELIHOOD and not request.continuation:
        raise ConfigError(
            f"{what} has no continuation, whose probability is asked for", where=where
        )
    if request.kind == RequestKind.ROLLING and not (request.prompt or seed.prompt):
        raise ConfigError(f"{what} has no prompt, whose probability is asked for", where=where)
    return msgspec.structs.replace(request, kind=RequestKind(request.kind))


def _image(image: Image | str | bytes) -> Image:
    if isinstance(image, Image):
        return image
    if isinstance(image, bytes):
        return Image(data=image)
    is_url = image.startswith(("http://", "https://", "data:"))
    return Image(url=image) if is_url else Image(path=image)
