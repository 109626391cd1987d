"""`bridge serve --shadow`: proof on one's own traffic, beside the present worker and socket server.

What lies in the queue is seen and left there, each job is resolved, and what Laravel itself posts is passed
on to the present server and held against that. Nothing is reserved, deleted or sent to a socket.

`comparer` sees and resolves, `proxy` is the way of Laravel's requests, `matcher` brings the two together,
`run` starts and stops all of it.
"""

from bridge.serve.shadow.run import Shadow

__all__ = ["Shadow"]
