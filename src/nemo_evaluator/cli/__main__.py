"""`python -m nemo_evaluator.cli` is `nel`."""

from .start import main

if __name__ == "__main__":
    main()
