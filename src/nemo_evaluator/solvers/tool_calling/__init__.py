"""The `tool_calling` solver: a loop of model calls and tool calls."""
