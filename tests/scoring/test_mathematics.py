from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_evaluator.scoring import symbolic
from nemo_evaluator.scoring.mathematics import decide, math_equal, math_equal_async

SAME = [
    (r"\frac{1}{2}", "0.5"),
    ("x^2-1", "(x-1)(x+1)"),
    (r"\frac12", "0.5"),
    (r"\dfrac{3}{4}", r"\frac34"),
    (r"5\text{ cm}", "5"),
    (r"15\mbox{ cm}^2", "15"),
    ("5 cm^2", "5"),
    (r"\sqrt{12}", r"2\sqrt3"),
    (r"\{1,2,3\}", r"\{3,2,1\}"),
    (r"50\%", "0.5"),
    (r"90^\circ", "90"),
    ("x=5", "5"),
    (r"\text{Even}", "even"),
    (r"\text{(C)}", "C"),
    ("e^x", "exp(x)"),
    ("1,-2", "-2,1"),
    ("1,3", "3,1"),
    ("1,22", "1.22"),
    ("(1,3)", "{1,3}"),
    (r"3\pm 2\sqrt{2}", r"3+2\sqrt2, 3-2\sqrt2"),
    (r"1\frac{1}{2}", "3/2"),
    ("x<2", "2>x"),
    (r"x \in [-2,7]", r"-2 \le x \le 7"),
    (r"\frac{\pi}{4}", r"\pi/4"),
    (r"11,\! 111,\! 111,\! 100", "11111111100"),
    (r"\$18.90", "18.90"),
    ("y = 2x + 3", "y=3+2x"),
    ("2x+4y-3=0", r"y=-\frac{1}{2}x+\frac{3}{4}"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix} 1 & 2 \\ 3 & 4\end{bmatrix}"),
    ("2516_8", "2516_8"),
    (r"\sin^2 x+\cos^2 x", "1"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"),
    ("[0,1) \\cup (2,\\infty)", "(2,\\infty)\\cup[0,1)"),
    ("6 - 5i", "6-5i"),
    ("0.0833333333", r"\frac{1}{12}"),
    (r"2^{2025}", r"2 \cdot 2^{2024}"),
    ("5!", "120"),
    (r"\binom{5}{2}", "10"),
    (r"\sqrt[3]{-8}", "-2"),
    (r"10{,}000", "10000"),
]
DIFFERENT = [
    ("(1,2)", "(2,1)"),
    ("10", "100"),
    ("1/3", "0.333"),
    ("[0,1)", "(0,1)"),
    ("B", "C"),
    ("A", "a"),
    (r"10^{20}", "10^{20}+1"),
    (r"2\pi", "6.28"),
    (r"\sqrt{x^2}", "x"),
    ("p - q", "q - p"),
    (r"4\sqrt{2}", "4"),
    ("1,2", "1,2,3"),
    (r"2^{2025}", "3^{2025}"),
    ("", ""),
    ("", "0"),
    ("x^2+1", "x^2-1"),
    ("Evelyn", "3"),
    ("(1,2)", "3"),
    ("1,3", "1,4"),
    ("2x", "2"),
    (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_the_builtin_reader_finds_them_equal(a: str, b: str) -> None:
    assert decide(a, b) is True
    assert decide(b, a) is True


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_the_builtin_reader_tells_them_apart(a: str, b: str) -> None:
    assert decide(a, b) is False
    assert decide(b, a) is False


@given(st.text("x12+-*/^(){}\\frac sqrt,.|=<[]!%$", max_size=40), st.text("x12+-*/()", max_size=12))
@settings(deadline=None)
def test_any_text_is_judged_without_raising_and_symmetrically(a: str, b: str) -> None:
    assert decide(a, b) == decide(b, a)
    if a.strip():
        assert decide(a, a) is True


@given(st.integers(-999, 999), st.integers(-999, 999), st.integers(1, 99))
def test_linear_formulas(a: int, b: int, c: int) -> None:
    assert decide(f"({a}x + {b})/{c}", rf"\frac{{{b}}}{{{c}}} + \frac{{{a}x}}{{{c}}}") is True
    assert decide(f"{a}x + {b}", f"{a}x + {b + 1}") is False


def test_hard_pairs_go_to_math_verify_and_say_so() -> None:
    pytest.importorskip("math_verify")
    assert math_equal("5 m", "5").decided_by in ("builtin", "math-verify")
    verdict = math_equal(r"\lfloor 5.5 \rfloor", r"5")
    assert verdict.decided_by == "math-verify"


def test_without_math_verify_an_unreadable_pair_is_undecided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(symbolic, "available", lambda: False)
    assert math_equal(r"\oint_C f", "3") == (False, "undecided")
    assert math_equal("1/2", "0.5") == (True, "builtin")


async def test_a_timeout_kills_the_worker_and_the_loop_goes_on() -> None:
    pytest.importorskip("math_verify")
    symbolic.compare("x", "y", 5)  # a worker is up
    hard = r"\int_0^1 \sin(x^x) \tan(x^{x^x}) \lfloor x \rfloor dx"
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    start = time.perf_counter()
    verdict = await math_equal_async(hard, r"\int_0^2 \cos(x^x) dx", timeout=0.2)
    ticking.cancel()
    assert verdict == (False, "timeout")
    assert time.perf_counter() - start < 5
    assert ticks > 3
    again = await math_equal_async(r"\lfloor 2 \rfloor", r"\lceil 2 \rceil + 1", timeout=20)
    assert again.decided_by == "math-verify"


@pytest.fixture(autouse=True, scope="module")
def _no_workers_left() -> object:
    yield
    symbolic.close()
    symbolic.executor().shutdown()
    symbolic.executor.cache_clear()
