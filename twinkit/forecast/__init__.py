"""Forecasts of thousands of series at once, with intervals, holidays and weather, that add up over a hierarchy."""

from twinkit.forecast.holidays import REST_DAY, easter, holidays
from twinkit.forecast.metro import metro
from twinkit.forecast.recipe import passengers_year
from twinkit.forecast.reconcile import Hierarchy, added_up, covariance, hierarchy, reconciled
from twinkit.forecast.score import accuracy
from twinkit.forecast.series import QUANTILES, ahead, hindcast, load, passengers, traffic

__all__ = [
    "QUANTILES",
    "REST_DAY",
    "Hierarchy",
    "accuracy",
    "added_up",
    "ahead",
    "covariance",
    "easter",
    "hierarchy",
    "hindcast",
    "holidays",
    "load",
    "metro",
    "passengers",
    "passengers_year",
    "reconciled",
    "traffic",
]
