"""Programs are found in whatever a model writes around them."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.scoring.code import complete, defines, extract_code, prelude

PROMPT = '''from typing import List


def helper(x: int) -> int:
    return x + 1


def add(a: int, b: int) -> int:
    """ Adds.
    >>> add(1, 2)
    3
    """
'''
SOLUTION = "def add(a, b):\n    return a + b"


def works(response: str) -> bool:
    """Whether the program that is found and completed adds."""
    code = extract_code(response, "add")
    if code is None:
        return False
    namespace: dict[str, object] = {"__name__": "solution"}
    exec(complete(PROMPT, code.source, "add"), namespace)
    return namespace["add"](20, 3) == 23  # type: ignore[operator]


@pytest.mark.parametrize(
    "response",
    [
        f"<answer>{SOLUTION}\n</answer>",
        f"<code>\n{SOLUTION}</code>",
        "The code:\n\n    def add(a, b):\n        return a + b\n\nDone.",
        SOLUTION,
        f"```python\n{SOLUTION}\n```",
        f"```\n{SOLUTION}\n```",
        f"~~~py\n{SOLUTION}\n~~~",
        f"Sure! Here it is:\n\n```python\n{SOLUTION}\n```\n\nIt adds the numbers.",
        f"Sure! Here it is:\n\n{SOLUTION}\n\nThis adds the two numbers (simple, isn't it?).",
        f"```python\n{SOLUTION}",
        f"   ```python\n   {SOLUTION.replace(chr(10), chr(10) + '   ')}\n   ```",
        "First try:\n```python\ndef add(a, b):\n    return a - b\n```\nBetter:\n"
        f"```python\n{SOLUTION}\n```",
        f"```python\n{SOLUTION}\n```\nUse it:\n```python\nprint(add(1, 2))\n```",
        "```python\ndef plus(a, b):\n    return a + b\n```\nand then\n"
        "```python\ndef add(a, b):\n    return plus(a, b)\n```",
        "```python\nimport operator\n```\n"
        "```python\ndef add(a, b):\n    return operator.add(a, b)\n```",
        f"```bash\npip install numpy\n```\n```python\n{SOLUTION}\n```",
        "    return a + b",
        "    total = a + b\n    return total\n",
        "```python\n    return a + b\n```",
        "```python\nreturn a + b\n```",
        PROMPT + "    return a + b",
        f"```python\n{PROMPT}    return a + b\n```",
        f"```python\n{SOLUTION}\n\nif __name__ == '__main__':\n    print(add(input(), 1))\n```",
        "```python\nclass Adder:\n    def go(self, a, b):\n        return a + b\n\n"
        "def add(a, b):\n    return Adder().go(a, b)\n```",
        "```python\nadd = lambda a, b: a + b\n```",
        "```python\ndef add(a, b):\n    return helper(a) + b - 1\n```",
        "```python\nfrom typing import *\ndef add(a: int, b: int) -> int:\n    return a + b\n```",
        f"```python\r\n{SOLUTION.replace(chr(10), chr(13) + chr(10))}\r\n```",
        "```pycon\n>>> def add(a, b):\n...     return a + b\n```",
        f"Text with `inline` code.\n\n```Python\n{SOLUTION}\n```",
        "```python\n@staticmethod\ndef other():\n    pass\n\ndef add(a, b):\n    return a + b\n```",
        "```python\nasync def n(): 0\n\ndef add(a, b):\n    s = '''```'''\n    return a + b\n```",
        f"Here's the code\n{SOLUTION}\n# that's it",
        f"[BEGIN]\n{SOLUTION}\n[DONE]",
        f"{SOLUTION}\n[DONE]\nNext: write a function.\n[BEGIN]\ndef add(a, b): 0\n[DONE]",
        "    return a + b\n\nThis adds the two numbers.",
    ],
)  # fmt: skip
def test_programs_are_found(response: str) -> None:
    assert works(response)


@pytest.mark.parametrize(
    "response", ["", "   ", "I cannot help with that.", "42", "No code: sorry"]
)
def test_where_there_is_none(response: str) -> None:
    assert extract_code(response, "add") is None


def test_the_prelude_is_what_stands_before_the_signature() -> None:
    assert prelude(PROMPT, "add").endswith("return x + 1\n\n\n")
    assert prelude(PROMPT, "absent") == ""
    assert defines(SOLUTION, "add") and not defines(SOLUTION, "ad")


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    code = extract_code(text, "add")
    assert code is None or code.source.strip()


PROSE = st.lists(
    st.sampled_from(
        ["Here is the code.", "It works: trust me!", "", "- a list", "Note that x > 3"]
    ),
    max_size=4,
).map("\n".join)


@given(PROSE, PROSE, st.sampled_from(["```python", "```", "~~~"]))
def test_prose_around_a_fence_changes_nothing(before: str, after: str, fence: str) -> None:
    mark = fence[:3]
    code = extract_code(f"{before}\n{fence}\n{SOLUTION}\n{mark}\n{after}", "add")
    assert code is not None and ast.dump(ast.parse(code.source)) == ast.dump(ast.parse(SOLUTION))
