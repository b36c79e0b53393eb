"""Fences as models write them: closed anyhow, nested in docstrings, indented, or not at all."""

from __future__ import annotations

import time

import pytest

from nemo_evaluator.scoring.code import complete, extract_code
from nemo_evaluator.scoring.fences import blocks, unified

ADD = "def add(a, b):\n    return a + b"
EXAMPLE = 'def add(a, b):\n    """Adds.\n\n    ```python\n    add(1, 2)\n    ```\n    """\n    return a + b'
EXAMPLES = (
    'def add(a, b):\n    """Adds.\n\n```\nadd(1, 2)\n```\n\n```\nmore\n```\n"""\n    return a + b'
)
WRITTEN = {
    "crlf": f"```python\r\n{ADD}\r\n```\r\nText\r\n".replace("\n    ", "\r\n    "),
    "cr": f"```python\n{ADD}\n```\nText".replace("\n", "\r"),
    "glued": f"```python\n{ADD}```",
    "glued text": f"Here:\n```python\n{ADD}```\n\nThis adds.",
    "glued token": f"```python\n{ADD}```</s>",
    "glued eot": f"```python\n{ADD}```<|eot_id|>",
    "token": f"```python\n{ADD}\n```</s>",
    "token2": f"```python\n{ADD}\n```<|im_end|>\n",
    "token3": f"```python\n{ADD}\n``` <|end_of_text|>\nmore text here",
    "token4": f"```python\n{ADD}\n```<end_of_turn>",
    "token deepseek": f"```python\n{ADD}\n```<｜end▁of▁sentence｜>",
    "token unfenced": f"{ADD}<|im_end|>",
    "token unfenced2": f"{ADD}\n</s>",
    "sentence": f"```python\n{ADD}\n``` This is the function, and it works.",
    "period": f"```python\n{ADD}\n```.",
    "doc": f"```python\n{EXAMPLE}\n```",
    "doc text": f"Text\n```python\n{EXAMPLE}\n```\nThis is\n```\noutput\n```",
    "doc2": f"```python\n{EXAMPLES}\n```\nok",
    "doc unclosed": f"```python\n{EXAMPLES}",
    "second": f"```python\ndef add(a, b):\n    return a - b\n\nActually:\n```python\n{ADD}\n```",
    "second2": f"```python\n{ADD}\n\nUse it like:\n```python\nprint(add(1, 2))\n```",
    "tilde": f"~~~python\n{ADD}\n~~~",
    "tilde inner": f"~~~python\n{EXAMPLE}\n~~~",
    "bom": f"\ufeff```python\n{ADD}\n```",
    "bom code": f"\ufeff{ADD}",
    "zwsp": f"```python\n\u200b{ADD}\n```",
    "zwsp fence": f"\u200b```python\n{ADD}\n```",
    "nbsp indent": "```python\ndef add(a, b):\n\u00a0\u00a0\u00a0\u00a0return a + b\n```",
    "nbsp close": f"```python\n{ADD}\n```\u00a0\ntext",
    "Python3.11": f"```python3.11\n{ADD}\n```",
    "PYTHON": f"```PYTHON\n{ADD}\n```",
    "brace": f"```{{.python .numberLines}}\n{ADD}\n```",
    "brace2": f"```{{python}}\n{ADD}\n```",
    "title": f'```python title="add.py"\n{ADD}\n```',
    "colon": f"```python:add.py\n{ADD}\n```",
    "space": f"``` python\n{ADD}\n```",
    "file": f"```add.py\n{ADD}\n```",
    "tool_code": f"```tool_code\n{ADD}\n```",
    "list item": "1. Do it:\n\n   ```python\n   def add(a, b):\n       return a + b\n   ```\n",
    "list inline": "- ```python\n  def add(a, b):\n      return a + b\n  ```\n",
    "quote": "> ```python\n> def add(a, b):\n>     return a + b\n> ```\n",
    "indent close": f"```python\n{ADD}\n    ```",
    "unclosed": f"```python\n{ADD}\n",
    "unclosed prose": f"```python\n{ADD}\n\nThis function adds the two numbers (see above).",
    "prose around": f"Sure.\n\n{ADD}\n\nDone, it's simple.",
    "inline open": f"Here is the code: ```python\n{ADD}\n```",
    "answer": f"<answer>```python\n{ADD}\n```</answer>",
    "one line": "```python def add(a, b): return a + b```",
    "one line2": "Use ```def add(a, b): return a + b```",
    "blocks": f"```python\nimport os\n```\n\n```python\n{ADD}\n```\n```python\nassert add(1,2)==3\n```",
    "example first": f"Example:\n```\nadd(1, 2) -> 3\n```\nSolution:\n```python\n{ADD}\n```",
    "output after": f"```python\n{ADD}\n```\nOutput:\n```\n3\n```",
    "bash": f"```bash\npython add.py\n```\n```python\n{ADD}\n```",
    "prefilled": f"{ADD}\n```\n\nExplanation:\n- adds",
    "prefilled2": f"{ADD}\n```\nThis works by adding.",
    "prefilled3": f"{ADD}\n```\nNow usage:\n```python\nprint(add(1, 2))\n```",
    "longer close": f"```python\n{ADD}\n````",
    "four": f"````python\n{EXAMPLE}\n````",
    "four md": f"````markdown\n```python\nx\n```\n````\n```python\n{ADD}\n```",
    "string": "```python\ndef add(a, b):\n    s = '''\n```\n'''\n    return a + b\n```",
    "comment": "```python\n# ```\ndef add(a, b):\n    return a + b\n# ```\n```",
    "regex": "```python\nimport re\ndef add(a, b):\n    re.compile(r'```(.*)```')\n    return a + b\n```",
    "fstring": '```python\ndef add(a, b):\n    x = f"```{a}```"\n    return a + b\n```\nend',
    "pycon": "```python\n>>> def add(a, b):\n...     return a + b\n...\n>>> add(1, 2)\n3\n```",
    "magic": f"```python\n!pip install x\n%time\n{ADD}\n```",
    "PYTHON tags": f"[PYTHON]\n{ADD}\n[/PYTHON]",
    "inst": f"{ADD}\n[INST]",
    "tabs": "```python\ndef add(a, b):\n\treturn a + b\n```",
    "trailing spaces": f"```python   \n{ADD}\n```   ",
    "bold": f"**Solution**\n```python\n{ADD}\n```",
    "nested heading": f"### Code\n\n```py\n{ADD}\n```\n\n### Notes\n\n```\nnote\n```",
    "main": f"```python\n{ADD}\n\nif __name__ == '__main__':\n    import doctest\n    doctest.testmod()\n```",
    "last wins": f"```python\ndef add(a, b):\n    return a - b\n```\nfix\n```python\n{ADD}\n```",
    "truncated second": f"```python\n{ADD}\n```\nAlternative:\n```python\ndef add(a, b):\n    return (a +",
    "harmony": f"```python\n{ADD}\n```<|return|>",
    "form feed": f"```python\n\f{ADD}\n```",
    "html": f"<pre><code>\n{ADD}\n</code></pre>",
    "class": "```python\nclass Solution:\n    def go(self): pass\n\ndef add(a, b):\n    return a + b\n```",
    "one close for two": f"```python\nx = 1\n```python\n{ADD}\n```",
    "diff langs": f"```javascript\nfunction add(a, b) {{ return a - b }}\n```\n```python\n{ADD}\n```\n```javascript\nadd(1,2)\n```",
}


def adds(response: str) -> bool:
    code = extract_code(response, "add")
    if code is None:
        return False
    namespace: dict[str, object] = {"__name__": "solution"}
    exec(complete("", code.source, "add"), namespace)
    return namespace["add"](20, 3) == 23  # type: ignore[operator]


@pytest.mark.parametrize("response", WRITTEN.values(), ids=WRITTEN)
def test_the_program_is_found_however_its_fence_is_written(response: str) -> None:
    assert adds(response)


def test_blocks_keep_their_language_and_extent() -> None:
    text = "a\n```bash\nls\n```\n```python\nx = 1\n```\n~~~\nrest"
    found = blocks(unified(text), lambda _: True)
    assert [(b.language, b.text, b.closed) for b in found] == [
        ("bash", "ls", True),
        ("python", "x = 1", True),
        ("", "rest", False),
    ]


LONG = {
    "brackets": "([{",
    "fences": "```\n",
    "python fences": "```python\nx = 1\n",
    "quoted fences": "> ```\na b\n",
    "imports": "import a\n",
    "imports in prose": "import a\nfoo bar\n",
    "open functions": "def f(:\n",
    "open docstrings": 'def f():\n  """\n',
    "decorators": "@a\n",
    "backticks": "`",
    "spaces": " ",
}


@pytest.mark.parametrize("piece", LONG.values(), ids=LONG)
def test_a_long_response_costs_what_its_length_says(piece: str) -> None:
    def seconds(size: int) -> float:
        text = (piece * (size // len(piece) + 1))[:size]
        started = time.thread_time()
        extract_code(text, "add")
        return time.thread_time() - started

    seconds(10_000)
    short, long = min(seconds(50_000), seconds(50_000)), seconds(400_000)
    # Eight times the text: the square would be 64 times the work.
    assert long < 24 * short + 0.5
