"""How each site is doing, day by day: what `maintain` reads."""

from __future__ import annotations

import numpy as np
import xarray as xr

from twinkit.contract import contract
from twinkit.error import TwinError
from twinkit.telemetry.quality import FLAGS, cleaned, marked, quality

__all__ = ["health"]

HOUR = np.timedelta64(1, "h")
DAY = np.timedelta64(1, "D")
LEAST = 48
"""Hours of readings from which on a site has a law of its own; with fewer it has that of all sites."""


@contract(
    reads=["cells/site", "telemetry/load", "telemetry/energy", "telemetry/temperature"],
    gives=["good_share", "staleness", "energy_excess", "temperature_excess"],
    computes=True,
)
def health(twin: xr.DataTree) -> xr.Dataset:
    r"""The health of each site on each day, from its telemetry.

    What load and air explain is taken off first. Hour by hour, with l the sum of the load over the site's cells and A
    the temperature of the air (the sites' middle where no air was measured),

    .. math:: E = e_0 + e_1 l, \qquad T - A = θ_0 + θ_1 l

    fitted on the first half of the site's good readings, so that what grows later shows.

    Parameters
    ----------
    twin : DataTree
        With ``telemetry`` on evenly spaced times; where ``telemetry/air_temperature`` is there, it is taken.

    Returns
    -------
    Dataset (time, site)
        ``time`` are the days (UTC), ``site`` those that the telemetry has. ``good_share`` [1]: of all readings that
        were due at the site and its cells. ``staleness`` [s]: from the last good reading to the end of the day, or of
        the telemetry. ``energy_excess`` [1]: the day's energy over what the load explains, less 1.
        ``temperature_excess`` [degC]: the mean over the day. NaN where nothing good was read.

    Validity
    --------
    Days to years. A fault that holds from the first day on is taken for the site's nature.

    Errors
    ------
    TwinError
        No telemetry, or what `quality` refuses; a load of no cell of the twin.

    Examples
    --------
    >>> import twinkit as tk
    >>> from twinkit.telemetry.generate import generate
    >>> twin = tk.datasets.town(sites=3, seed=1)
    >>> well = health(tk.extend(twin, telemetry=generate(twin, start="2026-03-02", days=7, seed=1)))
    >>> dict(well.sizes), bool(abs(well.energy_excess).max() < 0.1)
    ({'time': 7, 'site': 3}, True)
    """
    telemetry = twin["telemetry"].to_dataset()
    names = [n for n in ("load", "traffic", "users", "energy", "temperature", "air_temperature") if n in telemetry]
    telemetry = telemetry[names].compute()
    owner = twin["cells/site"].compute()
    known = owner.indexes["cell"]
    strangers = [c for c in telemetry["cell"].to_numpy().tolist() if c not in known]
    if strangers:
        raise TwinError(
            "telemetry of the twin's cells", found=f"'{strangers[0]}'", hint="add it to cells", where="telemetry/load"
        )
    found = quality(telemetry)
    # what drifts is what health is about; whether the sensor or the site does, a person must look
    good = cleaned(telemetry, found, keep=("good", "outage", "drift"))
    sites = telemetry["site"].to_numpy()
    of_site = owner.sel(cell=telemetry["cell"].to_numpy()).to_numpy()
    onto = (of_site[:, None] == sites[None, :]).astype(float)
    share, stale = _readings(found, telemetry, onto)
    load = _hourly(xr.DataArray(good["load"].to_numpy() @ onto, {"time": good.time, "site": sites}, ("time", "site")))
    energy = _hourly(good["energy"])
    warmth = _hourly(good["temperature"])
    air = _hourly(good["air_temperature"]) if "air_temperature" in good else warmth.median("site")
    warmth = warmth - air
    used, usual = _law(load, energy)
    usual = usual.where(used.notnull())
    spent = used.resample(time="1D").sum(min_count=1) / usual.resample(time="1D").sum(min_count=1) - 1
    hot, fair = _law(load, warmth)
    out = xr.Dataset(
        {
            "good_share": share,
            "staleness": stale,
            "energy_excess": spent.clip(-1, 1000),
            "temperature_excess": (hot - fair).resample(time="1D").mean(),
        }
    )
    for name, array in out.data_vars.items():
        out[name] = array.transpose("time", "site")
        out[name].attrs = {"provenance": "modelled: telemetry against what load and air explain"}
    return out


def _hourly(array: xr.DataArray) -> xr.DataArray:
    """Means over the hour that ends, as the meters count it."""
    means = array.resample(time="1h", closed="right", label="right").mean()
    return means.sel(time=slice(None, array["time"][-1]))


def _readings(found: xr.Dataset, telemetry: xr.Dataset, onto: np.ndarray) -> tuple[xr.DataArray, xr.DataArray]:
    """Share of good readings, and the age of the last of them when the day ends."""
    times = telemetry["time"].to_numpy()
    sites = telemetry["site"].to_numpy()
    came = np.zeros((len(times), len(sites)))
    due = np.zeros_like(came)
    for name in dict.fromkeys(found["variable"].to_numpy().tolist()):
        flag = marked(found, name).to_numpy()
        values = telemetry[name].transpose("time", ...).to_numpy()
        # an outage is the network's fault and no bad reading
        good = ((flag == FLAGS.index("good")) | (flag == FLAGS.index("outage"))) & ~np.isnan(values)
        expected = good | (flag > 0)
        if "cell" in telemetry[name].dims:
            came, due = came + good @ onto, due + expected @ onto
        else:
            came, due = came + good, due + expected
    day = times.astype("datetime64[D]")
    days, first = np.unique(day, return_index=True)
    share = np.add.reduceat(came, first, axis=0) / np.maximum(np.add.reduceat(due, first, axis=0), 1)
    step = times[1] - times[0] if len(times) > 1 else HOUR
    last = np.maximum.accumulate(np.where(came > 0, np.arange(len(times))[:, None], -1), axis=0)
    ends = np.append(first[1:], len(times)) - 1
    latest = last[ends]
    age = (times[ends][:, None] + step - times[np.maximum(latest, 0)]) / np.timedelta64(1, "s")
    stale = np.where(latest >= 0, age, np.nan)
    where = {"time": days.astype("datetime64[ns]"), "site": sites}
    return xr.DataArray(share, where, ("time", "site")), xr.DataArray(stale, where, ("time", "site"))


def _law(load: xr.DataArray, said: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """The readings, and what each site's own line over its load says (time, site)."""
    load, said = xr.align(load, said, join="inner")
    x, y = load.transpose("time", "site").to_numpy(), said.transpose("time", "site").to_numpy()
    there = ~np.isnan(x) & ~np.isnan(y)
    rank = np.cumsum(there, axis=0)
    early = there & (rank <= np.maximum(there.sum(0) / 2, LEAST))
    slope, offset = _line(x, y, early)
    all_slope, all_offset = _line(x.reshape(-1, 1), y.reshape(-1, 1), early.reshape(-1, 1))
    few = early.sum(0) < LEAST
    slope, offset = np.where(few, all_slope, slope), np.where(few, all_offset, offset)
    usual = np.where(there, offset + slope * x, np.nan)
    return load.copy(data=np.where(there, y, np.nan)), load.copy(data=usual)


def _line(x: np.ndarray, y: np.ndarray, use: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count = np.maximum(use.sum(0), 1)
    mean_x, mean_y = np.where(use, x, 0).sum(0) / count, np.where(use, y, 0).sum(0) / count
    off_x, off_y = np.where(use, x - mean_x, 0), np.where(use, y - mean_y, 0)
    power = (off_x**2).sum(0)
    slope = np.where(power > 1e-9, (off_x * off_y).sum(0) / np.maximum(power, 1e-9), 0.0)
    return slope, mean_y - slope * mean_x
