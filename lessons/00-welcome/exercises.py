"""Exercises of 00-welcome: every answer is a function of the twin in front of the learner."""

import numpy as np

from twinkit.lesson import exercise

NEAR = 2000.0  # [m] what the mayor calls near
DOUBT = 300.0  # [m] how far a mast may stand from where the twin has it


def nearest(twin):
    """Distance from every pixel to the nearest mast [m] (y, x)."""
    masts = twin["sites"].to_dataset().sel(site=np.unique(twin["cells/site"]))
    surface = twin["surface"].to_dataset()
    return np.hypot(surface.x - masts.x, surface.y - masts.y).min("site").transpose("y", "x")


def share(twin, near):
    """Share of the people who live where `near` holds."""
    people = twin["surface/people"]
    return float(people.where(near).sum() / people.sum())


@exercise(
    "largest",
    objective="lesson",
    minutes=2,
    hints=[
        "The table above has a column `population`.",
        'Sort it: places.sort_values("population") puts the largest last.',
        'largest = places.sort_values("population")["name"].iloc[-1]',
    ],
)
def largest(twin):
    places = twin["places"].to_dataset()
    return str(places.name.values[places.population.values.argmax()])


@largest.misconception("That is the first row. The table stands in the order of the data, not in the order of size.")
def first_row(twin):
    return str(twin["places/name"].values[0])


@largest.misconception("That is the smallest: the order is from small to large, and you took the wrong end.")
def smallest(twin):
    places = twin["places"].to_dataset()
    return str(places.name.values[places.population.values.argmin()])


@exercise(
    "people",
    objective="count",
    unit="people",
    tolerance=0.005,
    minutes=4,
    hints=[
        "Two layers of the twin hold people: `places` (settlements on a list) and `surface` (everybody, on a grid).",
        "Each pixel of surface/people holds the people who live in it. How do you put pixels together?",
        'people = float(twin["surface/people"].sum())',
    ],
)
def people(twin):
    # every pixel holds people, so the region's people are the sum over all pixels
    return float(twin["surface/people"].sum())


@people.misconception(
    "You added up the settlements of `places`. GeoNames lists settlements of 500 people and more; those who live in "
    "smaller ones are missing from your sum."
)
def settlements_only(twin):
    return float(twin["places/population"].sum())


@people.misconception("That is the mean of a pixel. The people of the region are the sum over all pixels.")
def mean_of_a_pixel(twin):
    return float(twin["surface/people"].mean())


@people.misconception("That is the number of pixels. Ask for what stands in them: .sum(), not .size.")
def count_of_pixels(twin):
    return float(twin["surface/people"].size)


@exercise(
    "near",
    objective="people",
    tolerance=0.002,
    minutes=5,
    weights=lambda twin: (nearest(twin) < NEAR, twin["surface/people"]),
    hints=[
        "The share of land was near pixels over all pixels. You want: people who live near, over all people.",
        'twin["surface/people"].where(distance < 2000) keeps the people of the near pixels only.',
        'near = float(twin["surface/people"].where(distance < 2000).sum() / twin["surface/people"].sum())',
    ],
)
def near(twin):
    # the people of the near pixels, over all people
    return share(twin, nearest(twin) < NEAR)


@near.misconception("These are the people who live far away. The mayor asked for those who live near.")
def far(twin):
    return 1 - share(twin, nearest(twin) < NEAR)


@near.misconception("That is how many people live near. The mayor asked for a share: divide by all people.")
def people_not_share(twin):
    return float(twin["surface/people"].where(nearest(twin) < NEAR).sum())


@near.misconception("You took 20 km for 2 km: `distance` is in metres, and 2 km are 2000 m.")
def ten_times(twin):
    return share(twin, nearest(twin) < 10 * NEAR)


@exercise(
    "walk",
    objective="model",
    unit="min",
    tolerance=0.001,
    minutes=6,
    probe=lambda twin: [{"distance": nearest(twin)}],
    hints=[
        "Time is length over speed. Which of the two numbers in the task changes the length?",
        "The path is 1.3 × distance metres long; 5 km/h are 5000 m in 60 minutes.",
        "def walk(distance): return 1.3 * distance / 5000 * 60",
    ],
)
def walk(twin):
    def minutes(distance):
        # the path is 1.3 times the straight line [m]; at 5000 m an hour, in minutes
        return 1.3 * distance / 5000 * 60

    return minutes


@walk.misconception("You walk through walls: a path is 1.3 times as long as the straight line.")
def straight(twin):
    return lambda distance: distance / 5000 * 60


@walk.misconception("That is in hours; the task asks for minutes.")
def hours(twin):
    return lambda distance: 1.3 * distance / 5000


@walk.misconception("That is in seconds; the task asks for minutes.")
def seconds(twin):
    return lambda distance: 1.3 * distance / 5000 * 3600


@walk.misconception("You divided by 1.3: the path is longer than the straight line, not shorter.")
def shorter(twin):
    return lambda distance: distance / 1.3 / 5000 * 60


@exercise(
    "sure",
    objective="people",
    tolerance=0.002,
    minutes=5,
    hints=[
        "A mast may stand 300 m farther away than the twin says. For whom is 2 km certain even then?",
        "Only those are certain whose distance in the twin is at most 2000 m - 300 m.",
        "sure = share_near(distance + 300)",
    ],
)
def sure(twin):
    # in the worst case every mast is 300 m farther away than the twin has it
    return share(twin, nearest(twin) + DOUBT < NEAR)


@sure.misconception("That is the share without any doubt about the masts: move them 300 m away from everybody first.")
def no_doubt(twin):
    return share(twin, nearest(twin) < NEAR)


@sure.misconception("That is the hopeful bound, with every mast 300 m nearer. You can only promise the cautious one.")
def hopeful(twin):
    return share(twin, nearest(twin) - DOUBT < NEAR)


@sure.misconception("That is what the doubt costs: the difference. Give the share that remains certain.")
def cost_of_doubt(twin):
    return share(twin, nearest(twin) < NEAR) - share(twin, nearest(twin) + DOUBT < NEAR)
