"""Turns a problem into a solution."""

from ..aliases import attributes

__getattr__ = attributes(__name__)
