"""Links as positions and as networkx: parallel links, links to oneself, dead links, and what is refused."""

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, assemble, extend, network
from twinkit.network.traffic import square


def knot():
    """Five sites: two parallel links a-b, one to oneself at b, one dead b-c, one of unknown capacity c-d, e alone."""
    ids = np.array(list("abcde"), dtype=object)
    sites = xr.Dataset({"x": ("site", np.arange(5.0))}, {"site": ids})
    links = xr.Dataset(
        {
            "source": ("link", np.array(list("abbcc"), dtype=object)),
            "target": ("link", np.array(list("babcd"), dtype=object)),
            "capacity": ("link", [1e9, 2e9, 1e9, 0.0, np.nan]),
            "length": ("link", [2e3, 1e3, 1.0, 1e3, 5e3]),
        },
        {"link": np.array(["one", "two", "self", "dead", "free"], dtype=object)},
    )
    links["target"] = ("link", np.array(["b", "a", "b", "b", "d"], dtype=object))
    return assemble({"sites": sites, "links": links}, title="knot", crs="EPSG:32643")


def test_index_keeps_every_link_and_says_which_can_carry():
    net = network.index(knot())
    assert net.usable.tolist() == [True, True, False, False, True]
    assert net.tail.tolist() == [0, 1, 1, 2, 2, 1, 0, 1, 1, 3]
    assert np.array_equal(net.head, np.roll(net.tail, 5))
    assert np.array_equal(net.open, [0, 1, 4, 5, 6, 9])


def test_the_matrix_takes_the_lighter_of_two_parallel_links_and_does_not_add_them():
    net = network.index(knot())
    matrix = net.matrix(net.length)
    assert matrix[0, 1] == matrix[1, 0] == 1e3
    assert matrix.nnz == 4
    assert net.matrix().toarray().sum() == 4


def test_arcs_may_weigh_differently_there_and_back():
    net = network.index(square())
    matrix = net.matrix(np.arange(1.0, 9.0))
    assert matrix[0, 1] == 1
    assert matrix[1, 0] == 5


def test_a_mask_takes_links_out_by_their_ids_in_any_order():
    mask = xr.DataArray([True, True, True, True, False], {"link": ["dead", "free", "one", "self", "two"]}, ("link",))
    assert network.index(knot(), usable=mask).usable.tolist() == [True, False, False, False, True]


def test_networkx_gets_parallel_links_links_to_oneself_and_all_that_is_known():
    made = network.graph(knot())
    assert made.number_of_nodes() == 5
    assert made.number_of_edges() == 5
    assert set(made["a"]["b"]) == {"one", "two"}
    assert made.number_of_edges("b", "b") == 1
    assert made.edges["a", "b", "two"]["capacity"] == 2e9
    assert made.nodes["c"]["x"] == 2.0
    assert type(made.nodes["c"]["x"]) is float
    assert made.graph["title"] == "knot"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: network.index(extend(square(), links=square()["links/capacity"] - 2e9)), "a capacity of 0 or more"),
        (lambda: network.index(xr.DataTree()), "a twin with sites"),
        (lambda: network.index(7), "a twin with sites"),
        (lambda: network.index(square(), usable=[True]), "a DataArray on link"),
        (lambda: network.index(square(), usable=xr.DataArray([True] * 3, dims="link")), "4 links"),
        (
            lambda: network.index(square(), usable=xr.DataArray([True], {"link": ["ab"]}, ("link",))),
            "a value for each link",
        ),
        (
            lambda: network.index(
                xr.DataTree.from_dict(
                    {"sites": square()["sites"].to_dataset(), "links": xr.Dataset({"source": ("link", ["a"])})}
                )
            ),
            "links with a target",
        ),
        (
            lambda: network.index(
                xr.DataTree.from_dict(
                    {
                        "sites": square()["sites"].to_dataset(),
                        "links": xr.Dataset({"source": ("link", ["a"]), "target": ("link", ["z"])}),
                    }
                )
            ),
            "found 'z'",
        ),
    ],
)
def test_what_is_no_network_is_refused_in_words(call, says):
    with pytest.raises(TwinError, match=says):
        call()
