"""How fast and how heavy is the project, beside what it may be? `python -m benchmarks`, or `make bench`.

One module a group of measurements: `demos`, `pages`, `build`, `peers`. Nothing here asserts on a
clock: a table says what is within its budget and what is over.
"""
