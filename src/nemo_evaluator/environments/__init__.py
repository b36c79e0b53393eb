"""Where problems come from and how answers are verified."""

from ..aliases import attributes

__getattr__ = attributes(__name__)
