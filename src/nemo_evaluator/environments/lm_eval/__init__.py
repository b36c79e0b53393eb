"""Tasks of lm-evaluation-harness, asked by our engine and scored by the harness itself."""
