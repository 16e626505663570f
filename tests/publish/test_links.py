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


def linked_page(docname):
    """A chapter's doctree after it got its links."""
    documents = dict.fromkeys((glossary.PAGE, links.DICTIONARY))
    documents |= {f"{api.PAGE}{part}": None for part in api.PARTS}
    builder = SimpleNamespace(format="html", get_relative_uri=lambda here, there: f"{there}.html")
    app = SimpleNamespace(builder=builder, srcdir=str(ROOT), env=SimpleNamespace(all_docs=documents, tocs={}))
    tree = publish_doctree(TEXT, settings_overrides={"doctitle_xform": False})
    links.add_links(app, tree, docname)
    return tree


@pytest.fixture
def page():
    return linked_page("book/features/time_travel")


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


def test_a_name_that_a_chapter_has_from_two_modules_says_which():
    page = linked_page("book/experiments/shared_variables")
    (line,) = [each for each in page.findall(nodes.paragraph) if "names-taught" in each["classes"]]
    told = [each.astext() for each in line.findall(nodes.reference)]
    assert {"ramp_up.tables", "shared_budget.tables", "srm"} <= set(told)
    assert len(set(told)) == len(told)


def test_a_chapter_leads_back_to_every_name_that_leads_to_it(page):
    here = "book/features/time_travel"
    lessons = api.lessons(CHAPTERS.values())
    lines = [
        each
        for each in page.findall(nodes.paragraph)
        if {"names-taught", "names-behind"} & set(each["classes"])
    ]
    linked = {each["refuri"] for line in lines for each in line.findall(nodes.reference)}
    leading = {
        f"{each.page}.html#{each.full}"
        for each in api.names()
        if each.full in lessons and lessons[each.full].docname == here
    }
    assert linked == leading
    assert "book/reference/api/features.html#toolkit.features.sources.Source" in linked


def test_a_link_to_an_entry_keeps_its_code_and_refuses_an_unknown_name():
    builder = SimpleNamespace(get_relative_uri=lambda here, there: f"{there}.html")
    app = SimpleNamespace(builder=builder)
    text = "toolkit.experiments.srm.srm srm(assignments, x=...)"
    tree = nodes.paragraph("", "", *links.entry_role("entry", "", text, 1, None)[0])
    links._to_entries(app, tree, "book/reference/diagnostics")
    (link,) = tree.findall(nodes.reference)
    assert link["refuri"] == "book/reference/api/experiments.html#toolkit.experiments.srm.srm"
    assert isinstance(link[0], nodes.literal)
    assert link.astext() == "srm(assignments, x=...)"
    tree = nodes.paragraph("", "", *links.entry_role("entry", "", "toolkit.none x", 1, None)[0])
    with pytest.raises(ValueError, match=r"entry: got 'toolkit\.none' in book/a; it must be a public name"):
        links._to_entries(app, tree, "book/a")


def bibliography(key):
    """The bibliography's app and doctree, with one work that two pages cite."""
    cited = SimpleNamespace(
        citations=[
            SimpleNamespace(citation_id="id0", key="first2000"),
            SimpleNamespace(citation_id="id1", key="known2000"),
        ],
        citation_refs=[
            SimpleNamespace(docname=docname, targets=[SimpleNamespace(key=key)])
            for docname in ("book/general/open_bandit", "book/shipping/upstream", "book/intro")
        ],
    )
    names = ("book/intro", "book/shipping/upstream", "book/general/open_bandit")
    titles = {name: nodes.title("", name.rsplit("/", 1)[-1]) for name in names}
    env = SimpleNamespace(get_domain=lambda _: cited, titles=titles)
    builder = SimpleNamespace(get_relative_uri=lambda here, there: f"{there}.html")
    work = nodes.citation("", nodes.label("", "1"), nodes.paragraph("", "A work."), ids=["id1"])
    return SimpleNamespace(env=env, builder=builder, srcdir=str(ROOT)), nodes.container("", work)


def test_a_work_says_which_pages_cite_it_chapters_first_in_the_book_s_order():
    app, tree = bibliography("known2000")
    links._cited_by(app, tree, links.BIBLIOGRAPHY)
    assert tree[0][-1].astext() == "Cited in: intro; upstream; open_bandit"


def test_a_work_that_no_page_cites_is_refused():
    app, tree = bibliography("other2000")
    with pytest.raises(ValueError, match="bibliography: got 'known2000'; it must be cited by a page"):
        links._cited_by(app, tree, links.BIBLIOGRAPHY)


def test_texts_of_the_reference_have_the_quotes_that_python_reads():
    tree = nodes.paragraph("", "", nodes.Text("either “own” or the user’s"))
    links._straighten(tree)
    assert tree.astext() == 'either "own" or the user’s'


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
