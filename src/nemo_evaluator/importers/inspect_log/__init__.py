"""Reads logs of Inspect, both forms, without the package ``inspect_ai``."""
