"""Runs the shards of a run as tasks of a Ray cluster (``cluster: {type: ray}``)."""
