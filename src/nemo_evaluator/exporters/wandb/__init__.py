"""Hands a run on to Weights & Biases: its package runs in an interpreter that has it."""
