"""The server under test: bridge's node and nothing else, for `tests.bench.fanout`.

python -m tests.bench.node_server PORT [--no-gc]
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

from bridge.sockets.pusher.app import App, Limits
from bridge.sockets.server.binding import bind
from bridge.sockets.server.listener import Listener, new_event_loop
from bridge.sockets.server.node import Node

APP = App(id="app-id", key="app-key", secret="app-secret")
UNLIMITED = Limits(client_events_per_second=10**9, messages_per_second=10**9)


async def serve(port: int) -> None:
    sock = bind("127.0.0.1", port)
    app = App(id=APP.id, key=APP.key, secret=APP.secret, limits=UNLIMITED)
    listener = Listener(Node([app]), [sock])
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listener.run())
        await listener.listening.wait()
        print("listening", flush=True)
        await stopping.wait()
        await listener.stop(drain=0.5)


if __name__ == "__main__":
    if sys.argv[2:] == ["--no-gc"]:
        gc.disable()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
