"""Values that cross between the tests and the program, as JSON that names only known kinds.

Runs inside the sandbox (standard library only, Python 3.8 and later). A message is a root value
and a table of the mutable objects in it, each by number, so that shared and circular objects stay
what they are and a change of an argument can be carried back. Reading a message never runs code of
the other side: it builds values of the types named here, instances of classes that both sides
have (`Shared`), and stand-ins for everything else.
"""

from __future__ import annotations

import enum
import importlib
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterator
from typing import Any

SMALL = 1 << 62
"""Larger integers cross in hexadecimal, which has no limit on digits."""
STDLIB = frozenset(getattr(sys, "stdlib_module_names", sys.builtin_module_names))
CONTAINERS: tuple[type, ...] = (list, dict, set, bytearray, deque)
CONSTANTS = {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented}
VIEWS = {
    "dict_keys": type({}.keys()),
    "dict_values": type({}.values()),
    "dict_items": type({}.items()),
}

# Immutable values of the standard library: what their constructor is called with.
BUILT: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "builtins.complex": lambda v: (v.real, v.imag),
    "builtins.range": lambda v: (v.start, v.stop, v.step),
    "builtins.slice": lambda v: (v.start, v.stop, v.step),
    "fractions.Fraction": lambda v: (v.numerator, v.denominator),
    "decimal.Decimal": lambda v: (str(v),),
    "datetime.date": lambda v: (v.year, v.month, v.day),
    "datetime.time": lambda v: (v.hour, v.minute, v.second, v.microsecond, v.tzinfo),
    "datetime.datetime": lambda v: (
        *(v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond),
        v.tzinfo,
    ),
    "datetime.timedelta": lambda v: (v.days, v.seconds, v.microseconds),
    "datetime.timezone": lambda v: (v.utcoffset(None),),
    "zoneinfo.ZoneInfo": lambda v: (v.key,),
    "uuid.UUID": lambda v: (str(v),),
    "pathlib.PosixPath": lambda v: (str(v),),
    "pathlib.PurePosixPath": lambda v: (str(v),),
    "ipaddress.IPv4Address": lambda v: (str(v),),
    "ipaddress.IPv6Address": lambda v: (str(v),),
    "array.array": lambda v: (v.typecode, v.tobytes()),
}
ROOTS = ("StrEnum", "IntEnum")
NUMPY_KINDS = "biufcSUMm"


class Unpackable(TypeError):
    """A value that cannot cross."""


class Shared:
    """The classes that both sides have: those of the tests which the program defines too."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.names: frozenset[str] = frozenset()

    def name(self, cls: type) -> str:
        """The name of a class that the other side has as well, else an empty one."""
        name = cls.__name__
        return name if name in self.names and self.namespace.get(name) is cls else ""

    def get(self, name: str) -> Any:
        """Our class of that name, or None."""
        found = self.namespace.get(name) if name in self.names else None
        return found if isinstance(found, type) else None


def own_items(kind: Any, value: Any) -> Iterator[Any]:
    """What a container holds, whatever its subclass says."""
    items: Iterator[Any] = kind.__iter__(value)
    return items


def hides_method(cls: type, name: str) -> bool:
    """Whether an attribute of an instance would stand before a method of its class."""
    return name.startswith("__") or callable(getattr(cls, name, None))


def attributes(value: Any) -> dict[str, Any]:
    """The state of an instance: its dictionary and its slots."""
    state = dict(getattr(value, "__dict__", ()))
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                state[name] = getattr(value, name)
    return state


class Packer:
    """Values of one message, to JSON. ``known``: the objects both sides number alike already."""

    def __init__(self, border: Any, known: list[Any]) -> None:
        self.border, self.objects = border, list(known)
        self._numbers = {id(value): number for number, value in enumerate(known)}

    def contents(self, start: int = 0) -> list[Any]:
        """The packed contents of the table from a number on. It may grow meanwhile."""
        found: list[Any] = []
        while start + len(found) < len(self.objects):
            found.append(self._content(self.objects[start + len(found)]))
        return found

    def pack(self, value: Any) -> Any:
        """JSON for a value. Raises Unpackable."""
        kind = type(value)
        if value is None or kind in (bool, float, str):
            return value
        if isinstance(value, enum.Enum):
            return self._enum(value)
        if isinstance(value, int):
            whole = int.__int__(value)
            return whole if -SMALL < whole < SMALL else ["i", hex(whole)]
        if isinstance(value, (float, str)):
            return float.__float__(value) if isinstance(value, float) else str.__str__(value)
        if kind.__module__ == "numpy":
            return self._numpy(value)
        shared = self.border.shared.name(kind) and not isinstance(value, (tuple, BaseException))
        if shared or isinstance(value, CONTAINERS):
            return ["@", self._number(value)]
        return self._immutable(value)

    def _number(self, value: Any) -> int:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.objects)
            self.objects.append(value)
        return number

    def _immutable(self, value: Any) -> Any:
        if isinstance(value, tuple):
            items = [self.pack(item) for item in tuple.__iter__(value)]
            fields = getattr(type(value), "_fields", None)
            return ["N", type(value).__name__, list(fields), items] if fields else ["t", *items]
        if isinstance(value, frozenset):
            return ["f", *(self.pack(item) for item in frozenset.__iter__(value))]
        if isinstance(value, (bytes, memoryview)):
            return ["b", bytes(value).hex()]
        kind = type(value)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name in BUILT:
            return ["v", name, *(self.pack(part) for part in BUILT[name](value))]
        for view, cls in VIEWS.items():
            if kind is cls:
                return ["k", view, *(self.pack(item) for item in list(value))]
        for name, constant in CONSTANTS.items():
            if value is constant:
                return ["=", name]
        if isinstance(value, BaseException):
            return ["x", self.border.pack_error(value, self)]
        return self.border.stand_in(value)

    def _enum(self, value: Any) -> Any:
        root = next((n for n in ROOTS if _has_base(value, n)), "Enum")
        mixin = next((c.__name__ for c in (str, int, float) if isinstance(value, c)), "")
        if isinstance(value, enum.Flag):
            return self.border.stand_in(value)
        return ["E", type(value).__name__, value.name, self.pack(value.value), root, mixin]

    def _numpy(self, value: Any) -> Any:
        dtype = getattr(value, "dtype", None)
        if dtype is None or dtype.kind not in NUMPY_KINDS or dtype.names:
            return self.border.stand_in(value)
        data = value.tobytes().hex()
        if isinstance(value, sys.modules["numpy"].ndarray):
            return ["@", self._number(value)]
        return ["n", dtype.str, data]

    def _content(self, value: Any) -> Any:
        if isinstance(value, dict):
            kind: Any = OrderedDict if isinstance(value, OrderedDict) else dict
            pairs = [[self.pack(key), self.pack(item)] for key, item in kind.items(value)]
            if isinstance(value, defaultdict):
                return ["dd", self.pack(value.default_factory), *pairs]
            name = next((n for n, c in DICTS.items() if isinstance(value, c)), "d")
            return [name, *pairs]
        if isinstance(value, bytearray):
            return ["ba", bytes(value).hex()]
        if isinstance(value, deque):
            return ["dq", value.maxlen, *(self.pack(item) for item in deque.__iter__(value))]
        for tag, cls in (("l", list), ("s", set)):
            if isinstance(value, cls):
                return [tag, *(self.pack(item) for item in own_items(cls, value))]
        if type(value).__module__ == "numpy":
            return ["a", value.dtype.str, list(value.shape), value.tobytes().hex()]
        state = [[name, self.pack(item)] for name, item in attributes(value).items()]
        return ["o", self.border.shared.name(type(value)), *state]


DICTS = {"C": Counter, "od": OrderedDict}


def _has_base(value: Any, name: str) -> bool:
    base = getattr(enum, name, None)
    return base is not None and isinstance(value, base)


class Unpacker:
    """A message's values. Every malformed message raises some Exception."""

    def __init__(self, border: Any, known: list[Any]) -> None:
        self.border, self.objects = border, list(known)

    def fill(self, contents: Iterator[tuple[int, Any]]) -> None:
        """Make the objects of a table, then give them what they hold: hashed ones last."""
        todo = sorted(contents, key=lambda item: item[0])
        for number, content in todo:
            if number == len(self.objects):
                self.objects.append(self._empty(content))
            elif not 0 <= number < len(self.objects):
                raise ValueError("no such object")
        for number, content in sorted(todo, key=lambda item: item[1][0] in HASHED):
            self._restore(self.objects[number], content)

    def unpack(self, packed: Any) -> Any:
        """The value of ``Packer.pack``."""
        if packed is None or isinstance(packed, (bool, int, float, str)):
            return packed
        tag, *parts = packed
        if tag == "@":
            return self.objects[_index(parts[0])]
        if tag == "i":
            return int(parts[0], 16)
        if tag in ("t", "f"):
            return (tuple if tag == "t" else frozenset)(self.unpack(item) for item in parts)
        if tag == "b":
            return bytes.fromhex(parts[0])
        if tag == "v":
            return self._built(parts[0], [self.unpack(part) for part in parts[1:]])
        return self._rarer(tag, parts)

    def _rarer(self, tag: str, parts: list[Any]) -> Any:
        if tag == "N":
            return self.border.named_tuple(parts[0], parts[1], [self.unpack(p) for p in parts[2]])
        if tag == "E":
            name, member, value, root, mixin = parts
            return self.border.enum_member(name, member, self.unpack(value), root, mixin)
        if tag == "k":
            return _view(parts[0], [self.unpack(item) for item in parts[1:]])
        if tag == "n":
            return _numpy().frombuffer(bytes.fromhex(parts[1]), dtype=_dtype(parts[0]))[0]
        if tag == "=":
            return CONSTANTS[parts[0]]
        if tag == "x":
            return self.border.unpack_error(parts[0], self)
        return self.border.stands_for(tag, parts)

    @staticmethod
    def _built(name: str, parts: list[Any]) -> Any:
        if name not in BUILT:
            raise ValueError("unknown type")
        module, _, kind = name.rpartition(".")
        return getattr(importlib.import_module(module), kind)(*parts)

    def _empty(self, content: Any) -> Any:
        tag = content[0]
        if tag == "o":
            cls = self.border.shared.get(content[1])
            if cls is None:
                raise ValueError("unknown class")
            return object.__new__(cls)
        if tag == "a":
            return _numpy().empty(tuple(map(_index, content[2])), dtype=_dtype(content[1]))
        if tag == "dq":
            return deque(maxlen=content[1])
        return EMPTY[tag]()

    def _restore(self, target: Any, content: Any) -> None:
        """Give an object the contents it has on the other side; it stays the same object."""
        tag, *parts = content
        if tag == "o":
            self._set_attributes(target, parts[1:])
        elif tag == "a":
            data = _numpy().frombuffer(bytes.fromhex(parts[2]), dtype=_dtype(parts[0]))
            target[...] = data.reshape(target.shape)
        elif tag == "ba":
            target[:] = bytes.fromhex(parts[0])
        elif tag in ("l", "dq", "s"):
            items = [self.unpack(item) for item in (parts[1:] if tag == "dq" else parts)]
            target.clear()
            (target.update if tag == "s" else target.extend)(items)
        else:
            if tag == "dd":
                target.default_factory = self.unpack(parts.pop(0))
            pairs = [(self.unpack(key), self.unpack(item)) for key, item in parts]
            target.clear()
            # an ordered one keeps its order beside the table of a dict
            setter: Any = OrderedDict if isinstance(target, OrderedDict) else dict
            for key, item in pairs:
                setter.__setitem__(target, key, item)

    def _set_attributes(self, target: Any, state: list[Any]) -> None:
        new = {}
        for name, value in state:
            # Data of an instance must not hide a method of its class.
            if self.border.guarded and hides_method(type(target), name):
                raise ValueError("an attribute hides a method")
            new[name] = self.unpack(value)
        for name in attributes(target):
            if name not in new:
                object.__delattr__(target, name)
        for name, value in new.items():
            object.__setattr__(target, name, value)


EMPTY: dict[str, Callable[[], Any]] = {
    "l": list, "s": set, "d": dict, "dd": defaultdict, "ba": bytearray,
    "C": Counter, "od": OrderedDict,
}  # fmt: skip
HASHED = frozenset(["s", "d", "dd", "C", "od"])


def _index(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("not a number of an object")
    return value


def _numpy() -> Any:
    return importlib.import_module("numpy")


def _dtype(text: str) -> Any:
    dtype = _numpy().dtype(text)
    if dtype.kind not in NUMPY_KINDS:
        raise ValueError("not a plain dtype")
    return dtype


def _view(name: str, items: list[Any]) -> Any:
    if name == "dict_keys":
        return dict.fromkeys(items).keys()
    return dict(items).items() if name == "dict_items" else dict(enumerate(items)).values()


class Types:
    """Named tuples and enumerations of the other side, made again here, each once."""

    def __init__(self) -> None:
        self._made: dict[tuple[Any, ...], Any] = {}

    def named_tuple(self, ours: Any, name: str, fields: list[str], items: list[Any]) -> Any:
        """A named tuple; of our own class ``ours`` where that has these fields."""
        if getattr(ours, "_fields", None) == tuple(fields):
            return tuple.__new__(ours, items)
        key = ("namedtuple", name, *fields)
        if key not in self._made:
            self._made[key] = namedtuple(name, fields)
        return self._made[key]._make(items)

    def enum_member(
        self, ours: Any, name: str, member: str, value: Any, root: str, mixin: str
    ) -> Any:
        """A member of an enumeration; of our own one ``ours`` where that has it."""
        if isinstance(ours, type) and issubclass(ours, enum.Enum):
            return ours[member]
        key = ("enum", name, member, root, mixin)
        if key not in self._made:
            mixed: Any = {"str": str, "int": int, "float": float}.get(mixin)
            base: Any = getattr(enum, root) if root in ROOTS else enum.Enum
            made = base(name, {member: value}, type=mixed if base is enum.Enum else None)
            self._made[key] = made[member]
        return self._made[key]


def is_stdlib(value: Any) -> str:
    """``module:name`` of a class or function of the standard library, else an empty text."""
    if not isinstance(value, (type, types.BuiltinFunctionType, types.FunctionType)) and not (
        isinstance(value, types.MethodDescriptorType)
    ):
        return ""
    owner = getattr(value, "__objclass__", None)
    module = getattr(owner or value, "__module__", None) or ""
    name = getattr(value, "__qualname__", "")
    if module.partition(".")[0] not in STDLIB or "<" in name:
        return ""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is value else ""
