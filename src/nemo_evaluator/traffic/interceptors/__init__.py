"""Interceptors by name: built in, from the entry points of a package, or ``module:Class``.

A built-in interceptor is one file in this folder and one row of ``BUILT_IN``. ``endpoint`` is the
last step of every pipeline, named in a configuration or not; its options stand in for those of
`proxy`.
"""

from __future__ import annotations

from ...plugins import installed

ENDPOINT = "endpoint"
BUILT_IN = {
    ENDPOINT: ("endpoint:EndpointOptions", "retries, rate limits, concurrency, timeouts"),
    "budget": ("budget:Budget", "stops at a number of tokens or dollars, per run and session"),
    "caching": ("caching:Caching", "answers equal requests from a file on disk"),
    "consolidate_system": ("consolidate_system:ConsolidateSystem", "one system message, first"),
    "drop_params": ("drop_params:DropParams", "removes parameters of the request"),
    "fault": ("fault:Fault", "injects failures, to test how a run copes"),
    "finish_reason": (
        "finish_reason:FinishReasonFixup",
        "corrects `stop` where a limit was reached",
    ),
    "http_pairs_dump": ("http_pairs_dump:HttpPairsDump", "writes first and failed pairs to a file"),
    "log_tokens": ("log_tokens:LogTokens", "logs the tokens of every answer"),
    "logging": ("logging:Logging", "logs every request and answer"),
    "modify_tools": ("modify_tools:ModifyTools", "strips or adds properties of tool schemas"),
    "payload_modifier": ("payload_modifier:PayloadModifier", "removes, renames, adds parameters"),
    "progress_tracking": ("progress_tracking:ProgressTracking", "counts answers, calls a webhook"),
    "raise_client_errors": ("raise_client_errors:RaiseClientErrors", "4xx are errors, not answers"),
    "reasoning": ("reasoning:Reasoning", "moves <think> texts to `reasoning_content`"),
    "reasoning_replay": ("reasoning_replay:ReasoningReplay", "puts earlier reasoning back"),
    "record": ("recording:Record", "saves the traffic of a run for `replay`"),
    "redact": ("redact:Redact", "removes patterns before anything is written"),
    "replay": ("recording:Replay", "answers from a recording, without a network"),
    "response_stats": ("response_stats:ResponseStats", "logs totals every so many answers"),
    "streaming": ("streaming:Streaming", "asks the endpoint for streams"),
    "system_message": ("system_message:SystemMessage", "replaces or adds a system message"),
    "turn_counter": ("turn_counter:TurnCounter", "limits and announces the turns of a session"),
}
"""Name → (class, and one line about it)."""
GROUP = "nemo_evaluator.interceptors"


def list_interceptors() -> list[tuple[str, str]]:
    """Name and one line about each, without importing any."""
    rows = [(name, text) for name, (_, text) in BUILT_IN.items()]
    return rows + [(entry.name, entry.value) for entry in installed(GROUP)]
