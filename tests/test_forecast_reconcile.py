import numpy as np
import pytest
import xarray as xr

from twinkit import forecast
from twinkit.error import TwinError
from twinkit.forecast import reconcile

SITES = np.repeat([f"s{i}" for i in range(5)], 3)
CELLS = np.array([f"c{i:02d}" for i in range(15)])
TREE = forecast.hierarchy({"cell": CELLS, "site": SITES})


def said_of(tree, seed=1, leads=8):
    """Forecasts of all nodes, each by itself, so that they do not add up."""
    rng = np.random.default_rng(seed)
    middle = 20 + 5 * rng.standard_normal((leads, len(tree.node)))
    middle *= np.asarray(tree.sums.sum(1)).ravel()
    width = rng.uniform(1, 9, len(tree.node))
    values = np.stack([middle - width, middle, middle + 2 * width])
    coords = {"quantile": [0.1, 0.5, 0.9], "node": tree.node}
    return xr.DataArray(values, coords, ("quantile", "lead", "node"))


def gap(said, tree):
    upper = len(tree.node) - len(tree.leaves)
    values = said.transpose(..., "node").to_numpy()
    return np.abs(values[..., :upper] - values[..., upper:] @ tree.sums[:upper].toarray().T).max()


@pytest.mark.parametrize("kind", ["widths", "ones", "counts", "covariance"])
def test_medians_add_up_and_quantiles_keep_their_order(kind):
    variance = {
        "widths": None,
        "ones": np.ones(len(TREE.node)),
        "counts": np.asarray(TREE.sums.sum(1)).ravel(),
        "covariance": forecast.covariance(np.random.default_rng(2).standard_normal((40, len(TREE.node)))),
    }[kind]
    said = said_of(TREE)
    assert gap(said.sel(quantile=0.5), TREE) > 1
    made = forecast.reconciled(said, TREE, variance=variance)
    assert gap(made.sel(quantile=0.5), TREE) < 1e-9 * float(made.max())
    assert (made.diff("quantile") >= 0).all()
    assert (made >= 0).all()
    # where nothing is cut off at 0, each interval is as wide as it was
    np.testing.assert_allclose(made.sel(quantile=0.9) - made.sel(quantile=0.5), said[2] - said[1], atol=1e-9)


def test_the_same_as_generalised_least_squares():
    said = said_of(TREE).sel(quantile=0.5, drop=True) + 500.0 * np.asarray(TREE.sums.sum(1)).ravel()
    rng = np.random.default_rng(4)
    root = rng.standard_normal((len(TREE.node), len(TREE.node)))
    weight = root @ root.T + np.eye(len(root))
    sums = TREE.sums.toarray()
    inverse = np.linalg.inv(weight)
    leaves = np.linalg.solve(sums.T @ inverse @ sums, sums.T @ inverse @ said.to_numpy().T)
    assert leaves.min() > 0
    made = forecast.reconciled(said, TREE, variance=weight)
    np.testing.assert_allclose(made.to_numpy().T, sums @ leaves, rtol=1e-7)


def test_what_adds_up_already_stays():
    leaf = said_of(TREE).isel(node=slice(-15, None)).rename(node="cell").assign_coords(cell=CELLS)
    whole = forecast.added_up(leaf.sel(quantile=0.5, drop=True), TREE)
    np.testing.assert_allclose(forecast.reconciled(whole, TREE, variance=np.ones(len(TREE.node))), whole, rtol=1e-10)


def test_reconciling_makes_forecasts_better():
    # truth that adds up, forecasts with errors of known variance: the minimum trace beats each forecast by itself
    rng = np.random.default_rng(7)
    truth = TREE.sums @ rng.uniform(50, 90, (15, 400))
    variance = np.concatenate([[20.0], np.full(5, 30.0), np.full(15, 25.0)])
    told = truth + rng.standard_normal(truth.shape) * np.sqrt(variance)[:, None]
    said = xr.DataArray(told.T, {"node": TREE.node}, ("lead", "node"))
    made = forecast.reconciled(said, TREE, variance=variance)
    before, after = ((a.to_numpy().T - truth) ** 2 for a in (said, made))
    assert (after.mean(1) < before.mean(1)).all()
    sums = TREE.sums.toarray()
    promised = np.trace(sums @ np.linalg.inv(sums.T @ (sums / variance[:, None])) @ sums.T)
    assert after.mean(1).sum() == pytest.approx(promised, rel=0.05)


def test_leaves_below_nothing_are_lifted_and_sums_hold():
    said = said_of(TREE)
    said[:, :, -1] = -40.0
    made = forecast.reconciled(said, TREE)
    assert (made >= 0).all()
    assert gap(made.sel(quantile=0.5), TREE) < 1e-9 * float(made.max())


def test_thousands_of_cells():
    site = np.repeat([f"s{i}" for i in range(1000)], 3)
    tree = forecast.hierarchy({"cell": [f"c{i}" for i in range(3000)], "site": site})
    made = forecast.reconciled(said_of(tree, leads=24), tree)
    assert gap(made.sel(quantile=0.5), tree) < 1e-9 * float(made.max())


def test_from_counts_to_sums_that_hold():
    year = forecast.passengers_year(stations=6, start="2025-01-06", days=35, holidays=["2025-01-26"], seed=2)
    tree = forecast.hierarchy({"station": year.station.values, "line": ["a", "a", "a", "b", "b", "b"]})
    everything = forecast.added_up(year.passengers, tree)
    said = forecast.ahead(everything, horizon="24h")
    made = forecast.reconciled(said, tree)
    assert made.dims == said.dims
    assert made.sel(node="region:all", quantile=0.5).sum() == pytest.approx(
        float(made.sel(quantile=0.5).isel(node=slice(-6, None)).sum())
    )


def test_shrinkage_finds_independence_and_keeps_what_is_real():
    rng = np.random.default_rng(3)
    free = rng.standard_normal((60, 8))
    bound = free.copy()
    bound[:, 1] = bound[:, 0] + 0.1 * rng.standard_normal(60)
    apart = np.abs(np.corrcoef(free.T)[np.triu_indices(8, 1)]).mean()
    made = forecast.covariance(free)
    assert np.abs(made[np.triu_indices(8, 1)]).mean() < 0.5 * apart
    assert forecast.covariance(np.tile(bound, (20, 1)))[0, 1] > 0.8
    assert np.linalg.eigvalsh(made).min() > 0


BAD = [
    (lambda: forecast.hierarchy({}), "levels, the leaves first"),
    (lambda: forecast.hierarchy({"cell": ["a", "a"]}), "leaves once each"),
    (lambda: forecast.hierarchy({"cell": ["a", "b"], "site": ["s"]}), "a name of every level"),
    (lambda: forecast.added_up(xr.DataArray([1.0], {"cell": ["z"]}, "cell"), TREE), "series of the 15 leaves"),
    (lambda: forecast.reconciled(said_of(TREE).isel(node=slice(3)), TREE), "the tree's nodes"),
    (lambda: forecast.reconciled(said_of(TREE).isel(quantile=[0, 2]), TREE), "the median"),
    (lambda: forecast.reconciled(said_of(TREE) * np.nan, TREE), "without gaps"),
    (lambda: forecast.reconciled(said_of(TREE), TREE, variance=np.zeros(21)), "positive variances"),
    (lambda: forecast.reconciled(said_of(TREE), TREE, variance=np.ones(4)), "positive variances"),
    (lambda: forecast.reconciled(said_of(TREE)[1].drop_vars("quantile"), TREE), "variances, or quantiles"),
    (lambda: reconcile.covariance(np.full((9, 3), np.nan)), "without gaps"),
]


@pytest.mark.parametrize(("call", "said"), BAD)
def test_bad_input_is_refused_in_one_sentence(call, said):
    with pytest.raises(TwinError, match=said):
        call()
