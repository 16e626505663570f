"""What do the opening story's models gain behind a light ranker of any width?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from toolkit.rules import count
from toolkit.world.mechanisms import MECHANISMS
from toolkit.world.story import LIGHT_RANKER_KEEPS, Model, Story


def story_lift(
    story: Story,
    *,
    model: Model,
    keep: int = LIGHT_RANKER_KEEPS,
    missing_keys: bool = True,
    light: np.ndarray | None = None,
) -> float:
    """The lift of one of the opening story's models over the old one when so many candidates reach it.

    Parameters
    ----------
    story : Story
    model : "old", "leaky" or "point-in-time"
    keep : int
        Candidates that the light ranker lets through; all twenty mean that there is none.
    missing_keys : bool
        Whether the online store misses keys, as it did in the story.
    light : array of shape (requests, candidates), optional
        The light ranker's scores; the old model's where not given.

    Examples
    --------
    Where the light ranker, the old model here, lets one candidate through, nothing is left to choose:

    >>> from toolkit.world import Settings
    >>> from toolkit.world.story import tell
    >>> story = tell(Settings(items=50, requests=50, days=33))
    >>> story_lift(story, model="leaky", keep=1), story_lift(story, model="leaky", keep=20) < 0
    (0.0, True)
    """
    slates = story.production
    if count("keep", keep) > slates.day.shape[1]:
        raise ValueError(f"keep: got {keep}; a request has {slates.day.shape[1]} candidates")
    switches = frozenset(MECHANISMS) - (frozenset() if missing_keys else {"missing"})
    through = slates.passes(keep) if light is None else _best(light, keep)
    picked = np.where(through, story.scores(model, switches), -np.inf).argmax(-1)
    reward = np.take_along_axis(slates.p, picked[:, None], -1).mean()
    return float(reward / story.rewards("old", switches).mean() - 1)


def lifts_by_width(
    story: Story, *, missing_keys: bool = True, keeps: Sequence[int] = (1, 2, 3, 5, 10, 20)
) -> pd.DataFrame:
    """The lift of the story's two new models by how many candidates pass: `keep`, `model`, `lift`.

    Examples
    --------
    >>> from toolkit.world import Settings
    >>> from toolkit.world.story import tell
    >>> story = tell(Settings(items=50, requests=50, days=33))
    >>> lifts_by_width(story, keeps=[1]).to_numpy().tolist()
    [[1, 'leaky', 0.0], [1, 'point-in-time', 0.0]]
    """
    models: tuple[Model, ...] = ("leaky", "point-in-time")
    rows = [
        (keep, model, story_lift(story, model=model, keep=keep, missing_keys=missing_keys))
        for model in models
        for keep in keeps
    ]
    return pd.DataFrame(rows, columns=["keep", "model", "lift"])


def favourites_kept(
    story: Story, *, model: Model, keep: int = LIGHT_RANKER_KEEPS, light: np.ndarray | None = None
) -> float:
    """The share of requests at which a model's favourite among all candidates gets through to it.

    Examples
    --------
    The light ranker is the old model, so that the old model's favourite always gets through; so does
    any other's where all twenty do:

    >>> from toolkit.world import Settings
    >>> from toolkit.world.story import tell
    >>> story = tell(Settings(items=50, requests=50, days=33))
    >>> favourites_kept(story, model="old", keep=1), favourites_kept(story, model="leaky", keep=20)
    (1.0, 1.0)
    """
    through = story.production.passes(keep) if light is None else _best(light, keep)
    favourite = story.scores(model, frozenset(MECHANISMS)).argmax(-1)
    return float(np.take_along_axis(through, favourite[:, None], -1).mean())


def distilled(story: Story, *, model: Model, requests: int = 150, rng: int = 0) -> np.ndarray:
    """A light ranker trained on a model's own scores: least squares on what the old light ranker may see.

    Parameters
    ----------
    requests : int
        How many requests' candidates the model has scored unfiltered, for training.
    rng : int
        Which requests.

    Returns
    -------
    array of shape (requests of the test, candidates)
        Its scores of all candidates.

    Examples
    --------
    The old model is linear in what the light ranker sees, so that nothing of it is lost:

    >>> from toolkit.world import Settings
    >>> from toolkit.world.story import tell
    >>> story = tell(Settings(items=50, requests=50, days=33))
    >>> bool(np.allclose(distilled(story, model="old"), story.scores("old", MECHANISMS), atol=1e-5))
    True
    """
    scores, seen = story.scores(model, frozenset(MECHANISMS)), story.production.known
    drawn = np.random.default_rng(rng).choice(len(scores), count("requests", requests), replace=False)
    design = np.concatenate([np.ones_like(seen[..., :1]), seen], axis=-1)
    weights, *_ = np.linalg.lstsq(
        design[drawn].reshape(-1, design.shape[-1]).astype(float), scores[drawn].ravel(), rcond=None
    )
    return np.asarray(design @ weights)


def _best(scores: np.ndarray, keep: int) -> np.ndarray:
    return np.asarray(scores >= np.partition(scores, -keep, axis=-1)[:, [-keep]])
