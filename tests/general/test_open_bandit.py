"""The page on the Open Bandit sample: its numbers, what `ope` makes of them, and that the code writes it."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.general.off_policy import LEAST_EFFECTIVE, ope

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book" / "general" / "open_bandit.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("open_bandit", ROOT / "benchmarks" / "open_bandit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table(after):
    lines = PAGE.partition(after)[2].split("campaign | ")[1].splitlines()
    head = ["campaign", *lines[0].split(" | ")]
    rows = [line.split(" | ") for line in lines[2:5]]
    return pd.DataFrame(rows, columns=head).set_index("campaign")


def numbers(column):
    return column.str.replace(",", "").astype(float).to_dict()


def test_the_page_has_the_published_check_numbers():
    worth, earns = table("## What the log is worth"), table("## What the uniform policy earns")
    assert numbers(worth["effective rows"]) == {"all": 340.38, "men": 655.71, "women": 2.08}
    assert numbers(worth["largest weight"])["women"] == pytest.approx(21_739, abs=0.5)
    assert numbers(earns["IPS"]) == {"all": 0.00235964, "men": 0.00300863, "women": 0.00743758}
    assert numbers(earns["SNIPS"]) == {"all": 0.00233371, "men": 0.00318942, "women": 0.00237305}
    assert numbers(earns["truth"])["women"] == 0.0046


def test_the_peers_numbers_on_the_page_are_ours():
    ours, peers = table("## What the uniform policy earns"), table("given the same arrays")
    for name in ("IPS", "SNIPS", "DM", "DR"):
        assert numbers(ours[name]) == numbers(peers[name])


def test_ope_refuses_a_log_exactly_where_the_page_says_so():
    for campaign, effective in numbers(table("## What the log is worth")["effective rows"]).items():
        told = re.search(rf"- \*\*{campaign}:\*\* (.*)", PAGE)[1]
        # Ten thousand rows, one of them as heavy as makes them worth that many.
        ones = 9_999
        top = max(np.roots([effective - 1, -2 * ones, effective * ones - ones**2]).real)
        weight = np.r_[top, np.ones(ones)]
        log = pd.DataFrame({"y": np.arange(10_000) % 2, "propensity": 1 / top, "target_prob": weight / top})
        finding = ope(log, cluster=None)
        assert np.isnan(finding.estimate) == (effective < LEAST_EFFECTIVE)
        assert told.startswith("This log can't tell") == np.isnan(finding.estimate)
        assert f"are worth {effective:,.1f} for this target" in finding.verdict
        assert f"are worth {effective:,.1f} for this target" in told


def test_the_page_says_where_it_comes_from_and_holds_no_row_of_the_sample():
    assert "python -m benchmarks.open_bandit" in PAGE
    assert re.search(r"of the run of \d{4}-\d\d-\d\d", PAGE)
    assert "licence couldn't be confirmed" in PAGE
    assert not list(ROOT.joinpath("book").rglob("*.csv"))


def test_the_reward_model_never_sees_the_row_that_it_scores(benchmark):
    log = pd.DataFrame({"item": [0, 0, 1, 1], "y": [1, 0, 0, 1], "propensity": 0.5})
    scored, model = benchmark.with_model(log, 2)
    # Rows 0 and 2 are scored by rows 1 and 3: item 0 has no click in one row, item 1 one in one.
    assert model[0].tolist() == pytest.approx([1 / 251, 2 / 251])
    assert model[1].tolist() == pytest.approx([2 / 251, 1 / 251])
    assert scored["q_logged"].tolist() == pytest.approx([1 / 251, 2 / 251, 2 / 251, 1 / 251])
    assert scored["q_target"].tolist() == pytest.approx([1.5 / 251] * 4)
    assert scored["target_prob"].tolist() == [0.5] * 4


@pytest.mark.slow
def test_the_committed_page_is_what_the_code_writes(benchmark):
    if not (benchmark.FOLDER / "obp").is_dir():
        pytest.skip("needs the sample (python -m benchmarks.open_bandit fetches it)")
    rows = pd.DataFrame([benchmark.evaluate(benchmark.FOLDER, campaign) for campaign in benchmark.ITEMS])
    date = re.search(r"of the run of (\d{4}-\d\d-\d\d)", PAGE)[1]
    assert benchmark.page(rows, date) == PAGE
