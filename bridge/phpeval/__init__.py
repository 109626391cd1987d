"""PHP, evaluated in Python without side effects, and the half of Laravel that needs no I/O."""
