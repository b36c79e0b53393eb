"""What a user writes about a plug-in, checked like everything else: path, what is wrong, how to fix
it. Only plug-ins that are named are imported.

Where a configuration says ``type: NAME``, `ByType` picks the record: that of the name, or, for what
an installed package or one's own code brings, the `PluginFields` of the kind. Its further fields
are the options of the plug-in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ..errors import ConfigError, suggest
from ..plugins import Kind
from ..types import Json
from .base import NAME, PLUGIN, ConfigRecord
from .explain import explain
from .mistakes import Mistake
from .tree import KeyPath

Given = BaseModel | Mapping[str, Json]
"""What a plug-in is opened with: its validated options, or keyword arguments."""


class PluginFields(ConfigRecord):
    """Fields of every plug-in whose type is no built-in one; the others are its options.

    It is the last base of a record: the one that decides whether further fields are allowed."""

    model_config = ConfigDict(extra="allow")
    kind: ClassVar[Kind]
    _options: BaseModel | None = PrivateAttr(default=None)
    type: str
    """Name of the plug-in, or ``module:Class``."""

    @property
    def options(self) -> Given:
        """What the plug-in is opened with."""
        return self._options if self._options is not None else dict(self.model_extra or {})

    @model_validator(mode="after")
    def _options_fit(self, info: ValidationInfo) -> PluginFields:
        try:
            record = self.kind.options(self.type)
        except ConfigError as error:
            raise _custom([Mistake(("type",), error.what, error.hint)]) from error
        if record is None:
            return self
        shared = {name for name in self.model_fields_set if name in type(self).model_fields}
        given = {name: getattr(self, name) for name in shared if name in record.model_fields}
        given |= self.model_extra or {}
        problems = list(option_problems(record, given, info.context or ()))
        if problems:
            raise _custom(problems)
        self._options = record.model_validate(given, context=info.context)
        return self


def given(config: ConfigRecord) -> Given:
    """What the plug-in that a record names is opened with."""
    return config.options if isinstance(config, PluginFields) else config


@dataclass(frozen=True, slots=True)
class ByType:
    """Annotates a union of records: ``type`` picks one of them. A text picks ``str``."""

    kind: Kind

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        choices: dict[str, CoreSchema] = {}
        for member in get_args(source):
            schema = handler.generate_schema(member)
            choices[tag_of(member)] = schema
        names = frozenset(choices) - {PLUGIN}

        def known(value: Any) -> Any:
            return _check_known(self.kind, names, value)

        def tag(value: Any) -> str | None:
            return self._tag(names, value)

        choices[PLUGIN] = core_schema.no_info_before_validator_function(known, choices[PLUGIN])
        return core_schema.tagged_union_schema(choices, tag)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        choices = dict(cast(core_schema.TaggedUnionSchema, schema)["choices"])
        shared = handler.resolve_ref_schema(handler(choices.pop(PLUGIN)))["properties"]
        text = choices.pop(NAME, None)
        found = dict(handler(core_schema.tagged_union_schema(choices, "type")))
        further = [
            _json_schema(self.kind, entry.name, shared, handler) for entry in self.kind.offered()
        ]
        if self.kind.by_path:
            fields = {**shared, "type": {"pattern": ".:."}}
            further.append({"type": "object", "properties": fields, "required": ["type"]})
        if text is not None:
            further.append(handler(text))
        found["oneOf"] = [*found["oneOf"], *further]
        return found

    def _tag(self, names: Collection[str], value: Any) -> str | None:
        if isinstance(value, str) and NAME in names:
            return NAME
        if not isinstance(value, Mapping | ConfigRecord):
            return PLUGIN  # which says that it must be a mapping
        if (name := _type_of(value)) is None:
            return None
        if isinstance(value, PluginFields) or name not in names or self._replaced(name):
            return PLUGIN
        return name

    def _replaced(self, name: str) -> bool:
        """Whether a package brings a declared name that is not built in."""
        try:
            return name not in self.kind.built_in and self.kind.offers(name)
        except ConfigError:
            return True  # several do: the record says so


def _names_of(name: str, field: FieldInfo) -> set[str]:
    return {name, *(alias for alias in (field.alias,) if alias)}


def _check_known(kind: Kind, names: Collection[str], value: Any) -> Any:
    name = _type_of(value)
    if name is not None and not kind.has(name):
        known = {*names, *kind.names()} - {NAME}
        raise _custom([Mistake((), f"there is no type {name!r}", suggest(name, known))])
    return value


def _type_of(value: Any) -> str | None:
    name = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    return None if name is None else str(name)


def _custom(problems: list[Mistake]) -> PydanticCustomError:
    """An error that ``explain`` takes apart; paths are relative to where it is raised."""
    text = "; ".join(problem.what for problem in problems)
    return PydanticCustomError(PLUGIN, "{text}", {"text": text, "problems": problems})


def _json_schema(
    kind: Kind, name: str, shared: Mapping[str, Any], handler: GetJsonSchemaHandler
) -> dict[str, Any]:
    """The JSON schema of one installed plug-in: the fields that all have, and its options; one
    without a record of them may have any."""
    own: dict[str, Any] = {"const": name, "type": "string"}
    try:
        record = kind.options(name)
    except ConfigError:
        record = None
    if record is None:
        fields = {**shared, "type": own}
        return {"type": "object", "properties": fields, "required": ["type"]}
    record.model_rebuild()
    found = dict(handler.resolve_ref_schema(handler(record.__pydantic_core_schema__)))
    found["properties"] = {**shared, "type": own, **found.get("properties", {})}
    found["required"] = ["type", *found.get("required", [])]
    return found


def tag_of(member: Any) -> str:
    """What a member of such a union is called in locations of errors."""
    if member is str:
        return NAME
    known = get_args(member.model_fields["type"].annotation)
    return str(known[0]) if known else PLUGIN


def plugin_problems(
    kind: Kind,
    name: str,
    config: Mapping[str, Any],
    path: KeyPath = (),
    secrets: Collection[str] = (),
) -> Iterator[Mistake]:
    """What is wrong with a ``name`` and its ``config`` that stand at a path; opens nothing."""
    try:
        options = kind.options(name)
    except ConfigError as error:
        yield Mistake((*path, "name"), error.what, error.hint)
        return
    if options is not None:
        for problem in option_problems(options, config, secrets):
            yield replace(problem, path=(*path, "config", *problem.path))


def option_problems(
    options: type[BaseModel], config: Mapping[str, Any], secrets: Collection[str] = ()
) -> Iterator[Mistake]:
    """What is wrong with the options of a plug-in. Unknown ones are, also where its record would
    pass over them."""
    known = {name for field in options.model_fields.items() for name in _names_of(*field)}
    if options.model_config.get("extra", "ignore") == "ignore":
        for name in config:
            if name not in known:
                yield Mistake((name,), "unknown field", suggest(name, known))
    try:
        options.model_validate(config, context=frozenset(secrets))
    except ValidationError as error:
        yield from explain(error, secrets, options)
