"""Features: time travel, online vs offline and storage, versioning, freshness."""
