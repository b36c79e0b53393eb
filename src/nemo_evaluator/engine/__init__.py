"""The run itself: plan, backlog, rollouts, watchdog, progress."""

from ..aliases import attributes

__getattr__ = attributes(__name__)
