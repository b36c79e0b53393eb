"""Attempts at cheating, for `nel validate`: what a task's tests give one of them must be 0."""
