"""The jobs half: from a row in Laravel's queue to a Broadcast. Plain synchronous code in threads."""
