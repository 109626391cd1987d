"""The house of sockets: a Pusher server on one asyncio loop."""
