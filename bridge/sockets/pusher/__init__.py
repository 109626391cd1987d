"""The Pusher protocol, version 7. Pure: no sockets, no clock; what shall happen goes out as values.

    upgrade ──► admission.check: may it stay?
    text ──► connection.receive ──► Outcome: replies, deliveries, hub_events, close
                   │    messages (JSON), channels (the table of kinds), signatures
                   └──► hub.subscribe, unsubscribe, publish: who hears what

`Connection` and `Hub` are generic over the socket handle: the server's socket, or a string in tests.
"""
