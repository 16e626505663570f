"""General issues: infrastructure, distribution mismatch, feedback loops, tight couplings."""
