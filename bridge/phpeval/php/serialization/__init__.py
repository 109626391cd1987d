"""PHP's texts of values: serialize, JSON, and payloads that share a template."""
