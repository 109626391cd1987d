"""Laravel's pure half: collections, strings, dates, resources, models."""
