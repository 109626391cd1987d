"""Webhooks: what happens on the server, posted to addresses of the app's choice, as Pusher does.

    hub event ──► events: what is posted of it ──► debounce: comings and goings that cancel out
                                                      └──► sender: queue, batch, signature, retries ──► HTTP

Webhooks out of `[apps_table]` go through `public_addresses`. `Webhooks.observe` is an observer of the node.
Nothing here is in the way of a delivery: queues are bounded, each address has a task of its own, and what is
lost is counted and said.
"""
