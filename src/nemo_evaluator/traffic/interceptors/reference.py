"""The reference page of the interceptors, made of what the code says about itself.

python -m nemo_evaluator.traffic.interceptors.reference docs/interceptors.md
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from ...config.base import ConfigRecord
from ...config.schema import table
from ...kinds import INTERCEPTORS

EXAMPLES = {
    "endpoint": "max_retries: 3\nrequest_timeout: 600\nretry_on_status: [429, 503]",
    "budget": "run: {tokens: 5000000}\nsession: {tokens: 200000}",
    "caching": "cache_dir: ./cache\nmax_age_hours: 72",
    "consolidate_system": 'separator: "\\n"',
    "drop_params": "params: [seed, top_k]",
    "fault": "rate_limit: 0.05\nserver_error: 0.02\nseed: 7",
    "finish_reason": "",
    "http_pairs_dump": "dump_path: ./pairs.json\nfirst_n: 20",
    "log_tokens": "",
    "logging": "preview_chars: 200",
    "modify_tools": "strip_properties: [security_risk]",
    "payload_modifier": (
        "params_to_remove: [seed]\nparams_to_rename: {max_tokens: max_completion_tokens}\n"
        "params_to_add:\n  chat_template_kwargs: {enable_thinking: true}\n"
        "headers_to_add: {x-team: evaluation}"
    ),
    "progress_tracking": "webhook_url: http://127.0.0.1:9/progress\nevery: 100",
    "raise_client_errors": "",
    "reasoning": 'tag_open: "<think>"\ntag_close: "</think>"',
    "reasoning_pattern": "pattern: '^.*?(?=Answer:)'",
    "reasoning_replay": "mode: think_tags",
    "record": "path: ./traffic.rec",
    "redact": 'patterns: ["PROJECT-\\\\d+"]\npreset: [email, api_keys]',
    "replay": "path: ./traffic.rec",
    "response_stats": "every: 1000",
    "streaming": "",
    "system_message": "system_message: Answer briefly.\nstrategy: replace",
    "turn_counter": "max_turns: 50\ntrigger: threshold\nposition: user_message",
}
"""Name → its ``config`` as YAML."""
INTRODUCTION = """\
# Interceptors

Interceptors are the steps between a caller and a model, in the order you list them.
[Model traffic](traffic.md#interceptors) explains how they work together, and how to write one.
<!-- made by `python -m nemo_evaluator.traffic.interceptors.reference docs/interceptors.md` -->
"""


def example(name: str) -> str:
    """A `proxy` section with this interceptor, as YAML."""
    lines = ["proxy:", "  interceptors:", f"    - name: {name}"]
    if config := EXAMPLES[name]:
        lines += ["      config:", *(f"        {line}" for line in config.splitlines())]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([INTRODUCTION, *(_section(name) for name in sorted(INTERCEPTORS.built_in))])


def _section(name: str) -> str:
    kind = INTERCEPTORS.load(name)
    module = inspect.getmodule(kind)
    several = module is not None and module.__name__.endswith(".recording")
    text = inspect.getdoc(kind if several else module) or ""
    parts = [f"## {name}", text.replace("``", "`"), f"```yaml\n{example(name)}```"]
    options = getattr(kind, "Options", None)
    if options is not None and options.model_fields:
        parts.append(table(options))
        parts += [_nested(record) for record in _records(options)]
    return "\n\n".join(parts) + "\n"


def _records(options: type[ConfigRecord]) -> list[type[ConfigRecord]]:
    """Records among the options, each once."""
    kinds: list[object] = [field.annotation for field in options.model_fields.values()]
    found = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, ConfigRecord)]
    return list(dict.fromkeys(found))


def _nested(record: type[ConfigRecord]) -> str:
    return f"### {record.__name__}\n{inspect.getdoc(record)}\n\n{table(record)}"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
