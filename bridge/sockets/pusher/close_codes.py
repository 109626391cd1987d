"""The codes of the Pusher protocol: as the close code of a WebSocket, or in a `pusher:error` message.

4006, for a version that cannot be read, is not sent: whatever a client calls its version, it is let in.

What pusher-js does when a connection is closed with one: after 4000-4099 it never comes back, after 4200-4299
at once, after 4100-4199 and anything below 4000 in a second. As a message, a code changes nothing for it.
Source: Pusher channels documentation, "Protocol", error codes; pusher-js 8.6 `protocol.ts`.
"""

TLS_ONLY = 4000
UNKNOWN_APP = 4001
APP_DISABLED = 4003
OVER_QUOTA = 4004
UNKNOWN_PATH = 4005
UNSUPPORTED_PROTOCOL = 4007
NO_PROTOCOL = 4008
UNAUTHORIZED = 4009
OVER_CAPACITY = 4100
RECONNECT = 4200
PONG_TIMEOUT = 4201
MALFORMED = 4300  # Pusher's "any other error"; only as a message
CLIENT_EVENT_REFUSED = 4301  # only as a message
WATCHLIST_CUT = 4302  # only as a message
