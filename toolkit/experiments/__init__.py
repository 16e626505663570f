"""A/B testing: how a comparison of two arms goes wrong, one module a chapter."""
