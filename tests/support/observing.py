"""Observers of runs for tests."""

from __future__ import annotations

from nemo_evaluator.executors.observers import Observer


class Said(Observer):
    """Keeps what a user is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def said(self, text: str) -> None:
        self.texts.append(text)
