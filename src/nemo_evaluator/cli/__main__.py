"""`python -m nemo_evaluator.cli` is `nel`."""

from .main import main

if __name__ == "__main__":
    main()
