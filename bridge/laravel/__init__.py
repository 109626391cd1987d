"""What Laravel means: the app on disk, its payloads, models and encryption."""
