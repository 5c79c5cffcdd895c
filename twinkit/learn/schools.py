"""Which schools are connected: a model of one country, tested in another (UNICEF Giga's school registry).

The files carry traps. Row numbers and ids are no features. ``connectivity.1`` is a second copy of the label in a part
of the rows. ``nearest_*_distance`` states no unit and hangs on where a mobile application was used, which differs from
country to country. District columns exist in one country alone. Some schools stand in two files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twinkit.error import TwinError
from twinkit.learn.interval import out_of_fold
from twinkit.learn.score import area_under_curve, bootstrap
from twinkit.learn.split import block, by_group
from twinkit.learn.transfer import percentiles, transfer

__all__ = ["generated_country", "numbers", "read"]

LABEL = "connectivity"
LEFT_OUT = ("Unnamed", "giga_id_school", "lat", "lon", "school_locations", "boundary_", LABEL, "nearest_")
"""How the names begin of what is no feature; see above."""

BLOCK = 15_000.0  # [m]: schools of one block are tested together
DEGREE = 111_195.0  # [m] along a meridian


def read(folder: str | Path) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Schools of one country: features, labels and the block in which each stands.

    Parameters
    ----------
    folder : path
        With the publisher's CSV files.

    Returns
    -------
    (DataFrame (school, feature), array of 0 and 1, array of str)
        Each school once, though it may stand in two files.

    Errors
    ------
    TwinError
        No CSV file, a column missing, a label other than 0 and 1, or a position off the globe, by file.

    Examples
    --------
    >>> read("nowhere")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: nowhere: expected CSV files of schools; found none. Try: ...
    """
    files = sorted(Path(folder).glob("*.csv"))
    if not files:
        raise TwinError("CSV files of schools", found="none", hint="give the folder of one country", where=str(folder))
    parts = []
    for file in files:
        try:
            part = pd.read_csv(file, low_memory=False)
        except (ValueError, OSError) as wrong:
            raise TwinError("a CSV file", found=str(wrong), hint="download it again", where=file.name) from None
        missing = [c for c in ("giga_id_school", "lat", "lon", LABEL) if c not in part]
        if missing:
            raise TwinError(
                "giga_id_school, lat, lon, connectivity",
                found=f"no '{missing[0]}'",
                hint="give the publisher's files",
                where=file.name,
            )
        labels = pd.to_numeric(part[LABEL], errors="coerce")
        where = part[["lat", "lon"]].apply(pd.to_numeric, errors="coerce")
        if not labels.isin([0, 1]).all():
            raise TwinError("labels of 0 and 1", found="others", hint="drop those rows", where=f"{file.name}, {LABEL}")
        if not (where["lat"].abs().le(90) & where["lon"].abs().le(180)).all():
            raise TwinError("positions on the globe", found="others", hint="drop those rows", where=f"{file.name}, lat")
        parts.append(part.assign(**{LABEL: labels, "lat": where["lat"], "lon": where["lon"]}))
    rows = pd.concat(parts, ignore_index=True).drop_duplicates("giga_id_school", ignore_index=True)
    features = rows[[c for c in rows if not str(c).startswith(LEFT_OUT)]].apply(pd.to_numeric, errors="coerce")
    east = rows["lon"] * DEGREE * np.cos(np.radians(rows["lat"].mean()))
    places = block(east.to_numpy(), (rows["lat"] * DEGREE).to_numpy(), size=BLOCK)
    return features, rows[LABEL].to_numpy(dtype=int), places


def generated_country(
    *, schools: int, rich: float, shift: float, seed: int
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    r"""A made country with a known law: who is near people and power is rather connected.

    .. math:: P(\text{connected}) = σ(0.9 p - 0.7 d + s\, t + u_b), \qquad u_b \sim N(0, 0.5)

    with p and d the ranks (as standard scores) of people and of the distance to a power line, t the school's level
    and u the luck of its block.

    Parameters
    ----------
    schools : int
    rich : float
        Factor on people and distances: the same law, other numbers.
    shift : float
        s, by which the countries truly differ.
    seed : int

    Returns
    -------
    (DataFrame, array, array)
        As of `read`.

    Errors
    ------
    TwinError
        None of its own.

    Examples
    --------
    >>> features, labels, places = generated_country(schools=100, rich=1.0, shift=0.0, seed=1)
    >>> features.shape, sorted(set(labels.tolist()))
    ((100, 4), [0, 1])
    """
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, 240e3, (2, schools))
    places = block(x, y, size=BLOCK)
    names, code = np.unique(places.astype(str), return_inverse=True)
    p, d, level = rng.normal(size=schools), rng.normal(size=schools), rng.integers(0, 2, schools)
    luck = rng.normal(0, 0.5, len(names))[code]
    chance = 1 / (1 + np.exp(-(0.9 * p - 0.7 * d + shift * (level - 0.5) + luck)))
    features: dict[str, Any] = {"people": rich * np.exp(5 + 1.2 * p), "line_distance": 3e3 / rich * np.exp(0.9 * d)}
    features |= {"level": 1.0 + level, "noise": rng.normal(size=schools)}
    return pd.DataFrame(features), (rng.random(schools) < chance).astype(int), places


def boosted() -> Any:
    """The model: shallow boosted trees, few leaves, because labels are few and noisy."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    choices = {"max_iter": 100, "learning_rate": 0.05, "max_leaf_nodes": 8, "min_samples_leaf": 30}
    return HistGradientBoostingClassifier(**choices, l2_regularization=10.0, random_state=0)


def linear() -> Any:
    """The baseline."""
    from twinkit.learn.baseline import logistic

    return logistic(penalty=10.0)


def numbers(folder: Path | None) -> dict[str, Any]:
    """The numbers of card ``schools``: areas under the curve in Rwanda, in Botswana, and with 50 labels from there.

    Parameters
    ----------
    folder : path, optional
        With ``giga-rwanda`` and ``giga-botswana``; two generated countries when left out.

    Returns
    -------
    dict of str to Estimate

    Errors
    ------
    TwinError
        What `read` refuses.
    """
    if folder is None:
        home = generated_country(schools=1200, rich=1.0, shift=0.0, seed=1)
        away = generated_country(schools=500, rich=4.0, shift=2.0, seed=2)
    else:
        home, away = read(folder / "giga-rwanda"), read(folder / "giga-botswana")
    common = [c for c in home[0] if c in away[0]]
    raw = home[0][common], away[0][common]
    ranked = percentiles(raw[0]), percentiles(raw[1])
    folds = by_group(home[2], folds=5, seed=0)
    given: dict[str, Any] = {"folds": folds, "groups": (home[2], away[2]), "labels": 50, "seed": 0}
    out: dict[str, Any] = {}
    for name, model, rows in (("linear", linear, raw), ("boosted", boosted, raw), ("ranked", boosted, ranked)):
        draws = 20 if folder is not None else 6
        said = transfer((rows[0], home[1]), (rows[1], away[1]), model=model, draws=draws, **given)
        out |= {f"{name}_{key}": value for key, value in said.items()}
    # what the other country's labels follow at all, learned there: with the level of the school, and without
    at_away = by_group(away[2], folds=5, seed=0)
    for name, columns in (
        ("learned_away", common),
        ("learned_away_without_level", [c for c in common if "level" not in c]),
    ):
        told = out_of_fold(linear, raw[1][columns], away[1], folds=at_away, method="predict_proba")
        out[f"linear_{name}"] = bootstrap(area_under_curve, away[1], told, groups=away[2])
    return out
