"""Reads the sample logs of lm-evaluation-harness (`--log_samples`)."""
