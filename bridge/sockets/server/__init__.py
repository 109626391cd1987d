"""Sockets and HTTP on one asyncio loop. Performs what `pusher` decides.

    listener ──► http_protocol ──► api ───► node.publish ──► hub ──► outbox ──► socket ──► client
                  └── handshake ──► socket ──► connection.receive ──► node.perform ─┘

`trusted_proxies` says who a client is, `certificate` what TLS shows. Everything here runs on one loop;
`Node.publish_from_thread` is the one way in from other threads.
"""
