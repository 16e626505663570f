"""Every diagnostic is found from what one sees at work, and says all that it takes."""

import ast
import inspect
import re
from importlib import import_module

import pytest
from conftest import ROOT

from toolkit.publish import api, diagnostics
from toolkit.publish.anatomy import book
from toolkit.tables import SCHEMA

PAGE = (ROOT / f"{diagnostics.PAGE}.md").read_text(encoding="utf-8")
LISTED = diagnostics.listed(PAGE)
CHAPTERS = book(ROOT)


def test_every_diagnostic_is_listed_under_what_one_sees():
    called = {diagnostics.resolved(name) for each in LISTED for name in each.names}
    assert len(diagnostics.diagnostics()) > 55
    assert not [each.full for each in diagnostics.diagnostics() if each not in called]


def test_diagnostics_return_a_finding_and_take_a_reader_s_table():
    for each in diagnostics.diagnostics():
        signature = inspect.signature(getattr(import_module(each.module), each.name))
        assert signature.return_annotation == "Finding", each.full
        assert next(iter(signature.parameters.values())).annotation != "str"
    # The experiment of the chapter's own data takes none.
    assert "toolkit.general.nsw.reweighted" not in {each.full for each in diagnostics.diagnostics()}


def test_every_parameter_of_a_diagnostic_is_documented_and_no_other():
    for each in diagnostics.diagnostics():
        function = getattr(import_module(each.module), each.name)
        section = re.search(r"\nParameters\n-+\n(.*?)(?=\n\n\w+\n---)", inspect.getdoc(function), re.S)
        lines = [line for line in section.group(1).splitlines() if line and not line.startswith(" ")]
        told = [name.strip() for line in lines for name in line.split(" : ")[0].split(",")]
        assert sorted(told) == sorted(inspect.signature(function).parameters), each.full


def test_a_symptom_leads_to_the_call_its_answer_and_the_chapter():
    told = diagnostics.markdown(LISTED, CHAPTERS)
    for each in LISTED:
        assert f"## {each.group}" in told
        assert f"\n{each.seen}\n" in told
    assert told.count("## ") == len({each.group for each in LISTED}) == 7
    assert (
        "{entry}`toolkit.experiments.srm.srm srm(assignments)`: The share of users in an arm less the designed"
        in told
    )
    assert "{chapter}`book/experiments/shared_variables#" in told


def test_a_call_shows_what_can_t_be_left_out_and_nothing_else():
    for each in diagnostics.diagnostics():
        function = getattr(import_module(each.module), each.name)
        needed = [
            f"{name}=..." if parameter.kind is parameter.KEYWORD_ONLY else name
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.default is parameter.empty
        ]
        assert diagnostics.call(each) == f"{each.name}({', '.join(needed)})"
        ast.parse(diagnostics.call(each))


def test_each_of_the_tables_has_a_reader_and_readers_take_it_by_name():
    readers = diagnostics.readers()
    assert set(readers) == set(SCHEMA)
    assert [each.name for each in readers["tracker"]] == ["tracker_audit"]
    # `log` is a serving log only beside `outcomes`.
    assert "simpson" in [each.name for each in readers["serving_log"]]
    assert "memory_curve" not in [each.name for each in readers["serving_log"]]


def test_a_name_of_several_functions_is_the_diagnostic_s():
    assert diagnostics.resolved("replay").full == "toolkit.shipping.replay.replay"
    assert diagnostics.resolved("problems").full == "toolkit.tables.problems"
    assert len([each for each in api.names() if each.name == "replay"]) > 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# A\nSeen", "diagnostics: got 'Seen'; ': ' and names must follow a symptom"),
        ("Seen\n: srm", "a group, a symptom, then ': ' and names must follow each other"),
        ("# A\nSeen\nSeen too\n: srm", "got 'Seen too'"),
        ("# A\n: srm", "got ': srm'"),
    ],
)
def test_a_list_out_of_order_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        diagnostics.symptoms(text)


@pytest.mark.parametrize("name", ["no_such_function", "compute"])
def test_a_name_of_none_or_of_several_is_refused(name):
    with pytest.raises(ValueError, match=f"diagnostics: got '{name}'; it must be one public function"):
        diagnostics.resolved(name)
