"""Every chapter has its part of the guide, every route fits its time, and a wrong route is refused."""

import re
from types import SimpleNamespace

import pytest
from conftest import ROOT

from toolkit import exercises
from toolkit.publish import teaching
from toolkit.publish.anatomy import book

CHAPTERS = {each.docname.removeprefix("book/"): each for each in book(ROOT)}
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS.values(), ids=CHAPTERS)
PROMPTS = teaching.prompts(ROOT)
WRITTEN = dict(
    re.findall(
        r"^```\{route\} (.*?)\n(.*?)^```",
        (ROOT / "book/teaching/routes.md").read_text(encoding="utf-8"),
        re.M | re.S,
    )
)


@each_chapter
def test_the_guide_has_a_chapter_s_minutes_vote_mistakes_answers_and_prompts(chapter):
    told = teaching.guide(chapter, f"book/teaching/guide/{chapter.part}", PROMPTS[chapter.stem])
    assert chapter.objective in told
    assert f"{chapter.minutes} minutes, exercises {chapter.exercise_minutes}." in told
    assert told.count("<summary>Answer</summary>") == 1 + len(chapter.exercises)
    assert "{glue" not in told, "a number isn't filled in"
    talk = told.split("**Discuss.**\n\n")[1]
    for question in PROMPTS[chapter.stem]:
        assert f"- {question}" in talk.splitlines()
    for question in chapter.demo_questions:
        assert f"- {question}" in told.splitlines()
    for name in chapter.exercises:
        assert teaching.answered(name) in told
        for _, _, hint in exercises._find(name).wrong_answers():
            assert hint in told
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


@each_chapter
def test_a_chapter_s_questions_are_its_own(chapter):
    asked = PROMPTS[chapter.stem]
    assert len(asked) >= 2
    everywhere = [question for questions in PROMPTS.values() for question in questions]
    for question in asked:
        assert everywhere.count(question) == 1
    assert teaching.discussion(chapter, asked)[: len(asked)] == asked


def test_no_question_is_asked_of_a_chapter_that_does_not_exist():
    assert set(PROMPTS) == {each.stem for each in CHAPTERS.values()}


def test_a_line_of_questions_that_names_no_chapter_is_refused(tmp_path):
    page = tmp_path / "book/teaching/guide/general.md"
    page.parent.mkdir(parents=True)
    page.write_text("# Guide\n\n```{guide} general\nselection: Why?\nAnd why not?\n```\n")
    with pytest.raises(ValueError, match=r"general\.md: got 'And why not\?'; it must be 'chapter: question'"):
        teaching.prompts(tmp_path)


@each_chapter
def test_an_objective_is_something_one_can_be_seen_to_do(chapter):
    promised = chapter.objective.split(" you can ")[1]
    assert not re.search(r"\b(understand|know|appreciate|be aware|learn|see)\b", promised)


@pytest.mark.parametrize(
    ("value", "tolerance", "text"),
    [
        (35.108, 1.5, "35"),
        (0.34567, 0.006, "0.346"),
        (60_000.0, 20, "60,000"),
        (53467182.0, 0.4, "53467182"),
        (-0.6479, 0.006, "\N{MINUS SIGN}0.648"),
        (-0.0001, 0.006, "0"),
        (100.0, 1, "100"),
        (0.2, 0.1, "0.2"),
    ],
)
def test_numbers_have_the_digits_that_count(value, tolerance, text):
    assert teaching._plain(value, tolerance) == text


def test_hints_that_several_answers_share_are_told_once():
    told = teaching.mistakes("staleness/noise").splitlines()
    assert told[0].startswith("- **0.25 or 0.1:** That is the customary threshold")
    assert len(told) == len(exercises._find("staleness/noise").hints) - 1


def test_there_are_routes_of_every_length_and_for_several_rooms():
    lengths = [name.split(", ")[0] for name in WRITTEN]
    assert set(lengths) == set(teaching.LENGTHS)
    assert min(lengths.count(each) for each in ("60 minutes", "90 minutes", "180 minutes")) >= 2
    used = {
        step.chapter.stem
        for route in WRITTEN.values()
        for step in teaching.steps(route, CHAPTERS)
        if step.chapter
    }
    left = {each.stem for each in CHAPTERS.values()} - used
    assert left == {"infrastructure", "moderation", "sensor_noise"}, (
        "the page says what is for reading at home"
    )


@pytest.mark.parametrize("name", WRITTEN)
def test_a_route_s_minutes_are_those_of_its_chapters_and_fit(name):
    found = teaching.steps(WRITTEN[name], CHAPTERS)
    told = teaching.route_table(name, WRITTEN[name], list(CHAPTERS.values()))
    by_day = teaching.days(found)
    assert len(by_day) == (2 if name.startswith("two days") else 1)
    for day in by_day:
        total = sum(step.minutes for step in day)
        assert (1 - teaching.SPARE) * teaching.limit(name) <= total * len(by_day) <= teaching.limit(name)
        assert f"| **{total}**" in told
    for step in found:
        if step.chapter and step.what == "all":
            assert step.minutes == step.chapter.minutes + step.chapter.exercise_minutes + teaching.VOTE
        if step.chapter and step.what == "read":
            assert step.minutes == step.chapter.minutes + teaching.VOTE


def test_an_opening_has_time_for_its_vote():
    (opening, section) = teaching.steps("intro: title\nintro: In your logs", CHAPTERS)
    minutes = CHAPTERS["intro"].section_minutes()
    assert opening.minutes == minutes[CHAPTERS["intro"].title] + teaching.VOTE
    assert section.minutes == minutes["In your logs"]


def test_the_clock_runs_on_and_starts_anew_each_day():
    route = """# Day 1
    - Talk: 85
    - Lunch: 60
    - Talk: 90
    - Break: 15
    - Talk: 85
    # Day 2
    - Talk: 90
    - Break: 15
    - Talk: 75
    - Lunch: 60
    - Talk: 90"""
    told = teaching.route_table("two days", route, list(CHAPTERS.values())).splitlines()
    assert told[2] == "0:00 | **Day 1** | "
    assert told[4] == "1:25 | Lunch | 60"
    assert told[8] == "5:35 | **End** | **335**"
    assert told[9:11] == ["0:00 | **Day 2** | ", "0:00 | Talk | 90"]


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
        ("a week", "intro: all", "route: got 'a week'; it must begin with one of 60 minutes"),
        (
            "180 minutes, a",
            "- Talk: 60\n- Talk: 31\n- Break: 80",
            "got 91 minutes without a break in 180 minutes, a",
        ),
        (
            "two days",
            "# 1\n- Break: 360\n# 2\n- Break: 300",
            "got 300 minutes for two days; they must be from 324 to 360",
        ),
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


def test_a_page_of_the_guide_asks_the_questions_that_stand_in_it():
    env = SimpleNamespace(docname="book/teaching/guide/intro", srcdir=str(ROOT))
    page = SimpleNamespace(env=env, arguments=["intro"], chapters=lambda: list(CHAPTERS.values()))
    told = teaching.Guide.markdown(page)
    assert told.startswith(f"## {CHAPTERS['intro'].title}")
    assert all(question in told for question in PROMPTS["intro"])
