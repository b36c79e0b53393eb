"""Checks a model's program against a benchmark's tests, in a sandbox."""

from .check import CheckResult, CodeProblem, check_code, code_sandbox

__all__ = ["CheckResult", "CodeProblem", "check_code", "code_sandbox"]
