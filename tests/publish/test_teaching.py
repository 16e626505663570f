"""Every chapter has its part of the guide, every route fits its time, and a wrong route is refused."""

import re

import pytest
from conftest import ROOT

from toolkit.publish import teaching
from toolkit.publish.anatomy import book

CHAPTERS = {each.docname.removeprefix("book/"): each for each in book(ROOT)}
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS.values(), ids=CHAPTERS)
WRITTEN = dict(
    re.findall(
        r"^```\{route\} (.*?)\n(.*?)^```",
        (ROOT / "book/teaching/routes.md").read_text(encoding="utf-8"),
        re.M | re.S,
    )
)


@each_chapter
def test_the_guide_has_a_chapter_s_minutes_vote_mistakes_answers_and_prompts(chapter):
    told = teaching.guide(chapter, f"book/teaching/guide/{chapter.part}")
    assert chapter.objective in told
    assert f"{chapter.minutes} minutes, exercises {chapter.exercise_minutes}." in told
    assert told.count("<summary>Answer</summary>") == 1 + len(chapter.exercises)
    assert "{glue" not in told, "a number isn't filled in"
    assert "**Discuss.**" in told
    for name in chapter.exercises:
        assert told.count(f"`{name}`") == 2, "once with its minutes, once with its question"
    # A link leads from the guide's folder to a page that exists.
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", told):
        assert (ROOT / "book/teaching/guide" / target).resolve().exists(), target


@each_chapter
def test_every_chapter_stands_on_a_page_of_the_guide_that_the_table_of_contents_names(chapter):
    page = f"book/teaching/guide/{chapter.part}"
    assert f"```{{guide}} {chapter.part}\n" in (ROOT / f"{page}.md").read_text(encoding="utf-8")
    assert f"{page}\n" in (ROOT / "_toc.yml").read_text(encoding="utf-8")


def test_all_routes_are_written():
    assert list(WRITTEN) == list(teaching.ROUTES)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_route_s_minutes_are_those_of_its_chapters_and_fit(name):
    found = teaching.steps(WRITTEN[name], CHAPTERS)
    total = sum(step.minutes for step in found)
    limit = teaching.ROUTES[name]
    assert (1 - teaching.SPARE) * limit <= total <= limit
    assert f"**{total}**" in teaching.route_table(name, WRITTEN[name], list(CHAPTERS.values()))
    whole = [step for step in found if step.chapter and step.what == "all"]
    assert all(step.minutes == step.chapter.minutes + step.chapter.exercise_minutes for step in whole)


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ("general/none: all", "route: got 'general/none: all'; it must be 'chapter: what'"),
        ("intro", "it must be 'chapter: what'"),
        ("intro: Nothing of this", "route: got 'Nothing of this'; book/intro has all; read;"),
    ],
)
def test_a_step_that_does_not_exist_is_refused(route, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        teaching.steps(route, CHAPTERS)


@pytest.mark.parametrize(
    ("name", "route", "message"),
    [
        ("a week", "intro: all", "route: got 'a week'; it must be one of 60 minutes"),
        ("60 minutes", "- Break: 61", "route: got 61 minutes for 60 minutes; they must be from 54 to 60"),
        ("60 minutes", "- Break: 53", "route: got 53 minutes for 60 minutes; they must be from 54 to 60"),
    ],
)
def test_a_route_that_overruns_or_leaves_much_is_refused(name, route, message):
    with pytest.raises(ValueError, match=message):
        teaching.route_table(name, route, list(CHAPTERS.values()))


def test_overview_sums_all_minutes():
    told = teaching.overview(list(CHAPTERS.values()))
    assert f"**{sum(each.minutes + each.exercise_minutes for each in CHAPTERS.values())}**" in told
