"""Exercises of 04-radio: zone, edge, terrain loss, models that disagree, rain, a promise; all functions of the twin."""

import functools

import numpy as np

from twinkit import city, radio
from twinkit.lesson import exercise

EARTH = 8.5e6  # radius [m] of the earth on which a bent ray runs straight
LIGHT = 299_792_458.0  # [m/s]
NEAREST, FARTHEST = 5000.0, 15_000.0  # between mast and village [m]
LEAST = 20.0  # [m] that the ridge stands over the straight line, at least
TELEPHONE = 1.5  # [m] above ground
STEP = 50.0  # of a profile [m]
THRESHOLD = -105.0  # [dBm]
UNKNOWN_RAIN = 50.0  # [mm/h] for 0.01 % of the year, where the twin has no map of rain
BAND = 23e9  # of the microwave link [Hz]
RARE = 0.01  # share of the year [%]
SURE = 95  # share of the locations [%]
PIXEL = 200  # [m]


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


# ---------------------------------------------------------------- the path of the lesson


def along(surface, mast, village):
    ends = {"transmitter": (float(mast.x), float(mast.y)), "receiver": (float(village.x), float(village.y))}
    return radio.terrain_profile(surface, step=STEP, **ends)


def over_line(path, mast_height):
    """How far [m] the ground stands over the straight line between the antennas (distance)."""
    share = path.distance / path.distance[-1]
    ground = path.ground_height
    return ground - ((ground[0] + mast_height) * (1 - share) + (ground[-1] + TELEPHONE) * share)


@once
def pair(twin):
    """The mast and the village behind a ridge: profile, mast height [m], frequency [Hz], and both ends."""
    sites, cells, places = (twin[node].to_dataset() for node in ("sites", "cells", "places"))
    bare = radio.raster(twin["surface"].to_dataset()[["ground_height"]])
    best = np.inf
    for place in places.place.values:
        village = places.sel(place=place)
        apart = np.hypot(sites.x - village.x, sites.y - village.y)
        for site in sites.site.values[(apart >= NEAREST) & (apart <= FARTHEST)]:
            if site not in cells.site.values:
                continue
            mast = sites.sel(site=site)
            path = along(bare, mast, village)
            over = over_line(path, float(mast.height))
            top = int(over.values[1:-1].argmax()) + 1
            if LEAST <= over[top] < best and 0.2 <= path.distance[top] / path.distance[-1] <= 0.8:
                best, found = float(over[top]), (path, mast, village)
    path, mast, village = found
    frequency = float(cells.frequency[cells.site == mast.site].min())
    return path, float(mast.height), frequency, mast, village


def ridge(twin):
    """Where the ridge stands: wavelength, way before and behind it, height over the line, all [m]."""
    path, mast_height, frequency, _, _ = pair(twin)
    over = over_line(path, mast_height)
    top = int(over.values[1:-1].argmax()) + 1
    before = float(path.distance[top])
    return LIGHT / frequency, before, float(path.distance[-1]) - before, float(over[top])


def knife(parameter):
    """Loss [dB] of one edge, nothing where it is far below the ray."""
    v = np.asarray(parameter, float)
    loss = 6.9 + 20 * np.log10(np.sqrt((v - 0.1) ** 2 + 1) + v - 0.1)
    return np.where(v > -0.78, loss, 0.0)


def terms(twin, path=None, **choices):
    bare, mast_height, frequency, _, village = pair(twin)
    return radio.p1812_terms(
        bare if path is None else path,
        frequency=choices.pop("frequency", frequency),
        transmitter_height=mast_height,
        receiver_height=choices.pop("receiver_height", TELEPHONE),
        latitude=float(village.latitude),
        **choices,
    )


@once
def built_up(twin):
    """The same path with its houses and trees."""
    _, _, _, mast, village = pair(twin)
    return along(radio.raster(twin["surface"].to_dataset()[["ground_height", "clutter_height"]]), mast, village)


# ---------------------------------------------------------------- what the wave needs


@exercise(
    "fresnel",
    objective="zone",
    unit="m",
    tolerance=0.01,
    minutes=6,
    hints=[
        "The formula above, at the ridge: which two distances meet there?",
        "The wavelength is c / frequency; `before` and `behind` are the two distances in metres.",
        "np.sqrt(wavelength * before * behind / (before + behind))",
    ],
)
def fresnel(twin):
    # the ellipsoid of paths that are at most half a wavelength longer, cut at the ridge
    wavelength, before, behind, _ = ridge(twin)
    return float(np.sqrt(wavelength * before * behind / (before + behind)))


@fresnel.misconception("That is the whole width of the zone. The radius is half of it.")
def whole_width(twin):
    return 2 * fresnel.expected(twin)


@fresnel.misconception("That is the radius half way between the two. The ridge stands elsewhere: take its distances.")
def half_way(twin):
    wavelength, before, behind, _ = ridge(twin)
    return float(np.sqrt(wavelength * (before + behind)) / 2)


@fresnel.misconception("You forgot to divide by the whole distance: before + behind.")
def undivided(twin):
    wavelength, before, behind, _ = ridge(twin)
    return float(np.sqrt(wavelength * before * behind))


@fresnel.misconception("You forgot the square root: that is the square of the radius.")
def squared(twin):
    return fresnel.expected(twin) ** 2


# ---------------------------------------------------------------- one edge by hand


@exercise(
    "edge",
    objective="edge",
    unit="dB",
    tolerance=0,
    absolute=0.05,
    minutes=9,
    hints=[
        "First the height of the edge over the ray: the ridge over the straight line, and the bulge on top of it.",
        "v = height * np.sqrt(2 * (before + behind) / (wavelength * before * behind)); then J(v).",
        "6.9 + 20 * np.log10(np.sqrt((v - 0.1) ** 2 + 1) + v - 0.1) with height = over + bulge",
    ],
)
def edge(twin):
    # the ridge and the bulge together stand over the ray; v measures that against the Fresnel zone
    wavelength, before, behind, over = ridge(twin)
    height = over + before * behind / (2 * EARTH)
    return float(knife(height * np.sqrt(2 * (before + behind) / (wavelength * before * behind))))


def edge_with(twin, change):
    wavelength, before, behind, over = ridge(twin)
    scale = np.sqrt(2 * (before + behind) / (wavelength * before * behind))
    return float(knife(change(over, before * behind / (2 * EARTH), scale)))


@edge.misconception("You left the bulge of the earth out: it lifts the ridge further over the line.")
def without_bulge(twin):
    return edge_with(twin, lambda over, bulge, scale: over * scale)


@edge.misconception("You took the bulge away from the ridge. The earth bulges up, between the two: add it.")
def bulge_below(twin):
    return edge_with(twin, lambda over, bulge, scale: (over - bulge) * scale)


@edge.misconception("You divided by the Fresnel radius and stopped: v is the square root of 2 times that.")
def radii(twin):
    return edge_with(twin, lambda over, bulge, scale: (over + bulge) * scale / np.sqrt(2))


@edge.misconception("Your edge lies below the ray: the sign of the height is turned. It stands in the way: positive.")
def below_the_ray(twin):
    return edge_with(twin, lambda over, bulge, scale: -(over + bulge) * scale)


# ---------------------------------------------------------------- the whole profile


@exercise(
    "ground",
    objective="terms",
    unit="dB",
    tolerance=0,
    absolute=0.05,
    minutes=6,
    hints=[
        "Two of the terms: the whole loss, and what empty space would take.",
        "terms.path_loss and terms.free_space_loss.",
        "float(terms.path_loss - terms.free_space_loss)",
    ],
)
def ground(twin):
    # the loss over the profile, beyond what the distance alone takes
    found = terms(twin)
    return float(found.path_loss - found.free_space_loss)


@ground.misconception("That is the whole loss. Take off what empty space would have taken anyway.")
def whole_loss(twin):
    return float(terms(twin).path_loss)


@ground.misconception("You subtracted the other way round: the ground costs, so the number is positive.")
def other_way(twin):
    return -ground.expected(twin)


@ground.misconception("That is the one edge by hand. P.1812 looks at the whole profile: take its terms.")
def the_edge_by_hand(twin):
    return edge.expected(twin)


@ground.misconception("That is troposcatter, the way over the sky: P.1812 takes it in only where it is the easier way.")
def over_the_sky(twin):
    found = terms(twin)
    return float(found.troposcatter - found.free_space_loss)


# ---------------------------------------------------------------- models against each other


@once
def two_maps(twin):
    """Where RMa and where P.1812 promise a call (y, x)."""
    return tuple(radio.coverage(twin, path_loss=m).rsrp > THRESHOLD for m in (radio.rma, radio.p1812))


def people_share(twin, where):
    return float(city.share(where, of=twin["surface/people"]))


@exercise(
    "disagree",
    objective="compare",
    tolerance=0.002,
    minutes=6,
    weights=lambda twin: (np.not_equal(*two_maps(twin)), twin["surface/people"]),
    hints=[
        "Two conditions, one of each map. Where are they not the same?",
        "(flat.rsrp > -105) != (hilly.rsrp > -105) is true where only one of the two promises a call.",
        'tk.city.share((flat.rsrp > -105) != (hilly.rsrp > -105), of=twin["surface/people"])',
    ],
)
def disagree(twin):
    # people in pixels where exactly one of the two models promises a call
    flat, hilly = two_maps(twin)
    return people_share(twin, flat != hilly)


@disagree.misconception(
    "That is the difference of the two shares. Those whom only one model serves and those whom only the other "
    "serves cancel in it: compare pixel by pixel, then count."
)
def difference_of_shares(twin):
    flat, hilly = two_maps(twin)
    return abs(people_share(twin, flat) - people_share(twin, hilly))


@disagree.misconception("Those are only the people whom RMa flatters. Whom P.1812 alone serves counts as well.")
def flattered(twin):
    flat, hilly = two_maps(twin)
    return people_share(twin, flat & ~hilly)


@disagree.misconception("Those are only the people whom P.1812 alone serves. Whom RMa alone serves counts as well.")
def overlooked(twin):
    flat, hilly = two_maps(twin)
    return people_share(twin, hilly & ~flat)


@disagree.misconception("Those are the people on whom the models agree: the rest to one.")
def agree(twin):
    flat, hilly = two_maps(twin)
    return people_share(twin, flat == hilly)


# ---------------------------------------------------------------- rain


def hop(twin):
    """Length [m] of the longest microwave link, and the rain rate [mm/h] half way."""
    links, sites = twin["links"].to_dataset(), twin["sites"].to_dataset()
    radio_links = links.isel(link=np.flatnonzero(links.medium == "microwave"))
    link = radio_links.isel(link=int(radio_links.length.values.argmax()))
    ends = sites.sel(site=[str(link.source.values), str(link.target.values)])
    if "rain_rate" not in twin["surface"]:
        return float(link.length), UNKNOWN_RAIN
    rate = twin["surface/rain_rate"].sel(x=ends.x.mean(), y=ends.y.mean(), method="nearest")
    return float(link.length), float(rate)


def fade(twin, **choices):
    length, rate = hop(twin)
    return float(
        radio.rain_fade(length, **{"frequency": BAND, "rain_rate": rate, "polarisation": "vertical"} | choices)
    )


@exercise(
    "rain",
    objective="rain",
    unit="dB",
    tolerance=0,
    absolute=0.05,
    minutes=6,
    hints=[
        "tk.radio.rain_fade wants the length, the frequency, the rain rate, the polarisation and the share of time.",
        "The length is in `length`, the rain rate in `rate`; 0.01 % is written 0.01.",
        'tk.radio.rain_fade(length, frequency=23e9, rain_rate=rate, polarisation="vertical", time=0.01)',
    ],
)
def rain(twin):
    # the fade that is exceeded for 0.01 % of the year: 53 minutes
    return fade(twin, time=RARE)


@rain.misconception(
    "You let it rain equally hard on the whole link. A cloudburst is smaller than a link: rain_fade knows that."
)
def rain_everywhere(twin):
    length, rate = hop(twin)
    return float(radio.rain_attenuation_per_metre(rate, frequency=BAND, tilt=90.0)) * length


@rain.misconception("That is for 0.1 % of the year, nearly nine hours. 0.01 % are 53 minutes.")
def nine_hours(twin):
    return fade(twin, time=0.1)


@rain.misconception("That is horizontal polarisation. Falling drops are flat, so vertical loses less: it is asked for.")
def horizontal(twin):
    return fade(twin, time=RARE, polarisation="horizontal")


# ---------------------------------------------------------------- a model of one's own


def many_edges(profile, *, frequency, transmitter_height, receiver_height, bulge=1.0, pick="worst", free=1.0):
    """Free space and one knife edge, with the changes that make a mistake of it."""
    d, h = profile.distance.values, profile.ground_height.values
    before, behind = d[1:-1], d[-1] - d[1:-1]
    line = ((h[0] + transmitter_height) * behind + (h[-1] + receiver_height) * before) / d[-1]
    over = h[1:-1] + bulge * before * behind / (2 * EARTH) - line
    v = over * np.sqrt(2 * d[-1] / (LIGHT / frequency * before * behind))
    loss = free * radio.free_space(d[-1], frequency=frequency)
    if pick == "all":
        return float(loss + knife(v).sum())
    if pick == "highest":
        return float(loss + knife(v[h[1:-1].argmax()]))
    if pick == "unlimited":
        worst = v.max() - 0.1
        return float(loss + 6.9 + 20 * np.log10(np.sqrt(worst**2 + 1) + worst))
    return float(loss + knife(v.max()))


@once
def probes(twin):
    """The lesson's path with masts of several heights, there and back, in two bands; the last is in clear sight."""
    path, mast_height, frequency, _, _ = pair(twin)
    turned = radio.profile(path.distance.values, path.ground_height.values[::-1])
    heights = [(path, mast_height, TELEPHONE), (path, 3 * mast_height, 10.0), (turned, 30.0, TELEPHONE)]
    heights += [(path, 1500.0, 1500.0)]
    return [
        {"profile": p, "frequency": f, "transmitter_height": a, "receiver_height": b}
        for p, a, b in heights
        for f in (frequency, 2.6e9)
    ]


@exercise(
    "one-edge",
    objective="model",
    unit="dB",
    tolerance=0,
    absolute=0.02,
    minutes=14,
    probe=probes,
    hints=[
        "Free space over profile.distance[-1], and J of the largest v between the two ends.",
        "Over the line plus bulge, at every point but the first and the last; v of each; the largest of them.",
        "tk.radio.free_space(total, frequency=frequency) + (edge_loss(v.max()) if v.max() > -0.78 else 0)",
    ],
)
def one_edge(twin):
    # distance takes its part; of all edges only the one that cuts deepest into its Fresnel zone is counted
    return many_edges


@one_edge.misconception("You left free space out: the edge comes on top of what the distance takes.")
def edge_only(twin):
    return functools.partial(many_edges, free=0.0)


@one_edge.misconception("You added up the loss of every point. This model has one edge, the worst.")
def every_edge(twin):
    return functools.partial(many_edges, pick="all")


@one_edge.misconception(
    "You took the highest ground. What counts is the point with the largest v: a low hill near the antenna may be it."
)
def highest_ground(twin):
    return functools.partial(many_edges, pick="highest")


@one_edge.misconception("You left the bulge of the earth out.")
def flat_earth(twin):
    return functools.partial(many_edges, bulge=0.0)


@one_edge.misconception("Where v is below -0.78 nothing is in the way: there the edge costs 0 dB, and never a gain.")
def unlimited(twin):
    return functools.partial(many_edges, pick="unlimited")


# ---------------------------------------------------------------- a decision


def spread(twin):
    """Standard deviation [dB] among the spots of the village's pixel."""
    clutter = float(built_up(twin).clutter_height[-1])
    return radio.location_deviation(pair(twin)[2], receiver_height=TELEPHONE, clutter_height=clutter, resolution=PIXEL)


def promised(twin, **choices):
    return float(terms(twin, built_up(twin), **choices).path_loss)


@exercise(
    "promise",
    objective="decide",
    unit="dB",
    tolerance=0,
    absolute=0.05,
    minutes=7,
    hints=[
        "The same call of p1812 as above, with two more choices: which locations, and how far they spread.",
        "location_percentage=95 and location_deviation=deviation.",
        "tk.radio.p1812(built_up, **setting, location_percentage=95, location_deviation=deviation)",
    ],
)
def promise(twin):
    # the loss that 95 of 100 spots in the village do not exceed
    return promised(twin, location_percentage=SURE, location_deviation=spread(twin))


@promise.misconception(
    "Your loss is that of half of the spots. Without location_deviation the percentage changes nothing."
)
def half_of_the_spots(twin):
    return promised(twin)


@promise.misconception("That is the loss for the luckiest 5 % of the spots. A promise is about 95 %.")
def luckiest(twin):
    return promised(twin, location_percentage=100 - SURE, location_deviation=spread(twin))


@promise.misconception("You added one standard deviation: that holds for 84 % of the spots. 95 % take 1.64 of them.")
def one_deviation(twin):
    return promised(twin) + spread(twin)


@promise.misconception("You left the houses out: take the path `built_up`.")
def bare_ground(twin):
    return float(terms(twin, location_percentage=SURE, location_deviation=spread(twin)).path_loss)


@promise.misconception("You asked for 5 % of the time. The spots of the village are meant, at half of the time.")
def some_of_the_time(twin):
    return promised(twin, time_percentage=100 - SURE)
