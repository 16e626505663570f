"""The benchmarks' arithmetic: percentiles, weights, verdicts; and that each group has something to measure."""

import gzip
import random

import pytest

from benchmarks import __main__ as command
from benchmarks import pages, peers
from benchmarks.measuring import MEASUREMENTS, Row, compressed, p95, seconds, table


def test_p95_is_the_sample_that_19_of_20_do_not_exceed():
    samples = list(range(1, 101))
    random.Random(0).shuffle(samples)
    assert p95(samples) == 95
    assert p95([3.0]) == 3.0


@pytest.mark.parametrize(
    ("budget", "measured", "verdict"),
    [(1, 0.9, "within"), (1, 1, "within"), (1, 1.1, "over"), (None, 5, "told"), (1, None, "skipped")],
)
def test_a_row_says_whether_it_is_within_its_budget(budget, measured, verdict):
    row = Row("make book", "s", budget, measured, note="why")
    assert row.verdict == verdict
    assert table([row]).splitlines()[1].split()[-2:] == [verdict, "why"]


def test_a_piece_of_work_takes_the_median_of_its_runs():
    ticks = iter([0.0, 5.0, 10.0, 11.0, 20.0, 22.0])
    assert seconds(lambda: None, runs=3, clock=lambda: next(ticks)) == 2.0


def test_a_page_weighs_what_its_first_visit_loads_each_file_once(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "a.css").write_text("body {}", encoding="utf-8")
    (tmp_path / "b.js").write_text("1;" * 2000, encoding="utf-8")
    page = tmp_path / "book" / "page.html"
    page.write_text(
        '<link rel="stylesheet" href="../a.css?digest=1"><link rel="next" href="other.html"><script src="../b.js">'
        '</script><script src="../b.js"></script><img src="data:image/png;base64,AA"><script>inline()</script>',
        encoding="utf-8",
    )
    assert sorted(path.name for path in pages.loaded(page)) == ["a.css", "b.js"]
    script = (tmp_path / "b.js").read_bytes()
    assert compressed(script) == len(gzip.compress(script, mtime=0)) / 1000


def test_each_group_measures_something_and_an_unknown_one_is_refused(capsys):
    assert set(MEASUREMENTS) == {"asof", "demos", "pages", "build", "experiments", "peers"}
    with pytest.raises(SystemExit):
        command.main(["dems"])
    assert (
        "group: got 'dems'; it must be one of asof, build, demos, experiments, pages, peers"
        in capsys.readouterr().err
    )


def test_one_measurement_that_fails_leaves_the_others_and_fails_the_command(monkeypatch, capsys):
    def fails():
        raise ValueError("no site")
        yield

    def works():
        yield Row("import toolkit", "s", 0.2, 0.3)

    monkeypatch.setattr(command, "MEASUREMENTS", {"build": [fails, works]})
    assert command.main(["build"]) == 1
    told = capsys.readouterr().out
    assert "failed: build: fails: ValueError: no site" in told
    assert "0.3 s     over" in told


def test_a_number_over_budget_fails_nothing(monkeypatch, capsys):
    monkeypatch.setattr(command, "MEASUREMENTS", {"build": [lambda: iter([Row("a", "s", 1, 2)])]})
    assert command.main(["build"]) == 0
    assert "1 over" in capsys.readouterr().out


def test_every_peer_is_pinned():
    wanted = peers.REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0] for line in wanted if "==" in line}
    assert {comparison.peer for comparison in peers.COMPARISONS} <= pinned


def test_without_chromium_the_pages_rows_are_skipped_with_the_reason(monkeypatch):
    monkeypatch.setattr(pages, "CHROMIUM", None)
    rows = [*pages.moving_a_demo(), *pages.the_first_chart(), *pages.moving_a_demo_in_jupyterlab()]
    assert [row.verdict for row in rows] == ["skipped"] * 4
    assert all("needs Chromium" in row.note for row in rows)
