"""A small HTTP/1.1 server: llhttp reads, one task per busy connection answers.

``messages`` is what goes in and out, ``connection`` one connection, ``server`` all of them.
"""
