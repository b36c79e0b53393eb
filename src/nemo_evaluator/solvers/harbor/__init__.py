"""The `harbor` solver: agents of the harbor package, in our workspaces, through our door.

harbor runs in an interpreter of its own (`script/`, see ``foreign``), always: it needs a newer
Python than we do, and agents that change its process change nothing here. Its environment is a
bridge to the workspace of the rollout (`bridge.py`), so limits, door and verifier are ours.
"""
