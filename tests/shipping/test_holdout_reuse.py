"""Guards of a holdout: what they do to a search's claim and to an attack, against closed forms."""

import numpy as np
import pytest

from toolkit.shipping.holdout_reuse import MODES, attack_path, attack_reads, attack_runs, search_claims
from toolkit.shipping.winner import standard_error, winner_reads


def at(table, runs):
    return float(table.set_index("runs")["claim"][runs])


def test_the_attack_s_reading_is_that_of_simulated_votes_for_500_runs():
    assert attack_reads(500, 1000) == pytest.approx(0.714, abs=5e-4)
    assert at(attack_path(1000, "reuse"), 500) == pytest.approx(attack_reads(500, 1000), abs=0.008)


@pytest.mark.parametrize("runs", [1, 10, 100])
@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_a_reused_holdout_claims_the_order_statistic(runs, correlation):
    claim = at(search_claims(1000, "reuse", correlation=correlation), runs)
    # Over 600 searches; what runs share has the whole standard error.
    assert claim == pytest.approx(
        winner_reads(runs, 1000, correlation=correlation), abs=3 * standard_error(0.7, 1000) / np.sqrt(600)
    )


def test_fresh_rows_claim_the_truth_whatever_the_search():
    claims = search_claims(1000, "fresh")["claim"]
    assert claims.nunique() == 1
    assert claims[0] == pytest.approx(0.7, abs=3 * standard_error(0.7, 1000) / np.sqrt(600))
    assert at(attack_path(1000, "fresh"), 500) == pytest.approx(0.5, abs=1e-12)


def test_a_ladder_claims_less_than_the_winner_reads_and_more_than_it_is_worth():
    claims, reused = search_claims(1000, "ladder")["claim"], search_claims(1000, "reuse")["claim"]
    assert (claims <= reused).all()
    assert (claims.diff().dropna() >= 0).all()
    assert 0.71 < at(search_claims(1000, "ladder"), 100) < winner_reads(100, 1000) - 0.005


def test_a_ladder_stops_the_attack_but_for_what_single_runs_show():
    assert at(attack_path(1000, "ladder"), 500) < 0.5 + 4 * standard_error(0.5, 1000)


def test_thresholdout_stops_the_attack_and_lets_a_search_s_small_luck_pass():
    # 4/sqrt(rows) is many standard errors: luck of choosing is seldom as large.
    assert at(search_claims(1000, "thresholdout"), 100) == pytest.approx(winner_reads(100, 1000), abs=0.003)
    path = attack_path(1000, "thresholdout")
    # Over eight attacks; each answer has noise of 1/sqrt(rows).
    assert at(path, 500) == pytest.approx(0.5, abs=3 / np.sqrt(1000 * 8))
    assert path["claim"].max() < 0.58


@pytest.mark.parametrize("mode", MODES)
def test_the_same_seed_gives_the_same_table_and_runs_end_with_the_last(mode):
    once = search_claims(200, mode, runs=40)
    search_claims.cache_clear()
    assert once.equals(search_claims(200, mode, runs=40))
    assert once["runs"].tolist() == [1, 2, 3, 5, 10, 20, 30, 40]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: search_claims(100, "lader"), "mode: got 'lader'; it must be one of reuse, ladder"),
        (lambda: attack_path(100, "none"), "mode: got 'none'"),
        (lambda: attack_path(0, "reuse"), "rows: got 0"),
        (lambda: search_claims(0, "reuse"), "rows: got 0"),
        (lambda: search_claims(10, "reuse", correlation=2), "correlation: got 2"),
        (lambda: attack_reads(0, 10), "runs: got 0"),
        (lambda: attack_runs(0.5, 10), "reads: got 0.5; it must lie strictly between 0.5 and 1"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_every_mode_that_reuses_is_measured_from_the_known_reading():
    # By the closed form itself: no simulation error is left.
    for runs in (10, 100):
        assert at(search_claims(1000, "reuse"), runs) == pytest.approx(winner_reads(runs, 1000), abs=1e-12)
