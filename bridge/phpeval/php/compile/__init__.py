"""From nodes to Python functions: each kind of node has one function here that makes another, which evaluates
it. What these call while they run stands in `runtime`."""
