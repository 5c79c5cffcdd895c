"""Learning from a network's data: honest splits, scores with intervals, intervals that keep their word, model cards.

Left of every domain: it knows rows, groups, time and labelled arrays, and nothing of radios or engines.

Split: what is tested is what the model will meet. Each is a list of ``Fold(train, test, name)`` of row positions.

    folds = tk.learn.rolling_origin(time, origins=["2026-03-02"], horizon="24h", gap="2h")   # tomorrow
    folds = tk.learn.by_group(station, folds=5, seed=0)          # stations never seen; folds=None leaves each out once
    folds = tk.learn.by_block(x, y, size=300.0, folds=5, groups=mast, margin=50.0)           # streets never driven
    tk.learn.shuffled(rows, folds=5, seed=0, groups=station)     # refused, with the reason

Score: the observed first; DataArrays reduce over ``dim=``, plain arrays give a float. Ratios, not percent.

    rmse, mae, bias, mape, wmape (observed, predicted)
    mase(observed, predicted, scale=seasonal_scale(history, season=168))
    pinball(observed, quantiles), crps(observed, quantiles or members), coverage(observed, lower, upper),
    width(lower, upper), interval_score(observed, lower, upper, level=0.9), area_under_curve(zero_or_one, score)
    value, low, high = tk.learn.bootstrap(tk.learn.rmse, observed, predicted, groups=engine, draws=1000, seed=0)

Be unsure: results carry a ``quantile`` dim.

    said = tk.learn.out_of_fold(lambda: make_model(), features, target, folds=folds)    # one honest prediction a row
    margin = tk.learn.calibrated(target, said, quantile=[0.05, 0.5, 0.95], spread=None, groups=None)
    margin.around(new_predictions)         # DataArray (quantile, row); with spread=, groups= where calibrated so
    tk.learn.adaptive(observed, predicted, quantile=[0.05, 0.95], rate=0.02, delay=24)    # along time

Baselines, in every table: ``seasonal_naive(history, horizon=24, season=168)``, ``linear()``, ``logistic()`` (unfitted).

Before and after:

    tk.learn.sound(series, low=0, high=1)                  # refuses series that are unfit to learn from
    lags(load, steps=[24]), rolled(load, window=24, delay=24), calendar(time, holidays=[...], offset=5.5)
    tk.learn.table(features)                               # the frame that a model reads
    tk.learn.leaks(features, target, time=, folds=, groups=)    # what knows the answer; refuse_leaks raises for it
    importance(features, target, model=, seed=), partial_dependence(features, model=, feature=)
    drift(before, now); known = domain(features, target); cautious(said, known.distance(rows), known=known)
    transfer(home, away, model=, folds=, groups=), adapted(model, home, few), percentiles(features)    # new countries
    Model(estimator, features, target, unit, margin=, known=).predict(rows); save(model, path), load(path, digest=)

Cards: ``twinkit/learn/cards/NAME.toml`` holds the words (title, use, data, licence, split, model, fails, harm,
recompute = "twinkit.your.module.function", files = [...], seconds, tolerance, units, baselines) and ``NAME.json`` the
numbers, both it and ``docs/cards/NAME.md`` written by ``python -m twinkit.learn NAME`` with TWINKIT_TESTDATA set.
``function(folder)`` gives a dict of floats or `Estimate`s: from ``folder / file`` of the real data, or from a small
generated set when folder is None. ``tests/test_learn_cards.py`` recomputes every card.
``print(tk.learn.card("NAME"))``.
"""

from twinkit.learn.baseline import linear, logistic, seasonal_naive
from twinkit.learn.card import Card, card, cards, recomputed
from twinkit.learn.drift import Domain, DomainWarning, cautious, domain, drift
from twinkit.learn.explain import importance, partial_dependence
from twinkit.learn.features import calendar, lags, rolled, sound, table
from twinkit.learn.interval import Margin, adaptive, calibrated, out_of_fold
from twinkit.learn.leak import Leak, leaks, refuse_leaks
from twinkit.learn.model import Model, load, save
from twinkit.learn.score import (
    Estimate,
    area_under_curve,
    bias,
    bootstrap,
    coverage,
    crps,
    interval_score,
    mae,
    mape,
    mase,
    pinball,
    rmse,
    seasonal_scale,
    width,
    wmape,
)
from twinkit.learn.split import Fold, block, by_block, by_group, cut_rows, rolling_origin, shuffled
from twinkit.learn.transfer import adapted, percentiles, transfer

__all__ = [
    "Card",
    "Domain",
    "DomainWarning",
    "Estimate",
    "Fold",
    "Leak",
    "Margin",
    "Model",
    "adapted",
    "adaptive",
    "area_under_curve",
    "bias",
    "block",
    "bootstrap",
    "by_block",
    "by_group",
    "calendar",
    "calibrated",
    "card",
    "cards",
    "cautious",
    "coverage",
    "crps",
    "cut_rows",
    "domain",
    "drift",
    "importance",
    "interval_score",
    "lags",
    "leaks",
    "linear",
    "load",
    "logistic",
    "mae",
    "mape",
    "mase",
    "out_of_fold",
    "partial_dependence",
    "percentiles",
    "pinball",
    "recomputed",
    "refuse_leaks",
    "rmse",
    "rolled",
    "rolling_origin",
    "save",
    "seasonal_naive",
    "seasonal_scale",
    "shuffled",
    "sound",
    "table",
    "transfer",
    "width",
    "wmape",
]
