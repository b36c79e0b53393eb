"""The border between the tests' process and the program's: calls, exceptions and stand-ins.

Runs inside the sandbox, on both sides. Plain values are copied; what a call changed in its
arguments is carried back; everything else (an object, a generator, a function) stays where it is
and has a `StandIn` on the other side. The tests' side gives nothing away but calls of what the
tests themselves handed over, and its own data never meets an operator of the program: such an
operator could say "equal" or "close enough" to anything.
"""

from __future__ import annotations

import importlib
import json
import struct
import sys
import types
from collections.abc import Callable
from typing import IO, Any

from .errors import is_error, lineage, text_of, text_there
from .values import Packer, Shared, Types, Unpackable, Unpacker, hides_method, is_stdlib

MAX_MESSAGE = 64 << 20

# What a stand-in passes on: the answer is data, or the object of one of the two sides.
_ASKED = """call len iter next getitem setitem delitem str repr format bool int float index complex
abs neg pos invert round floor ceil trunc hash enter exit reversed length_hint fspath bytes"""
# Operators with a second operand, which decide what a test's data is compared with.
_ARITHMETIC = """add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift"""
_COMPARING = """eq ne lt le gt ge contains instancecheck"""
ASKED = frozenset(f"__{name}__" for name in _ASKED.split())
OPERATORS = frozenset(
    [f"__{prefix}{name}__" for name in _ARITHMETIC.split() for prefix in ("", "r", "i")]
    + [f"__{name}__" for name in _COMPARING.split()]
)
SPECIAL = ASKED | OPERATORS
READABLE = frozenset(["__name__", "__doc__", "__qualname__", "__dict__", "__annotations__"])
ITERATORS: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        *(types.GeneratorType, zip, map, filter, enumerate, reversed),
        *(type(iter([])), type(iter(())), type(iter({})), type(iter(range(0)))),
    )
}


class Broken(BaseException):
    """The other side is gone or answers nonsense. No test can catch it as an Exception."""


class StandIn:
    """An object of the other side."""

    __slots__ = ("_border", "_number")

    def __init__(self, border: Border, number: int) -> None:
        object.__setattr__(self, "_border", border)
        object.__setattr__(self, "_number", number)

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__" and name not in READABLE:
            raise AttributeError(name)
        return self._border.ask("get", self._number, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._border.ask("set", self._number, name, value)

    def __delattr__(self, name: str) -> None:
        self._border.ask("del", self._number, name)


def _special(name: str) -> Callable[..., Any]:
    def method(self: StandIn, *args: Any, **kwargs: Any) -> Any:
        border = self._border
        if name in OPERATORS and not border.open and not isinstance(args[0], StandIn):
            return False if name == "__instancecheck__" else NotImplemented
        if name == "__exit__":
            args = (None, args[1], None)
        return border.ask("special", self._number, name, *args, **kwargs)

    method.__name__ = name
    return method


def specials(cls: type) -> list[str]:
    """The special methods of a class that are not those every object has. (An attribute of the
    class would be found in its metaclass too, which makes every class callable.)"""
    owners = {name: next((c for c in cls.__mro__ if name in vars(c)), object) for name in SPECIAL}
    return sorted(n for n, c in owners.items() if c is not object and vars(c)[n] is not None)


class Border:
    """One side. ``open``: operators are passed on whatever the other operand is."""

    guarded = False
    """Whether the other side may not change what methods of ours do."""

    def __init__(self, read: IO[bytes], write: IO[bytes], namespace: dict[str, Any]) -> None:
        self._read, self._write = read, write
        self.shared = Shared(namespace)
        self.open = False
        self.broken: str | None = None
        self.asked = 0
        self.types = Types()
        self._handed: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._stand_ins: dict[int, StandIn] = {}
        self._classes: dict[tuple[str, frozenset[str]], type] = {}
        self._errors: dict[tuple[str, ...], type] = {}

    def ask(self, kind: str, *args: Any, **kwargs: Any) -> Any:
        """Ask the other side for something. Raises what it raised, or Broken."""
        if self.broken:
            raise Broken(self.broken)
        self.asked += 1
        packer = Packer(self, [])
        packed = [packer.pack(list(args)), packer.pack(kwargs)]
        self._send("ask", kind, packed, packer.contents())
        while True:
            what, *message = self._receive()
            if what == "ask":
                self._answer(message)
                continue
            if what not in ("value", "error"):
                raise self._break("answers nonsense")
            value = self._take(message, packer.objects)
            if what == "value":
                return value
            raise value

    def serve(self) -> None:
        """Answer the other side until it is gone."""
        while True:
            what, *message = self._receive()
            if what != "ask":
                raise Broken("answers nonsense")
            self._answer(message)

    def answer(self, kind: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """What is asked for: a special method or an attribute of what was handed over."""
        target = self._handed[args[0]]
        if kind == "special":
            return self.special(target, args[1], args[2:], kwargs)
        self.check_attribute(target, args[1])
        if kind == "get":
            return getattr(target, args[1])
        if self.guarded and hides_method(type(target), args[1]):
            raise AttributeError(args[1])
        if kind in ("set", "del"):
            return setattr(target, *args[1:]) if kind == "set" else delattr(target, args[1])
        raise ValueError("an unknown question")

    @staticmethod
    def special(target: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """The result of a special method, by the rules of Python."""
        if name == "await":
            return importlib.import_module("asyncio").run(target)
        if name not in SPECIAL:
            raise AttributeError(name)
        if name == "__call__":
            return target(*args, **kwargs)
        if name == "__exit__":
            args = [args[1] and type(args[1]), *args[1:]]
        return getattr(type(target), name)(target, *args)

    def check_attribute(self, target: Any, name: str) -> None:
        """Raise AttributeError for what the other side may not touch."""

    def may_hand_over(self, value: Any) -> None:
        """Raise Unpackable for what the other side must not get, not even as a stand-in."""

    def _answer(self, message: list[Any]) -> None:
        kind, packed, contents = message
        unpacker = Unpacker(self, [])
        try:
            unpacker.fill(enumerate(contents))
            args, kwargs = unpacker.unpack(packed[0]), unpacker.unpack(packed[1])
        except Exception:
            raise self._break("answers nonsense") from None
        before = Packer(self, unpacker.objects)
        known = before.contents()
        try:
            what, value = "value", self.answer(kind, args, kwargs)
            self._reply(what, value, unpacker.objects, known)
        except Broken:
            raise
        except BaseException as error:
            if self.passes_on(error):
                raise
            self._reply("error", error, unpacker.objects, known)

    def passes_on(self, error: BaseException) -> bool:
        """Whether an error ends this side instead of being sent to the other."""
        return False

    def _reply(self, what: str, value: Any, objects: list[Any], known: list[Any]) -> None:
        """The answer, with those objects of the question that have changed and all new ones."""
        packer = Packer(self, objects)
        packed = self.pack_error(value, packer) if what == "error" else packer.pack(value)
        now = packer.contents()
        changed = [
            [number, content]
            for number, content in enumerate(now)
            if number >= len(known) or content != known[number]
        ]
        self._send(what, packed, changed)

    def _take(self, message: list[Any], objects: list[Any]) -> Any:
        unpacker = Unpacker(self, objects)
        try:
            packed, changed = message
            unpacker.fill((number, content) for number, content in changed)
            if isinstance(packed, dict):
                return self.unpack_error(packed, unpacker)
            return unpacker.unpack(packed)
        except Exception:
            raise self._break("answers nonsense") from None

    # Stand-ins.

    def stand_in(self, value: Any) -> Any:
        """JSON for an object that stays here."""
        if isinstance(value, StandIn):
            return ["y", value._number]
        if (name := is_stdlib(value)) and self.crosses_by_name(value):
            return ["g", name]
        if isinstance(value, type) and issubclass(value, BaseException):
            return ["X", lineage(value)]
        self.may_hand_over(value)
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._handed)
            self._handed.append(value)
        if isinstance(value, types.CoroutineType):
            return ["w", number]
        return ["h", number, type(value).__name__, specials(type(value))]

    def crosses_by_name(self, value: Any) -> bool:
        """Whether the other side gets its own copy of a thing of the standard library."""
        return True

    def stands_for(self, tag: str, parts: list[Any]) -> Any:
        """The object here of what ``stand_in`` packed there."""
        if tag == "y":
            return self._handed[parts[0]]
        if tag == "g":
            return self.resolve(parts[0])
        if tag == "X":
            return self.error_class(parts[0])
        if tag == "w":
            return self._awaited(parts[0])
        if tag != "h":
            raise ValueError("an unknown tag")
        number, name, known = parts
        if number not in self._stand_ins:
            self._stand_ins[number] = self._class(str(name), frozenset(known))(self, number)
        return self._stand_ins[number]

    async def _awaited(self, number: int) -> Any:
        return self.ask("special", number, "await")

    def resolve(self, name: str) -> Any:
        """A class or function of the standard library by its name."""
        module, _, path = name.partition(":")
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
        return found

    def _class(self, name: str, known: frozenset[str]) -> type:
        """The class of stand-ins for objects with these special methods."""
        key = (name, known)
        if key not in self._classes:
            body: dict[str, Any] = {n: _special(n) for n in known & SPECIAL}
            body["__slots__"] = ()
            body["__doc__"] = property(lambda self: self.__getattr__("__doc__"))
            if not self.open:
                body.pop("__contains__", None)  # Python looks through what iterates instead
            if "__eq__" in body and "__hash__" not in body:
                body["__hash__"] = None
            if (iterates := ITERATORS.get(name)) is not None:
                body["__class__"] = property(lambda _: iterates)
            self._classes[key] = type(name, (StandIn,), body)
        return self._classes[key]

    # Types of the other side.

    def named_tuple(self, name: str, fields: list[str], items: list[Any]) -> Any:
        """A named tuple of the other side."""
        return self.types.named_tuple(self.shared.get(name), name, fields, items)

    def enum_member(self, name: str, member: str, value: Any, root: str, mixin: str) -> Any:
        """A member of an enumeration of the other side."""
        return self.types.enum_member(self.shared.get(name), name, member, value, root, mixin)

    def pack_error(
        self, error: BaseException, packer: Packer, *, caused: bool = True
    ) -> dict[str, Any]:
        """An exception: the names of its classes, its arguments and attributes, its text, and
        (if ``caused``) the exception it was raised from."""
        return {
            "lineage": lineage(type(error)),
            "args": packer.pack(tuple(_argument_or_text(self, arg) for arg in error.args)),
            "state": packer.pack({k: _argument_or_text(self, v) for k, v in vars(error).items()}),
            "text": text_of(error),
            "cause": self.pack_error(error.__cause__, packer, caused=False)
            if caused and error.__cause__ is not None
            else None,
        }

    def unpack_error(self, packed: dict[str, Any], unpacker: Unpacker) -> BaseException:
        """The exception here: of the same class where it is known, else of one made like it."""
        cls = self.error_class(packed["lineage"])
        args = unpacker.unpack(packed["args"])
        try:
            error: BaseException = cls(*args)
        except Exception:
            error = cls.__new__(cls, *args)
        for name, value in unpacker.unpack(packed["state"]).items():
            if not name.startswith("__"):
                error.__dict__[name] = value
        if packed["cause"] is not None:
            error.__cause__ = self.unpack_error(packed["cause"], unpacker)
        error.__dict__["_crossed"] = f"{type(error).__name__}: {packed['text']}"
        error.__dict__["_text"] = str(packed["text"])
        return error

    def error_class(self, names: list[str]) -> Any:
        """The exception class of these names, of which the last is always known."""
        for number, name in enumerate(names):
            module, _, path = name.partition(":")
            known = self.shared.get(path)
            if known is None and is_error(module, path):
                known = getattr(sys.modules[module], path)
            if isinstance(known, type) and issubclass(known, BaseException):
                if number == 0:
                    return known
                key = (names[0], *names[number:])
                if key not in self._errors:
                    name = names[0].rpartition(":")[2]
                    self._errors[key] = type(name, (known,), {"__str__": text_there})
                return self._errors[key]
        raise ValueError("not an exception")

    # Messages.

    def _send(self, *message: Any) -> None:
        try:
            data = json.dumps(message, separators=(",", ":")).encode()
        except (RecursionError, ValueError):
            raise Unpackable("a value is nested too deeply") from None
        try:
            self._write.write(struct.pack("<I", len(data)) + data)
            self._write.flush()
        except (OSError, struct.error):
            raise self._break("the program ended, or takes no data") from None

    def _receive(self) -> list[Any]:
        try:
            head = self._read.read(4)
            size = struct.unpack("<I", head)[0]
            data = self._read.read(size) if size <= MAX_MESSAGE else b""
            if len(data) != size:
                raise EOFError
            message = json.loads(data)
            if not isinstance(message, list) or not message:
                raise EOFError
            return message
        except (EOFError, OSError, ValueError, RecursionError, struct.error):
            raise self._break("the program ended, or answers nonsense") from None

    def _break(self, why: str) -> Broken:
        self.broken = self.broken or why
        return Broken(why)


def _argument_or_text(border: Border, value: Any) -> Any:
    """An argument of an exception, as text where it cannot cross."""
    try:
        Packer(border, []).pack(value)
        return value
    except Exception:
        return str(value)
