"""Exercises of 01-twin: labels, units, provenance, laziness, history; every answer is a function of the twin."""

import numpy as np

from twinkit.lesson import exercise

LOWEST = 30.0  # [m] the height to which the operator raises its lower masts
HALF = 5000.0  # [m] half the edge of the square that is read from the store
DOUBT = 0.3  # how much larger the number of modelled people may be

TRUST = {"measured": 1.0, "modelled": 0.5, "generated": 0.0}


def top(twin):
    """Height of each mast's top above sea level [m] (site), by labels."""
    sites, ground = twin["sites"].to_dataset(), twin["surface/ground_height"]
    return ground.sel(x=sites.x, y=sites.y, method="nearest") + sites.height


def name_of_largest(array):
    """The label of the largest value along the only dim."""
    return str(array[array.dims[0]].values[array.values.argmax()])


# ---------------------------------------------------------------- labels


@exercise(
    "highest",
    objective="labels",
    minutes=5,
    hints=[
        "Sea level is under the ground: which variable of `surface` says how high the ground is?",
        "`ground` of the shown example holds the ground height at each site. Add the mast to it; labels do the rest.",
        "(ground + sites.height).idxmax() gives the id",
    ],
)
def highest(twin):
    # ground under the mast plus the mast: both carry the label `site`, so they meet by name
    return name_of_largest(top(twin))


@highest.misconception("That is the tallest mast above its own ground. A short mast on a hill may stand higher.")
def tallest(twin):
    return name_of_largest(twin["sites/height"])


@highest.misconception(
    "That is the first mast of the table. idxmax gives the label of the largest, argmax its position."
)
def first(twin):
    return str(twin["sites"].site.values[0])


@highest.misconception("That is the lowest one: idxmin and idxmax are swapped.")
def lowest(twin):
    return name_of_largest(-top(twin))


# ---------------------------------------------------------------- units


@exercise(
    "total-power",
    objective="units",
    unit="dBm",
    tolerance=0,
    absolute=0.02,
    minutes=7,
    hints=[
        "Decibels are exponents. What do you do with exponents before you add the things themselves?",
        "46 dBm are 10 ** (46 / 10) milliwatts. Turn every cell into milliwatts, add, turn the sum back.",
        "10 * np.log10((10 ** (power / 10)).sum())",
    ],
)
def total_power(twin):
    # powers add in milliwatts, not in decibels: to milliwatts, sum, back to dBm
    power = twin["cells/transmit_power"]
    return float(10 * np.log10((10 ** (power / 10)).sum()))


@total_power.misconception(
    "You added the dBm themselves. Adding decibels multiplies the powers; to add powers, go through milliwatts."
)
def added_decibels(twin):
    return float(twin["cells/transmit_power"].sum())


@total_power.misconception("That is one cell's mean power. The question asks for all cells together.")
def mean_power(twin):
    return float(10 * np.log10((10 ** (twin["cells/transmit_power"] / 10)).mean()))


@total_power.misconception("You counted the sites of the tree; power stands in `cells`, and a site has up to three.")
def one_cell_a_site(twin):
    cells = twin["cells"].to_dataset()
    _, one = np.unique(cells.site.values, return_index=True)
    return float(10 * np.log10((10 ** (cells.transmit_power.values[one] / 10)).sum()))


# ---------------------------------------------------------------- provenance


def said(array):
    """The kinds of origin that a variable's provenance names: measured, modelled, generated."""
    return {word for word in TRUST if word in array.attrs.get("provenance", "")}


@exercise(
    "invented",
    objective="provenance",
    same_everywhere="which branches are generated is a property of the recipe, not of the place",
    minutes=4,
    hints=[
        "The table of the shown example has a column `origin`. Which branches hold nothing but 'generated'?",
        "A branch belongs to the answer when every one of its variables starts with 'generated'.",
        "origin.groupby('branch')['origin'].agg(set): look for those with one member",
    ],
)
def invented(twin):
    # a branch in which every data variable is generated and none is measured or modelled
    return {
        name
        for name, branch in twin.children.items()
        if all(said(v) == {"generated"} for v in branch.to_dataset().data_vars.values())
    }


@invented.misconception("You listed branches in which something is generated. The question asks where everything is.")
def something_generated(twin):
    return {
        name
        for name, branch in twin.children.items()
        if any("generated" in said(v) for v in branch.to_dataset().data_vars.values())
    }


@invented.misconception("You listed the branches that are not all generated: the complement of what is asked.")
def not_invented(twin):
    return set(twin.children) - invented.expected(twin)


@exercise(
    "counted",
    objective="provenance",
    tolerance=0.005,
    minutes=5,
    hints=[
        "Two variables hold people. One of them is measured through and through.",
        "Counted are the people of the listed settlements; the whole is everybody on the map.",
        'float(twin["places/population"].sum() / twin["surface/people"].sum())',
    ],
)
def counted(twin):
    # the people whom a list names, over all people on the map
    return float(twin["places/population"].sum() / twin["surface/people"].sum())


@counted.misconception("That is the share that was modelled. The question asks for the share that somebody counted.")
def modelled(twin):
    return 1 - counted.expected(twin)


@counted.misconception("You divided the wrong way round: a share of counted people has all people below the line.")
def upside_down(twin):
    return 1 / counted.expected(twin)


@counted.misconception("That is the number of people counted. The question asks for a share: divide by all people.")
def number_counted(twin):
    return float(twin["places/population"].sum())


# ---------------------------------------------------------------- laziness


@exercise(
    "reads",
    objective="lazy",
    same_everywhere="when a lazy array is read depends on the operation, not on the place",
    minutes=3,
    hints=[
        "A lazy array writes a recipe until somebody needs to see a number.",
        "Which of the three lines must know a number to give its result?",
        "float(...) must; a recipe is enough for the other two.",
    ],
)
def reads(twin):
    # float() needs the number itself; doubling and selecting only add a line to the recipe
    return "b"


@reads.misconception(
    "Doubling a lazy array adds 'times two' to its recipe; nothing is read until a number is asked for."
)
def doubling(twin):
    return "a"


@reads.misconception(
    "Selecting a window makes the recipe shorter: it decides what will be read, and reads nothing yet."
)
def selecting(twin):
    return "c"


def window(twin, half):
    """The square around the largest settlement [m]."""
    places = twin["places"].to_dataset()
    largest = places.isel(place=places.population.values.argmax())
    return {
        "x": slice(float(largest.x) - half, float(largest.x) + half),
        "y": slice(float(largest.y) - half, float(largest.y) + half),
    }


@exercise(
    "square",
    objective="lazy",
    unit="people",
    tolerance=0.002,
    minutes=6,
    hints=[
        "`.sel` takes slices of labels, here metres: slice(from, to).",
        "10 km by 10 km around the place reach 5000 m to each side of it, in x and in y.",
        "stored['surface/people'].sel(x=slice(x - 5000, x + 5000), y=slice(y - 5000, y + 5000)).sum()",
    ],
)
def square(twin):
    # choose by label first, add up then: only the chunks under the window are read
    return float(twin["surface/people"].sel(window(twin, HALF)).sum())


@square.misconception("You added up the whole map: choose the window with .sel before .sum.")
def whole_map(twin):
    return float(twin["surface/people"].sum())


@square.misconception(
    "Your square has edges of 20 km: 10 km to each side. A square of 10 km reaches 5 km to each side."
)
def twice_the_edge(twin):
    return float(twin["surface/people"].sel(window(twin, 2 * HALF)).sum())


@square.misconception(
    "You took one pixel. method='nearest' finds the pixel under a point; a window needs slices of labels."
)
def one_pixel(twin):
    middle = {d: (s.start + s.stop) / 2 for d, s in window(twin, HALF).items()}
    return float(twin["surface/people"].sel(middle, method="nearest"))


@square.misconception(
    "That is the population of the settlement in `places`. The question asks for everybody in the square."
)
def the_settlement(twin):
    return float(twin["places/population"].max())


# ---------------------------------------------------------------- history


@exercise(
    "raised",
    objective="history",
    tolerance=0,
    minutes=6,
    hints=[
        "Open the store twice: as it was then, and as it is now. Both carry `site`.",
        "A mast was changed where the two heights differ.",
        "int((then['sites/height'] != now['sites/height']).sum())",
    ],
)
def raised(twin):
    # the two heights differ where the mast was lower than 30 m before
    return int((twin["sites/height"] < LOWEST).sum())


@raised.misconception("You counted all masts. The commit changed those that were lower than 30 m.")
def every_mast(twin):
    return int(twin["sites"].sizes["site"])


@raised.misconception("You counted the masts that stand at 30 m now; some of them stood there before.")
def at_thirty_now(twin):
    return int((twin["sites/height"] <= LOWEST).sum())


@raised.misconception("These are the masts that stayed as they were: use !=, not ==.")
def unchanged(twin):
    return int((twin["sites/height"] >= LOWEST).sum())


@raised.misconception("You added up metres: the differences of the heights. Count the masts whose height differs.")
def metres_raised(twin):
    return float((LOWEST - twin["sites/height"]).clip(min=0).sum())


# ---------------------------------------------------------------- a model of one's own


def parts(twin):
    """Every provenance of the twin that differs from the others."""
    found = {v.attrs["provenance"] for b in twin.children.values() for v in b.to_dataset().data_vars.values()}
    return sorted(found)


@exercise(
    "trust",
    objective="provenance",
    same_everywhere="the rule looks at words, and the same kinds of words stand in every twin",
    tolerance=0,
    minutes=7,
    probe=lambda twin: [{"provenance": text} for text in parts(twin)],
    hints=[
        "A chain is as strong as its weakest link: which word decides when two stand in one text?",
        "Look for 'generated' anywhere in the text first, for 'modelled' next.",
        "if 'generated' in provenance: return 0.0",
    ],
)
def trust(twin):
    def weakest(provenance):
        # the weakest kind of origin anywhere in the text decides
        return min(value for word, value in TRUST.items() if word in provenance)

    return weakest


@trust.misconception(
    "You look at the first word only. 'measured: topography; generated: relief' is as weak as its generated part."
)
def first_word(twin):
    return lambda provenance: next(v for w, v in TRUST.items() if provenance.startswith(w))


@trust.misconception("You give the mean of the parts. A number that rests on two sources falls with the weaker one.")
def average(twin):
    return lambda provenance: float(np.mean([v for w, v in TRUST.items() if w in provenance]))


# ---------------------------------------------------------------- a decision


@exercise(
    "defended",
    objective="provenance",
    tolerance=0.002,
    minutes=6,
    hints=[
        "The counted people are certain. Only the others, the modelled ones, may be more than the model says.",
        "others = everybody - counted; in the worst case there are others * (1 + 0.3) of them.",
        "listed / (listed + 1.3 * (everybody - listed))",
    ],
)
def defended(twin):
    # the counted stay, the modelled may be 30 % more: the share that holds even then
    listed, everybody = float(twin["places/population"].sum()), float(twin["surface/people"].sum())
    return listed / (listed + (1 + DOUBT) * (everybody - listed))


@defended.misconception("That is the share without doubt. Let the modelled people be 30 % more first.")
def no_doubt(twin):
    return counted.expected(twin)


@defended.misconception(
    "That is the hopeful bound, with 30 % fewer modelled people. You can only promise the cautious one."
)
def hopeful(twin):
    listed, everybody = float(twin["places/population"].sum()), float(twin["surface/people"].sum())
    return listed / (listed + (1 - DOUBT) * (everybody - listed))


@defended.misconception(
    "You let everybody be 30 % more. The counted people are counted; only the modelled ones are in doubt."
)
def everybody_in_doubt(twin):
    return counted.expected(twin) / (1 + DOUBT)


@defended.misconception("You lowered the share itself by 30 %. The doubt is about the modelled people: put it on them.")
def share_in_doubt(twin):
    return counted.expected(twin) * (1 - DOUBT)
