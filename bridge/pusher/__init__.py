"""The Pusher protocol, version 7. Pure: no sockets, no clock, no randomness; what shall happen goes out as values."""
