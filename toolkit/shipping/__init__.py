"""Shipping practice: tracking, pipelines, upstream changes, backtesting, compatibility; one module a chapter."""
