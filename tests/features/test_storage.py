import toolkit.features.storage as storage
from toolkit.features import default_rate, kv_freshness, misses, stores


def test_the_chapter_s_module_names_what_the_page_is_about():
    assert set(storage.__all__) <= set(dir(storage))
    assert storage.default_rate is default_rate.default_rate
    assert storage.kv_freshness is kv_freshness.kv_freshness
    assert storage.miss_auc is misses.miss_auc
    assert storage.open_store is stores.open_store
