"""Judges: models that grade answers, as part of verification.

Invariant: what a judge says becomes a score only if it can be read, strictly; everything else is an
InfraError, and the answer stays to be verified later.
"""
