"""What crosses between a program and its tests: honest values as they are, forged ones not."""

from __future__ import annotations

import pytest
from this_machine import checked

HONEST = {
    "an expected error": (
        """
def add(x):
    if x < 0:
        raise ValueError("neg")
    return x
""",
        """
def check(c):
    try:
        c(-1)
    except ValueError as e:
        assert str(e) == "neg"
    else:
        assert False
    assert c(1) == 1
""",
    ),
    "an error of its own": (
        """
class E(ValueError):
    pass
def add(x):
    raise E("neg")
""",
        """
def check(c):
    try:
        c(-1)
    except E as e:
        assert str(e) == "neg"
    else:
        assert False
""",
    ),
    "inplace": (
        """
def add(l):
    l.sort()
""",
        """
def check(c):
    a = [3, 1, 2]
    assert c(a) is None
    assert a == [1, 2, 3]
""",
    ),
    "inplace nested": (
        """
def add(m):
    m[0][1] = 9
    m.append(m[0])
    return m
""",
        """
def check(c):
    a = [[1, 2], [3]]
    r = c(a)
    assert r is a
    assert a == [[1, 9], [3], [1, 9]] and a[0] is a[2]
""",
    ),
    "dict in place": (
        """
def add(d):
    d["x"] = [1]
    del d["y"]
""",
        """
def check(c):
    d = {"y": 2}
    c(d)
    assert d == {"x": [1]}
""",
    ),
    "generator": (
        """
def add(n):
    for i in range(n):
        yield i * i
""",
        """
def check(c):
    assert list(c(4)) == [0, 1, 4, 9]
    import types
    assert isinstance(c(1), types.GeneratorType)
    g = c(2)
    assert next(g) == 0 and next(g) == 1
    try:
        next(g)
        assert 0
    except StopIteration:
        pass
""",
    ),
    "infinite": (
        """
def add():
    i = 0
    while 1:
        yield i
        i += 1
""",
        """
def check(c):
    import itertools
    assert list(itertools.islice(c(), 3)) == [0, 1, 2]
""",
    ),
    "range": (
        """
def add(n):
    return range(n)
""",
        """
def check(c):
    assert c(3) == range(3)
    assert list(c(3)) == [0, 1, 2]
""",
    ),
    "zip": (
        """
def add(a, b):
    return zip(a, b)
""",
        """
def check(c):
    assert list(c([1], [2])) == [(1, 2)]
    assert isinstance(c([], []), zip)
""",
    ),
    "map": (
        """
def add(a):
    return map(str, a)
""",
        """
def check(c):
    assert list(c([1, 2])) == ["1", "2"]
""",
    ),
    "Fraction": (
        """
from fractions import Fraction
def add(a, b):
    return Fraction(a, b)
""",
        """
from fractions import Fraction
def check(c):
    assert c(1, 2) == Fraction(1, 2) and c(1, 2) == 0.5
    assert isinstance(c(1, 2), Fraction)
""",
    ),
    "Decimal": (
        """
from decimal import Decimal
def add(a):
    return Decimal(a) / 3
""",
        """
from decimal import Decimal
def check(c):
    assert c("1") == Decimal(1) / 3
""",
    ),
    "date": (
        """
import datetime
def add(a):
    return a + datetime.timedelta(1)
""",
        """
import datetime
def check(c):
    assert c(datetime.date(2020, 1, 1)) == datetime.date(2020, 1, 2)
    assert c(
        datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    ) == datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc)
""",
    ),
    "deque": (
        """
from collections import deque
def add(a):
    a.appendleft(0)
    return deque(a, maxlen=2)
""",
        """
from collections import deque
def check(c):
    d = deque([1, 2])
    assert c(d) == deque([1, 2]) and d == deque([0, 1, 2])
""",
    ),
    "bytearray": (
        """
def add(a):
    a[0] = 65
    return bytearray(b"xy")
""",
        """
def check(c):
    b = bytearray(b"abc")
    assert c(b) == bytearray(b"xy") and b == bytearray(b"Abc")
""",
    ),
    "views": (
        """
def add(a):
    return a.keys()
""",
        """
def check(c):
    assert c({"a": 1}) == {"a": 1}.keys() and list(c({"a": 1})) == ["a"]
""",
    ),
    "items": (
        """
def add(a):
    return a.items()
""",
        """
def check(c):
    assert c({"a": 1}) == {"a": 1}.items()
""",
    ),
    "values": (
        """
def add(a):
    return a.values()
""",
        """
def check(c):
    assert list(c({"a": [1]})) == [[1]]
""",
    ),
    "long": (
        """
def add(n):
    return 10**n
""",
        """
def check(c):
    assert c(5000) == 10**5000
""",
    ),
    "object": (
        """
class P:
    def __init__(s, x):
        s.x = x
    def __eq__(s, o):
        return s.x == o.x
    def up(s):
        s.x += 1
    def __len__(s):
        return 3
def add(x):
    return P(x)
""",
        """
def check(c):
    assert c(1).x == 1 and c(1) == c(1) and c(1) != c(2)
    p = c(1)
    p.up()
    assert p.x == 2 and len(p) == 3
    p.x = 7
    assert p.x == 7
    assert isinstance(p, P) and p == P(7)
""",
    ),
    "dataclass": (
        """
from __future__ import annotations
from dataclasses import dataclass
@dataclass
class P:
    x: int
def add(x):
    return P(x)
""",
        """
def check(c):
    assert c(1) == P(1) and c(1).x == 1 and str(c(1)) == "P(x=1)"
    assert vars(c(1)) == {"x": 1}
""",
    ),
    "callable": (
        """
def add(n):
    return lambda x: x + n
""",
        """
def check(c):
    f = c(2)
    assert f(3) == 5 and callable(f)
""",
    ),
    "takes callable": (
        """
def add(f, l):
    return [f(x) for x in l]
""",
        """
def check(c):
    assert (
        c(lambda x: x * 2, [1, 2]) == [2, 4]
        and c(len, ["ab"]) == [2]
        and c(str.upper, ["a"]) == ["A"]
    )
    import math
    assert c(math.sqrt, [4]) == [2.0]
""",
    ),
    "takes iterator": (
        """
def add(it):
    return sum(it)
""",
        """
def check(c):
    assert (
        c(iter([1, 2])) == 3 and c(x for x in range(3)) == 3 and c(map(int, "12")) == 3
    )
""",
    ),
    "strenum": (
        """
from enum import Enum
class C(str, Enum):
    R = "red"
def add():
    return C.R
""",
        """
def check(c):
    assert (
        c() == "red"
        and c().name == "R"
        and c().value == "red"
        and c() is c()
        and c() == C.R
    )
""",
    ),
    "enum": (
        """
from enum import Enum, IntEnum
class C(Enum):
    R = 1
class I(IntEnum):
    A = 3
def add(k=0):
    return I.A if k else C.R
""",
        """
def check(c):
    assert c().name == "R" and c().value == 1 and c() == C.R and c(1) == 3 and c() != 1
""",
    ),
    "namedtuple": (
        """
from collections import namedtuple
P = namedtuple("P", "x y")
def add(a, b):
    return P(a, b)
""",
        """
def check(c):
    assert c(1, 2) == (1, 2) and c(1, 2).y == 2
""",
    ),
    "nan": (
        """
def add():
    return float("nan")
""",
        """
import math
def check(c):
    assert math.isnan(c())
""",
    ),
    "set of complex": (
        """
def add():
    return {1j, 2}
""",
        """
def check(c):
    assert c() == {1j, 2}
""",
    ),
    "cycle": (
        """
def add():
    a = [1]
    a.append(a)
    return a
""",
        """
def check(c):
    a = c()
    assert a[1] is a and a[0] == 1
""",
    ),
    "linked list": (
        """
def add(h):
    p = None
    while h:
        h.next, p, h = p, h, h.next
    return p
""",
        """
class Node:
    def __init__(s, v, n=None):
        s.v = v
        s.next = n
def check(c):
    n = None
    for i in range(3):
        n = Node(i, n)
    r = c(n)
    out = []
    while r:
        out.append(r.v)
        r = r.next
    assert out == [0, 1, 2]
""",
    ),
    "linked list shared": (
        """
class Node:
    def __init__(s, v, n=None):
        s.v = v
        s.next = n
def add(h):
    p = None
    while h:
        h.next, p, h = p, h, h.next
    return Node(-1, p)
""",
        """
class Node:
    def __init__(s, v, n=None):
        s.v = v
        s.next = n
def check(c):
    n = None
    for i in range(3000):
        n = Node(i, n)
    r = c(n)
    assert isinstance(r, Node)
    out = []
    while r:
        out.append(r.v)
        r = r.next
    assert out == [-1, *range(3000)]
""",
    ),
    "async": (
        """
async def add(x):
    return x + 1
""",
        """
import asyncio
def check(c):
    assert asyncio.run(c(1)) == 2
""",
    ),
    "context": (
        """
import contextlib
@contextlib.contextmanager
def add(x):
    yield x + 1
""",
        """
def check(c):
    with c(1) as y:
        assert y == 2
""",
    ),
    "counter": (
        """
from collections import Counter, defaultdict
def add(x):
    return Counter(x)
""",
        """
from collections import Counter
def check(c):
    assert c("aab") == Counter("aab") and c("aab").most_common(1) == [("a", 2)]
""",
    ),
    "defaultdict": (
        """
from collections import defaultdict
def add():
    d = defaultdict(list)
    d[1].append(2)
    return d
""",
        """
def check(c):
    d = c()
    assert d == {1: [2]} and d[5] == []
""",
    ),
    "systemexit": (
        """
import sys
def add():
    sys.exit(3)
""",
        """
def check(c):
    try:
        c()
    except SystemExit as e:
        assert e.code == 3
    else:
        assert 0
""",
    ),
    "mbpp": (
        """
def add(a, b):
    return a + b
""",
        """
assert add(1, 2) == 3
assert add(2, 2) == 4
""",
    ),
    "test functions": (
        """
def add(a, b):
    return a + b
""",
        """
def test_one():
    assert add(1, 2) == 3
""",
    ),
    "unittest": (
        """
def add(a, b):
    return a + b
""",
        """
import unittest
class T(unittest.TestCase):
    def test_one(self):
        self.assertEqual(add(1, 2), 3)
""",
    ),
    "decorated": (
        """
import functools
@functools.lru_cache
def add(a, b):
    return a + b
""",
        """
def check(c):
    assert c(1, 2) == 3
    assert c.cache_info().misses == 1
""",
    ),
    "operator": (
        """
import operator
add = operator.add
""",
        """
def check(c):
    assert c(1, 2) == 3
""",
    ),
    "str subclass": (
        """
class S(str):
    pass
def add():
    return S("x")
""",
        """
def check(c):
    assert c() == "x"
""",
    ),
    "stored cb": (
        """
class A:
    def __init__(s):
        s.l = []
    def on(s, f):
        s.l.append(f)
    def fire(s, x):
        return [f(x) for f in s.l]
def add():
    return A()
""",
        """
def check(c):
    a = c()
    seen = []
    a.on(seen.append)
    a.fire(3)
    assert seen == [3]
""",
    ),
    "regex": (
        """
import re
def add(s):
    return re.match("a(b)", s)
""",
        """
def check(c):
    assert c("ab").group(1) == "b" and c("x") is None and c("ab")
""",
    ),
    "isinstance list": (
        """
def add():
    return [1]
""",
        """
def check(c):
    assert isinstance(c(), list) and type(c()) is list
""",
    ),
    "returns type": (
        """
def add(x):
    return type(x)
""",
        """
def check(c):
    assert c(1) is int
""",
    ),
    "prints": (
        """
def add(x):
    print("hello", x)
""",
        """
import io, contextlib
def check(c):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        c(5)
    assert out.getvalue() == "hello 5\\n"
""",
    ),
    "reads": (
        """
def add():
    return int(input()) + int(input())
""",
        """
import io, sys
def check(c):
    sys.stdin = io.StringIO("2\\n3\\n")
    assert c() == 5
""",
    ),
    "takes file": (
        """
def add(f):
    f.write("x")
    return f.getvalue()
""",
        """
import io
def check(c):
    f = io.StringIO("abc")
    assert c(f) == "xbc" and f.getvalue() == "xbc"
""",
    ),
    "takes mock": (
        """
def add(f):
    return f.get(1) + f(2)
""",
        """
from unittest.mock import Mock
def check(c):
    m = Mock(return_value=3)
    m.get.return_value = 4
    assert c(m) == 7
    m.assert_called_with(2)
    m.get.assert_called_once_with(1)
""",
    ),
    "takes random": (
        """
def add(r):
    return r.randint(1, 6)
""",
        """
import random
def check(c):
    assert c(random.Random(3)) == random.Random(3).randint(1, 6)
""",
    ),
    "imports": (
        """
def add(a, b):
    return a + b
""",
        """
from solution import add as plus
def check(c):
    assert plus(1, 2) == 3
""",
    ),
    "forgotten import": (
        """
import math
def add(x):
    return math.sqrt(x)
""",
        """
def check(c):
    assert math.isclose(c(4), 2)
""",
    ),
    "hasattr": (
        """
class A:
    x = 1
def add():
    return A()
""",
        """
def check(c):
    assert hasattr(c(), "x") and not hasattr(c(), "y")
    from collections.abc import Iterable
    assert not isinstance(c(), Iterable) and not callable(c())
""",
    ),
    "iterable object": (
        """
class A:
    def __iter__(self):
        yield from [1, 2]
def add():
    return A()
""",
        """
def check(c):
    assert list(c()) == [1, 2] and 2 in c() and 3 not in c()
    a, b = c()
    assert b == 2
""",
    ),
    "nested exceptions": (
        """
def add():
    try:
        1 / 0
    except ZeroDivisionError as e:
        raise RuntimeError("bad") from e
""",
        """
def check(c):
    try:
        c()
    except RuntimeError as e:
        assert e.args == ("bad",)
    else:
        assert 0
""",
    ),
    "error attributes": (
        """
class E(Exception):
    def __init__(self, code, **k):
        super().__init__("m")
        self.code = code
def add():
    raise E(4)
""",
        """
def check(c):
    try:
        c()
    except E as e:
        assert e.code == 4 and str(e) == "m"
    else:
        assert 0
""",
    ),
    "json error": (
        """
import json
def add(s):
    return json.loads(s)
""",
        """
import json
def check(c):
    assert c("[1]") == [1]
    try:
        c("{")
    except json.JSONDecodeError:
        pass
    else:
        assert 0
""",
    ),
    "key error": (
        """
def add(d, k):
    return d[k]
""",
        """
def check(c):
    try:
        c({}, "a")
    except KeyError as e:
        assert e.args[0] == "a"
    else:
        assert 0
""",
    ),
    "unicode": (
        """
def add(b):
    return b.decode()
""",
        """
def check(c):
    assert c("é".encode()) == "é"
    try:
        c(b"\\xff")
    except UnicodeDecodeError:
        pass
    else:
        assert 0
""",
    ),
    "staticmethods": (
        """
class A:
    n = 0
    @classmethod
    def make(cls):
        cls.n += 1
        return cls()
    @property
    def p(self):
        return 5
    @staticmethod
    def s(x):
        return x + 1
def add():
    return A.make()
""",
        """
def check(c):
    assert c().p == 5 and A.s(1) == 2 and A.n >= 1
""",
    ),
    "default arg": (
        """
def add(x, acc=None):
    acc = acc or []
    acc.append(x)
    return acc
""",
        """
def check(c):
    assert c(1) == [1] and c(2) == [2]
""",
    ),
    "bool and none": (
        """
def add(x):
    return x
""",
        """
def check(c):
    assert (
        c(True) is True
        and c(None) is None
        and c(...) is ...
        and c(NotImplemented) is NotImplemented
    )
""",
    ),
    "slices": (
        """
def add(x):
    return x[1:2], slice(1, 2), x
""",
        """
def check(c):
    assert c("abc") == ("b", slice(1, 2), "abc")
""",
    ),
    "kwargs": (
        """
def add(a, *, b=1):
    return a + b
""",
        """
def check(c):
    assert c(1, b=5) == 6
""",
    ),
    "an ordered dict": (
        """
from collections import OrderedDict
def add(pairs):
    d = OrderedDict(pairs)
    d.move_to_end("a")
    return d
""",
        """
from collections import OrderedDict
def check(c):
    assert c([("a", 1), ("b", 2)]) == OrderedDict([("b", 2), ("a", 1)])
""",
    ),
    "annotations and documentation": (
        """
def add(x: int) -> int:
    "Doc."
    return x
""",
        """
def check(c):
    assert c.__annotations__ == {"x": int, "return": int} and c.__doc__ == "Doc."
    assert c(1) == 1
""",
    ),
    "a decorator that wraps": (
        """
import functools
def add(f):
    @functools.wraps(f)
    def w(*args):
        return f(*args) + 1
    return w
""",
        """
def check(c):
    @c
    def g(x):
        "G."
        return x
    assert g(1) == 2 and g.__name__ == "g" and g.__doc__ == "G."
""",
    ),
    "typed through a patched input": (
        """
def add():
    return [input("a? "), input()]
""",
        """
from unittest import mock
def check(c):
    with mock.patch("builtins.input", side_effect=["4", "5"]) as typed:
        assert c() == ["4", "5"]
    typed.assert_any_call("a? ")
    try:
        c()
    except EOFError:
        return
    assert False
""",
    ),
    "a patched print": (
        """
def add(x):
    print("x", x)
""",
        """
from unittest.mock import patch
def check(c):
    with patch("builtins.print") as printed:
        c(1)
    printed.assert_called_once_with("x", 1)
""",
    ),
    "the cause of an error": (
        """
def add():
    try:
        1 / 0
    except Exception as e:
        raise ValueError("x") from e
""",
        """
def check(c):
    try:
        c()
    except ValueError as e:
        assert isinstance(e.__cause__, ZeroDivisionError)
    else:
        assert False
""",
    ),
    "a constant of the program": (
        "LIMIT = 3\ndef add(x):\n    return x + LIMIT",
        "def check(c):\n    assert LIMIT == 3 and c(1) == 4",
    ),
}

FORGED = {
    "exit expects error": (
        """
import os
def add(x):
    os._exit(0)
""",
        """
def check(c):
    try:
        c(-1)
    except Exception:
        pass
    else:
        assert 0
""",
    ),
    "exit bare": (
        """
import os
def add(x):
    os._exit(0)
""",
        """
def check(c):
    try:
        c(-1)
    except:
        pass
    else:
        assert 0
""",
    ),
    "garbage": (
        """
import os
def add(x):
    for fd in range(3, 50):
        try:
            os.write(fd, b"\\x02\\0\\0\\0{}")
        except OSError:
            pass
    os._exit(0)
""",
        """
def check(c):
    try:
        c(-1)
    except:
        pass
""",
    ),
    "sub zero": (
        """
class Z:
    def __sub__(s, o):
        return 0.0
    __rsub__ = __sub__
    def __abs__(s):
        return 0.0
    def __lt__(s, o):
        return True
    def __eq__(s, o):
        return True
    def __contains__(s, o):
        return True
    def __bool__(s):
        return True
def add(x):
    return Z()
""",
        """
def check(c):
    assert abs(c(1) - 5) < 1e-6
""",
    ),
    "contains": (
        """
class Z:
    def __contains__(s, o):
        return True
def add(x):
    return Z()
""",
        """
def check(c):
    assert "a" in c(1)
""",
    ),
    "lt": (
        """
class Z:
    def __lt__(s, o):
        return True
    __gt__ = __lt__
def add(x):
    return Z()
""",
        """
def check(c):
    assert c(1) < 5
""",
    ),
    "eq in list": (
        """
class Z:
    def __eq__(s, o):
        return True
    __hash__ = lambda s: 0
def add(x):
    return [Z()]
""",
        """
def check(c):
    assert c(1) == [5]
""",
    ),
    "eq in tuple": (
        """
class Z:
    def __eq__(s, o):
        return True
    __hash__ = lambda s: hash(5)
def add(x):
    return {Z(): 1}
""",
        """
def check(c):
    assert c(1) == {5: 1}
""",
    ),
    "fraction subclass": (
        """
from fractions import Fraction
class Z(Fraction):
    def __eq__(s, o):
        return True
    def __sub__(s, o):
        return 0
def add(x):
    return Z(1)
""",
        """
def check(c):
    assert c(1) == 5
""",
    ),
    "isclose": (
        """
class math:
    isclose = lambda *a: True
def add(x):
    return 0
""",
        """
def check(c):
    import math
    assert math.isclose(c(1), 5)
""",
    ),
    "own builtins": (
        """
def abs(x):
    return 0
def len(x):
    return 5
def add(x):
    return 0
""",
        """
def check(c):
    assert abs(c(1) - 5) < 1e-6
""",
    ),
    "own check": (
        """
def check(c):
    pass
def add(x):
    return 0
""",
        """
def check(candidate):
    assert candidate(1) == 5
""",
    ),
    "atexit": (
        """
import atexit, os
atexit.register(os._exit, 0)
def add(x):
    raise SystemExit
""",
        """
def check(c):
    assert c(1) == 5
""",
    ),
    "raise assertion": (
        """
def add(x):
    raise AssertionError
""",
        """
def check(c):
    try:
        c(1)
    except ValueError:
        return
    assert 0
""",
    ),
    "wrong error": (
        """
def add(x):
    raise KeyError
""",
        """
def check(c):
    try:
        c(1)
    except ValueError:
        return
    assert 0
""",
    ),
    "swallow timeout": (
        """
def add(x):
    while 1:
        pass
""",
        """
def check(c):
    try:
        c(1)
    except:
        pass
""",
    ),
    "timeout error": (
        """
def add(x):
    import time
    time.sleep(9)
""",
        """
def check(c):
    while True:
        try:
            c(1)
        except:
            pass
        else:
            break
""",
    ),
    "prelude class": (
        """
class P:
    def __init__(s, x):
        s.x = x
    def __eq__(s, o):
        return True
def add(x):
    return P(0)
""",
        """
class P:
    def __init__(s, x):
        s.x = x
    def __eq__(s, o):
        return s.x == o.x
def check(c):
    assert c(1) == P(1)
""",
    ),
    "own math": (
        """
class math:
    isclose = staticmethod(lambda *a: True)
def add(x):
    return 0
""",
        """
def check(c):
    assert math.isclose(c(4), 2)
""",
    ),
    "patched equality": (
        """
import builtins
class I(int):
    def __eq__(s, o):
        return True
    __hash__ = int.__hash__
builtins.int = I
def add(x):
    return I(0)
""",
        """
def check(c):
    assert c(1) == 5 and int(c(1)) == 5
""",
    ),
    "method shadow": (
        """
class P:
    def __init__(s):
        s.ok = lambda *a: True
def add(x):
    return P()
""",
        """
class P:
    def ok(s, x):
        return x == 5
def check(c):
    assert c(1).ok(4)
""",
    ),
    "enum shadow": (
        """
import enum
class C(enum.Enum):
    R = 1
C.__eq__ = lambda s, o: True
def add(x):
    return C.R
""",
        """
def check(c):
    assert c(1) == 5
""",
    ),
    "str subclass eq": (
        """
class S(str):
    def __eq__(s, o):
        return True
    __hash__ = str.__hash__
def add(x):
    return S("a")
""",
        """
def check(c):
    assert c(1) == "b"
""",
    ),
    "dict subclass": (
        """
class D(dict):
    def __eq__(s, o):
        return True
    def __getitem__(s, k):
        return 5
    def __iter__(s):
        return iter([1])
    def items(s):
        return [(1, 5)]
def add(x):
    return D()
""",
        """
def check(c):
    assert c(1) == {1: 5}
""",
    ),
    "float sub": (
        """
class F(float):
    def __sub__(s, o):
        return 0.0
    def __rsub__(s, o):
        return 0.0
    def __eq__(s, o):
        return True
    def __float__(s):
        return 5.0
def add(x):
    return F(0)
""",
        """
def check(c):
    assert abs(c(1) - 5) < 1e-6
""",
    ),
    "iterator eq": (
        """
class I:
    def __iter__(s):
        return s
    def __next__(s):
        raise StopIteration
    def __eq__(s, o):
        return True
def add(x):
    return I()
""",
        """
def check(c):
    assert list(c(1)) == [1]
""",
    ),
    "raises always": (
        """
def add(x):
    raise ValueError("x")
""",
        """
def check(c):
    try:
        c(-1)
    except ValueError:
        pass
    assert c(1) == 1
""",
    ),
    "thread reply": (
        """
import threading, os, time
def spam():
    while True:
        for fd in range(3, 20):
            try:
                os.write(fd, b'\\x0f\\0\\0\\0["value",5,[]]')
            except OSError:
                pass
threading.Thread(target=spam, daemon=True).start()
def add(x):
    time.sleep(0.1)
    return 0
""",
        """
def check(c):
    try:
        assert c(1) == 6
    except ValueError:
        pass
""",
    ),
    "generator spoof": (
        """
class generator:
    def __iter__(s):
        return iter([0])
    def __eq__(s, o):
        return True
def add(x):
    return generator()
""",
        """
def check(c):
    assert list(c(1)) == [1]
""",
    ),
}


@pytest.mark.parametrize(("source", "test"), HONEST.values(), ids=HONEST)
async def test_honest_values_come_as_they_are(source: str, test: str) -> None:
    result = await checked(source, test)
    assert result.passed, result.reason


@pytest.mark.parametrize(("source", "test"), FORGED.values(), ids=FORGED)
async def test_no_forged_answer_passes(source: str, test: str) -> None:
    result = await checked(source, test, timeout=0.7)
    assert not result.passed and result.reason


VECTOR = """
class Vector:
    def __init__(self, *xs): self.xs = xs
    def __mul__(self, n): return Vector(*(x * n for x in self.xs))
    def __eq__(self, other): return list(self.xs) == list(getattr(other, 'xs', other))
    def __contains__(self, x): return x in self.xs
"""
OPERATORS = """
def check(Vector):
    assert Vector(1, 2) * 3 == Vector(3, 6) == [3, 6]
    assert 2 in Vector(1, 2) and 5 not in Vector(1, 2)
"""


async def test_operators_of_a_class_decide_where_a_class_is_asked_for() -> None:
    asked = await checked(VECTOR, OPERATORS, entry_point="Vector", operators=True)
    assert asked.passed, asked.reason
    assert not (await checked(VECTOR, OPERATORS, entry_point="Vector")).passed


async def test_a_wrong_class_fails() -> None:
    wrong = VECTOR.replace("x * n", "x + n")
    assert not (await checked(wrong, OPERATORS, entry_point="Vector", operators=True)).passed


async def test_arrays_cross() -> None:
    pytest.importorskip("numpy")
    source = "import numpy as np\ndef add(x):\n    return np.array(x) * 2"
    test = """
import numpy as np
def check(f):
    assert (f([1, 2]) == np.array([2, 4])).all() and f(np.array([1.5])).tolist() == [3.0]
    assert f(np.int64(2)) == 4
"""
    result = await checked(source, test, timeout=20)
    assert result.passed, result.reason


async def test_the_program_cannot_look_into_what_the_tests_hand_over() -> None:
    source = """
def add(f):
    found = []
    for name in ("__globals__", "__code__", "__closure__", "gi_frame", "_secret", "__class__"):
        try:
            found.append(getattr(f, name))
        except AttributeError:
            pass
    return len(found)
"""
    test = """
class Holder:
    def __init__(self): self._secret = 5
def check(candidate):
    for thing in (lambda: 1, (x for x in [1]), Holder(), Holder().__init__):
        assert candidate(thing) == 1  # its class
"""
    result = await checked(source, test)
    assert result.passed, result.reason


async def test_the_program_cannot_change_a_method_of_the_tests() -> None:
    source = "def add(judge):\n    judge.right = lambda x: True\n    return 0"
    test = """
class Judge:
    def right(self, x): return x == 5
def check(candidate):
    judge = Judge()
    assert judge.right(candidate(judge))
"""
    result = await checked(source, test)
    assert not result.passed and "AttributeError" in result.reason


CASE = """
import unittest
class T(unittest.TestCase):
    def test_add(self):
        with self.subTest():
            self.assertEqual(add(1), 2)
"""


@pytest.mark.parametrize("name", ["SkipTest", "_ShouldStop"])
@pytest.mark.parametrize("test", [CASE, CASE.replace("with self.subTest():", "if True:")])
async def test_a_program_cannot_skip_the_tests(name: str, test: str) -> None:
    source = f"import unittest.case\ndef add(x):\n    raise unittest.case.{name}('x')"
    result = await checked(source, test)
    assert not result.passed and name in result.reason


async def test_a_program_without_what_the_tests_import_fails() -> None:
    result = await checked(
        "def sub(x): return x", "from solution import add\nassert add(1) == 2", entry_point=""
    )
    assert not result.passed and "cannot import name 'add'" in result.reason
