"""Programs of ours that run in another Python interpreter: for packages that need a newer Python,
or whose requirements conflict with ours.

A script is a file of ours that needs nothing but the standard library and the foreign package. It
talks with us in JSON lines (`child.py` there, `Worker` here): both sides may call the other,
several calls at a time. It ends when we do, however we end.
"""

from .interpreters import Interpreter, Wanted, find_interpreter
from .worker import ForeignError, Worker, WorkerLost

__all__ = ["ForeignError", "Interpreter", "Wanted", "Worker", "WorkerLost", "find_interpreter"]
