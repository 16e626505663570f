"""Was the value there, and how old was it, when the online store was asked for what the offline table has?

The stores are in `stores` (with `sqlite_store`, `redis_store`, `offline_store` and `codecs`), what a
miss costs is in `misses`, FooBar's traffic through a real store in `kv_traffic`, and the diagnostics
for the reader's own tables in `default_rate` and `kv_freshness`.
"""

from toolkit.features.codecs import losses, sizes
from toolkit.features.default_rate import default_rate
from toolkit.features.kv_freshness import kv_freshness, served_times
from toolkit.features.kv_traffic import expected_age, expected_misses
from toolkit.features.misses import learned_default, miss_auc, neutral_equivalent
from toolkit.features.stores import Feature, Row, StoreSettings, StoreUnavailable, open_store, rows_of

__all__ = [
    "Feature",
    "Row",
    "StoreSettings",
    "StoreUnavailable",
    "default_rate",
    "expected_age",
    "expected_misses",
    "kv_freshness",
    "learned_default",
    "losses",
    "miss_auc",
    "neutral_equivalent",
    "open_store",
    "rows_of",
    "served_times",
    "sizes",
]
