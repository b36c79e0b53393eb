"""Hands a run on to MLflow: its package runs in an interpreter that has it."""
