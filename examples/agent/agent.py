"""A small agent. It runs inside the workspace, reaches its model and nothing else, and needs only
Python: it reads the broken file, asks for the corrected line, and edits the file.
"""

import json
import os
import re
import sys
import urllib.request
from pathlib import Path


def ask(messages: list[dict]) -> str:
    """One call of the model, at the address and with the key of this session."""
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps({"model": os.environ["OPENAI_MODEL"], "messages": messages}).encode(),
        {
            "Content-Type": "application/json",
            "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"],
        },
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


def main() -> None:
    """Replace the `return` line of calc.py by the one that the model proposes."""
    task, file = sys.argv[1], Path("calc.py")
    source = file.read_text()
    said = ask([{"role": "user", "content": f"{task}\n\n```python\n{source}```"}])
    lines = re.findall(r"return [\w +*/%().-]*\w", said)
    if not lines:
        print(json.dumps({"said": said, "edited": None}))
        return
    file.write_text(re.sub(r"return .*", lines[-1], source))
    print(json.dumps({"said": said, "edited": lines[-1]}))


if __name__ == "__main__":
    main()
