"""Models on disk: the same answers come back, and a file that anybody touched is refused without running it."""

import contextlib
import io
import json
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from twinkit import TwinError
from twinkit.learn import (
    DomainWarning,
    Model,
    adapted,
    calibrated,
    domain,
    linear,
    load,
    logistic,
    percentiles,
    save,
    transfer,
)
from twinkit.learn.schools import boosted, generated_country, read

RNG = np.random.default_rng(1)
ROWS = pd.DataFrame({"load": RNG.uniform(0, 1, 300), "height": RNG.uniform(20, 40, 300)})
POWER = 100 + 300 * ROWS["load"].to_numpy() + RNG.normal(0, 5, 300)


def made(estimator=None, **other):
    from sklearn.ensemble import HistGradientBoostingRegressor

    boosted = HistGradientBoostingRegressor(max_iter=20, random_state=0)
    fitted = (boosted if estimator is None else estimator).fit(ROWS, POWER)
    margin = calibrated(POWER, fitted.predict(ROWS), quantile=[0.05, 0.5, 0.95])
    given = {"units": {"load": "1", "height": "m"}, "margin": margin, "known": domain(ROWS, POWER), "card": "made"}
    return Model(fitted, ("load", "height"), "power", "W", **(given | other))


def test_a_model_comes_back_the_same_with_all_that_it_knows(tmp_path):
    model = made()
    digest = save(model, tmp_path / "power.model")
    again = load(tmp_path / "power.model", digest=digest)
    assert again.predict(ROWS).identical(model.predict(ROWS))
    assert (again.features, again.unit, again.card) == (model.features, "W", "made")
    assert again.known.distance(ROWS).tolist() == model.known.distance(ROWS).tolist()


@pytest.mark.parametrize("name", ["linear", "forest", "gaussian"])
def test_other_estimators_come_back_too(tmp_path, name):
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel

    kinds = {"linear": linear, "forest": lambda: RandomForestRegressor(5, random_state=0)}
    kinds["gaussian"] = lambda: GaussianProcessRegressor(1.0 * RBF() + WhiteKernel(), optimizer=None)
    model = made(kinds[name]())
    save(model, tmp_path / "m.model")
    assert load(tmp_path / "m.model").predict(ROWS).identical(model.predict(ROWS))


def test_labels_come_through_and_units_are_checked():
    model = made()
    cells = xr.Dataset(
        {"load": ("time", [0.2, 0.9], {"units": "1"}), "height": ("cell", [30.0, 31.0, 32.0], {"units": "m"})},
        {"cell": ["a", "b", "c"]},
    )
    said = model.predict(cells)
    assert said.sizes == {"quantile": 3, "time": 2, "cell": 3}
    assert (said.name, said.attrs["units"]) == ("power", "W")
    one = model.predict(pd.DataFrame({"load": [0.9], "height": [32.0]}))
    assert said.isel(time=1).sel(cell="c").values.tolist() == one.values[:, 0].tolist()
    with pytest.raises(TwinError, match="unit 'km'"):
        model.predict(cells.assign(height=cells["height"].assign_attrs(units="km")))
    with pytest.raises(TwinError, match="no 'height'"):
        model.predict(cells.drop_vars("height"))


def test_far_outside_the_model_warns():
    with pytest.warns(DomainWarning, match="1 of 1 rows"):
        said = made().predict({"load": [0.5], "height": [900.0]})
    assert (said[-1] - said[0]).item() > 200


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_changes_nothing(tmp_path_factory, where, change):
    folder = tmp_path_factory.mktemp("flip")
    model = made(linear())
    save(model, folder / "m.model")
    raw = bytearray((folder / "m.model").read_bytes())
    raw[where % len(raw)] ^= change
    (folder / "m.model").write_bytes(bytes(raw))
    with contextlib.suppress(TwinError):  # and no other error
        again = load(folder / "m.model")
        # bytes of a zip that say nothing of its contents: a date, an attribute
        assert again.predict(ROWS).identical(model.predict(ROWS))


@pytest.mark.parametrize(("value", "said"), [("x", "of the kind that the model learned"), (np.inf, "finite features")])
def test_words_and_infinite_numbers_are_one_message(value, said):
    with pytest.raises(TwinError, match=said):
        made(linear()).predict(ROWS.assign(load=value))


def test_a_folder_that_is_absent_is_one_message(tmp_path):
    with pytest.raises(TwinError, match="a folder to write in"):
        save(made(linear()), tmp_path / "none" / "m.model")


def test_an_estimator_that_unfolds_without_end_is_refused(tmp_path, monkeypatch):
    import hashlib

    def swap(about, parts):
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as bomb:
            bomb.writestr("schema.json", b" " * 200_000)
        parts["model.skops"] = inner.getvalue()
        about["digest"] = hashlib.sha256(parts["model.skops"]).hexdigest()

    save(made(linear()), tmp_path / "m.model")
    edited(tmp_path / "m.model", swap)
    monkeypatch.setattr("twinkit.learn.model.LARGEST", 100_000)
    with pytest.raises(TwinError, match="too large"):
        load(tmp_path / "m.model")


def test_with_its_digest_any_change_is_refused(tmp_path):
    digest = save(made(), tmp_path / "m.model")
    rewritten = made(linear())
    save(rewritten, tmp_path / "m.model")
    assert load(tmp_path / "m.model").predict(ROWS).identical(rewritten.predict(ROWS))
    with pytest.raises(TwinError, match="it was changed, or is another"):
        load(tmp_path / "m.model", digest=digest)


def edited(path, change):
    """The file with its `about` changed by hand."""
    with zipfile.ZipFile(path) as file:
        parts = {n: file.read(n) for n in file.namelist()}
    about = json.loads(parts["about.json"])
    change(about, parts)
    parts["about.json"] = json.dumps(about).encode() if isinstance(about, dict) else parts["about.json"]
    with zipfile.ZipFile(path, "w") as file:
        for name, body in parts.items():
            file.writestr(name, body)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a, p: a.update(format=99), "format 99"),
        (lambda a, p: a.update(sklearn="0.24.0"), "one of 0.24.0"),
        (lambda a, p: a.pop("margin"), "a whole model's file"),
        (lambda a, p: a.update(digest="0" * 64), "not the one that was written"),
        (lambda a, p: p.update({"more.py": b"print()"}), "members"),
        (lambda a, p: p.pop("model.skops"), "members"),
    ],
)
def test_a_file_that_was_edited_is_refused(tmp_path, change, said):
    save(made(linear()), tmp_path / "m.model")
    edited(tmp_path / "m.model", change)
    with pytest.raises(TwinError, match=said):
        load(tmp_path / "m.model")


def test_a_part_of_unknown_type_is_refused_before_it_is_made(tmp_path):
    import hashlib

    import skops.io

    hostile = skops.io.dumps(Loud())

    def swap(about, parts):
        parts["model.skops"] = hostile
        about["digest"] = hashlib.sha256(hostile).hexdigest()

    save(made(linear()), tmp_path / "m.model")
    edited(tmp_path / "m.model", swap)
    with pytest.raises(TwinError, match=r"Loud.*do not open this file"):
        load(tmp_path / "m.model")
    assert Loud.made == 1, "none came from the file"


class Loud:
    """An object that counts how often it is made."""

    made = 0

    def __new__(cls):
        """Count."""
        cls.made += 1
        return super().__new__(cls)


def test_a_pickle_is_no_model(tmp_path):
    (tmp_path / "m.model").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(TwinError, match="a whole model's file"):
        load(tmp_path / "m.model")


def test_an_estimator_of_ones_own_is_refused_on_the_way_out(tmp_path):
    with pytest.raises(TwinError, match="Loud"):
        save(Model(Loud(), ("load",), "power", "W"), tmp_path / "m.model")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- from one country to another


def test_what_ranks_carry_over_raw_numbers_do_not():
    x, y, _ = generated_country(schools=1500, rich=1.0, shift=0.0, seed=3)
    a, b, _ = generated_country(schools=800, rich=20.0, shift=0.0, seed=4)
    from twinkit.learn import area_under_curve

    raw = area_under_curve(b, boosted().fit(x, y).predict_proba(a)[:, 1])
    ranked = area_under_curve(b, boosted().fit(percentiles(x), y).predict_proba(percentiles(a))[:, 1])
    assert ranked > raw + 0.05


def test_a_few_labels_bring_back_what_is_lost_where_the_countries_truly_differ():
    home, away = (generated_country(schools=600, rich=1.0, shift=s, seed=n) for s, n in ((-2.0, 1), (2.0, 2)))
    from twinkit.learn import by_group

    choices = {"folds": by_group(home[2], folds=4, seed=0), "groups": (home[2], away[2]), "draws": 8, "labels": 50}
    said = transfer(home[:2], away[:2], model=logistic, share=0.7, **choices)
    assert said["drop"].low > 0
    assert said["gain"].value > 0.02
    assert said["drop"].value == pytest.approx(said["home"].value - said["away"].value)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: adapted(logistic, (ROWS, POWER > 250), (ROWS, POWER > 250), share=1), "a share between 0 and 1"),
        (lambda: adapted(logistic, (ROWS, POWER > 250), (ROWS[["load"]], POWER > 250)), "'height'"),
        (lambda: percentiles({"word": ["a", "b"]}), "text in 'word'"),
        (
            lambda: transfer(
                (ROWS, POWER > 250), (ROWS, POWER > 250), model=logistic, folds=[], groups=([], []), labels=999
            ),
            "labels from 2 to 150",
        ),
    ],
)
def test_transfer_refuses(ask, said):
    with pytest.raises(TwinError, match=said):
        ask()


SCHOOLS = "giga_id_school,lat,lon,people,Unnamed: 0,connectivity,connectivity.1,nearest_LTE_distance,boundary_X\n"


def test_schools_are_read_without_what_is_no_feature_and_each_once(tmp_path):
    rows = [f"s{i},{-1.9 + i / 100},30.0,{10 * i},{i},{i % 2},{i % 2},5,1\n" for i in range(6)]
    (tmp_path / "a.csv").write_text(SCHOOLS + "".join(rows[:4]))
    (tmp_path / "b.csv").write_text(SCHOOLS + "".join(rows[2:]))
    features, labels, places = read(tmp_path)
    assert list(features) == ["people"]
    assert labels.tolist() == [0, 1] * 3
    assert len(set(places)) <= 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "no 'giga_id_school'"),
        (SCHOOLS + "s1,-1.9,30,1,0,2,2,5,1\n", "labels of 0 and 1"),
        (SCHOOLS + "s1,-91.9,30,1,0,1,1,5,1\n", "positions on the globe"),
        ('"\n', "CSV file"),
        ("", "CSV file"),
    ],
)
def test_schools_that_cannot_be_read_are_refused_by_file(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(TwinError, match=said) as refused:
        read(tmp_path)
    assert refused.value.where.startswith("a.csv")
