"""What editors are told about plug-ins that stand by name: which there are, and their options.

Everything comes of ``kinds``: built-in ones, and those of the packages that are installed.
"""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..kinds import BENCHMARKS, EXPORTERS, INTERCEPTORS, REPORTS, SCORERS
from ..plugins import Kind

Schema = dict[str, Any]


def name_plugins(records: Schema) -> None:
    """Add the names of plug-ins, and the options that stand beside them, to the ``$defs`` of the
    schema."""
    output = records["OutputConfig"]["properties"]
    output["report"]["items"] = _names(REPORTS)
    output["export"]["items"] = _names(EXPORTERS)
    output["export_config"]["properties"] = dict(_options(EXPORTERS, records))
    records["ScorerMetric"]["properties"]["name"] |= _names(SCORERS)
    records["BenchmarkConfig"]["properties"]["name"]["examples"] = BENCHMARKS.names()
    interceptor = records["InterceptorConfig"]
    interceptor["properties"]["name"] |= _names(INTERCEPTORS)
    interceptor["allOf"] = [
        {
            "if": {"properties": {"name": {"const": name}}},
            "then": {"properties": {"config": options}},
        }
        for name, options in _options(INTERCEPTORS, records)
    ]


def _names(kind: Kind) -> Schema:
    own = {"type": "string", "pattern": ".:."}
    known = {"enum": kind.names()}
    return {"anyOf": [known, own]} if kind.by_path else known


def _options(kind: Kind, records: Schema) -> list[tuple[str, Schema]]:
    """The options of every plug-in that has a record of them. Records inside are added to those of
    the document."""
    found = []
    for name in kind.names():
        try:
            record = kind.options(name)
        except ConfigError:
            continue  # a package that is broken
        if record is None:
            continue
        place = f"{kind.name}:{name}"
        schema = record.model_json_schema(ref_template=f"#/$defs/{place}:{{model}}")
        for inner, part in schema.pop("$defs", {}).items():
            records[f"{place}:{inner}"] = part
        found.append((name, schema))
    return found
