"""Remembers what took long to make, as long as the files that it was made of stay as they are."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

MOST = 32

T = TypeVar("T")


class FileCache:
    """The latest few things that were made. A key holds the state of the files it rests on."""

    def __init__(self, most: int = MOST) -> None:
        self._kept: OrderedDict[Hashable, object] = OrderedDict()
        self._most, self._lock = most, threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def of(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made under a key; made once, whoever asks meanwhile waits."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return cast(T, self._kept[key])
            turn = self._making.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                if key in self._kept:
                    return cast(T, self._kept[key])
            made = make()
            with self._lock:
                self._kept[key] = made
                self._making.pop(key, None)
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            return made
