"""Tasks of Inspect, run by Inspect itself against our door."""
