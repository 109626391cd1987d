"""From nodes to closures that the interpreter calls."""
