"""Exercises of 17-dashboards: axes, people, units, colours, words and bands; every answer is a function of the twin."""

import numpy as np

from twinkit import city, radio, view
from twinkit.lesson import exercise

GOOD = -95.0  # [dBm] above which a telephone can show a film
STRONGER = 3.0  # [dB] that the operator added to every cell
UNDER = 0.02  # the axis of the press release begins so far below its first bar
DOUBT = 4.0  # [dB] by which the model of the whole region may be off
DRAWS = 500
LARGEST = 30  # places in the table behind a map


def rsrp(twin):
    """The map made with RMa [dBm] (y, x)."""
    return radio.coverage(twin, path_loss=radio.rma).rsrp


def share(twin, threshold=GOOD):
    return float(city.share(rsrp(twin) > threshold, of=twin["surface/people"]))


# ---------------------------------------------------------------- the axis


@exercise(
    "stretch",
    objective="axis",
    tolerance=0.01,
    minutes=8,
    hints=[
        "A bar is as long as its value less the value where the axis begins. By what factor did the second grow?",
        "(later - start) / (today - start) - 1 is the growth in the picture; later / today - 1 that in the data.",
        "((later - start) / (today - start) - 1) / (later / today - 1)",
    ],
)
def stretch(twin):
    # growth as drawn over growth as it is
    today, later = share(twin), share(twin, GOOD - STRONGER)
    start = today - UNDER
    return ((later - start) / (today - start) - 1) / (later / today - 1)


@stretch.misconception("That is how many times longer the second bar is drawn. Compare its growth with the real one.")
def times_longer(twin):
    today, later = share(twin), share(twin, GOOD - STRONGER)
    return (later - today + UNDER) / UNDER


@stretch.misconception("That is the growth in the picture alone. Divide it by the growth in the data.")
def drawn_alone(twin):
    return (share(twin, GOOD - STRONGER) - share(twin)) / UNDER


@stretch.misconception("That is the real growth over the drawn one: turn the fraction over.")
def turned_over(twin):
    return UNDER / share(twin)


@stretch.misconception("You compared the bars' lengths, not their growth: take 1 off each ratio first.")
def lengths_compared(twin):
    today, later = share(twin), share(twin, GOOD - STRONGER)
    return ((later - today + UNDER) / UNDER) / (later / today)


# ---------------------------------------------------------------- people


@exercise(
    "people",
    objective="people",
    tolerance=0.002,
    minutes=5,
    weights=lambda twin: (rsrp(twin) > GOOD, twin["surface/people"]),
    hints=[
        "The same condition, but people on both sides of the fraction.",
        "tk.city.share weighs each pixel by who lives in it.",
        'tk.city.share(good, of=twin["surface/people"])',
    ],
)
def people(twin):
    # people in blue pixels over all people
    return share(twin)


@people.misconception("Those are the people in the grey part. The caption speaks of those who have the signal.")
def in_the_grey(twin):
    return 1 - share(twin)


@people.misconception("Your threshold is -105 dBm, that of a call. A film needs more than -95 dBm: use `good`.")
def calls(twin):
    return share(twin, -105.0)


@people.misconception("You counted only those in the listed places. People live between the places, too.")
def listed_only(twin):
    served, living = city.served(twin, rsrp(twin) > GOOD), twin["places/population"]
    return float((served * living).sum() / living.sum())


# ---------------------------------------------------------------- the unit


def side(twin):
    """Edge of a pixel [m]."""
    x = twin["surface"].x.values
    return float(x[1] - x[0])


@exercise(
    "density",
    objective="unit",
    unit="people/km2",
    tolerance=0.005,
    minutes=6,
    hints=[
        "How large is a pixel? The coordinates x tell its edge in metres.",
        "A pixel of 200 m by 200 m is 0.04 km²: divide the people in it by its area.",
        "float(people_map.max()) / (edge / 1000) ** 2",
    ],
)
def density(twin):
    # people of the fullest pixel over its area in square kilometres
    return float(twin["surface/people"].max()) / (side(twin) / 1e3) ** 2


@density.misconception("Those are people in a pixel. The legend says people/km²: divide by the pixel's area.")
def a_pixel(twin):
    return float(twin["surface/people"].max())


@density.misconception("You divided by the edge of the pixel. An area has two edges: square it.")
def by_the_edge(twin):
    return float(twin["surface/people"].max()) / (side(twin) / 1e3)


@density.misconception("That is the mean of the map. The legend's upper end is its fullest pixel.")
def mean_of_the_map(twin):
    return float(twin["surface/people"].mean()) / (side(twin) / 1e3) ** 2


# ---------------------------------------------------------------- words


def left_out(twin):
    """Names, population and share served of the largest places."""
    places = twin["places"].to_dataset()
    served = city.served(twin, rsrp(twin) > GOOD).values
    order = np.argsort(-places.population.values, kind="stable")[:LARGEST]
    return places.name.values[order], places.population.values[order], served[order]


@exercise(
    "named",
    objective="words",
    minutes=8,
    hints=[
        "The table behind the map has population and served: people without are population times what is not served.",
        'without = table["population"] * (1 - table["served"]), and then the largest of it.',
        'str(table["name"].values[int(np.nanargmax(without.values))])',
    ],
)
def named(twin):
    # people without, not share without: a hamlet with nobody served may be smaller than a tenth of a town
    names, living, served = left_out(twin)
    return str(names[int(np.nanargmax(living * (1 - served)))])


@named.misconception("That is the place with the least share. Ask where most people are left, not the largest part.")
def least_share(twin):
    names, _, served = left_out(twin)
    found = str(names[int(np.nanargmin(served))])
    return found if found != named.expected(twin) else None


@named.misconception("That is the smallest place. Small is not the same as left out.")
def smallest(twin):
    names, living, _ = left_out(twin)
    found = str(names[int(np.argmin(living))])
    return found if found != named.expected(twin) else None


# ---------------------------------------------------------------- colours


def scales(twin):
    """Scales on which a test of colours is compared."""
    grey = [f"#{v:02X}{v:02X}{v:02X}" for v in range(0, 256, 51)]
    cividis = ["#00224E", "#35456C", "#666970", "#948E77", "#C8B866", "#FEE838"]
    rainbow = ["#000080", "#0080FF", "#7DFF7A", "#FF9400", "#800000"]
    hill = ["#00224E", "#666970", "#FEE838", "#666970", "#00224E"]
    return [{"colours": c} for c in (grey, grey[::-1], cividis, cividis[::-1], rainbow, hill, ["#D62728", "#2CA02C"])]


def turned(colours):
    up = np.sign(np.diff(view.lightness(colours)))
    return int((np.diff(up) != 0).sum())


@exercise(
    "turns",
    objective="colour",
    same_everywhere="a scale of colours knows nothing of the region",
    tolerance=0,
    minutes=10,
    probe=scales,
    hints=[
        "tk.view.lightness gives one number for each colour; np.diff the steps between neighbours.",
        "np.sign(steps) is 1 where it gets lighter and -1 where it gets darker. Where does that change?",
        "up = np.sign(np.diff(tk.view.lightness(colours))); return int((np.diff(up) != 0).sum())",
    ],
)
def turns(twin):
    # where the sign of the step changes, lightness turns back; a grey print loses the order there
    return turned


@turns.misconception("You count the steps that get darker. A scale may fall, as long as it never turns back.")
def falling_steps(twin):
    return lambda colours: int((np.diff(view.lightness(colours)) < 0).sum())


@turns.misconception("You compare the two ends only. A rainbow and a hill turn back on the way.")
def ends_only(twin):
    return lambda colours: int(view.lightness([colours[0], colours[-1]])[1] < view.lightness([colours[0]])[0])


@turns.misconception("You took the steps of the lightness itself. Take its sign first: up or down, not how far.")
def no_sign(twin):
    return lambda colours: int((np.diff(np.diff(view.lightness(colours))) != 0).sum())


# ---------------------------------------------------------------- the band


def shares(twin):
    """Share of the people on maps that are off as a whole, each by its own amount."""
    offsets = np.random.default_rng(1).normal(0.0, DOUBT, DRAWS)
    level, living = rsrp(twin).values.ravel(), twin["surface/people"].values.ravel()
    order = np.argsort(-level)
    reached = np.concatenate([[0.0], np.cumsum(living[order], dtype=float)]) / living.sum()
    # how many pixels lie above the threshold that a map off by this much would need
    return reached[np.searchsorted(-level[order], offsets - GOOD, side="left")]


@exercise(
    "low-end",
    objective="band",
    tolerance=0.003,
    minutes=8,
    hints=[
        "Nine of ten draws lie in the band: a twentieth of them lies below it.",
        "np.quantile gives the value below which a part of the draws lies. Which part?",
        "float(np.quantile(shares, 0.05))",
    ],
)
def low_end(twin):
    # a twentieth of the draws lies below
    return float(np.quantile(shares(twin), 0.05))


@low_end.misconception("A tenth of the draws lies below yours. Nine of ten in the band: half of the rest on each side.")
def a_tenth(twin):
    return float(np.quantile(shares(twin), 0.1))


@low_end.misconception("That is the upper end. Whoever must not promise too much asks for the lower one.")
def upper_end(twin):
    return float(np.quantile(shares(twin), 0.95))


@low_end.misconception("That is the middle: one half of the draws lies below.")
def middle(twin):
    return float(np.median(shares(twin)))


@low_end.misconception("That is the doubt about the mean of the draws, which many draws make small. Take the draws.")
def of_the_mean(twin):
    found = shares(twin)
    return float(found.mean() - 1.645 * found.std() / np.sqrt(len(found)))


@low_end.misconception("That is the worst of all draws. It falls with every further draw; a quantile does not.")
def worst_draw(twin):
    return float(shares(twin).min())
