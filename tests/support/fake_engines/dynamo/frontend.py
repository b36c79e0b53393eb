"""The frontend: the same fake server, whose health lists the workers that are there."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from engine import main

if __name__ == "__main__":
    main("dynamo", sys.argv[1:])
