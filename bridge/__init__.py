"""bridge: from a Laravel app's queue to its Echo clients, inside one program.

    jobs (threads) ─► Broadcast ─► sockets (one asyncio loop)

`serve` builds both halves from `settings`; `cli` is the command line. ARCHITECTURE.md says the rest.
"""

__version__ = "0.10.0"
