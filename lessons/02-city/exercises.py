"""Exercises of 02-city: distances, shares of people, places left behind; every answer is a function of the twin."""

import numpy as np

from twinkit import city
from twinkit.lesson import exercise

REACH = 3000.0  # [m] how far a mast reaches, on a good day
CERTAIN = 2000.0  # [m] how far it reaches for certain
NEAR, FAR = 2000.0, 6000.0  # [m] where the learner's rule begins and ends to fade


def masts_of(twin):
    """The sites that serve people by radio."""
    sites = twin["sites"].to_dataset()
    return sites.where(sites.kind.isin(["macro", "small cell"]), drop=True)


def nearest(points, masts):
    """Distance to the nearest mast [m], on the dims of the points."""
    return np.hypot(points.x - masts.x, points.y - masts.y).min("site")


def near(twin):
    """Distance of each pixel to the nearest mast [m] (y, x)."""
    return nearest(twin["surface"].to_dataset(), masts_of(twin)).transpose("y", "x")


def share(twin, reach):
    return float(city.share(near(twin) < reach, of=twin["surface/people"]))


def halves(twin, where):
    """People south and north of the middle line, where something is true."""
    people = twin["surface/people"]
    here = people.where(where, 0.0)
    south = people.y < float(people.y.mean())
    return float(here.where(south, 0.0).sum()), float(here.where(~south, 0.0).sum())


def name_at(twin, distance, position):
    return str(twin["places/name"].values[position(distance.values)])


# ---------------------------------------------------------------- distance


@exercise(
    "remotest",
    objective="distance",
    minutes=6,
    hints=[
        "The shown example takes pixels against masts. What changes when you take places against masts?",
        "np.hypot(places.x - masts.x, places.y - masts.y).min('site') has one distance for each place.",
        "idxmax() of it gives the id; twin['places/name'].sel(place=id) the name.",
    ],
)
def remotest(twin):
    # each place against each mast; the least over the masts, then the place where it is largest
    return name_at(twin, nearest(twin["places"].to_dataset(), masts_of(twin)), np.argmax)


@remotest.misconception("That is the place nearest to a mast: idxmin and idxmax are swapped.")
def closest(twin):
    return name_at(twin, nearest(twin["places"].to_dataset(), masts_of(twin)), np.argmin)


@remotest.misconception(
    "You took the largest distance to any mast, not to the nearest one: take min over the masts before max over places."
)
def farthest_from_any(twin):
    places, masts = twin["places"].to_dataset(), masts_of(twin)
    return name_at(twin, np.hypot(places.x - masts.x, places.y - masts.y).max("site"), np.argmax)


@remotest.misconception("That is the smallest place. Small is not far: ask for the distance.")
def smallest(twin):
    return name_at(twin, twin["places/population"], np.argmin)


# ---------------------------------------------------------------- shares


@exercise(
    "people-share",
    objective="weights",
    tolerance=0.002,
    minutes=5,
    weights=lambda twin: (near(twin) < REACH, twin["surface/people"]),
    hints=[
        "What stands on top of the fraction, and what below? Not pixels.",
        "On top: people where `served` is true. Below: all people.",
        "tk.city.share(served, of=surface.people)",
    ],
)
def people_share(twin):
    # every pixel counts as often as people live in it
    return share(twin, REACH)


@people_share.misconception("That is the share that is not served: the rest to one.")
def not_served(twin):
    return 1 - share(twin, REACH)


@people_share.misconception("That is the number of people served. A share divides it by all people.")
def number_served(twin):
    return float(city.people_total(twin["surface/people"], where=near(twin) < REACH))


@people_share.misconception(
    "You counted settled pixels: a pixel with one family weighs as much as a market square. Let people weigh."
)
def of_settled_pixels(twin):
    return float((near(twin) < REACH).where(twin["surface/people"] > 0).mean())


@people_share.misconception("You took the people of the listed places only; those between the places are missing.")
def of_listed_places(twin):
    places = twin["places"].to_dataset()
    inside = nearest(places, masts_of(twin)) < REACH
    return float(places.population.where(inside, 0).sum() / places.population.sum())


def density(twin):
    people = twin["surface/people"]
    return people / (float(people.x[1] - people.x[0]) * float(people.y[1] - people.y[0]) / 1e6)


@exercise(
    "crowding",
    objective="weights",
    unit="people/km2",
    tolerance=0.002,
    minutes=6,
    weights=lambda twin: (density(twin), twin["surface/people"]),
    hints=[
        "A mean in which pixels count differently: multiply each value by its weight. What do you divide by?",
        "The weights are people: sum(density * people) / sum(people).",
        "float((density * surface.people).sum() / surface.people.sum())",
    ],
)
def crowding(twin):
    # the mean over people, not over pixels: each pixel's density counts once for each person in it
    people = twin["surface/people"]
    return float((density(twin) * people).sum() / people.sum())


@crowding.misconception("That is the densest pixel. The question asks for the mean over all people.")
def densest(twin):
    return float(density(twin).max())


@crowding.misconception("You divided by the number of pixels. The weights are people: divide by their sum.")
def divided_by_pixels(twin):
    return float((density(twin) * twin["surface/people"]).mean())


@crowding.misconception(
    "You left out the empty pixels and let the others count alike. One person is not a crowd: let people weigh."
)
def mean_of_settled(twin):
    return float(density(twin).where(twin["surface/people"] > 0).mean())


# ---------------------------------------------------------------- places


@exercise(
    "left-behind",
    objective="places",
    unit="people",
    tolerance=0.002,
    minutes=5,
    hints=[
        "You need a count, not a share; and the others, not those who are served.",
        "The condition is near >= 3000. Which function counts people where something is true?",
        "tk.city.people_total(surface.people, where=near >= 3000)",
    ],
)
def left_behind(twin):
    # everybody on the map for whom the nearest mast is 3 km away or farther
    return float(city.people_total(twin["surface/people"], where=near(twin) >= REACH))


@left_behind.misconception("Those are the people who are served. The question asks for the others.")
def served_people(twin):
    return float(city.people_total(twin["surface/people"], where=near(twin) < REACH))


@left_behind.misconception("That is the share of the people. The question asks how many they are.")
def share_left(twin):
    return 1 - share(twin, REACH)


@left_behind.misconception("You counted pixels. Ask for the people in them.")
def pixels_left(twin):
    return int((near(twin) >= REACH).sum())


@left_behind.misconception(
    "You took the share of the land times all people: that spreads everybody evenly over the hills."
)
def land_times_people(twin):
    return float((near(twin) >= REACH).mean() * twin["surface/people"].sum())


@exercise(
    "bus",
    objective="places",
    unit="people",
    tolerance=0.002,
    minutes=7,
    hints=[
        "Two conditions meet: no mast within 3 km, and the side. Which number of the two sides is larger?",
        "surface.people.where(near >= 3000, 0.0) keeps the people left behind; .where(side, 0.0) keeps a side.",
        "max(left.where(surface.y < middle, 0.0).sum(), left.where(surface.y >= middle, 0.0).sum())",
    ],
)
def bus(twin):
    # people without a mast, side by side; the bus goes to the larger number
    return max(halves(twin, near(twin) >= REACH))


@bus.misconception("You gave the side with fewer people left behind. The bus goes to the larger number.")
def smaller_side(twin):
    return min(halves(twin, near(twin) >= REACH))


@bus.misconception("You counted everybody on that side. The bus is for those without a mast within 3 km.")
def everybody_on_a_side(twin):
    return max(halves(twin, near(twin) >= 0))


@bus.misconception("You counted those who have a mast within 3 km. The bus is for the others.")
def served_side(twin):
    return max(halves(twin, near(twin) < REACH))


@bus.misconception("Those are both sides together. The bus can only be on one.")
def both_sides(twin):
    return sum(halves(twin, near(twin) >= REACH))


# ---------------------------------------------------------------- a rule of one's own


@exercise(
    "fades",
    objective="rule",
    same_everywhere="the rule looks at a distance, and a distance is the same everywhere",
    tolerance=1e-6,
    absolute=1e-9,
    minutes=8,
    probe=lambda twin: [{"distance": np.array([0.0, 1500.0, 2000.0, 2500.0, 4000.0, 5800.0, 6000.0, 9000.0])}],
    hints=[
        "Find the straight line that is 1 at 2000 m and 0 at 6000 m; beyond both ends it must not go on.",
        "(6000 - distance) / 4000 is that line. np.clip(line, 0, 1) cuts what lies above one and below zero.",
        "return np.clip((6000 - distance) / 4000, 0, 1)",
    ],
)
def fades(twin):
    # the straight line through (2000 m, 1) and (6000 m, 0), cut at both ends
    return lambda distance: np.clip((FAR - distance) / (FAR - NEAR), 0, 1)


@fades.misconception("Your line goes on beyond its ends, above one or below zero. Cut it: np.clip(line, 0, 1).")
def uncut(twin):
    return lambda distance: (FAR - distance) / (FAR - NEAR)


@fades.misconception("Your line falls from the mast on. Up to 2000 m everybody is served: it begins to fall there.")
def from_the_mast(twin):
    return lambda distance: np.clip(1 - distance / FAR, 0, 1)


@fades.misconception("Your rule is a sharp line: all or nothing. In between the share falls along a straight line.")
def sharp(twin):
    return lambda distance: (distance < (NEAR + FAR) / 2).astype(float)


@fades.misconception("Your rule rises with distance: it gives the share that is not served.")
def rising(twin):
    return lambda distance: np.clip((distance - NEAR) / (FAR - NEAR), 0, 1)


@fades.misconception("Your rule takes kilometres: 2 and 6 instead of 2000 and 6000. Distances are in metres.")
def in_kilometres(twin):
    return lambda distance: np.clip((FAR / 1000 - distance) / ((FAR - NEAR) / 1000), 0, 1)


# ---------------------------------------------------------------- a decision


@exercise(
    "promise",
    objective="defend",
    tolerance=0.002,
    minutes=4,
    weights=lambda twin: (near(twin) < CERTAIN, twin["surface/people"]),
    hints=[
        "Which of the two reaches makes the share smaller? A promise takes that one.",
        "The same share as before, with 2000 m instead of 3000 m.",
        "tk.city.share(near < 2000, of=surface.people)",
    ],
)
def promise(twin):
    # the share that holds even if a mast reaches only as far as it reaches for certain
    return share(twin, CERTAIN)


@promise.misconception("That is the hopeful number, with 3 km. A promise must hold on a bad day, too.")
def hopeful(twin):
    return share(twin, REACH)


@promise.misconception("That is the middle between the two. In half of all cases it promises too much.")
def middle(twin):
    return (share(twin, REACH) + share(twin, CERTAIN)) / 2


@promise.misconception(
    "You took the share at 3 km times two thirds. People do not live evenly around a mast: count again with 2 km."
)
def in_proportion(twin):
    return share(twin, REACH) * CERTAIN / REACH
