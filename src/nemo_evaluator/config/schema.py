"""The JSON Schema of the document, for editors, and the reference table of the docs.

Descriptions are the texts under the fields. They are read from the sources on demand, so that they
cost nothing when a configuration is loaded.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from . import (
    agent_solvers,
    agents,
    benchmark,
    budget,
    cluster,
    custom_service,
    docker_cluster,
    endpoints,
    gate,
    generation,
    kubernetes_cluster,
    output,
    proxy,
    root,
    sandboxes,
    scoring,
    servers,
    services,
    simulated,
    solvers,
)
from .base import ConfigRecord
from .plugin_schema import name_plugins
from .plugins import PluginFields

MODULES: tuple[ModuleType, ...] = (
    root,
    benchmark,
    solvers,
    agent_solvers,
    endpoints,
    generation,
    proxy,
    simulated,
    servers,
    custom_service,
    agents,
    services,
    scoring,
    sandboxes,
    budget,
    gate,
    cluster,
    docker_cluster,
    kubernetes_cluster,
    output,
)
REFERENCE_START = (
    "<!-- reference: made by `python -m nemo_evaluator.config.schema --docs"
    " docs/configuration.md` -->\n"
)
REFERENCE_END = "<!-- end of reference -->"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, object]:
    """The JSON Schema of a configuration file (numbers written as ``${NAME}`` are not covered)."""
    schema: dict[str, Any] = root.EvalConfig.model_json_schema()
    for record in records():
        name = record.__name__
        part = schema if record is root.EvalConfig else schema["$defs"].get(name)
        if part is None:
            continue
        for field, description in descriptions(record).items():
            part["properties"][field]["description"] = description
    name_plugins(schema["$defs"])
    composition = {"description": "Configurations that this one is composed of.", "type": "array"}
    schema["properties"] = {"defaults": composition, **schema["properties"]}
    schema["patternProperties"] = {"^_": {"description": "A value to refer to: ${._name}."}}
    # A base or a fragment may hold what this file leaves out.
    schema.pop("required")
    return {"$schema": DIALECT, **schema, "title": "nel configuration"}


def records(*, plugins: bool = False) -> list[type[ConfigRecord]]:
    """Every record a user can write, in the order of the reference: those of built-in types, or
    also those of plug-ins, whose further fields are options."""
    return [
        value
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, ConfigRecord)
        and value.__module__ == module.__name__
        and (plugins or not issubclass(value, PluginFields))
        and not value.__name__.endswith("Fields")
    ]


def descriptions(record: type[ConfigRecord]) -> dict[str, str]:
    """The text under each field, those of inherited fields included."""
    found: dict[str, str] = {}
    for base in reversed(record.__mro__):
        if issubclass(base, ConfigRecord):
            found |= _docs(inspect.getmodule(base)).get(base.__qualname__, {})
    return {name: found[name] for name in record.model_fields if name in found}


def reference() -> str:
    """Markdown tables of every record: field, type, default, meaning."""
    parts = [
        f"### {record.__name__}\n{inspect.getdoc(record)}\n\n{table(record)}"
        for record in records(plugins=True)
    ]
    return "\n\n".join(parts) + "\n"


def table(record: type[ConfigRecord]) -> str:
    """A Markdown table of the fields of one record."""
    texts = descriptions(record)
    rows = [
        f"| `{name}` | {_cell(_type(field))} | {_default(field)} | {_cell(texts[name])} |"
        for name, field in record.model_fields.items()
    ]
    return "\n".join(["| field | type | default | meaning |\n|---|---|---|---|", *rows])


def with_reference(page: str) -> str:
    """A page of the docs with its reference section brought up to date."""
    before, start, rest = page.partition(REFERENCE_START)
    _, end, after = rest.partition(REFERENCE_END)
    return f"{before}{start}{reference()}{end}{after}"


@cache
def _docs(module: ModuleType | None) -> dict[str, dict[str, str]]:
    assert module is not None
    found: dict[str, dict[str, str]] = {}
    pending = [("", node) for node in ast.parse(inspect.getsource(module)).body]
    while pending:
        prefix, node = pending.pop()
        if isinstance(node, ast.ClassDef):
            fields = found.setdefault(prefix + node.name, {})
            pending += [(f"{prefix}{node.name}.", child) for child in node.body]
            for field, text in zip(node.body, node.body[1:], strict=False):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(text, ast.Expr)
                    and isinstance(text.value, ast.Constant)
                ):
                    fields[field.target.id] = " ".join(str(text.value.value).split())
    return found


def _type(field: FieldInfo) -> str:
    text = _type_name(field.annotation)
    limits = [
        f"{sign} {getattr(limit, name):g}"
        for limit in field.metadata
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if getattr(limit, name, None) is not None
    ]
    return ", ".join([text, *limits])


def _type_name(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return "anything"
    if kind is NoneType:
        return "null"
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type_name(argument) for argument in arguments))
    if origin is list:
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return f"mapping of text to {_type_name(arguments[1])}"
    if origin is tuple:
        return " and ".join(_type_name(argument) for argument in arguments)
    plain = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    name = getattr(kind, "__name__", str(kind))
    if isinstance(kind, type) and issubclass(kind, ConfigRecord):
        return f"[{name}](#{name.lower()})"
    return plain.get(kind, "text" if name == "SecretStr" else name)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, ConfigRecord):
        return f"`{getattr(value, 'type', '{}')}`"
    if value is None or isinstance(value, bool):
        return f"`{str(value).lower().replace('none', 'null')}`"
    return f"`{str(list(value)) if isinstance(value, tuple) else value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")


def _main(arguments: list[str]) -> None:
    if arguments[:1] == ["--docs"]:
        page = Path(arguments[1])
        page.write_text(with_reference(page.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1:])
