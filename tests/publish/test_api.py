"""Every public name has one entry, and a chapter that teaches it."""

import inspect
from collections import Counter
from importlib import import_module

import pytest
from conftest import ROOT

from toolkit.publish import api
from toolkit.publish.anatomy import book

CHAPTERS = {each.docname: each for each in book(ROOT)}
LESSONS = api.lessons(CHAPTERS.values())


def test_every_name_that_a_module_lists_has_its_entry():
    entries = {(each.module, each.name) for each in api.names()}
    for module in api.modules():
        for name in api.listed(module):
            assert api.defined(module, name) in entries, f"{module}.{name}"


def test_a_name_has_one_entry_under_the_module_that_defines_it():
    twice = [full for full, count in Counter(each.full for each in api.names()).items() if count > 1]
    assert not twice
    for each in api.names():
        thing = getattr(import_module(each.module), each.name)
        if each.kind != "data":
            assert thing.__module__ == each.module, each.full
            assert inspect.isclass(thing) == (each.kind == "class"), each.full
        for other in each.also_from:
            assert getattr(import_module(other), each.name) is thing, f"{other}.{each.name}"


def test_what_a_chapter_imports_from_its_own_module_is_taught_there():
    for docname, chapter in CHAPTERS.items():
        module = f"toolkit.{docname.removeprefix('book/').replace('/', '.')}"
        for place in chapter.imports.values():
            if place[0] == module == api.defined(*place)[0]:
                assert LESSONS[f"{module}.{place[1]}"].docname == docname


@pytest.mark.parametrize("part", api.PARTS)
def test_every_part_has_its_page_in_the_table_of_contents(part):
    page = (ROOT / f"{api.PAGE}{part}.md").read_text(encoding="utf-8")
    assert f".. api:: {part}\n" in page
    assert f"{api.PAGE}{part}\n" in (ROOT / "_toc.yml").read_text(encoding="utf-8")
