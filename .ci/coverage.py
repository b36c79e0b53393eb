"""Fails where the tests leave too much of a package unseen: lines and branches, by package.

python .ci/coverage.py coverage.json
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

LEAST = {"decisions": 95.0, "engine": 95.0, "results": 95.0, "traffic": 95.0, "http": 95.0}
"""Per cent of the lines and branches of each package."""
SHOWN = 8


def seen(summary: dict[str, int]) -> tuple[int, int]:
    """How many lines and branches were run, and how many there are."""
    run = summary["covered_lines"] + summary["covered_branches"]
    return run, summary["num_statements"] + summary["num_branches"]


def main() -> int:
    """Print the share of each package; 1 if one is below its limit."""
    files = json.loads(Path(sys.argv[1]).read_text())["files"]
    run, there, missing = Counter[str](), Counter[str](), Counter[str]()
    for name, entry in files.items():
        path = Path(name)
        package = path.parts[path.parts.index("nemo_evaluator") + 1]
        found = seen(entry["summary"])
        run[package] += found[0]
        there[package] += found[1]
        missing[name] = found[1] - found[0]
    failed = False
    for package, least in LEAST.items():
        share = 100 * run[package] / there[package]
        failed |= share < least
        print(f"coverage of {package}: {share:.1f} % (at least {least:g} %)")
        if share < least:
            most = (n for n, _ in missing.most_common() if f"nemo_evaluator/{package}/" in n)
            for name, _ in zip(most, range(SHOWN), strict=False):
                print(f"  {name}: {missing[name]} lines and branches were not run")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
