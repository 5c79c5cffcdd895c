"""Exercises of 08-energy: a day's energy, a night's sleep, who pays for it, a power model, carbon; all of the twin."""

import functools

import numpy as np
import xarray as xr

from twinkit import energy, network, radio, stamp
from twinkit.lesson import exercise

TIMES = np.arange("2026-03-02T00", "2026-03-03T00", dtype="datetime64[h]").astype("datetime64[ns]")
HARDWARE = {"hardware": energy.BY_KIND, "antennas": 2, "digital": 0.25}
POLICY = {"threshold": -110.0, "ceiling": 0.7, "most_lost": 0.05, "least_rate": 1e7, "wake_delay": 60.0}
RADIO = {"noise_figure": 9.0, "interference": 3.0, "efficiency": 0.6, "overhead": 0.14}
INTENSITY = 0.7  # [kg/kWh]


def once(function):
    """The same answer for the same twin, without computing it again."""
    known = {}

    @functools.wraps(function)
    def kept(twin):
        if id(twin) not in known:
            # the twin stays beside its answer, so that no other can take its id
            known[id(twin)] = (twin, function(twin))
        return known[id(twin)][1]

    return kept


@once
def load(twin):
    """A Monday of load (time, cell): busy evenings of the local sun, each cell with a peak of its own."""
    cells = twin["cells"].cell.values
    peak = np.random.default_rng(int(twin.attrs["seed"])).uniform(0.3, 0.9, len(cells))
    local = TIMES + np.timedelta64(round(float(twin["sites/longitude"].mean()) / 15 * 3600), "s")
    share = network.rhythm(local)[:, None] * peak
    return stamp(xr.DataArray(share, {"time": TIMES, "cell": cells}, ("time", "cell")), "load")


@once
def night(twin):
    """What sleeps, where the load goes, who pays."""
    return energy.sleep(twin, load(twin), path_loss=radio.rma, **POLICY, **RADIO)


@once
def awake(twin):
    """Power (time, cell) [W] when nobody sleeps."""
    return energy.power(twin, load(twin), **HARDWARE)


@once
def slept(twin):
    """Power (time, cell) [W] with sleep."""
    found = night(twin)
    return energy.power(twin, found["load"], asleep=found.asleep, **HARDWARE)


# ---------------------------------------------------------------- a day


@exercise(
    "day",
    objective="power",
    unit="kWh",
    tolerance=0.002,
    minutes=6,
    hints=[
        "Energy is power times time. Every value of `awake` holds for one hour.",
        "tk.energy.energy_used(awake) gives watt-hours, for each cell and hour.",
        "float(tk.energy.energy_used(awake).sum()) / 1000",
    ],
)
def day(twin):
    # watts times one hour are watt-hours; all cells, all hours
    return float(energy.energy_used(awake(twin)).sum()) / 1000


@day.misconception("That is one hour. Add up the day.")
def one_hour(twin):
    return float(awake(twin).mean("time").sum()) / 1000


@day.misconception("That is the busiest hour times 24. The night is quieter, although less than you would think.")
def busiest(twin):
    return float(awake(twin).sum("cell").max()) * 24 / 1000


@day.misconception("That is the mean cell, not all of them.")
def mean_cell(twin):
    return float(awake(twin).sum("time").mean()) / 1000


# ---------------------------------------------------------------- idle


@exercise(
    "idle",
    objective="idle",
    tolerance=0.002,
    minutes=6,
    hints=[
        "What would the cells draw if nobody used them at all?",
        "The same tk.energy.power, with a load of zero: load * 0, stamped as load.",
        'float(tk.energy.power(twin, tk.stamp(load * 0, "load"), **hardware).sum() / awake.sum())',
    ],
)
def idle(twin):
    # the same cells with nothing to do, over the same cells with their day
    nothing = stamp(load(twin) * 0, "load")
    return float(energy.power(twin, nothing, **HARDWARE).sum() / awake(twin).sum())


@idle.misconception("That is the share that follows the load. The question asks for the other part.")
def the_other(twin):
    return 1 - idle.expected(twin)


@idle.misconception("That is the quietest hour over the busiest. At night there is still some load.")
def quietest(twin):
    total = awake(twin).sum("cell")
    return float(total.min() / total.max())


# ---------------------------------------------------------------- sleep


@exercise(
    "saved",
    objective="sleep",
    unit="kWh",
    tolerance=0.005,
    minutes=7,
    hints=[
        "Two days of energy: without sleep and with it.",
        "`asleep` is the power with sleep. Its energy is found as before.",
        "day - float(tk.energy.energy_used(asleep).sum()) / 1000",
    ],
)
def saved(twin):
    # the day without sleep minus the day with it; what the neighbours draw more is in the second
    return day.expected(twin) - float(energy.energy_used(slept(twin)).sum()) / 1000


@saved.misconception("That is what is used with sleep. Subtract it from the day without.")
def still_used(twin):
    return float(energy.energy_used(slept(twin)).sum()) / 1000


@saved.misconception("You counted sleepers as switched off. A cell that sleeps still draws its sleep power.")
def switched_off(twin):
    gone = awake(twin).where(night(twin).asleep > 0, 0.0)
    return float(gone.sum()) / 1000


@saved.misconception("That is a share of the day. The question asks for kilowatt-hours.")
def as_share(twin):
    return saved.expected(twin) / day.expected(twin)


# ---------------------------------------------------------------- who pays


@exercise(
    "hours-lost",
    objective="toll",
    unit="h",
    tolerance=0.005,
    minutes=6,
    hints=[
        "Each hour has its people without a cell. Ten people for two hours are twenty person-hours.",
        "night.people_lost is counted for each hour.",
        "float(night.people_lost.sum())",
    ],
)
def hours_lost(twin):
    # every value holds for one hour, so that the sum is in person-hours
    return float(night(twin).people_lost.sum())


@hours_lost.misconception("That is the worst hour. Somebody who is cut off all night loses more than an hour.")
def worst_hour(twin):
    return float(night(twin).people_lost.max())


@hours_lost.misconception("That is the mean over the day. Add the hours up.")
def mean_hour(twin):
    return float(night(twin).people_lost.mean())


@hours_lost.misconception("You added those who are only slower. They still have a connection.")
def with_the_slow(twin):
    return float((night(twin).people_lost + night(twin).people_slowed).sum())


# ---------------------------------------------------------------- a model of one's own


@exercise(
    "my-cell",
    objective="model",
    unit="W",
    same_everywhere="the model knows load and sleep only",
    tolerance=0,
    absolute=0.01,
    minutes=8,
    probe=lambda twin: [{"load": x, "asleep": s} for x, s in ((0.0, 0.0), (0.5, 0.0), (0.2, 0.5), (0.0, 1.0))],
    hints=[
        "Three terms: idle for the time awake, the slope times what is sent, sleep for the time asleep.",
        "(1 - asleep) * 260 is the first, 4.7 * load * 40 the second.",
        "return (1 - asleep) * 260 + 4.7 * load * 40 + asleep * 150",
    ],
)
def my_cell(twin):
    # idle while awake, 4.7 W for each watt sent, sleep power while asleep
    return lambda load, asleep: (1 - asleep) * 260.0 + 4.7 * load * 40.0 + asleep * 150.0


@my_cell.misconception("Your cell idles while it sleeps: multiply 260 by the share of the time awake.")
def idles_asleep(twin):
    return lambda load, asleep: 260.0 + 4.7 * load * 40.0 + asleep * 150.0


@my_cell.misconception("Your cell draws nothing asleep. It takes 150 W.")
def nothing_asleep(twin):
    return lambda load, asleep: (1 - asleep) * 260.0 + 4.7 * load * 40.0


@my_cell.misconception("You left out the 4.7: for each watt sent the amplifier draws 4.7.")
def no_slope(twin):
    return lambda load, asleep: (1 - asleep) * 260.0 + load * 40.0 + asleep * 150.0


# ---------------------------------------------------------------- decide


@exercise(
    "year",
    objective="decide",
    unit="kg",
    tolerance=0.005,
    minutes=5,
    hints=[
        "A day's saving, the days of a year, and what a kilowatt-hour emits.",
        "tk.energy.carbon_mass takes watt-hours: saved * 1000 * 365.",
        "tk.energy.carbon_mass(saved * 1000 * 365, intensity=0.7)",
    ],
)
def year(twin):
    # 365 such days, and 0.7 kg for each kilowatt-hour
    return float(energy.carbon_mass(saved.expected(twin) * 1000 * 365, intensity=INTENSITY))


@year.misconception("That is one day. The question asks for a year of 365.")
def one_day(twin):
    return year.expected(twin) / 365


@year.misconception("Those are kilowatt-hours. Each of them emits 0.7 kg.")
def not_weighed(twin):
    return saved.expected(twin) * 365


@year.misconception("You divided by the intensity. More carbon in a kilowatt-hour means more carbon in all.")
def divided(twin):
    return saved.expected(twin) * 365 / INTENSITY
