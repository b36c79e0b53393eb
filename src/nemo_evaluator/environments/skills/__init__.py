"""Datasets that NeMo Skills prepared, by the evaluation types and prompts it documents."""
