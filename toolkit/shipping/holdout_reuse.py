"""What does a holdout answer when it is asked again and again, and what do guards before it change?

Two ways of asking. A search takes the best of many runs. An attack takes runs that know nothing, flips
those that read below one half, and lets them vote: every answer teaches it a little about the
held-out labels. Both are simulated from the answers on, so that no model needs to be trained.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.rules import count, number, one_of, share
from toolkit.shipping.winner import winner_reads

# What stands between the runs and the held-out rows.
MODES = ("reuse", "ladder", "thresholdout", "fresh")
_SEARCHES, _ATTACKS = 600, 8


def attack_reads(runs: int, rows: int) -> float:
    """The accuracy that a vote of runs which know nothing reads on the holdout that told their signs.

    Each run is right on half of the rows, give or take; flipped where it read below one half, it is
    right on 1/2 + 1/sqrt(2 pi rows) of them on average. The vote adds these up; its truth is 1/2.

    References
    ----------
    Blum and Hardt (2015), "The Ladder: A Reliable Leaderboard for Machine Learning Competitions", ICML.

    Examples
    --------
    >>> round(attack_reads(500, 1000), 3)
    0.714
    """
    return float(norm.cdf(math.sqrt(2 * count("runs", runs) / (math.pi * count("rows", rows)))))


def attack_runs(reads: float, rows: int) -> float:
    """How many runs the attack must ask about until its vote reads so much.

    Parameters
    ----------
    reads : float
        The vote's accuracy on the holdout, above 1/2 and below 1.
    rows : int

    Examples
    --------
    >>> round(attack_runs(attack_reads(500, 1000), 1000))
    500
    """
    z = norm.ppf(number("reads", reads, above=0.5, below=1))
    return float(math.pi * count("rows", rows) * z**2 / 2)


@lru_cache(maxsize=256)
def search_claims(
    rows: int, mode: str, *, runs: int = 300, accuracy: float = 0.7, correlation: float = 0.0, rng: int = 0
) -> pd.DataFrame:
    """What a search over equally good runs claims for its winner, by the number of runs, on average.

    Parameters
    ----------
    rows : int
        Held-out rows.
    mode : "reuse", "ladder", "thresholdout" or "fresh"
        `reuse`: the winner's reading. `ladder`: the board moves only for a run that is better by the
        standard error of the difference, and the claim is what it shows. `thresholdout`: there are as many
        rows to choose on, and the holdout answers with their reading where its own is near, else with its own
        and noise. `fresh`: the winner is read once more, on rows that chose nothing.
    runs : int
        The longest search.
    accuracy, correlation : float
        As in `toolkit.shipping.winner.winner_reads`.
    rng : int

    Returns
    -------
    DataFrame
        `runs` (1, 2, 3, 5, ... up to `runs`) and `claim`.

    References
    ----------
    Blum and Hardt (2015), "The Ladder", ICML; Dwork et al. (2015), "The reusable holdout", Science.

    Examples
    --------
    >>> claims = search_claims(1000, "reuse").set_index("runs")["claim"]
    >>> bool(abs(claims[100] - 0.736) < 0.001)
    True
    """
    one_of("mode", mode, MODES)
    own, common = _noises(rows, accuracy, correlation)
    draw = np.random.default_rng(rng)
    # The same searches in every mode and at every size, each with its mirror image: what differs is the guard.
    luck, shared, later = (_mirrored(draw, width) for width in (runs, 1, runs))
    read = accuracy + common * shared + own * luck
    best = np.maximum.accumulate(read, axis=1)
    if mode == "fresh":
        best = np.full_like(read, accuracy) + math.hypot(own, common) * later[:, :1]
    elif mode == "ladder":
        best, _ = _ladder(read, step=math.sqrt(2) * own, opening=-math.inf)
    elif mode == "thresholdout":
        held = accuracy + common * _mirrored(draw, 1) + own * later
        best = np.maximum.accumulate(_thresholdout(read, held, rows, draw), axis=1)
    sizes = _sizes(runs)
    claim = best.mean(axis=0)[np.array(sizes) - 1]
    if mode != "fresh":
        # What reuse reads is known exactly; these searches' distance from it is their luck in every mode.
        reused = np.maximum.accumulate(read, axis=1).mean(axis=0)[np.array(sizes) - 1]
        exact = [winner_reads(size, rows, accuracy=accuracy, correlation=correlation) for size in sizes]
        claim += exact - reused
    return pd.DataFrame({"runs": sizes, "claim": claim})


def attack_path(rows: int, mode: str, *, runs: int = 500, rng: int = 0) -> pd.DataFrame:
    """What the attack's vote claims, by the number of runs that it asked about, on average; its truth is 1/2.

    Parameters
    ----------
    rows : int
        Held-out rows; as many again to choose on where the mode is `thresholdout`.
    mode : "reuse", "ladder", "thresholdout" or "fresh"
        As in `search_claims`; under `ladder` a run votes if the board moved for it.
    runs : int
        The longest attack.
    rng : int

    Returns
    -------
    DataFrame
        `runs` and `claim`.

    Examples
    --------
    >>> path = attack_path(1000, "reuse").set_index("runs")["claim"]
    >>> bool(abs(path[500] - attack_reads(500, 1000)) < 0.01)
    True
    """
    one_of("mode", mode, MODES)
    return pd.DataFrame({"runs": _sizes(runs), "claim": _attacks(count("rows", rows), runs, rng)[mode]})


@lru_cache(maxsize=16)
def _attacks(rows: int, runs: int, rng: int) -> dict[str, np.ndarray]:
    """The mean claim by size in every mode: the same attacks under each guard."""
    at = np.array(_sizes(runs))
    # The more rows, the less one attack differs from the next.
    attacks = min(_ATTACKS, max(3, _ATTACKS * 1000 // rows))
    claims: dict[str, list[np.ndarray]] = {mode: [] for mode in MODES}
    for attack in range(attacks):
        draw = np.random.default_rng([rng, attack])
        right, chosen = (_guesses(draw, runs, rows) for _ in range(2))
        answer, train = (each.mean(axis=1, dtype=float) / 2 + 0.5 for each in (right, chosen))
        claims["reuse"].append(_reads(np.sign(answer - 0.5), right, at))
        # Rows that the signs know nothing of.
        claims["fresh"].append(np.full(len(at), 0.5))
        # The board opens at what guessing is worth; it tells of the runs that moved it, of no others.
        step = 1 / math.sqrt(2 * rows)
        board, moved = _ladder(answer[None, :], step=step, opening=0.5)
        shown, reads = board[0, at - 1], _reads(moved[0].astype(float), right, at)
        claims["ladder"].append(np.where(reads > shown + step, reads, shown))
        signs = np.sign(_thresholdout(train, answer, rows, draw) - 0.5)
        pair = _reads(signs, chosen, at), _reads(signs, right, at)
        claims["thresholdout"].append(_thresholdout(*pair, rows, draw))
    return {mode: np.mean(each, axis=0) for mode, each in claims.items()}


def _mirrored(draw: np.random.Generator, width: int) -> np.ndarray:
    """Standard normal numbers, a row a search; the second half are the first one's with the sign turned."""
    half = draw.normal(size=(_SEARCHES // 2, width))
    return np.vstack([half, -half])


def _guesses(draw: np.random.Generator, runs: int, rows: int) -> np.ndarray:
    """1 where a run that knows nothing is right on a row, -1 where it is wrong."""
    bits = np.unpackbits(np.frombuffer(draw.bytes(runs * rows // 8 + 1), dtype=np.uint8), count=runs * rows)
    return 2 * bits.reshape(runs, rows).astype(np.float32) - 1


def _ladder(read: np.ndarray, *, step: float, opening: float) -> tuple[np.ndarray, np.ndarray]:
    """What the board shows after each run (columns), and which runs moved it."""
    shown, moved = np.empty_like(read), np.empty(read.shape, dtype=bool)
    board = np.full(len(read), opening)
    for run in range(read.shape[1]):
        moved[:, run] = read[:, run] > board + step
        board = np.where(moved[:, run], read[:, run], board)
        shown[:, run] = board
    return shown, moved


def _thresholdout(chosen: np.ndarray, held: np.ndarray, rows: int, draw: np.random.Generator) -> np.ndarray:
    """The reading on the rows to choose on where the holdout's is near, else the holdout's with noise."""
    noise = 1 / math.sqrt(rows)
    far = np.abs(chosen - held) > 4 * noise + draw.normal(scale=noise, size=chosen.shape)
    return np.where(far, held + draw.normal(scale=noise, size=chosen.shape), chosen)


def _reads(signs: np.ndarray, right: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The share of rows on which the signed vote of the first runs is right; a tie is right in half."""
    first = np.arange(len(signs)) < at[:, None]
    votes = (first * signs).astype(np.float32) @ right
    shares: np.ndarray = (votes > 0).mean(axis=1) + (votes == 0).mean(axis=1) / 2
    return shares


def _noises(rows: int, accuracy: float, correlation: float) -> tuple[float, float]:
    """The standard errors of a reading: what is the run's own, and what all runs share."""
    noise = math.sqrt(share("accuracy", accuracy) * (1 - accuracy) / count("rows", rows))
    shared = share("correlation", correlation, open_high=True)
    return noise * math.sqrt(1 - shared), noise * math.sqrt(shared)


def _sizes(runs: int) -> list[int]:
    """1, 2, 3, 5, 10, 20, 30, 50, ... up to the last."""
    count("runs", runs)
    steps = [mantissa * 10**power for power in range(7) for mantissa in (1, 2, 3, 5)]
    return [*(step for step in steps if step < runs), runs]
