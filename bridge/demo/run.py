"""Starts and stops the demo, and says what there is to do."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import webbrowser
from pathlib import Path
from types import FrameType

from bridge.demo.app import write_app
from bridge.demo.feed import Feed
from bridge.demo.page import routes
from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.serve.daemon import Daemon
from bridge.settings.load import load_settings
from bridge.sockets.server.binding import bind

HOST = "127.0.0.1"  # the page hands out what may connect and push: nobody else's business
USUAL_PORT = 6001

WORDS = """\
bridge demo: a queue of its own, and a sample event of a real Laravel in it every second

  {address}/

  1. Open the page. Events go from the jobs table to the browser; the time it took stands beside each.
  2. Open it in a second window: both are members of the presence channel. Whisper from one to the other.
  3. Push an event of your own: your text becomes a row in the jobs table.
  4. Watch everything that happens on the dashboard: {address}/laravel-websockets
  5. Look at the app it works for, with its .env, events, bridge.toml and queue:
     {folder}

Ctrl-C ends the demo and removes that folder. Beside a real app: bridge serve --app /path/to/app
"""


def run(*, port: str | int | None, browser: bool) -> int:
    """Serves the demo until SIGTERM or Ctrl-C; the exit code.

    `port` None: the usual one, or a free one if that is taken. Raises as `Daemon.run`.
    """
    signal.signal(signal.SIGTERM, _leave)  # until the daemon has its own handlers; the folder goes either way
    if port is None:
        port = USUAL_PORT
        if _is_taken(port):
            print(f"Port {port} is taken, so the demo takes a free one.\n")
            port = 0
    with tempfile.TemporaryDirectory(prefix="bridge-demo-") as name:
        app = write_app(Path(name))
        settings = load_settings({"host": HOST, "port": port}, {}, app.path, app.path / "bridge.toml")
        feed = Feed(app.database)

        def announce(address: str) -> None:
            print(WORDS.format(address=address, folder=app.path), flush=True)
            feed.start()
            if browser and _has_display():
                threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()

        try:
            return Daemon(settings, announce=announce, routes=routes(app, feed), open_dashboard=True).run()
        finally:
            feed.stop()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _is_taken(port: int) -> bool:
    try:
        bind(HOST, port).close()
    except (ConfigurationError, ServiceUnavailable):
        return True
    return False


def _has_display() -> bool:
    """Whether a browser would open a window, and not take over the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
