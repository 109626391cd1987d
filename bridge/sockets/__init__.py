"""The sockets half: a Pusher server on one asyncio loop."""
