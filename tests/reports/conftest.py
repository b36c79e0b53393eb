"""A real browser for the pages."""

from browser import page

__all__ = ["page"]
