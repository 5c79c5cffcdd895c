"""Exercises of 19-write-your-own: a physics function, a stage under contract, evidence for both."""

import numpy as np

from twinkit import city, vocabulary
from twinkit.contract import check, contract, explain, stages
from twinkit.lesson import exercise

STEEP = 10.0  # [degree]
COARSER = 5  # pixels of the fine ground along an edge of a coarse one

# the same words as in the notebook: an expected stage is stamped as the learner's is
vocabulary.define("slope", dims="y x", unit="degree", meaning="steepness of the ground", low=0, high=90)


def rise(height):
    """Metres up for each metre forward, along the steepest way (y, x)."""
    return np.hypot(height.differentiate("x"), height.differentiate("y"))


def angle(height):
    """Steepness of the ground [degree] (y, x)."""
    return np.degrees(np.arctan(rise(height)))


def share(people, steepness, limit=STEEP):
    return float(city.share(steepness > limit, of=people))


# ---------------------------------------------------------------- physics


@exercise(
    "noise-floor",
    objective="physics",
    unit="dBm",
    tolerance=0,
    absolute=0.01,
    minutes=9,
    probe=lambda twin: [
        {"bandwidth": float(b), "noise_figure": f}
        for b in np.unique(twin["cells/bandwidth"].values)
        for f in (3.0, 7.0)
    ],
    same_everywhere="bandwidths are those of the standard, and may be the same in two regions",
    hints=[
        "The formula stands above; the decorator names the unit of each argument.",
        '@physics(bandwidth="Hz", noise_figure="dB") stands over def noise_floor(bandwidth, *, noise_figure).',
        "return -174 + 10 * np.log10(bandwidth) + noise_figure",
    ],
)
def noise_floor(twin):
    # -174 dBm in each hertz, the bandwidth in decibels above one hertz, and the receiver's own noise
    return lambda bandwidth, *, noise_figure: -174 + 10 * np.log10(bandwidth) + noise_figure


@noise_floor.misconception("The noise figure is missing: a real receiver is noisier than its temperature.")
def no_noise_figure(twin):
    return lambda bandwidth, *, noise_figure: -174 + 10 * np.log10(bandwidth)


@noise_floor.misconception("You subtracted the noise figure. It makes the noise larger: add it.")
def figure_subtracted(twin):
    return lambda bandwidth, *, noise_figure: -174 + 10 * np.log10(bandwidth) - noise_figure


@noise_floor.misconception("20 log10 of the bandwidth: noise power grows with the bandwidth itself, so 10 log10.")
def twenty_log(twin):
    return lambda bandwidth, *, noise_figure: -174 + 20 * np.log10(bandwidth) + noise_figure


@exercise(
    "readers",
    objective="ask",
    same_everywhere="which stages read a variable is a property of the library, not of the place",
    minutes=5,
    hints=[
        "tk.explain('population') has what you need; look at the line 'read by'.",
        "Its attribute read_by is a tuple of dotted names.",
        "set(tk.explain('population').read_by)",
    ],
)
def readers(twin):
    # the register of stages knows who names it among its reads
    return set(explain("population").read_by)


@readers.misconception("Those are all stages. Only some of them read population.")
def everybody(twin):
    return set(stages())


@readers.misconception("Those read `people`, the map. The question asks for `population`, of the places.")
def of_people(twin):
    return set(explain("people").read_by)


# ---------------------------------------------------------------- a stage


@exercise(
    "slope",
    objective="stage",
    unit="degree",
    tolerance=1e-5,
    absolute=1e-4,
    minutes=12,
    probe=lambda twin: [{"twin": twin}],
    contract=lambda twin, stage: check(stage, twin),
    hints=[
        "Copy the shape of from_middle: the decorator with reads and gives, then one function of the twin.",
        "np.hypot of the two derivatives is the rise for each metre; its arctangent is an angle in radians.",
        "return np.degrees(np.arctan(np.hypot(height.differentiate('x'), height.differentiate('y'))))",
    ],
)
def slope(twin):
    @contract(reads=["surface/ground_height"], gives=["slope"])
    def ours(twin):
        # two derivatives make one rise, its arctangent an angle, and degrees are what the word asks for
        return angle(twin["surface/ground_height"])

    return ours


@slope.misconception("That is the slope eastward only. Ground that rises to the north is steep, too: use both parts.")
def east_only(twin):
    return lambda twin: np.degrees(np.arctan(abs(twin["surface/ground_height"].differentiate("x"))))


@slope.misconception("You added the two parts. They are sides of a right angle: the rise is their hypotenuse.")
def parts_added(twin):
    def added(twin):
        height = twin["surface/ground_height"]
        return np.degrees(np.arctan(abs(height.differentiate("x")) + abs(height.differentiate("y"))))

    return added


@slope.misconception("That is metres per metre, in percent. An angle is its arctangent, in degrees.")
def in_percent(twin):
    return lambda twin: 100 * rise(twin["surface/ground_height"])


@slope.misconception("You differentiated without the labels, so that a pixel counts as one metre.")
def metre_pixels(twin):
    def by_pixel(twin):
        height = twin["surface/ground_height"]
        plain = height.drop_vars(["x", "y"]).assign_coords(x=np.arange(height.x.size), y=np.arange(height.y.size))
        return angle(plain)

    return by_pixel


@exercise(
    "early",
    objective="promises",
    same_everywhere="who reads too early depends on the code, not on the place",
    minutes=5,
    hints=[
        "The check printed a sentence for each of them. Which one speaks of reading or of being lazy?",
        "height.min() is a recipe. What must be known to make a Python number of it?",
        "float(...) needs the number itself.",
    ],
)
def early(twin):
    # float() asks for the number at once, so the whole map is read
    return "b"


@early.misconception("a subtracts one recipe from another: nothing is read until somebody asks for a number.")
def the_good_one(twin):
    return "a"


@early.misconception("c breaks another promise: it changes the twin in place. It does not read too early.")
def in_place(twin):
    return "c"


# ---------------------------------------------------------------- evidence


@exercise(
    "known-slope",
    objective="evidence",
    unit="degree",
    same_everywhere="a plane is a plane",
    tolerance=0,
    absolute=0.01,
    minutes=5,
    hints=[
        "Draw the triangle: 4 m along the ground plan, 1 m up. Which angle is asked?",
        "Its tangent is 1/4.",
        "np.degrees(np.arctan(1 / 4))",
    ],
)
def known_slope(twin):
    # the tangent of the angle is the rise over the run
    return float(np.degrees(np.arctan(1 / 4)))


@known_slope.misconception("That is the slope in percent. The question asks for degrees.")
def percent(twin):
    return 25.0


@known_slope.misconception("You took the arcsine: 4 m are along the plan, not along the slope.")
def arcsine(twin):
    return float(np.degrees(np.arcsin(1 / 4)))


@known_slope.misconception("You turned the triangle over: the rise is 1 and the run is 4.")
def turned_over(twin):
    return float(np.degrees(np.arctan(4)))


@exercise(
    "steep",
    objective="stage",
    tolerance=0.002,
    minutes=6,
    weights=lambda twin: (angle(twin["surface/ground_height"]) > STEEP, twin["surface/people"]),
    hints=[
        "A condition on your map, and tk.city.share as in lesson 02.",
        "slope(twin) > 10 is the condition.",
        'tk.city.share(slope(twin) > 10, of=twin["surface/people"])',
    ],
)
def steep(twin):
    # people in pixels steeper than ten degrees, over all people
    return share(twin["surface/people"], angle(twin["surface/ground_height"]))


@steep.misconception("Those are the people on gentler slopes: the rest to one.")
def gentle(twin):
    return 1 - share(twin["surface/people"], angle(twin["surface/ground_height"]))


@steep.misconception("You compared metres per metre with 0.10: that is 5.7 degrees, not 10.")
def ten_percent(twin):
    return share(twin["surface/people"], rise(twin["surface/ground_height"]), 0.10)


@steep.misconception("That is how many people they are. The question asks for their share.")
def number_on_slopes(twin):
    where = angle(twin["surface/ground_height"]) > STEEP
    return float(city.people_total(twin["surface/people"], where=where))


# ---------------------------------------------------------------- a decision


def coarse(twin):
    """Ground and people on pixels five times as large."""
    blocks = twin["surface"].to_dataset().coarsen(y=COARSER, x=COARSER, boundary="trim")
    return blocks.mean().ground_height, blocks.sum().people.assign_attrs(units="people")


@exercise(
    "coarser",
    objective="resolution",
    tolerance=0.002,
    minutes=6,
    hints=[
        "The same share, with `rough` in both places.",
        'slope(rough) is the condition\'s map; rough["surface/people"] are the people.',
        'tk.city.share(slope(rough) > 10, of=rough["surface/people"])',
    ],
)
def coarser(twin):
    # the same formula over a longer distance: hills smaller than a pixel are gone
    height, people = coarse(twin)
    return share(people, angle(height))


@coarser.misconception("That is the share on the fine ground. Put `rough` into both places.")
def fine(twin):
    return share(twin["surface/people"], angle(twin["surface/ground_height"]))


@coarser.misconception("You made the slope coarse, not the ground: first average the heights, then take the slope.")
def slope_averaged(twin):
    blocks = angle(twin["surface/ground_height"]).coarsen(y=COARSER, x=COARSER, boundary="trim").mean()
    return share(coarse(twin)[1], blocks)
