"""An entry says what a name is, where it's taught and what may be given to it."""

import inspect
from importlib import import_module

import pytest
from conftest import ROOT

from toolkit.publish import api, entries
from toolkit.publish.anatomy import book

CHAPTERS = {each.docname: each for each in book(ROOT)}
LESSONS = api.lessons(CHAPTERS.values())


def test_every_entry_is_taught_by_a_chapter_or_says_which_foundation_it_is():
    for each in api.names():
        lesson = LESSONS.get(each.full)
        told = " ".join(entries.where(each, lesson))
        if lesson:
            assert CHAPTERS[lesson.docname].section(lesson.section)
            assert f"`{lesson.docname}#{lesson.section}`" in told
        else:
            # What is true and in no log is read by no chapter.
            assert each.module == "toolkit.world.oracle", f"{each.full}: no chapter of the book needs it"
        if api.is_foundation(each.module):
            assert f"Foundation: ``{each.module.split('.')[1]}``." in told


def test_a_name_that_no_page_imports_is_part_of_a_chapter_or_needed_by_it():
    known = {each.full: each for each in api.names()}
    for full, words in {
        "toolkit.features.asof.asof_join": "Chapter: :chapter:`book/features/time_travel#",
        "toolkit.features.schema.Row": "Part of the chapter :chapter:`book/features/online_offline#",
        "toolkit.finding.Finding": "Foundation: ``finding``. First needed by the chapter :chapter:`book/intro#",
    }.items():
        assert " ".join(entries.where(known[full], LESSONS[full])).startswith(words)


def test_a_constant_says_what_it_is_and_shows_its_value_or_keys():
    for each in api.names():
        if each.kind == "data":
            text = "\n".join(entries.entry(each, LESSONS.get(each.full)))
            said = text.split("Chapter: ")[0].split("Part of the chapter")[0].splitlines()[-1]
            assert said.strip().endswith("."), f"{each.full}: a comment above it must say what it is"
            assert f".. py:data:: {each.name}\n   :module: {each.module}" in text
    known = {each.full: each for each in api.names()}
    estimators = "\n".join(entries.entry(known["toolkit.general.off_policy.ESTIMATORS"], None))
    assert ":value: ('IPS', 'SNIPS', 'clipped IPS', 'DM'" in estimators
    assert "Keys: ``pandas``, ``DuckDB``, ``Python``." in "\n".join(
        entries.entry(known["toolkit.features.engines.ENGINES"], None)
    )
    assert ":value: int | str" in "\n".join(entries.entry(known["toolkit.features.schema.EntityId"], None))


@pytest.mark.parametrize(
    ("full", "given", "shown"),
    [
        (
            "toolkit.general.iteration_time.lift_left",
            "(days: Any, half_life: float = _FOR_EVER) -> Any",
            "(days, half_life: float = inf)",
        ),
        (
            "toolkit.general.reports.posts",
            "(*, days: range = DAYS, settings: Settings = SETTINGS)",
            "(*, days: range = range(31, 45), settings: Settings = SETTINGS)",
        ),
        ("toolkit.features.stores.Store", "(*args, **kwargs)", ""),
        (
            "toolkit.attribution.Attribution",
            "(table: ~pandas.DataFrame, labels: ~collections.abc.Mapping[str, str] = <factory>)",
            "(table: DataFrame, labels: Mapping[str, str] = ...)",
        ),
        ("toolkit.auc.auc", "(y: Any | None, score: Any = None)", "(y: Any | None, score = None)"),
    ],
)
def test_a_signature_shows_values_and_types_that_say_something(full, given, shown):
    arguments, _, returns = given.partition(" -> ")
    assert entries.short_signature(None, "", full, None, None, arguments, returns or None) == (shown, None)


def test_no_docstring_makes_docutils_complain():
    from docutils.core import publish_doctree
    from docutils.utils import Reporter
    from sphinx.ext.napoleon import Config, NumpyDocstring

    settings = {"report_level": Reporter.SEVERE_LEVEL + 1, "halt_level": Reporter.SEVERE_LEVEL + 1}
    config = Config(napoleon_use_param=False, napoleon_use_rtype=False)
    complaints = []
    for each in api.names():
        thing = getattr(import_module(each.module), each.name)
        things = {each.full: thing}
        if each.kind == "class":
            members = {k: v for k, v in vars(thing).items() if not k.startswith("_") and inspect.getdoc(v)}
            things |= {f"{each.full}.{key}": value for key, value in members.items()}
        for full, inner in things.items() if each.kind != "data" else ():
            lines = entries.without_substitutions((inspect.getdoc(inner) or "").splitlines())
            tree = publish_doctree(str(NumpyDocstring(lines, config)), settings_overrides=settings)
            said = [node.astext() for node in tree.findall() if node.tagname == "problematic"]
            complaints += [f"{full}: {text}" for text in said]
    assert not complaints, "\n".join(complaints)
