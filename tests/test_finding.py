"""A finding says what it found in one line, in text and in HTML, and refuses what can't be one."""

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest

from toolkit.explore.vega import compile_skeleton, split
from toolkit.finding import Finding


def make(**settings):
    return Finding(
        **{"estimate": 0.031, "ci": (0.012, 0.05), "verdict": "The treatment is better.", **settings}
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"verdict": " "}, "verdict: got an empty string; it must say in one sentence"),
        ({"ci": (2, 1)}, r"ci: got \(2, 1\); the lower end must come first"),
        ({"p": 1.1}, r"p: got 1.1; it must lie in \[0, 1\]"),
        ({"p": math.nan}, r"p: got nan; it must lie in \[0, 1\]"),
        ({"n": -1}, "n: got -1; it must not be negative"),
        ({"se": -0.1}, "se: got -0.1; it must not be negative"),
        ({"alpha": 1}, "alpha: got 1; it must lie strictly between 0 and 1"),
    ],
)
def test_what_it_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


def test_its_line_has_unit_level_p_and_sizes():
    found = make(unit="points", alpha=0.1, p=0.0123, n=12_345, n_clusters=678)
    assert found.summary() == (
        "estimate 0.031 points, 90% interval 0.012 to 0.05, p = 0.012, n = 12,345, 678 clusters"
    )


def test_a_tiny_p_is_no_zero_and_an_undefined_estimate_says_so():
    assert "p < 0.0001" in make(p=0.0).summary()
    assert "p = 0.0001" in make(p=1e-4).summary()
    undefined = make(estimate=math.nan, ci=(math.nan, math.nan))
    assert undefined.summary() == "estimate undefined, no interval"


def test_text_has_verdict_assumptions_what_stays_open_and_table():
    table = pd.DataFrame({"arm": ["control"], "users": [7]})
    text = str(
        make(assumptions=("users are independent",), cannot_tell=("novelty, from an effect",), table=table)
    )
    lines = text.splitlines()
    assert lines[0] == "The treatment is better."
    assert lines[2:4] == ["  assumes: users are independent", "  cannot tell: novelty, from an effect"]
    assert lines[-1].split() == ["control", "7"]


def test_a_long_table_is_cut_for_showing_and_whole_for_computing():
    found = make(table=pd.DataFrame({"row": range(1000)}))
    assert len(str(found).splitlines()) < 40
    assert found._repr_html_().count("<tr") < 40
    assert len(found.table) == 1000


def test_what_a_table_lacks_is_an_empty_cell():
    found = make(table=pd.DataFrame({"stage": ["all", "best"], "change": [math.nan, 0.25]}))
    assert [line.split() for line in str(found).splitlines()[-2:]] == [["all"], ["best", "0.25"]]
    page = found._repr_html_()
    assert "<td>all</td>\n      <td></td>" in page
    assert "nan" not in (str(found) + page).lower()


def test_thousands_are_marked_in_counts_and_not_in_names():
    table = pd.DataFrame({"item_id": [12_345], "rows": [30_000], "effective": [8_017.2]})
    page = make(table=table)._repr_html_()
    for cell in ("<td>12345</td>", "<td>30,000</td>", "<td>8,017</td>"):
        assert cell in page


def test_html_escapes_every_text():
    bad = "<script>alert(1)</script> & co"
    table = pd.DataFrame({"<b>arm</b>": ["<i>x</i>"]})
    page = make(verdict=bad, unit="<u>", assumptions=(bad,), cannot_tell=(bad,), table=table)._repr_html_()
    for tag in ("<script", "<b>", "<i>", "<u>"):
        assert tag not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp; co") == 3


def test_html_without_assumptions_or_table_has_no_empty_list():
    page = make()._repr_html_()
    assert "<ul>" not in page
    assert "<table" not in page


def test_its_chart_shows_interval_estimate_and_zero_under_the_whole_verdict():
    verdict = (
        "Users of the new model act less often than the others, and that is a long sentence for a phone."
    )
    skeleton, data = split(make(verdict=verdict, unit="points").chart().to_dict())
    assert data["d0"] == {"zero": [0], "low": [0.012], "high": [0.05], "estimate": [0.031]}
    drawn = compile_skeleton(skeleton, list(data))
    assert [mark["type"] for mark in drawn["marks"]] == ["rule", "rule", "symbol"]
    assert [axis["title"] for axis in drawn["axes"] if "title" in axis] == ["points"]
    title = skeleton["title"]["text"]
    assert " ".join(title) == verdict
    assert max(map(len, title)) <= 44


def test_a_chart_of_an_undefined_estimate_is_still_a_chart():
    skeleton, data = split(make(estimate=math.nan, ci=(-math.inf, math.inf)).chart().to_dict())
    assert data["d0"]["estimate"] == [None]
    compile_skeleton(skeleton, list(data))


def test_numpy_s_numbers_are_kept_as_plain_ones():
    finding = Finding(np.float64(1.0), (np.float64(0.5), np.float64(1.5)), "One.", n=3)
    assert repr(finding.ci) == "(0.5, 1.5)"
    assert json.loads(json.dumps(dataclasses.asdict(finding)))["estimate"] == 1.0
