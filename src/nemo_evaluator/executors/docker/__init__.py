"""Runs in a container of this machine (``cluster: {type: docker}``)."""
