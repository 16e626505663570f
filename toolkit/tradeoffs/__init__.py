"""Long-term tradeoffs: what resists noise is slow to follow a change."""
