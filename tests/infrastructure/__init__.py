"""What real teams have between bridge and its stores or clients: TLS, Sentinel, Cluster, poolers, proxies."""
