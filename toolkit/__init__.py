"""Why the model that won on the holdout set lost its A/B test.

A simulated company whose ground truth is known (`toolkit.world`), diagnostics for your own
tables (one module a chapter of the book), and the demos of the book (`toolkit.explore`).
Submodules are imported when they are first used, so `import toolkit` is quick.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"

_SUBMODULES = (
    "attribution",
    "auc",
    "charts",
    "data",
    "doctor",
    "exercises",
    "experiments",
    "explore",
    "features",
    "finding",
    "frames",
    "general",
    "intro",
    "nine_tables",
    "publish",
    "resampling",
    "rules",
    "shipping",
    "tables",
    "tradeoffs",
    "world",
)

__all__ = ["__version__", *_SUBMODULES]


def __getattr__(name: str) -> ModuleType:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
