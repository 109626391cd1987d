"""The bus between nodes: many processes, on many machines, that serve the same apps, over one Redis.

`envelope` seals what goes over it, `names` says what everything is called there, `link` is the connection,
`scripts` what Redis executes as one step. `cluster` keeps the hubs and Redis alike, and wires its parts.
`docs/processes.md` tells users what it promises.
"""
