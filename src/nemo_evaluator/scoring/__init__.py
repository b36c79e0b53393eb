"""Pure functions from a response and a target to a grade."""

from ..aliases import attributes

__getattr__ = attributes(__name__)
