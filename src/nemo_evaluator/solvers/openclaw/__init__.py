"""OpenClaw as the agent: its real command line, driven turn by turn."""
