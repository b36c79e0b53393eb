"""The two sides of the border: what the tests' process gives away, and what the program's does.

Runs inside the sandbox. Everything may be asked of the program. The tests' side answers only calls
of what the tests handed over: a function's frame or module would lead to the tests themselves.
"""

from __future__ import annotations

import builtins
import io
import sys
import types
from typing import Any

from .border import Border
from .values import Unpackable

GENERATOR = frozenset(["send", "throw", "close"])
OPEN = frozenset(
    ["tests", "argparse", "collections", "queue", "random", "re", "string", "unittest.mock"]
)
"""Modules whose instances the program may use by their public attributes, if it is given one."""
NAMES = frozenset(["__name__", "__qualname__", "__doc__"])
"""What a decorator may read of a function of the tests."""
REPLACED = {"input": builtins.input, "print": builtins.print}
"""Built-in functions that tests replace to type input or to watch what is printed."""
PLAIN = (bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset)
DATA = (io.StringIO, io.BytesIO, types.SimpleNamespace)
MAX_PRINTED = 1 << 20
"""Characters of what a program prints that are kept for tests that want to see them."""


class Printed(io.StringIO):
    """What a program prints, up to a limit."""

    def write(self, text: str, /) -> int:
        """Keep a text, or drop it."""
        return super().write(text) if self.tell() < MAX_PRINTED else len(text)


class TestsBorder(Border):
    """The tests' side: hands over only what the tests do, and gives no access to anything else."""

    __test__ = False
    guarded = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._replaced = dict(REPLACED)

    def ask(self, kind: str, *args: Any, **kwargs: Any) -> Any:
        """As `Border.ask`. Where the tests watch what is printed, or type something, the program's
        output comes and goes the same way."""
        for name, known in self._replaced.items():
            if (found := getattr(builtins, name)) is not known:
                self._replaced[name] = found
                super().ask("replace", name, None if found is REPLACED[name] else found)
        if sys.stdin is not sys.__stdin__ and isinstance(sys.stdin, io.StringIO):
            super().ask("typed", sys.stdin.read())
        try:
            return super().ask(kind, *args, **kwargs)
        finally:
            if sys.stdout is not sys.__stdout__ and not self.broken:
                sys.stdout.write(str(super().ask("printed")))

    def check_attribute(self, target: Any, name: str) -> None:
        """Public attributes of instances of `OPEN` classes; nothing else."""
        public = not name.startswith("_") and _is_open(target)
        if isinstance(target, types.FunctionType) and name in NAMES:
            return
        if not public and not (isinstance(target, types.GeneratorType) and name in GENERATOR):
            raise AttributeError(name)

    def may_hand_over(self, value: Any) -> None:
        """Not modules, frames, files and the like."""
        own = _is_open(value) or getattr(value, "__module__", "") == "tests"
        if not own and not callable(value) and not hasattr(type(value), "__next__"):
            raise Unpackable(f"the tests hand over a {type(value).__name__}")

    def passes_on(self, error: BaseException) -> bool:
        """Errors that end the check are not sent to the program, which might catch them."""
        return not isinstance(error, Exception)

    def resolve(self, name: str) -> Any:
        """Built-in types only: a function of a library is not a value to be judged."""
        module, _, path = name.partition(":")
        found = getattr(builtins, path, None) if module == "builtins" else None
        if not isinstance(found, type) or found is type:
            raise ValueError("not a built-in type")
        return found


def _is_own(name: str, value: Any) -> bool:
    """Whether the program made it: a function, a class, an instance, or plain data."""
    plain = type(value) in PLAIN and not name.startswith("__")
    return plain or getattr(value, "__module__", "") == "solution"


def _is_open(value: Any) -> bool:
    return type(value).__module__ in OPEN or isinstance(value, DATA)


class ProgramBorder(Border):
    """The program's side: loads the program, and names what it defines."""

    def answer(self, kind: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """As `Border.answer`; also ``load``, ``name``, ``replace``, ``typed`` and ``printed``."""
        if kind == "replace":
            return setattr(builtins, args[0], args[1] or REPLACED[args[0]])
        if kind == "typed":
            sys.stdin = io.StringIO(args[0])
            return None
        if kind == "printed":
            printed, sys.stdout = sys.stdout, Printed()
            return printed.getvalue() if isinstance(printed, Printed) else ""
        if kind == "load":
            return self._load(*args)
        if kind == "name":
            return self.shared.namespace[args[0]]
        return super().answer(kind, args, kwargs)

    def crosses_by_name(self, value: Any) -> bool:
        """Built-in types only: functions of a library are called where the program is."""
        return isinstance(value, type) and value.__module__ == "builtins"

    def _load(self, source: str, entry_point: str, classes: list[str]) -> Any:
        namespace = self.shared.namespace
        exec(compile(source, "solution.py", "exec", dont_inherit=True), namespace)
        if entry_point and not callable(namespace.get(entry_point)):
            raise NameError(f"{entry_point} is not defined")
        own = {n: v for n, v in namespace.items() if _is_own(n, v)}
        defined = {name for name, value in own.items() if isinstance(value, type)}
        self.shared.names = frozenset(classes) & defined
        imported = {n: v.__name__ for n, v in namespace.items() if isinstance(v, types.ModuleType)}
        return sorted(own), sorted(self.shared.names), imported
