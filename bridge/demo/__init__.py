"""`bridge demo`: the main job on a queue of its own, and a page that shows what arrives.

A temporary folder becomes a small Laravel app (`app`), rows that a real Laravel wrote are put into its `jobs`
table every second (`feed`), and the daemon serves it as it serves any other, with a few more routes (`page`).
Nothing is short-cut: queue, ladder, node and sockets are those of `bridge serve`.
"""

from bridge.demo.run import run

__all__ = ["run"]
