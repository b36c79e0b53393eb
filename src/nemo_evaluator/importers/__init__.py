"""Reads results of other tools, and writes them as runs of ours."""
