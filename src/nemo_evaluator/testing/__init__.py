"""Contract suites: what any plug-in of a kind must keep, for our own and for those of others.

A suite is a class of pytest tests. Subclass it in a test module, and give it the fixture that its
docstring names; the tests are coroutines (``asyncio_mode = "auto"`` of pytest-asyncio runs them).
"""
