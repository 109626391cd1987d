"""The queue in Redis, as Laravel's own scripts keep it."""
