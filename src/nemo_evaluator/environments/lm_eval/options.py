"""What ``lm-eval://TASK?OPTIONS`` and ``params`` say, as one record."""

from __future__ import annotations

import enum
import urllib.parse
from collections.abc import Mapping
from typing import Any

import msgspec

from ...errors import ConfigError
from ...records import Json, Record
from ..params import options_of

SCHEME = "lm-eval"
MAPPINGS = ("gen_kwargs", "metadata")


class Mode(enum.StrEnum):
    """How the answer of a multiple choice is found."""

    AUTO = "auto"
    """The first of the others that the endpoint can do."""
    LOGLIKELIHOOD = "loglikelihood"
    """The text that is most probable after the question, as lm_eval does."""
    FIRST_TOKEN = "first_token"
    """The letter that is most probable as the first token of the answer."""
    GENERATE = "generate"
    """The letter that a written answer names."""


class Options(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of lm-evaluation-harness, by its own names and with its own defaults."""

    num_fewshot: int | None = None
    """Examples in the prompt; None: the task's own number."""
    limit: float | None = None
    """The first N documents of each task; below 1: that share of them."""
    include_path: str | None = None
    """A folder with YAML tasks of one's own."""
    apply_chat_template: bool | None = None
    """Ask by chat messages. None: where the endpoint's protocol is chat_completions."""
    fewshot_as_multiturn: bool = True
    """Examples are turns of the chat."""
    system_instruction: str | None = None
    gen_kwargs: Mapping[str, Json] | None = None
    """Change the generation parameters of tasks that generate, and of ``mode: generate``."""
    fewshot_seed: int = 1234
    seed: int = 1234
    """``seed`` of every request."""
    bootstrap_iters: int = 100_000
    """Draws for standard errors that have no formula."""
    max_length: int = 2048
    """Longest prompt, in tokens; what is longer is cut from the left, where the service has a
    ``tokenizer``."""
    confirm_run_unsafe_code: bool = False
    """Run code that the model writes, on this machine and without a sandbox."""
    metadata: Mapping[str, Json] | None = None
    """Further arguments of the tasks (``metadata`` of lm_eval)."""
    mode: Mode = Mode.AUTO
    python: str | None = None
    """An interpreter that has lm_eval; None: this one."""


def parse(uri: str, params: Mapping[str, Json]) -> tuple[tuple[str, ...], Options]:
    """The names of tasks, and the options. Raises ConfigError."""
    names, _, query = uri.partition("?")
    pairs = urllib.parse.parse_qs(query, keep_blank_values=True)
    mappings = {name: _mapping(pairs.pop(name)[-1]) for name in MAPPINGS if name in pairs}
    texts = {name: text for name in MAPPINGS if isinstance(text := params.get(name), str)}
    params = {**params, **{name: _mapping(text) for name, text in texts.items()}}
    rest = urllib.parse.urlencode({name: values[-1] for name, values in pairs.items()})
    tasks, options = options_of(f"{names}?{rest}", {**mappings, **params}, Options)
    found = tuple(name for name in tasks.split(",") if name)
    if not found:
        raise ConfigError("names no task", where=uri, hint="lm-eval://gsm8k")
    if options.limit is not None and options.limit <= 0:
        raise ConfigError(
            f"limit: {options.limit:g} documents are none", where=uri, hint="limit: 100"
        )
    if options.num_fewshot is not None and options.num_fewshot < 0:
        raise ConfigError(
            f"num_fewshot: {options.num_fewshot} is below 0", where=uri, hint="0 is none"
        )
    if options.bootstrap_iters < 0 or options.bootstrap_iters == 1:
        raise ConfigError(
            f"bootstrap_iters: {options.bootstrap_iters} draws make no standard error",
            where=uri,
            hint="0 (no error), or 1000",
        )
    return found, options


def _mapping(text: str) -> dict[str, Any]:
    """A mapping of a query: JSON, or ``a=1,b=2``."""
    if text.startswith("{"):
        return msgspec.json.decode(text, type=dict[str, Any])
    pairs = (item.partition("=") for item in text.split(",") if item)
    return {name.strip(): _value(value) for name, _, value in pairs}


def _value(text: str) -> Json:
    try:
        value: Json = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {"True": True, "False": False, "None": None}.get(text, text)
    return value
