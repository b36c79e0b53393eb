"""Hands a run on as OpenTelemetry: spans and evaluation events of the GenAI semantic conventions,
in OTLP's JSON encoding, to a collector or into files."""
