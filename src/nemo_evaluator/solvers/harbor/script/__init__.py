"""What runs in the interpreter that has harbor, started by `foreign`. ``nel_harbor`` is the script;
the other modules are its parts. Nothing of ours can be imported there, and nothing here imports it.
"""
