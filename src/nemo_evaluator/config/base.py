"""What every configuration record has in common: unknown fields are errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class ConfigRecord(BaseModel):
    """A mapping a user writes. Fields are checked, unknown ones refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), use_attribute_docstrings=True
    )

    def changed(self) -> set[str]:
        """Names of the fields that were set to something other than their default."""
        fields = type(self).model_fields
        return {
            name for name in self.model_fields_set if getattr(self, name) != default(fields[name])
        }


def default(field: Any) -> Any:
    """The default of a pydantic field."""
    return field.get_default(call_default_factory=True)
