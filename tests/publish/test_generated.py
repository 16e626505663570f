"""Pages that code writes: each has its directive, and every chapter is told of."""

from conftest import ROOT

from toolkit.nine_tables import SCHEMA
from toolkit.publish import api, dictionary, entries, teaching
from toolkit.publish.anatomy import book
from toolkit.publish.generated import Generated


def test_every_generated_part_writes_its_own_markdown():
    for kind in (
        entries.ApiIndex,
        dictionary.DataDictionary,
        teaching.Guide,
        teaching.Overview,
        teaching.Route,
    ):
        assert issubclass(kind, Generated)
        assert kind.markdown is not Generated.markdown


def test_what_is_generated_names_every_table_module_and_chapter():
    told = dictionary.markdown() + entries.markdown() + teaching.overview(book(ROOT))
    public = {each.module for each in api.names()}
    for name in (*SCHEMA, *public, *(each.docname for each in book(ROOT))):
        assert name in told, name
