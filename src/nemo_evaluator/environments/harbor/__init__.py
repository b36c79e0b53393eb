"""Tasks in containers with tests of their own, in the formats of Harbor and Terminal-Bench."""
