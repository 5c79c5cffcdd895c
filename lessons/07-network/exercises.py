"""Exercises of 07-network: bridges, the worst cut, the fullest link, a cut by hand, a second way; all of the twin."""

import functools

import numpy as np
import xarray as xr
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from twinkit import extend, network
from twinkit.lesson import exercise

ASKED = 40e3  # [bit/s] that a person asks for in the busy hour, on average
OFFERS = 5  # second ways to choose from
DETOUR = 1.3  # a cable's length over the straight line


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


@once
def people_near(twin):
    return network.catchment(twin)


def core_of(twin):
    """The first exchange: everything hangs on it."""
    sites = twin["sites"]
    return str(sites.site.values[np.flatnonzero(sites.kind.values == "exchange")[0]])


@once
def asked(twin):
    """The twin with what each site's people ask of the exchange in the busy hour."""
    return extend(twin, demands=network.backhauled(twin, people_near(twin) * ASKED, core=core_of(twin)))


@once
def weak(twin):
    return network.weak_links(asked(twin), people=people_near(twin), core=[core_of(twin)])


@once
def loads(twin):
    return network.link_load(asked(twin), network.routing(asked(twin)))


def mean_cut(twin, by_length=True):
    """People cut off on average when a digger hits a metre of link at random."""
    found = network.weak_links(twin, people=people_near(twin), core=[core_of(twin)]).people_cut
    length = twin["links/length"]
    return float((found * length).sum() / length.sum()) if by_length else float(found.mean())


@once
def offers(twin):
    """Second ways: from behind each of the worst links to the nearest site before it that is not its own end."""
    links, sites = twin["links"].to_dataset(), twin["sites"].to_dataset()
    place = {s: i for i, s in enumerate(sites.site.values)}
    source, target = (np.array([place[s] for s in links[n].values]) for n in ("source", "target"))
    x, y = sites.x.values, sites.y.values
    out = []
    for link in np.argsort(-weak(twin).people_cut.values, kind="stable")[:OFFERS]:
        part = parts(source, target, len(x), link)
        ends = source[link], target[link]
        far, near = ends if part[ends[0]] != part[place[core_of(twin)]] else ends[::-1]
        before = np.flatnonzero((part == part[near]) & (np.arange(len(x)) != near))
        if not len(before):
            continue
        apart = np.hypot(x[before] - x[far], y[before] - y[far])
        to = before[apart.argmin()]
        ends = str(sites.site.values[far]), str(sites.site.values[to])
        out.append((*ends, float(DETOUR * max(apart.min(), 1.0))))
    return out


def with_link(twin, source, target, length):
    """The twin with one more fibre."""
    new = {"source": source, "target": target, "medium": "fibre", "capacity": 10e9, "length": length}
    row = xr.Dataset(
        {k: ("link", np.array([v], dtype=object if isinstance(v, str) else float)) for k, v in new.items()}
    )
    old = twin["links"].to_dataset()[list(new)]
    return extend(twin, links=xr.concat([old, row.assign_coords(link=["new"])], "link", combine_attrs="override"))


@once
def offered_means(twin):
    out = []
    for source, target, length in offers(twin):
        longer = with_link(asked(twin), source, target, length)
        found = network.weak_links(longer, people=people_near(twin), core=[core_of(twin)]).people_cut
        metres = longer["links/length"]
        out.append((float((found * metres).sum() / metres.sum()), float(found.mean()), float(found.max())))
    return np.array(out)


# ---------------------------------------------------------------- bridges


@exercise(
    "bridges",
    objective="bridge",
    unit="links",
    tolerance=0,
    minutes=6,
    hints=[
        "tk.network.weak_links says of each link whether the network falls apart without it.",
        "`weak.bridge` is true for a bridge. How many are true?",
        "int(weak.bridge.sum())",
    ],
)
def bridges(twin):
    # in a tree every link is the only way to what hangs behind it
    return int(weak(twin).bridge.sum())


@bridges.misconception("You counted the sites. A tree has one link less than it has sites.")
def sites_counted(twin):
    return int(twin["sites"].sizes["site"])


@bridges.misconception("You took the fibres only. Microwave links carry the network as well.")
def fibres_only(twin):
    return int((twin["links/medium"].values == "fibre").sum())


# ---------------------------------------------------------------- the worst cut


@exercise(
    "worst",
    objective="cut",
    tolerance=0.002,
    minutes=8,
    hints=[
        "`weak.people_cut` has the people behind each link. You want the worst link, as a share.",
        "Divide the largest by all the people, `people.sum()`.",
        "float(weak.people_cut.max() / people.sum())",
    ],
)
def worst(twin):
    # the link with most people behind it, over everybody
    return float(weak(twin).people_cut.max() / people_near(twin).sum())


@worst.misconception("That is the share who keep their service. The question is who loses it.")
def keep_service(twin):
    return 1 - worst.expected(twin)


@worst.misconception("That is the longest link. Length makes a cut likely; people make it hurt.")
def longest(twin):
    at = int(twin["links/length"].values.argmax())
    return float(weak(twin).people_cut[at] / people_near(twin).sum())


@worst.misconception("That is the average link. The question is about the worst one.")
def average_link(twin):
    return float(weak(twin).people_cut.mean() / people_near(twin).sum())


@worst.misconception("You counted the people of the one site at its end. All that hangs behind it goes dark as well.")
def end_only(twin):
    people = people_near(twin)
    links = twin["links"].to_dataset().isel(link=int(weak(twin).people_cut.values.argmax()))
    ends = [float(people.sel(site=str(links[n].values))) for n in ("source", "target")]
    return max(ends) / float(people.sum())


# ---------------------------------------------------------------- the fullest link


@exercise(
    "fullest",
    objective="load",
    tolerance=0.002,
    minutes=10,
    hints=[
        "First the routes of the demands, then what they put on the links.",
        "tk.network.link_load(asked, tk.network.routing(asked)) has `link_load` (link, direction).",
        "float(tk.network.link_load(asked, tk.network.routing(asked)).link_load.max())",
    ],
)
def fullest(twin):
    # all that hangs behind a link comes over it; the largest share of a capacity counts
    return float(loads(twin).link_load.max())


@fullest.misconception("That is the link with the most traffic. A smaller one may be fuller: divide by its capacity.")
def most_traffic(twin):
    traffic = loads(twin).link_traffic.max("direction")
    return float(loads(twin).link_load.max("direction")[int(traffic.values.argmax())])


@fullest.misconception("That is the average of all links. A network breaks where it is fullest.")
def average_load(twin):
    return float(loads(twin).link_load.max("direction").mean())


@fullest.misconception(
    "You put only the last site's own people on each link. What hangs behind that site comes as well."
)
def own_only(twin):
    links, people = twin["links"].to_dataset(), people_near(twin)
    own = people.sel(site=links.source.values).values * ASKED
    return float((own / links.capacity.values).max())


# ---------------------------------------------------------------- a cut by hand


def parts(source, target, sites, link=-1):
    keep = np.arange(len(source)) != link
    joined = csr_matrix((np.ones(keep.sum()), (source[keep], target[keep])), shape=(sites, sites))
    return connected_components(joined, directed=False)[1]


def by_hand(source, target, people, *, core, link, wrong=""):
    """People who lose their way to the core without the link, with the changes that make a mistake of it."""
    source, target, people = (np.asarray(v) for v in (source, target, people))
    part = parts(source, target, len(people), link)
    away = part != part[core]
    if wrong == "stay":
        return float(people[~away].sum())
    if wrong == "sites":
        return float(away.sum())
    if wrong == "ends":
        return float(max(people[source[link]], people[target[link]]))
    if wrong == "tree":
        # follows the way down and never asks whether there is another one
        below, front = {int(source[link])}, [int(source[link])]
        while front:
            u = front.pop()
            for a, b in zip(source, target, strict=True):
                if b == u and int(a) not in below:
                    below.add(int(a))
                    front.append(int(a))
        return float(people[sorted(below)].sum())
    return float(people[away].sum())


@once
def probes(twin):
    """The twin's links one by one, then with a second way around the worst of them, then with a parallel one."""
    links, people = twin["links"].to_dataset(), people_near(twin)
    place = {s: i for i, s in enumerate(people.site.values)}
    source, target = (np.array([place[s] for s in links[n].values]) for n in ("source", "target"))
    order = np.argsort(-weak(twin).people_cut.values, kind="stable")
    given = {"people": people.values, "core": place[core_of(twin)]}
    out = [{"source": source, "target": target, "link": int(k), **given} for k in order[:4]]
    a, b, _ = offers(twin)[0]
    ring = {"source": np.append(source, place[a]), "target": np.append(target, place[b])}
    out += [{**ring, "link": int(k), **given} for k in order[:2]]
    double = {"source": np.append(source, source[order[0]]), "target": np.append(target, target[order[0]])}
    return [*out, {**double, "link": int(order[0]), **given}]


@exercise(
    "cut-off",
    objective="model",
    unit="people",
    tolerance=0.001,
    minutes=14,
    probe=probes,
    hints=[
        "Leave the link out, colour what still hangs together, and see who has not the colour of the core.",
        "connected_components(graph, directed=False) gives the colours: its second result, one for each site.",
        "people[colour != colour[core]].sum(), with the graph of all links but this one",
    ],
)
def cut_off(twin):
    # not down the tree, but what is left: so that a ring and a parallel link are seen
    return by_hand


@cut_off.misconception("Those are the people who keep their way to the core.")
def who_stays(twin):
    return functools.partial(by_hand, wrong="stay")


@cut_off.misconception("You counted sites. Add up their people.")
def how_many_sites(twin):
    return functools.partial(by_hand, wrong="sites")


@cut_off.misconception("Only the people at the end of the link: those behind it are missing.")
def at_the_end(twin):
    return functools.partial(by_hand, wrong="ends")


@cut_off.misconception(
    "You walked down from the link and did not see that there is another way round: a ring, or a twin."
)
def down_the_tree(twin):
    return functools.partial(by_hand, wrong="tree")


# ---------------------------------------------------------------- a decision


@exercise(
    "second-way",
    objective="decide",
    unit="people",
    tolerance=0.002,
    minutes=12,
    hints=[
        "mean_cut(...) of the twin with each of the offers, one by one. Which is the smallest?",
        "with_link(asked, *offer) puts an offer in; mean_cut gives the people cut off on average.",
        "min(mean_cut(with_link(asked, *offer)) for offer in offers)",
    ],
)
def second_way(twin):
    # the offer after which a random cut hurts least, metre by metre
    return float(offered_means(twin)[:, 0].min())


@second_way.misconception("That is how it is today, before any of the offers.")
def today(twin):
    return mean_cut(asked(twin))


@second_way.misconception("That is the first offer, around the worst link. Try the others as well.")
def first_offer(twin):
    return float(offered_means(twin)[0, 0])


@second_way.misconception("You averaged over links. A long link is hit more often: weigh by length, as mean_cut does.")
def plain_mean(twin):
    return float(offered_means(twin)[:, 1].min())


@second_way.misconception("That is the worst cut that is left. The question is about the average one.")
def worst_left(twin):
    return float(offered_means(twin)[:, 2].min())
