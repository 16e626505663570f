"""Code that is a public name leads to its entry, a term's first use to the glossary, nothing else changes."""

from types import SimpleNamespace

import pytest
from conftest import ROOT
from docutils import nodes
from docutils.core import publish_doctree

from toolkit.publish import api, glossary, links
from toolkit.publish.anatomy import book

CHAPTERS = {each.stem: each for each in book(ROOT)}
TEXT = """
Title with a propensity
-----------------------

A propensity and ``asof_join`` and ``asof_join(rows)``; a Propensity again, ``rows`` and ``serving_log``.

`A propensity's link <https://example.org>`__ and *the policy*.

Sources
-------

A lift.
"""


@pytest.fixture
def page():
    """A chapter's doctree after it got its links."""
    documents = dict.fromkeys((glossary.PAGE, links.DICTIONARY))
    documents |= {f"{api.PAGE}{part}": None for part in api.PARTS}
    builder = SimpleNamespace(format="html", get_relative_uri=lambda here, there: f"{there}.html")
    app = SimpleNamespace(builder=builder, srcdir=str(ROOT), env=SimpleNamespace(all_docs=documents, tocs={}))
    tree = publish_doctree(TEXT, settings_overrides={"doctitle_xform": False})
    links.add_links(app, tree, "book/features/time_travel")
    return tree


def test_code_that_is_a_public_name_leads_to_its_entry_and_other_code_to_nothing(page):
    linked = {
        each.astext(): each["refuri"]
        for each in page.findall(nodes.reference)
        if isinstance(each[0], nodes.literal)
    }
    assert (
        linked["asof_join"]
        == linked["asof_join(rows)"]
        == "book/reference/api/features.html#toolkit.features.asof.asof_join"
    )
    assert linked["serving_log"] == "book/reference/data_dictionary.html#table-serving-log"
    assert "rows" not in linked


def test_a_term_is_linked_at_its_first_use_in_prose_alone(page):
    found = [each for each in page.findall(nodes.reference) if "term" in each["classes"]]
    assert [each.astext() for each in found] == ["propensity", "policy"]
    assert found[0]["refuri"] == "book/reference/glossary.html#term-propensity"
    assert isinstance(found[0].parent, nodes.paragraph)
    assert found[0]["reftitle"].endswith(".")
    assert not [each for title in page.findall(nodes.title) for each in title.findall(nodes.reference)]
    assert page.astext().count("propensity") == publish_doctree(TEXT).astext().count("propensity")


def test_a_chapter_ends_with_the_names_that_it_teaches(page):
    (line,) = [each for each in page.findall(nodes.paragraph) if "names-taught" in each["classes"]]
    assert line.astext().startswith("Reference: asof_audit, ")
    assert "leak_probe" in line.astext()


def test_a_name_of_several_modules_is_the_one_that_the_chapter_imports():
    assert links.named("compute") is None
    assert links.named("promised") is None
    assert links.named("promised(log)") is not None
    assert links.named("compute", CHAPTERS["online_offline"]).full == "toolkit.features.engines.compute"
    assert links.named("toolkit.features.engine_duckdb.compute").module == "toolkit.features.engine_duckdb"
    assert links.named("1 + 1") is None


def test_a_link_to_a_chapter_or_heading_that_does_not_exist_is_refused():
    app = SimpleNamespace(env=SimpleNamespace(tocs={}))
    tree = nodes.paragraph("", "", *links.chapter_role("chapter", "", "book/none#x", 1, None)[0])
    with pytest.raises(ValueError, match="chapter: got 'book/none' in book/a; it must be a page of the book"):
        links._to_chapters(app, tree, "book/a")
    contents = nodes.bullet_list("", nodes.reference("", "Title", anchorname=""))
    app.env.tocs["book/none"] = contents
    with pytest.raises(ValueError, match="chapter: got 'x' in book/a; it must be a heading of book/none"):
        links._to_chapters(app, tree, "book/a")
