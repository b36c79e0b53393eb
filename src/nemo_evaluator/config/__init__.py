"""What the user wrote: schema, loading, composition, snapshot."""

from ..aliases import attributes

__getattr__ = attributes(__name__)
