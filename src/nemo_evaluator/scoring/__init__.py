"""Pure functions from a response and a target to a verdict."""

from ..aliases import attributes

__getattr__ = attributes(__name__)
