"""Sockets and HTTP on one asyncio loop. Performs what `pusher` decides.

    listener ──► http_protocol ──► api ───► node.publish ──► hub ──► outbox ──► socket ──► client
                  └── handshake ──► socket ──► connection.receive ──► node.perform ─┘

`http_server` holds the HTTP connections and their limits. `http_protocol` is one of them; `http_request`
reads for it, `http_answer` answers. `trusted_proxies` says who a client is, `certificate` what TLS
shows. All of it runs on one loop; `Node.publish_from_thread` is the one way in from other threads.
"""
