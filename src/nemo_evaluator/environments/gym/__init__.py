"""Environments over HTTP: a benchmark that is served, and one that another program serves."""
