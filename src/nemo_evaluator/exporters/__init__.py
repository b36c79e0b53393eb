"""Hands the results of a run on: to a file, a table of runs, another tool."""
