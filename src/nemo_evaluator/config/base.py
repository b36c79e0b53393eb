"""What every configuration record has in common.

Unknown fields are errors, unless they are null. A null stands for the default, except where the
field itself may be null.
What is shown of a record (repr, dump) never holds a secret; attributes do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from .secrecy import blotted, hidden_urls, masked, redact, secret_field

NAME, PLUGIN = "name", "plugin"
"""What members of a union that have no ``type`` of their own are called: a text, and the record of
plug-ins that are not built in."""
VARIABLE = r"^[A-Za-z_]\w*$"
"""A name of an environment variable."""
NO_VARIABLE = "must be the name of a variable (letters, digits and _)"
"""Does not show what is written there: it may be the key itself."""
KEEPS_NULLS = {"params"}
"""Free-form mappings in which a null is a value like any other."""


class ConfigRecord(BaseModel):
    """A mapping a user writes. Fields are checked, unknown ones refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        hide_input_in_errors=True,
        defer_build=True,
    )
    _secrets: frozenset[str] = PrivateAttr(default=frozenset())

    def model_post_init(self, context: Any) -> None:
        """Remember the secrets known to the loader; they arrive as the validation context."""
        if context:
            self._secrets = context

    @model_validator(mode="before")
    @classmethod
    def _null_is_the_default(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        nullable, mappings, numbers = _kinds(cls)
        kept = {}
        for name, value in data.items():
            if value is None and name not in nullable:
                continue  # also if there is no such field: deleting an unset field is no change
            if name in mappings and isinstance(value, Mapping):
                value = {key: child for key, child in value.items() if child is not None}
            if name in numbers and isinstance(value, bool):
                value = str(value).lower()  # `max_drop: on` is no drop of 1: refused as a text is
            kept[name] = value
        return kept

    @model_serializer(mode="wrap")
    def _without_secrets(self, handler: SerializerFunctionWrapHandler) -> object:
        return masked(handler(self), self._secrets)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            if secret_field(str(name)):
                value = blotted(value)
            yield name, masked(value) if isinstance(value, dict) else value

    def __repr__(self) -> str:
        return hidden_urls(redact(super().__repr__(), self._secrets))

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Equal in what was written; what is known of secrets does not count."""
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def changed(self) -> set[str]:
        """Names of the fields that were set to something other than their default."""
        return {
            name
            for name, field in type(self).model_fields.items()
            if name in self.model_fields_set
            and getattr(self, name) != field.get_default(call_default_factory=True)
        }


@cache
def _kinds(
    record: type[ConfigRecord],
) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Names of the fields that may be null, of those that are mappings, and of those that take
    numbers and no truth values."""
    nullable, mappings, numbers = set(), set(), set()
    for name, field in record.model_fields.items():
        if NoneType in get_args(field.annotation):
            nullable.add(name)
        kinds = (field.annotation, *get_args(field.annotation))
        if any(get_origin(kind) is dict for kind in kinds) and name not in KEEPS_NULLS:
            mappings.add(name)
        plain = {*_parts(field.annotation)}
        if plain & {int, float} and not plain & {bool, str, Any, object}:
            numbers.add(name)
    return frozenset(nullable), frozenset(mappings), frozenset(numbers)


def _parts(annotation: Any) -> Iterator[Any]:
    """The members of a union, however it is nested in annotations."""
    origin = get_origin(annotation)
    if origin is Annotated or origin in (Union, UnionType):
        for part in get_args(annotation)[: 1 if origin is Annotated else None]:
            yield from _parts(part)
    else:
        yield annotation
