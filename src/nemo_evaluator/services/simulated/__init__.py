"""A model endpoint without a model: deterministic answers, latencies and faults on demand."""
