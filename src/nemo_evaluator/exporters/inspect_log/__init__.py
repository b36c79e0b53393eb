"""Logs of Inspect, version 2 of their format: a benchmark as an ``EvalLog`` that Inspect's own
reader and viewer take. Written without the package ``inspect_ai``."""
