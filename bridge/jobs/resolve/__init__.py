"""The ladder: from a BroadcastEvent to what Laravel would have handed to its broadcaster."""
