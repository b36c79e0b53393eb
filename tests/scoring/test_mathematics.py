from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_evaluator.errors import InfraError
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
    (r"+\infty", r"\infty"),
    (r"(0,+\infty)", r"x>0"),
    (r"\text{FF}_{16}", "FF_{16}"),
    (r"x<2 \text{ or } x>3", r"(-\infty,2)\cup(3,\infty)"),
    (r"x < 2 or x > 3", r"(-\infty, 2) \cup (3, \infty)"),
    (r"x<2 \lor x>3", r"x\in(-\infty,2)\cup(3,\infty)"),
    (r"x\neq 3", r"(-\infty,3)\cup(3,\infty)"),
    (r"x \ne 3", r"\mathbb{R}\setminus\{3\}"),
    (r"\{x \mid x > 3\}", r"(3,\infty)"),
    (r"x>2 \text{ and } x\le 5", r"(2,5]"),
    (r"|x|<3", r"(-3,3)"),
    (r"|x| \ge 2", r"(-\infty,-2]\cup[2,\infty)"),
    (r"x\ge 2", r"[2,\infty)"),
    (r"[1,2]\cup[2,3]", r"[1,3]"),
    (r"\emptyset", r"\varnothing"),
    (r"\{\}", r"\emptyset"),
    (r"\text{no solution}", r"\emptyset"),
    ("∅", r"\varnothing"),
    ("No real solutions", r"\emptyset"),
    (r"x \equiv 3 \pmod{7}", r"3 \pmod 7"),
    (r"x\equiv 10 \pmod 7", r"x \equiv 3 \pmod{7}"),
    ("3 (mod 7)", r"x \equiv 3 \pmod{7}"),
    (r"x=7k+3", r"x\equiv 3\pmod 7"),
    (r"x\equiv 1,3 \pmod 4", r"x \equiv 1 \pmod 2"),
    (r"x \equiv 3 \mod 7", r"x\equiv3\pmod{7}"),
    (r"3 \bmod 7", r"3 \pmod{7}"),
    (r"0.\overline{3}", r"\frac13"),
    ("0.3\u0305", "1/3"),
    (r"0.1\overline{6}", "1/6"),
    (r"0.\bar{3}", "1/3"),
    (r"0.\dot{3}", "1/3"),
    (r"0.\dot{1}4285\dot{7}", "1/7"),
    ("0.(3)", "1/3"),
    ("0.333...", "1/3"),
    (r"0.333\ldots", "1/3"),
    (r"-2.\overline{45}", r"-\frac{27}{11}"),
    (r"0.\overline{9}", "1"),
    (r"0.\overline{142857}", r"\frac{1}{7}"),
    (r"1.2\overline{34}", r"\frac{611}{495}"),
    (r"\boxed 42", "42"),
    (r"\boxed{\boxed{42}}", "42"),
    (r"\color{red}{42}", "42"),
    (r"\textcolor{blue}{\frac12}", "0.5"),
    (r"{\color{red} 42}", "42"),
    (r"\color{red}42", "42"),
    (r"x=\textcolor{red}{5}", "5"),
    (r"\colorbox{yellow}{7}", "7"),
    (r"11:00 \text{ a.m.}", r"\text{11:00 a.m.}"),
    ("11:00 AM", "11:00 a.m."),
    ("1:30 p.m.", r"1:30\text{ PM}"),
    ("13:30", "1:30 p.m."),
    (r"3\text{ p.m.}", "3:00 p.m."),
    (r"11\!:\!00\text{ a.m.}", "11:00 a.m."),
    (r"\sin 30^\circ", r"\frac12"),
    (r"\sin 30^\circ", r"\cos 60^\circ"),
    (r"2\sin(45^\circ)", r"\sqrt2"),
    (r"30^\circ", "30"),
    (r"(30^\circ, 60^\circ)", "(30,60)"),
    (r"30°", r"\frac{\pi}{6}"),
    (r"30\text{ degrees}", r"30^\circ"),
    (r"\tan 45°", "1"),
    (r"30\degree", "30"),
    (r"\sin^2 30^\circ", r"\frac14"),
    (r"\cos\left(60^{\circ}\right)", "0.5"),
    ("1011_2", "1011_{2}"),
    ("1011_2", "1011"),
    (r"2516_{\text{eight}}", "2516_8"),
    ("1011 (base 2)", "1011_2"),
    (r"(1011)_2", "1011_2"),
    ("ff_{16}", "FF_{16}"),
    ("01011_2", "1011_2"),
    (r"e^{-101}", r"e^{-101}"),
    (r"\frac{1}{e^{101}}", r"e^{-101}"),
    ("10^{-13}", "0.0000000000001"),
    (r"\sqrt{2}\cdot10^{-13}", r"10^{-13}\sqrt2"),
    (r"(1+\sqrt2)^{10}", r"3363+2378\sqrt2"),
    (r"e^{1000}\cdot e^{-1000}", "1"),
    (r"\sqrt{3+2\sqrt2}", r"1+\sqrt2"),
    (r"\sin^2(1)+\cos^2(1)", "1"),
    (r"\ln(e^{3})", "3"),
    (r"\frac{1906!}{1904!}", r"1906\cdot1905"),
    (r"\sqrt[5]{-32}", "-2"),
    (r"\pm 3", "3,-3"),
    (r"x=\pm3", r"\{3,-3\}"),
    (r"3, -3", r"\pm 3"),
    ("10,\\!000", "10000"),
    ("10 000", "10000"),
    (r"10\,000", "10000"),
    (r"10{,}000", "10,000"),
    ("3½", "3.5"),
    ("½", r"\frac12"),
    (r"2\frac{3}{4}", "2.75"),
    ("10⁻³", "0.001"),
    ("2⁵", "32"),
    ("3·10⁴", "30000"),
    ("1 1/2", "1.5"),
    (r"50\%", "0.5"),
    (r"50 \text{ percent}", r"50\%"),
    (r"\dfrac12", ".5"),
    (r"\frac 1 2", "0.5"),
    (r"\tfrac{1}{2}", "1/2"),
    (r"\left\{1,2\right\}", r"\{2,1\}"),
    (r"5\text{ cm}", "5"),
    (r"5~\mathrm{cm}", "5"),
    (r"5\,\text{cm}^2", "5"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1\\2\end{bmatrix}"),
    (r"\text{all real numbers}", r"(-\infty,\infty)"),
    (r"\mathbb{R}", r"(-\infty, \infty)"),
    (r"x \in \mathbb{R}", r"\mathbb{R}"),
    (r"[0,\infty)", r"x\geq0"),
    (
        r"\left(-\infty, -\frac{1}{2}\right] \cup \left[\sqrt{2}, \infty\right)",
        r"x\le-0.5 \text{ or } x \ge \sqrt2",
    ),
    (r"1<x<3 \text{ or } x>5", r"(1,3)\cup(5,\infty)"),
    (r"x=1 \text{ or } x>5", r"\{1\}\cup(5,\infty)"),
    (r"x\ne 1, 2", r"(-\infty,1)\cup(1,2)\cup(2,\infty)"),
    (r"x\neq1 \text{ and } x\neq2", r"\mathbb{R}\setminus\{1,2\}"),
    (r"a \text{ or } b", "a, b"),
    ("2^{100}", "4^{50}"),
    ("100!", "100!"),
    (r"\frac{100!}{98!}", "9900"),
    (r"\text{None}", "none"),
    (r"y=3x \text{ and } y=2", "y=2, y=3x"),
    (r"x \equiv 2 \text{ (mod } 5)", r"2 \pmod 5"),
    # a comma before three digits separates thousands or values
    ("(0,100)", "(0, 100)"),
    ("(1,200)", "1200"),
    ("(1,200)", "(1, 200)"),
    ("1<x<200", "(1,200)"),
    (r"\{1,200\}", r"\{200, 1\}"),
    (r"(2,12) \cup (12,102)", r"(2, 12) \cup (12, 102)"),
    (r"10, \!080", "10080"),
    (r"{\text{Evelyn}}", "Evelyn"),
    (r"{90^\circ}", "90"),
    # decimals beside what is not rational
    ("3.14159265", r"\pi"),
    ("(3.14159265, 1)", r"(\pi, 1)"),
    ("x>1.5", r"1.5<x"),
    # letters in a face of their own are names, e and i numbers
    (r"3\mathbf{i}+4\mathbf{j}", r"4\mathbf{j}+3\mathbf{i}"),
    (r"2\mathrm{e}^{x}", "2e^x"),
    (r"2+3\mathrm{i}", "3i+2"),
    (r"2\mathit{x}", "2x"),
    # mixed numbers in formulas
    (r"2\frac{1}{3}\pi", r"\frac{7\pi}{3}"),
    (r"-1\frac12\sqrt2", r"-\frac{3\sqrt2}{2}"),
    (r"3\frac{\sqrt2}{2}", r"\frac{3\sqrt2}{2}"),
    (r"x^2\frac12", r"\frac{x^2}{2}"),
    # brackets, vectors, matrices
    ("[0,1[", "[0,1)"),
    (r"]0,1[ \cup ]2,3]", r"(0,1)\cup(2,3]"),
    (r"\langle 1,2\rangle", "(1,2)"),
    ("[[1,2],[3,4]]", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)"),
    # words
    (r"\text{June 20}", r"\text{June } 20"),
    (r"12\text{ percent}", "0.12"),
    (r"5\text{ to }3", "5:3"),
    (r"3\text{ out of }5", r"\frac35"),
    (r"\text{length }3\text{, width }4", "3, 4"),
    ("five", "5"),
    ("about 12", "12"),
    ("infinity", r"\infty"),
    (r"\text{No real solutions exist.}", r"\emptyset"),
    (r"\text{DNE}", r"\text{does not exist}"),
    # one value said twice
    (r"\frac{1}{2}\text{ or }0.5", "0.5"),
    ("x=5, x=5", "5"),
    # a choice with its text
    (r"\textbf{(B) } 12", "B"),
    (r"\text{Option A}", "A"),
    (r"\(x=2\) and \(y=3\)", "(2,3)"),
]
DIFFERENT = [
    ("(1,200)", "(1, 201)"),
    ("1,200", "1,201"),
    (r"$1,000,200\text{ cm}$", "1,200,000"),
    ("(1,200)", "200"),
    ("x>1.5", r"x>\sqrt2"),
    (r"(2.718281828,\infty)", r"(\sqrt2,\infty)"),
    (r"3\mathbf{i}+4\mathbf{j}", r"4\mathbf{i}+3\mathbf{j}"),
    (r"3\mathbf{i}+4\mathbf{j}", "7"),
    (r"2+3\mathrm{i}", "5"),
    (r"x\mathrm{e}^{x}", "x"),
    (r"1\frac12", r"\sin(\pi/6)"),
    (r"-1\frac12", r"\frac{1}{-2}"),
    (r"2\frac{1}{3}\pi", r"\frac{2\pi}{3}"),
    (r"3\text{ hours } 20\text{ minutes}", "60"),
    (r"3\text{ hours } 20\text{ minutes}", "3"),
    (r"5\text{ ft }3\text{ in}", r"3\text{ ft }5\text{ in}"),
    (r"5\text{ ft }3\text{ in}", r"5\text{ ft }4\text{ in}"),
    (r"2\quad 3", "6"),
    (r"10\,000", "0"),
    (r"x\ge 3", "x>3"),
    (r"\text{DAB}", r"\text{BAD}"),
    ("[0,1[", "[0,1]"),
    ("[[1,3],[2,4]]", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    (r"\langle 1,2,3\rangle", r"\langle 1,3,2\rangle"),
    ("5, 6", "5"),
    (r"\textbf{(B) } 12", "C"),
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
    ("3 1/2", "31/2"),
    (r"-\infty", r"\infty"),
    (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    ("e^{-101}", "e^{-100}"),
    (r"\pi^{-30}", r"\pi^{-31}"),
    (r"\sqrt{2}\cdot10^{-13}", r"\sqrt{3}\cdot10^{-13}"),
    ("1+e^{-40}", "1"),
    ("e^{-1000}", "0"),
    ("e^{-1000}", "e^{-1001}"),
    ("1+e^{-1000}", "1"),
    ("e^{-30}", "0"),
    ("10^{-20}", "0"),
    (r"\sqrt{10^{40}+1}", "10^{20}"),
    (r"\pi\cdot 10^{-15}", "0"),
    (r"\frac{1}{1906!}", r"\frac{1}{1904!}"),
    ("200!", "201!"),
    ("1000!", "1001!"),
    ("10^{400}", "10^{401}"),
    ("10^{400}", "10^{400}+1"),
    ("2^{10000}", "2^{10001}"),
    (r"e^{1000}", r"e^{1001}"),
    (r"\frac{2024!}{2023!}", "2023"),
    ("3000!", "3000!+1"),
    ("1011_2", "1011_3"),
    ("2516_7", "2516_8"),
    ("1011_2", "1111_2"),
    ("1011_2", "1101"),
    ("12_3", "12_5"),
    ("1011_2", "11"),
    (r"\sin 30", r"\sin 30^\circ"),
    (r"\sin 30^\circ", r"\sin 60^\circ"),
    (r"\sin 30", r"\frac12"),
    (r"30^\circ", r"60^\circ"),
    (r"30^\circ", r"\frac{\pi}{3}"),
    (r"\cos 60", "0.5"),
    (r"x<2 \text{ or } x>3", r"(2,3)"),
    (r"x<2 \text{ or } x>3", r"x\le2 \text{ or } x>3"),
    (r"x\neq 3", r"x\neq 4"),
    ("x>3", "x<3"),
    (r"(-\infty,2)\cup(3,\infty)", r"(-\infty,2]\cup(3,\infty)"),
    (r"x>2 \text{ and } x<5", r"[2,5]"),
    (r"(2,5)", r"[2,5]"),
    (r"\emptyset", "0"),
    (r"\emptyset", r"\{0\}"),
    (r"\varnothing", r"\mathbb{R}"),
    (r"\text{no solution}", "5"),
    (r"x \equiv 3 \pmod{7}", r"x \equiv 4 \pmod 7"),
    (r"x \equiv 3 \pmod{7}", r"x \equiv 3 \pmod 8"),
    (r"3 \pmod 7", "10"),
    (r"7k+3", r"4 \pmod 7"),
    (r"0.\overline{3}", "0.3"),
    (r"0.\overline{3}", "0.33"),
    (r"0.\overline{36}", r"0.3\overline{6}"),
    (r"0.\overline{3}", "3"),
    (r"0.\overline{12}", "0.12"),
    ("11:00 a.m.", "11:00 p.m."),
    ("11:00 a.m.", "11:30 a.m."),
    ("11:00 a.m.", "10:00 a.m."),
    ("13:30", "1:30 a.m."),
    ("12:00 a.m.", "12:00 p.m."),
    (r"\color{red}{42}", "43"),
    (r"\boxed 42", "4"),
    (r"\{1,2\}", r"\{1,3\}"),
    (r"(1,2,3)", r"(3,2,1)"),
    (r"\pm 3", "3"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
    ("2⁵", "25"),
    ("½", "12"),
    ("3½", "31/2"),
    ("10⁻³", "103"),
    ("1/3", "0.333"),
    (r"\sqrt2", "1.414"),
    (r"\sqrt{2}", "1.41421"),
    (r"x>3", "3"),
    ("x_2", "2"),
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


def test_an_inequality_is_no_congruence() -> None:
    assert decide(r"x\ge 3", r"n\equiv 3 \pmod 7") is not True


_VALUES = st.sampled_from(
    [r"\pi", r"\sqrt{2}", "e", "i", "1.5", "3.14159265", r"\frac13", "-2", r"\infty", "x", "0"]
)
_SHAPES = st.sampled_from(
    ["{}", "x>{}", "x<{}", "[{},5]", "({},{})", "{}+{}", "{}{}", "x={}", r"\{{{},{}\}}", "|x|<{}"]
)


@given(_SHAPES, _SHAPES, st.tuples(_VALUES, _VALUES), st.tuples(_VALUES, _VALUES))
def test_exact_and_other_values_are_compared_without_raising(
    shape: str, other: str, first: tuple[str, str], second: tuple[str, str]
) -> None:
    a, b = shape.format(*first), other.format(*second)
    assert decide(a, b) == decide(b, a)


@given(st.integers(-999, 999), st.integers(-999, 999), st.integers(1, 99))
def test_linear_formulas(a: int, b: int, c: int) -> None:
    assert decide(f"({a}x + {b})/{c}", rf"\frac{{{b}}}{{{c}}} + \frac{{{a}x}}{{{c}}}") is True
    assert decide(f"{a}x + {b}", f"{a}x + {b + 1}") is False


def test_hard_pairs_go_to_math_verify_and_say_so() -> None:
    assert math_equal("5 m", "5").decided_by in ("builtin", "math-verify")
    verdict = math_equal(r"\lfloor 5.5 \rfloor", r"5")
    assert verdict.decided_by == "math-verify"


def test_without_math_verify_an_unreadable_pair_has_no_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(symbolic, "available", lambda: False)
    with pytest.raises(InfraError, match=r"undecided: math-verify is not installed .pip install"):
        math_equal(r"\oint_C f", "3")
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


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (r"\frac{1}{19060!}", r"\frac{1}{19040!}", False),
        (r"\lceil 0.5 \rceil\cdot 10^{-400}", r"10^{-401}", False),
        (r"\lceil 0.5 \rceil\cdot 10^{-401}", r"10^{-401}", True),
        (r"\lfloor 5.5\rfloor e^{-800}", r"\lfloor 5.5\rfloor e^{-801}", False),
        ("9000!", "9000!+1", False),
        (r"\lfloor 2.5\rfloor\cdot 19060!", r"2\cdot 19060!", True),
        (r"\sum_{k=1}^{10} k", "55", True),
    ],
)
def test_what_math_verify_says_of_extreme_values_is_checked(a: str, b: str, equal: bool) -> None:
    for verdict in (math_equal(a, b, 30), math_equal(b, a, 30)):
        assert verdict == (equal, "math-verify")
