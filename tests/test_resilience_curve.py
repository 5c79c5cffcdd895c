"""The picture of the recovery, and what its alt text says."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from twinkit import TwinError
from twinkit.view import recovery_curve


def curve(share):
    times = pd.date_range("2020-01-01", periods=len(share), freq="D", unit="ns")
    draws = np.array([share, share], float) * 1000
    return xr.DataArray(draws, {"time": times}, ("draw", "time"), name="people_served")


@pytest.mark.parametrize("language", ["en", "hi", "fr", "fa"])
def test_the_alt_text_says_how_deep_and_how_long(language):
    figure = recovery_curve(curve([1, 0.25, 0.5, 0.95]), before=1000.0, language=language)
    assert figure.png.startswith(b"\x89PNG")
    if language == "en":
        assert "day 1: 25.0% of those before" in figure.alt
        assert "again 2 days later" in figure.alt


def test_who_never_has_service_again_is_told_so():
    assert "do not have it again" in recovery_curve(curve([1, 0.2, 0.5]), before=1000.0).alt


def test_what_is_no_curve_is_refused():
    with pytest.raises(TwinError, match="draw, time"):
        recovery_curve(curve([1, 0.2]).isel(draw=0), before=1000.0)
    with pytest.raises(TwinError, match="before=0"):
        recovery_curve(curve([1, 0.2]), before=0)
