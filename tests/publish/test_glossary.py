"""Every term is defined in a sentence, used by a chapter or waiting for one, and leads to where it's taught."""

import pytest
from conftest import ROOT

from toolkit.publish import glossary
from toolkit.publish.anatomy import book

CHAPTERS = book(ROOT)
TERMS = glossary.all_terms(ROOT)


def test_the_glossary_has_the_field_s_terms_each_in_one_sentence():
    assert len(TERMS) > 60
    for term in TERMS:
        assert term.definition.endswith("."), term.name
        assert ". " not in term.definition.replace("i.e. ", ""), f"{term.name}: one sentence"


def test_every_term_is_used_by_a_chapter_or_waits_for_one_that_it_names():
    standing = {each.docname for each in CHAPTERS}
    for term in TERMS:
        if glossary.lesson(term, CHAPTERS) is None:
            assert term.chapter, f"{term.name}: no chapter uses it"
            assert f"book/{term.chapter}" not in standing


def test_every_shown_term_leads_to_a_heading_of_a_chapter():
    told = glossary.markdown(ROOT)
    for term in glossary.shown(ROOT):
        chapter, heading = glossary.lesson(term, CHAPTERS)
        assert chapter.section(heading)
        if term.chapter and any(each.docname == f"book/{term.chapter}" for each in CHAPTERS):
            assert chapter.docname == f"book/{term.chapter}", (
                f"{term.name} isn't in the chapter that it names"
            )
        assert f"{{chapter}}`{chapter.docname}#{heading}`" in told


def test_terms_match_in_any_capitals_and_with_any_hyphens_but_only_as_whole_words():
    (term,) = glossary.terms("as-of join; as-of joins\n: A join.")
    wanted = glossary.pattern([term])
    assert wanted.search("An As-Of\njoin").group(0) == "As-Of\njoin"
    assert wanted.search("two as-of joins").group(0) == "as-of joins"
    assert not wanted.search("an as-of joiner")
    assert glossary.of("As of  joins", [term]) is term


def test_code_formulas_links_and_answers_headings_are_no_prose():
    text = "`lift` $lift$ [lift](a.md) {glue:text}`lift`\n\n```\nlift\n```\n\n<summary>lift</summary> Lift."
    assert glossary.prose_of(text).split() == ["Lift."]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("holdback", "terms: got 'holdback'; a term's line must be followed by"),
        ("holdback\nUsers kept.", "must be followed by"),
        ("lift; gain\n: A.\n\ngain\n: B.", "terms: got gain twice; a form must belong to one term"),
    ],
)
def test_a_term_without_definition_or_a_form_of_two_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        glossary.terms(text)
