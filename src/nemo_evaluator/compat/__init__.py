"""What users of NVIDIA NeMo Evaluator bring along in Python: its names, on top of this package.

Each module here is thin and typed, does its work through the public functions of the other
packages, and is used by none of them (see ``aliases``). Where something behaves differently, it
says so once.
"""
