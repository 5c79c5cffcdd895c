"""How well losses over streets are foretold for a transmitter never heard: the numbers of a card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twinkit.error import TwinError
from twinkit.learn import Estimate, by_group, rmse
from twinkit.radio.measured import generated_streets, read_streets
from twinkit.radio.streets import street_features

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["street_scores"]


def street_scores(folder: Path | None) -> dict[str, Any]:
    """The numbers of the card ``propagation_streets``: transmitters left out of ray-traced (simulated) losses.

    Parameters
    ----------
    folder : path or None
        That holds ``itu-tokyo-simulated``; None for generated streets.

    Returns
    -------
    dict of str to float
        Root mean square errors [dB], and by how much less they are [1].

    Examples
    --------
    >>> street_scores.__name__
    'street_scores'
    """
    found: dict[str, Any] = {}
    for band in ("generated",) if folder is None else ("800MHz", "7GHz"):
        rows = (
            generated_streets(transmitters=5, seed=3)
            if folder is None
            else read_streets(folder / "itu-tokyo-simulated", band=band)
        )
        features = street_features(rows, most=6000, seed=0)
        masts, truth = features.pop("mast").to_numpy(), features.pop("path_loss").to_numpy()
        log_distance = features["log_distance"].to_numpy()
        line, said = np.empty(len(truth)), np.empty(len(truth))
        for fold in by_group(masts):
            slope, start = np.polyfit(log_distance[fold.train], truth[fold.train], 1)
            line[fold.test] = start + slope * log_distance[fold.test]
            rest = truth[fold.train] - start - slope * log_distance[fold.train]
            told = _beyond_line(features.iloc[fold.train], rest, masts[fold.train], features.iloc[fold.test])
            said[fold.test] = line[fold.test] + told
        new, old = rmse(truth, said), rmse(truth, line)
        word = band.lower()
        found |= {
            f"rmse_{word}": new,
            f"rmse_{word}_log_distance": old,
            f"less_{word}": Estimate(1 - new / old, *_masts(truth, said, line, masts)),
        }
    return found


def _masts(truth: np.ndarray, said: np.ndarray, line: np.ndarray, masts: np.ndarray) -> tuple[float, float]:
    """The least and the most that is gained at one transmitter: five are too few to draw again."""
    each = [
        1 - rmse(truth[masts == m], said[masts == m]) / rmse(truth[masts == m], line[masts == m]) for m in set(masts)
    ]
    return float(min(each)), float(max(each))


def _beyond_line(features: pd.DataFrame, rest: np.ndarray, masts: np.ndarray, asked: pd.DataFrame) -> np.ndarray:
    """What houses add to the line [dB]: the mean of boosted and of randomized trees.

    Each transmitter's own mean is taken off before they learn: of four or five transmitters, trees would explain by
    houses what is the transmitter's own, and a transmitter never heard has none of theirs.
    """
    try:
        from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
    except ImportError:
        raise TwinError(
            "scikit-learn", found="none", hint="pip install 'twinkit[learn]'", where="radio.street_scores"
        ) from None
    within = rest - pd.Series(rest).groupby(masts).transform("mean").to_numpy()
    models = (
        HistGradientBoostingRegressor(
            max_iter=200,
            min_samples_leaf=200,
            learning_rate=0.05,
            max_leaf_nodes=15,
            max_features=0.3,
            early_stopping=False,
            random_state=0,
        ),
        ExtraTreesRegressor(60, min_samples_leaf=10, max_features=0.4, random_state=0),
    )
    told = [m.fit(features.to_numpy(), within).predict(asked.to_numpy()) for m in models]
    return np.asarray(np.mean(told, axis=0))
