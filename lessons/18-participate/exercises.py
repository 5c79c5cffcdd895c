"""Exercises of 18-participate: what may be shown, how coarse, who is silent, a fairer weight, a kept share."""

import functools

import numpy as np

from twinkit import plan, radio
from twinkit.lesson import exercise

SIDE = 2000.0  # [m] of the squares in which places are kept
FEWEST = 5  # pins from which on a square is shown
PINS = 400
THRESHOLD = -100.0  # [dBm] above which a telephone works inside a house
ODD = 0.05  # of those whom the network serves, so many have something to complain about
VOICE = 1000.0  # [people/km²] at which half of what people have to say could be said
SPACING = 3000.0  # [m] between the spots where a mast could stand
MASTS, KEPT = 5, 2
SHRINK = 5000.0  # [people]


def once(function):
    """The same answer for the same twin, without computing it again."""
    known = {}

    @functools.wraps(function)
    def kept(twin, *given):
        key = (id(twin), *given)
        if key not in known:
            # the twin stays beside its answer, so that no other can take its id
            known[key] = (twin, function(twin, *given))
        return known[key][1]

    return kept


# ---------------------------------------------------------------- who writes


@once
def living(twin):
    """People in each pixel, and whether no signal reaches them, one after the other."""
    people = twin["surface/people"].transpose("y", "x").fillna(0.0)
    rsrp = radio.coverage(twin, path_loss=radio.rma).rsrp.transpose("y", "x")
    return people.values.ravel().astype(float), ~(rsrp.values.ravel() > THRESHOLD)


def squares(twin, side=SIDE):
    """The number of each pixel's square."""
    x, y = twin["surface"].x.values, twin["surface"].y.values
    column, row = (((axis - axis[0] + (axis[1] - axis[0]) / 2) // side).astype(int) for axis in (x, y))
    return (row[:, None] * (column.max() + 1) + column[None, :]).ravel()


def total(layer, square):
    """The sum of a layer in each square."""
    return np.bincount(square, layer)


@once
def wrote(twin):
    """Where the pins lie [m]: drawn among those who have something to say and can say it."""
    people, dark = living(twin)
    density = (total(people, squares(twin)) / (SIDE / 1000) ** 2)[squares(twin)]
    say = people * np.where(dark, 1.0, ODD) * (density / (density + VOICE)) ** 1.5
    rng = np.random.default_rng(1)
    where = rng.choice(len(say), PINS, p=say / say.sum())
    x, y = twin["surface"].x.values, twin["surface"].y.values
    jitter = rng.uniform(-0.5, 0.5, (2, PINS)) * (x[1] - x[0])
    return x[where % len(x)] + jitter[0], y[where // len(x)] + jitter[1]


@once
def counts(twin, side=SIDE):
    """Pins in each square that has any: an independent count, without the register."""
    x, y = twin["surface"].x.values, twin["surface"].y.values
    half = (x[1] - x[0]) / 2
    at = np.stack([(wrote(twin)[0] - x[0] + half) // side, (wrote(twin)[1] - y[0] + half) // side])
    return np.unique(at, axis=1, return_counts=True)


@once
def pinned(twin):
    """Pins in the square of each pixel."""
    (columns, rows), many = counts(twin)
    across = (
        int((len(twin["surface"].x) * (twin["surface"].x.values[1] - twin["surface"].x.values[0]) - 1e-6) // SIDE) + 1
    )
    out = np.zeros(squares(twin).max() + 1)
    out[(rows * across + columns).astype(int)] = many
    return out[squares(twin)]


# ---------------------------------------------------------------- what may be shown


@exercise(
    "shown",
    objective="publish",
    unit="1",
    tolerance=0,
    minutes=8,
    hints=[
        "pins.squares() is what may be published: squares with at least five pins. pins.squares(fewest=1) has all.",
        "It gives a Dataset; its variable pins has the dims square and subject. Add up everything.",
        "int(pins.squares().pins.sum())",
    ],
)
def shown(twin):
    # a pin alone in its square would say who wrote it
    many = counts(twin)[1]
    return int(many[many >= FEWEST].sum())


@shown.misconception("That is the number of squares. Add up the pins in them.")
def squares_shown(twin):
    return int((counts(twin)[1] >= FEWEST).sum())


@shown.misconception("That is all pins, also those alone in their squares. What may be published is asked for.")
def every_pin(twin):
    return PINS


@shown.misconception("Those are the pins that stay hidden.")
def hidden_pins(twin):
    return PINS - shown.expected(twin)


@exercise(
    "coarse",
    objective="coarse",
    tolerance=0.002,
    absolute=1e-9,
    minutes=10,
    hints=[
        "A pin's square is its distance from the corner, divided by the side, rounded down: once in x, once in y.",
        "np.unique(np.stack([column, row]), axis=1, return_counts=True) gives squares and their pins.",
        "corners = np.stack([(x - left) // 1000, (y - low) // 1000]); many as above; many[many >= 5].sum() / len(x)",
    ],
)
def coarse(twin):
    # finer squares hold fewer pins each, so fewer of them may be shown
    many = counts(twin, 1000.0)[1]
    return float(many[many >= FEWEST].sum() / PINS)


@coarse.misconception("That is the share with squares of 2 km. The question is what 1 km would show.")
def of_two_kilometres(twin):
    return shown.expected(twin) / PINS


@coarse.misconception("That is the share that 1 km would hide: the rest to one.")
def hidden_share(twin):
    return 1 - coarse.expected(twin)


@coarse.misconception("That is the share of the squares that may be shown. The share of the pins is asked for.")
def share_of_squares(twin):
    return float((counts(twin, 1000.0)[1] >= FEWEST).mean())


@coarse.misconception("You count squares from five pins on, five included: 'at least' is >=, not >.")
def more_than_five(twin):
    many = counts(twin, 1000.0)[1]
    return float(many[many > FEWEST].sum() / PINS)


# ---------------------------------------------------------------- who is silent


def silent(twin):
    """People without signal, in pixels in whose squares nobody put a pin."""
    people, dark = living(twin)
    return people * dark * (pinned(twin) == 0)


@exercise(
    "silence",
    objective="silence",
    tolerance=0.002,
    absolute=1e-6,
    minutes=10,
    hints=[
        "Two layers on the same pixels: people without signal, and wishes, which is zero where nobody wrote.",
        "Of the people in the dark, those where wishes is 0; divided by all people in the dark.",
        "float(in_the_dark.where(wishes == 0, 0).sum() / in_the_dark.sum())",
    ],
)
def silence(twin):
    # whom no pin stands for, among those who have most to say
    people, dark = living(twin)
    return float(silent(twin).sum() / (people * dark).sum())


@silence.misconception("You divided by all people. Of those in the dark, how many are silent?")
def of_everybody(twin):
    return float(silent(twin).sum() / living(twin)[0].sum())


@silence.misconception(
    "That is the share of the map in which nobody wrote. Nobody lives on most of it: weigh by people."
)
def of_the_area(twin):
    return float((pinned(twin) == 0).mean())


@silence.misconception("That is the share of all people who live where nobody wrote, whether served or not.")
def served_too(twin):
    people = living(twin)[0]
    return float(people[pinned(twin) == 0].sum() / people.sum())


@silence.misconception("You took the squares that may not be shown. Silent are those with no pin at all.")
def below_five(twin):
    people, dark = living(twin)
    return float((people * dark)[pinned(twin) < FEWEST].sum() / (people * dark).sum())


# ---------------------------------------------------------------- a weight of one's own


def cases(twin):
    """Pins and people of four squares on which a weight is compared."""
    square = squares(twin)
    people = total(living(twin)[0], square)
    first = np.unique(square, return_index=True)[1]
    most = np.argsort(-people, kind="stable")[:4]
    here = pinned(twin)[first][most], people[most]
    made = np.array([30.0, 6.0, 0.0, 4.0]), np.array([20e3, 3e3, 2e3, 10.0])
    given = [(here, SHRINK), (here, 1e9), (made, 0.0), (made, SHRINK)]
    return [{"pins": pins, "people": lives, "k": k} for (pins, lives), k in given]


def _rate(pins, people, k):
    return (pins + k * pins.sum() / people.sum()) / np.maximum(people + k, 1e-9)


@exercise(
    "weight",
    objective="weight",
    tolerance=1e-6,
    minutes=14,
    probe=cases,
    hints=[
        "First the mean of the region: all pins over all people. Then each square's own rate, drawn towards that mean.",
        "The rate is (pins + k * mean) / (people + k): as if k people more lived there who write as the region does.",
        "return (pins + k * pins.sum() / people.sum()) / (people + k) * people",
    ],
)
def weight(twin):
    # k people of the region's mean are added to each square's own, then the rate is spread over those who live there
    return lambda pins, people, k: _rate(pins, people, k) * people


@weight.misconception("That is a rate, pins for each person. A weight is a number of wishes: times the people.")
def only_a_rate(twin):
    return lambda pins, people, k: _rate(pins, people, k)


@weight.misconception("You took the mean of the squares' rates. The region's mean is all pins over all people.")
def mean_of_rates(twin):
    def made(pins, people, k):
        rate = pins / np.maximum(people, 1e-9)
        return (pins + k * rate[people > 0].mean()) / np.maximum(people + k, 1e-9) * people

    return made


@weight.misconception("You added k pins. k counts people: it brings k times the region's mean of pins.")
def pins_added(twin):
    return lambda pins, people, k: (pins + k) / np.maximum(people + k, 1e-9) * people


# ---------------------------------------------------------------- the decision


@once
def gain(twin):
    return plan.gain(twin, plan.candidates(twin, spacing=SPACING), path_loss=radio.rma, threshold=THRESHOLD).compute()


def reached(twin, *chosen):
    """Pixels that the masts of these choices reach."""
    names = [name for some in chosen for name in some.candidate.values]
    return gain(twin).adds.sel(candidate=names).any("candidate").values


def chosen(twin, weights, masts, already=False):
    left = np.where(already, 0.0, weights)
    return plan.choose(gain(twin).assign(people=gain(twin).people.copy(data=left)), budget=masts)


@once
def with_a_share(twin):
    """People whom each of the two halves of the plan reaches: three masts by people, two by the silent."""
    first = chosen(twin, living(twin)[0], MASTS - KEPT)
    second = chosen(twin, silent(twin), KEPT, reached(twin, first))
    return first, second


@exercise(
    "share",
    objective="decide",
    unit="people",
    tolerance=0.002,
    absolute=0.5,
    minutes=14,
    hints=[
        "First three masts by people, then two by the silent, without those who are reached already.",
        "plan_by(weight, budget, already) chooses; reached_by(plans) says which pixels they reach.",
        "second = plan_by(silent, 2, reached_by(first)); then the silent whom both reach: reached_by(first, second)",
    ],
)
def share(twin):
    # a share that is kept for those who did not write reaches those who did not write
    return float(silent(twin)[reached(twin, *with_a_share(twin))].sum())


@share.misconception("That is what five masts chosen by pins reach of the silent. Keep two masts for them.")
def by_pins(twin):
    square = squares(twin)
    wishes = pinned(twin) / total(np.ones(len(square)), square)[square]
    return float(silent(twin)[reached(twin, chosen(twin, wishes, MASTS))].sum())


@share.misconception("That is what five masts chosen by people reach of the silent. Keep two masts for them.")
def by_people(twin):
    return float(silent(twin)[reached(twin, chosen(twin, living(twin)[0], MASTS))].sum())


@share.misconception("Those are all people whom the plan reaches. How many of the silent are among them?")
def of_all(twin):
    return float(living(twin)[0][reached(twin, *with_a_share(twin))].sum())


@share.misconception("You counted the two kept masts alone. The first three may reach some of the silent, too.")
def second_alone(twin):
    return float(silent(twin)[reached(twin, with_a_share(twin)[1])].sum())
