"""PinchBench: everyday tasks for an agent with a workspace (github.com/pinchbench/skill)."""
