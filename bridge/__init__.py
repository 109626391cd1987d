"""bridge: from a Laravel app's queue to its Echo clients, inside one process.

Two houses with one door between them:

    queues ─► laravel ─► resolvers ─► Broadcast ─► server ─► sockets
               └── php (pure) ──┘        │           └── pusher (pure)
      house of jobs (threads)           door      house of sockets (one loop)

`daemon` builds every room from `settings` and hands each the functions of the next;
`cli` is what a person types. Imports run one way only (see pyproject.toml, importlinter).
"""

__version__ = "0.4.0"
