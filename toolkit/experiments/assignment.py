"""Which arm is a user in? By a hash that any process, platform and language gives alike."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from toolkit.rules import number

HALVES: Mapping[str, float] = MappingProxyType({"control": 0.5, "treatment": 0.5})


def points(user_ids: Any, *, salt: str) -> np.ndarray:
    """Each user's fixed point in [0, 1): uniform over users, and independent between salts.

    The first 13 hexadecimal digits of the SHA-256 of `salt:user_id`, read as a whole number, over
    2**52. The text is encoded as UTF-8, as it is (no case is folded, no accent normalised); a
    whole number is written in decimal digits, so 7 and "7" are the same user. In DuckDB that is
    `('0x' || left(sha256(salt || ':' || user_id), 13))::BIGINT / 2**52`.

    Parameters
    ----------
    user_ids : array, Series or list of shape (n,)
        All whole numbers, or all text; none missing. A user may be there more than once.
    salt : str
        The experiment's name, or what else no other experiment has. Without a colon, which ends it.

    Raises
    ------
    ValueError
        If there is no user, an id is missing, ids are neither whole numbers nor text, or the salt
        is empty or has a colon.

    Examples
    --------
    >>> points([7, 8], salt="new_ranker").round(4).tolist() == points(["7", "8"], salt="new_ranker").round(4).tolist()
    True
    >>> text = hashlib.sha256(b"new_ranker:7").hexdigest()
    >>> float(points([7], salt="new_ranker")[0]) == int(text[:13], 16) / 2**52
    True
    """
    if not isinstance(salt, str) or not salt or ":" in salt:
        raise ValueError(f"salt: got {salt!r}; it must be a text that isn't empty and has no colon")
    code, unique = _users(user_ids)
    start = hashlib.sha256(f"{salt}:".encode())

    def digest(text: str) -> bytes:
        each = start.copy()
        each.update(text.encode())
        return each.digest()

    digests = b"".join([digest(text) for text in map(str, unique.tolist())])
    # Big-endian, whatever the machine's order: the first eight of a digest's 32 bytes.
    first = np.frombuffer(digests, dtype=">u8").reshape(-1, 4)[:, 0].astype(np.uint64)
    # 52 bits fit a float exactly; 64 would round up to 1 now and then.
    result: np.ndarray = ((first >> np.uint64(12)) / 2.0**52)[code]
    return result


def assign(user_ids: Any, *, salt: str, shares: Mapping[str, float] = HALVES) -> np.ndarray:
    """Each user's arm by hash: the same in every process and for ever, independent between salts.

    The arms split [0, 1) in the order of `shares`, and a user is where its point lies (`points`).
    So with two arms, raising the second one's share leaves its users in it.

    Parameters
    ----------
    user_ids : array, Series or list of shape (n,)
        All whole numbers, or all text; none missing.
    salt : str
        Of this experiment alone: with another experiment's salt the two split users alike, and
        each measures the other's effect too.
    shares : mapping of arm to share
        Positive, summing to 1.

    Returns
    -------
    array of shape (n,)
        Arms, in the order of `user_ids`.

    Raises
    ------
    ValueError
        As `points`; or if `shares` is no split of 1.

    References
    ----------
    Kohavi, Tang and Xu (2020), "Trustworthy Online Controlled Experiments", chapter 4.

    Examples
    --------
    >>> assign([1, 2, 3, 4], salt="new_ranker").tolist()
    ['control', 'treatment', 'treatment', 'treatment']
    """
    if not isinstance(shares, Mapping) or not shares:
        raise ValueError(f"shares: got {shares!r}; it must be a mapping of arm to share")
    for arm, share in shares.items():
        number(f"shares[{arm!r}]", share, above=0)
    total = sum(shares.values())
    if abs(total - 1) > 1e-9:
        raise ValueError(f"shares: got a sum of {total:g}; it must be 1")
    ends = np.cumsum(list(shares.values()))[:-1]
    arms = np.array(list(shares), dtype=object)
    chosen: np.ndarray = arms[np.searchsorted(ends, points(user_ids, salt=salt), side="right")]
    return chosen


def _users(user_ids: Any) -> tuple[np.ndarray, np.ndarray]:
    """Users as whole numbers from 0, and who each of them is; refused unless all are of one kind."""
    if isinstance(user_ids, str | bytes | Mapping) or np.ndim(user_ids) != 1:
        raise ValueError(f"user_ids: got {type(user_ids).__name__}; it must be one row of ids")
    if not len(user_ids):
        raise ValueError("user_ids: got none; there must be one at least")
    ids = user_ids if isinstance(user_ids, pd.Series) else pd.Series(user_ids)
    if ids.isna().any():
        raise ValueError(
            f"user_ids: got {int(ids.isna().sum()):,} missing of {len(ids):,}; each user has one"
        )
    if isinstance(ids.dtype, pd.CategoricalDtype):
        ids = ids.astype(ids.cat.categories.dtype)
    kind = pd.api.types.infer_dtype(ids, skipna=False)
    if kind not in ("integer", "string"):
        raise ValueError(f"user_ids: got {kind}; they must be all whole numbers or all text")
    code, unique = pd.factorize(ids)
    return code, np.asarray(unique, dtype=object)
