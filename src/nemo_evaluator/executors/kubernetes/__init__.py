"""Runs as an indexed Job of Kubernetes (``cluster: {type: kubernetes}``), by way of ``kubectl``."""
