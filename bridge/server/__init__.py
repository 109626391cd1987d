"""Sockets and HTTP: the only room with asyncio. Performs what `pusher` decides."""
