"""The worker: reserves jobs, has them resolved and published, and decides how each one ends."""
