"""Every setting of bridge, read once at the edge into one frozen object.

A value comes from the first of: flag, `BRIDGE_NAME` in the environment, `name` in bridge.toml, the app
(`BRIDGE_NAME` in its `.env`, then its own names and configuration), the default below. Nothing else reads
flags, the environment or bridge.toml. A wrong value stops the start with one line: the setting, where it was
read, what to do; the value itself is never shown.

`table` and `listening` are read before anything else is imported, so that the port listens early: they import
next to nothing.
"""
