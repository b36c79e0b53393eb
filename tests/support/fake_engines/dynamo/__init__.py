"""Poses as Dynamo: ``python3 -m dynamo.frontend`` and ``python3 -m dynamo.sglang``."""
