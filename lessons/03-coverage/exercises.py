"""Exercises of 03-coverage: loss, signal, models, siting, margins; every answer is a function of the twin."""

import numpy as np

from twinkit import city, plan, radio
from twinkit.lesson import exercise

THRESHOLD = -105.0  # [dBm] above which a telephone can make a call
MARGIN = 8.0  # [dB] by which the model may be too hopeful
SPACING = 5000.0  # [m] between the spots where a mast could stand
MASTS = 3


def rsrp(twin):
    """The map made with RMa [dBm] (y, x)."""
    return radio.coverage(twin, path_loss=radio.rma).rsrp


def share(twin, threshold):
    return float(city.share(rsrp(twin) > threshold, of=twin["surface/people"]))


def pair(twin):
    """Distance [m] from the first cell's mast to the smallest place, and the cell's frequency [Hz]."""
    sites, cells, places = (twin[node].to_dataset() for node in ("sites", "cells", "places"))
    cell, town = cells.isel(cell=0), places.isel(place=int(places.population.values.argmin()))
    mast = sites.sel(site=str(cell.site.values))
    return float(np.hypot(mast.x - town.x, mast.y - town.y)), float(cell.frequency)


# ---------------------------------------------------------------- loss


@exercise(
    "free-space",
    objective="loss",
    unit="dB",
    tolerance=0,
    absolute=0.05,
    minutes=5,
    hints=[
        "Two numbers go in: a distance in metres and a frequency in hertz. Both stand in the shown example.",
        "tk.radio.free_space(distance, frequency=...) is the formula above.",
        "tk.radio.free_space(apart, frequency=float(first.frequency))",
    ],
)
def free_space(twin):
    # metres and hertz go in; 20 log10 of both, and of 4 pi / c
    distance, frequency = pair(twin)
    return float(radio.free_space(distance, frequency=frequency))


@free_space.misconception(
    "You left out 4 pi: the formula with d / wavelength alone. A sphere has 4 pi, and the loss is 22 dB larger."
)
def without_four_pi(twin):
    return free_space.expected(twin) - 20 * np.log10(4 * np.pi)


@free_space.misconception(
    "Your distance reaches the largest place. The question asks for the smallest: `town` in the shown example."
)
def largest_place(twin):
    sites, cells, places = (twin[node].to_dataset() for node in ("sites", "cells", "places"))
    mast = sites.sel(site=str(cells.site.values[0]))
    town = places.isel(place=int(places.population.values.argmax()))
    return float(
        radio.free_space(float(np.hypot(mast.x - town.x, mast.y - town.y)), frequency=float(cells.frequency.values[0]))
    )


@free_space.misconception("You took the wave to the village and back. It only has to arrive: one distance.")
def there_and_back(twin):
    return free_space.expected(twin) + 20 * np.log10(2)


@exercise(
    "bands",
    objective="loss",
    unit="dB",
    same_everywhere="towns of every region may have the same bands",
    tolerance=0,
    absolute=0.05,
    minutes=5,
    hints=[
        "The distance is the same for both. What is left of the formula when you subtract one loss from the other?",
        "20 log10 of the ratio of the two frequencies.",
        "20 * np.log10(cells.frequency.max() / cells.frequency.min())",
    ],
)
def bands(twin):
    # the distance cancels: 20 log10 of the ratio of the frequencies
    frequency = twin["cells/frequency"]
    return float(20 * np.log10(frequency.max() / frequency.min()))


@bands.misconception("That is the ratio of the frequencies. The question asks for the loss in dB: 20 log10 of it.")
def ratio(twin):
    frequency = twin["cells/frequency"]
    return float(frequency.max() / frequency.min())


@bands.misconception("You took the mean frequency instead of the lowest.")
def from_the_mean(twin):
    frequency = twin["cells/frequency"]
    return float(20 * np.log10(frequency.max() / frequency.mean()))


# ---------------------------------------------------------------- signal


@exercise(
    "covered",
    objective="signal",
    tolerance=0.002,
    minutes=4,
    weights=lambda twin: (rsrp(twin) > THRESHOLD, twin["surface/people"]),
    hints=[
        "A condition on the map, and people on both sides of the fraction, as in lesson 02.",
        "coverage.rsrp > -105 is the condition.",
        'tk.city.share(coverage.rsrp > -105, of=twin["surface/people"])',
    ],
)
def covered(twin):
    # people in pixels above the threshold, over all people
    return share(twin, THRESHOLD)


@covered.misconception("That is free space's promise. The question asks for the map made with RMa, `coverage`.")
def dreamt(twin):
    made = radio.coverage(twin, path_loss=radio.free_space)
    return float(city.share(made.rsrp > THRESHOLD, of=twin["surface/people"]))


@covered.misconception("Those are the people who cannot call. -110 dBm is weaker than -105 dBm: more is >.")
def silent_share(twin):
    return 1 - share(twin, THRESHOLD)


@covered.misconception("Your threshold is -95 dBm: ten dB stricter than asked.")
def stricter(twin):
    return share(twin, THRESHOLD + 10)


@exercise(
    "silent",
    objective="signal",
    unit="people",
    tolerance=0.002,
    minutes=4,
    hints=[
        "A count of people, and the other side of the threshold.",
        "tk.city.people_total(people, where=...) counts people where something is true.",
        'tk.city.people_total(twin["surface/people"], where=coverage.rsrp <= -105)',
    ],
)
def silent(twin):
    # everybody in a pixel at or below the threshold
    return float(city.people_total(twin["surface/people"], where=rsrp(twin) <= THRESHOLD))


@silent.misconception("Those are the people who can call. The question asks for the others.")
def heard(twin):
    return float(city.people_total(twin["surface/people"], where=rsrp(twin) > THRESHOLD))


@silent.misconception("You counted pixels. Ask for the people in them.")
def silent_pixels(twin):
    return int((rsrp(twin) <= THRESHOLD).sum())


@silent.misconception("That is a share. The question asks how many people they are.")
def silent_part(twin):
    return 1 - share(twin, THRESHOLD)


@silent.misconception("You added up the five places of the table. People live between the places, too.")
def worst_five(twin):
    of_each = city.served(twin, rsrp(twin) > THRESHOLD)
    worst = city.worst_served(twin, of_each, most=5)
    return float(((1 - worst.served) * worst.population).sum())


# ---------------------------------------------------------------- a model of one's own


@exercise(
    "valley",
    objective="model",
    unit="dB",
    same_everywhere="the model knows distance and frequency only",
    tolerance=0,
    absolute=0.01,
    minutes=8,
    probe=lambda twin: [
        {"distance": d, "frequency": f} for d in (100.0, 250.0, 1000.0, 7300.0) for f in (700e6, 1.8e9, 3.5e9)
    ],
    hints=[
        "Two parts: the loss at 100 m, which depends on the frequency, and what each factor of ten beyond adds.",
        "tk.radio.free_space(100.0, frequency=frequency) is one part; 35 * np.log10(distance / 100) the other.",
        "return tk.radio.free_space(100.0, frequency=frequency) + 35 * np.log10(distance / 100)",
    ],
)
def valley(twin):
    # free space as far as 100 m, 35 dB for each factor of ten beyond
    return lambda distance, *, frequency: radio.free_space(100.0, frequency=frequency) + 35 * np.log10(distance / 100)


@valley.misconception("Your 35 dB are counted from 1 m, not from 100 m: divide the distance by 100 first.")
def from_one_metre(twin):
    return lambda distance, *, frequency: radio.free_space(100.0, frequency=frequency) + 35 * np.log10(distance)


@valley.misconception("That is free space: 20 dB for each factor of ten. Beyond 100 m the valley takes 35.")
def all_free_space(twin):
    return lambda distance, *, frequency: radio.free_space(distance, frequency=frequency)


@valley.misconception("You added 35 dB to all of free space: the distance is counted twice. Free space ends at 100 m.")
def counted_twice(twin):
    return lambda distance, *, frequency: (
        radio.free_space(distance, frequency=frequency) + 35 * np.log10(distance / 100)
    )


@valley.misconception("Your exponent is multiplied by 10 twice: 35 dB for each factor of ten is 35 log10, not 350.")
def ten_times(twin):
    return lambda distance, *, frequency: radio.free_space(100.0, frequency=frequency) + 350 * np.log10(distance / 100)


# ---------------------------------------------------------------- decisions


def chosen(twin):
    """The three masts that the lesson chooses."""
    gain = plan.gain(twin, plan.candidates(twin, spacing=SPACING), path_loss=radio.rma, threshold=THRESHOLD)
    return plan.choose(gain, budget=MASTS)


@exercise(
    "three-masts",
    objective="plan",
    tolerance=0.002,
    minutes=6,
    hints=[
        "chosen.people_gained has people; you need a share. Of whom?",
        "The people gained, over everybody on the map; and today's share in front.",
        'covered + float(chosen.people_gained.sum()) / float(twin["surface/people"].sum())',
    ],
)
def three_masts(twin):
    # today's share, and the people whom each mast is the first to reach: none of them is counted twice
    return share(twin, THRESHOLD) + float(chosen(twin).people_gained.sum() / twin["surface/people"].sum())


@three_masts.misconception("That is what the three add. The share afterwards has today's in front.")
def only_the_gain(twin):
    return float(chosen(twin).people_gained.sum() / twin["surface/people"].sum())


@three_masts.misconception("You used the bound: what no choice can exceed is not what this choice reaches.")
def the_bound(twin):
    return share(twin, THRESHOLD) + float(chosen(twin).people_bound / twin["surface/people"].sum())


@three_masts.misconception("You took the first mast only. Three are paid for: add all their gains.")
def one_mast(twin):
    return share(twin, THRESHOLD) + float(chosen(twin).people_gained[0] / twin["surface/people"].sum())


@three_masts.misconception(
    "You divided the gain by the people of the listed places. The share is of everybody on the map."
)
def over_listed(twin):
    return share(twin, THRESHOLD) + float(chosen(twin).people_gained.sum() / twin["places/population"].sum())


@exercise(
    "for-certain",
    objective="margin",
    tolerance=0.002,
    minutes=5,
    weights=lambda twin: (rsrp(twin) - MARGIN > THRESHOLD, twin["surface/people"]),
    hints=[
        "8 dB weaker: subtract 8 from the map, and compare with the same threshold.",
        "Or raise the threshold by 8 dB: it is the same question.",
        'tk.city.share(coverage.rsrp - 8 > -105, of=twin["surface/people"])',
    ],
)
def for_certain(twin):
    # 8 dB off every pixel before it is compared
    return share(twin, THRESHOLD + MARGIN)


@for_certain.misconception("You made every pixel 8 dB stronger: a weaker signal is more negative. Subtract.")
def stronger(twin):
    return share(twin, THRESHOLD - MARGIN)


@for_certain.misconception("That is the share without a margin. Take 8 dB off first.")
def no_margin(twin):
    return share(twin, THRESHOLD)


@for_certain.misconception("You took 8 % off the share. The doubt is in decibels, pixel by pixel: put it on the map.")
def eight_percent(twin):
    return share(twin, THRESHOLD) * 0.92
