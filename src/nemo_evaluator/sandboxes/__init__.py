"""Sandboxes: isolated places where untrusted code or an agent runs."""
