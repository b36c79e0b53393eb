"""What users of the known system bring along in Python: its names, on top of this package.

Each module here is thin and typed, does its work through the public doors of the other rooms, and
is used by none of them (see ``aliases``). Where something behaves differently, it says so once.
"""
