"""OTLP in its JSON encoding: attributes, identifiers, and the envelopes of spans and log records.

See https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. Integers of 64 bits are texts
there. Identifiers follow from what they identify, so that exporting again names the same spans.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Mapping, Sequence

from ...results.tables import plain_text
from ...types import Json
from ...version import __version__

SCOPE: Json = {"name": "nemo_evaluator", "version": __version__}
LARGEST = 2**63


def trace_id(*parts: str) -> str:
    """32 hexadecimal digits."""
    return _digest(parts)[:32]


def span_id(*parts: str) -> str:
    """16 hexadecimal digits."""
    return _digest(parts)[:16]


def nanoseconds(when: datetime.datetime) -> str:
    """Since the epoch, as a text."""
    return str(round(when.timestamp() * 1_000_000) * 1000)


def attributes(values: Mapping[str, Json]) -> list[Json]:
    """Key and typed value of each; those that are None are left out."""
    return [
        {"key": name, "value": any_value(value)}
        for name, value in values.items()
        if value is not None
    ]


def any_value(value: Json) -> dict[str, Json]:
    """A typed value; mappings, and integers that are too large, are texts."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and -LARGEST <= value < LARGEST:
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [any_value(one) for one in value]}}
    return {"stringValue": plain_text(value) or ""}


def spans_document(resource: Mapping[str, Json], spans: Sequence[Json]) -> dict[str, Json]:
    """What is posted to ``/v1/traces``."""
    inner: Json = [{"scope": SCOPE, "spans": spans}]
    return {"resourceSpans": [{"resource": _resource(resource), "scopeSpans": inner}]}


def logs_document(resource: Mapping[str, Json], records: Sequence[Json]) -> dict[str, Json]:
    """What is posted to ``/v1/logs``."""
    inner: Json = [{"scope": SCOPE, "logRecords": records}]
    return {"resourceLogs": [{"resource": _resource(resource), "scopeLogs": inner}]}


def _resource(values: Mapping[str, Json]) -> Json:
    return {"attributes": attributes(values)}


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()
