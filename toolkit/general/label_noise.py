"""Labels that are wrong, or that only bad rows get: what do they still tell?"""

from __future__ import annotations

from toolkit.rules import share

__all__ = ["clean_auc", "noisy_auc", "positives_only"]


def positives_only(labelled: float, chance: float) -> float:
    """P(bad) of a row, from the chance that it gets a label and the chance that a bad row gets one.

    For labels that only bad rows get, each with the same chance (selected completely at random).

    Parameters
    ----------
    labelled : float
        Share of rows like this one that are labelled bad.
    chance : float
        Share of bad rows that are labelled.

    Raises
    ------
    ValueError
        If one of them is no share, or more are labelled than can be.

    References
    ----------
    Elkan and Noto (2008), "Learning Classifiers from Only Positive and Unlabeled Data", KDD.

    Examples
    --------
    >>> round(positives_only(0.012, 0.05), 3)
    0.24
    """
    share("labelled", labelled), share("chance", chance, open_low=True)
    if labelled > chance:
        raise ValueError(f"labelled: got {labelled!r}; it can't exceed chance, {chance!r}")
    return labelled / chance


def noisy_auc(auc: float, *, prevalence: float, flip_bad: float, flip_good: float) -> float:
    """The AUC that a score gets when it is measured on labels that are flipped at random.

    Parameters
    ----------
    auc : float
        Against right labels.
    prevalence : float
        Share of rows that are bad, by right labels.
    flip_bad, flip_good : float
        Share of bad rows labelled good, and of good rows labelled bad, whatever their score.

    Returns
    -------
    float
        1/2 + (auc - 1/2) (1 - a - b), with a the share of good rows among those labelled bad and
        b the share of bad rows among those labelled good.

    Raises
    ------
    ValueError
        If one isn't a share, or all rows get one label.

    References
    ----------
    Menon, van Rooyen, Ong and Williamson (2015), ICML.

    Examples
    --------
    >>> round(noisy_auc(0.9, prevalence=0.1, flip_bad=0.1, flip_good=0.1), 3)
    0.695
    """
    share("auc", auc)
    return 0.5 + (auc - 0.5) * _kept(prevalence, flip_bad, flip_good)


def clean_auc(auc: float, *, prevalence: float, flip_bad: float, flip_good: float) -> float:
    """The AUC against right labels, from one measured on flipped labels: `noisy_auc` backwards.

    Parameters
    ----------
    auc : float
        Against the flipped labels.
    prevalence, flip_bad, flip_good : float
        As for `noisy_auc`; the prevalence is of right labels, which `adjusted_prevalence` gives
        from that of flipped ones.

    Raises
    ------
    ValueError
        Also if the flips leave nothing of the AUC, or the measured one can't come from them.

    Examples
    --------
    >>> round(clean_auc(0.69512, prevalence=0.1, flip_bad=0.1, flip_good=0.1), 3)
    0.9
    """
    share("auc", auc)
    kept = _kept(prevalence, flip_bad, flip_good)
    if abs(kept) < 1e-9:
        raise ValueError(
            f"flip_bad: got {flip_bad!r} with flip_good {flip_good!r}; such labels are all noise"
        )
    clean = 0.5 + (auc - 0.5) / kept
    # The measured AUC is rounded at the least; a rounding mustn't be refused.
    if not -1e-9 <= clean <= 1 + 1e-9:
        raise ValueError(
            f"auc: got {auc!r}; with these flips it can't lie further from 0.5 than {abs(kept) / 2:.4g}"
        )
    return min(max(clean, 0.0), 1.0)


def _kept(prevalence: float, flip_bad: float, flip_good: float) -> float:
    share("prevalence", prevalence, open_low=True, open_high=True)
    share("flip_bad", flip_bad), share("flip_good", flip_good)
    called_bad = prevalence * (1 - flip_bad) + (1 - prevalence) * flip_good
    if not 0 < called_bad < 1:
        raise ValueError(
            f"flip_bad: got {flip_bad!r} with flip_good {flip_good!r}; all rows would get one label"
        )
    wrong_among_bad = (1 - prevalence) * flip_good / called_bad
    wrong_among_good = prevalence * flip_bad / (1 - called_bad)
    return 1 - wrong_among_bad - wrong_among_good
