"""P.1812 against the Recommendation's validation examples, P.452's, and its own limits."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from twinkit.error import TwinError
from twinkit.radio.itu1812.path import (
    TERMS,
    field_strength,
    location_deviation,
    p1812,
    p1812_terms,
    refractivity_gradient,
)
from twinkit.radio.itu1812.profile import path_centre, profile

DATA = Path(os.environ["TWINKIT_TESTDATA"])
POLARISATION = {1: "horizontal", 2: "vertical"}

# The logs name a quantity, sometimes twice with two equations; (name, equation) -> our term.
LOGGED = {
    ("d (km)", ""): "distance",
    ("dlt (km)", "Eq (78)"): "transmitter_horizon",
    ("dlr (km)", "Eq (81a)"): "receiver_horizon",
    ("th_t (mrad)", "Eqs (76-78)"): "transmitter_angle",
    ("th_r (mrad)", "Eqs (79-81)"): "receiver_angle",
    ("th (mrad)", "Eq (82)"): "path_angle",
    ("hts (m)", ""): "transmitter_altitude",
    ("hrs (m)", ""): "receiver_altitude",
    ("htc (m)", "Table 5"): "transmitter_altitude",
    ("hrc (m)", "Table 5"): "receiver_altitude",
    ("w", "Table 5"): "sea_fraction",
    ("dtm (km)", "Sec 3.6"): "land_length",
    ("dlm (km)", "Sec 3.6"): "inland_length",
    ("phi (deg)", "Eq (4)"): "centre_latitude",
    ("b0 (%)", "Eq (5)"): "anomalous_percentage",
    ("ae (km)", "Eq (7a)"): "median_earth_radius",
    ("hst (m)", "Eq (85)"): "smooth_start",
    ("hsr (m)", "Eq (86)"): "smooth_end",
    ("hst (m)", "Eq (90a)"): "ducting_start",
    ("hsr (m)", "Eq (90b)"): "ducting_end",
    ("hstd (m)", "Eq (89)"): "diffraction_start",
    ("hsrd (m)", "Eq (89)"): "diffraction_end",
    ("htc (m)", "Eq (37a)"): "transmitter_diffraction_height",
    ("hrc (m)", "Eq (37b)"): "receiver_diffraction_height",
    ("hte (m)", "Eq (92a)"): "transmitter_ducting_height",
    ("hre (m)", "Eq (92b)"): "receiver_ducting_height",
    ("hm (m)", "Eq (93)"): "terrain_roughness",
    ("Fi", "Eq (40)"): "time_factor",
    ("Fj", "Eq (57)"): "angle_factor",
    ("Fk", "Eq (58)"): "distance_factor",
    ("Lbfs", "Eq (8)"): "free_space_loss",
    ("Lb0p", "Eq (10)"): "sight_loss",
    ("Lb0b", "Eq (11)"): "sight_loss_beta",
    # the logs keep the second of the two runs, that for the earth of beta_0
    ("Lbulla (dB)", "Eq (21)"): "bullington_beta",
    ("Lbulls (dB)", "Eq (21)"): "bullington_smooth_beta",
    ("Ldsph (dB)", "Eq (27)"): "spherical_beta",
    ("Ld50 (dB)", "Eq (39)"): "diffraction_median",
    ("Ldb (dB)", "Eq (39)"): "diffraction_beta",
    ("Ldp (dB)", "Eq (41)"): "diffraction",
    ("Lbd50 (dB)", "Eq (42)"): "diffracted_median",
    # the program that wrote the logs keeps (43) and (61) in one array, so that its "Lbd" is Lbda
    ("Lbd (dB)", "Eq (43)"): "enhanced",
    ("Lminb0p (dB)", "Eq (59)"): "least_sight",
    ("Lba (dB)", "Eq (46)"): "ducting",
    ("Lminbap (dB)", "Eq (60)"): "least_ducting",
    ("Lbda (dB)", "Eq (61)"): "enhanced",
    ("Lbam (dB)", "Eq (62)"): "modified",
    ("Lbs (dB)", "Eq (44)"): "troposcatter",
    ("Lbc (dB)", "Eq (63)"): "median_location_loss",
    ("Lb (dB)", "Eq (69)"): "path_loss",
    ("Ep (dBuV/m)", "Eq (70)"): "field_strength",
}


def rows(path):
    return list(csv.reader(path.read_text(encoding="latin-1").splitlines()))


def section(table, title):
    """Rows between {Begin of title} and {End of title}."""
    start = next(k for k, r in enumerate(table) if r and r[0] == f"{{Begin of {title}}}")
    return table[start + 1 : next(k for k in range(start, len(table)) if table[k][:1] == [f"{{End of {title}}}"])]


def itu_profile(path):
    points = section(rows(path), "Profile")[1:]
    values = np.array([[float(cell or 0) for cell in r[:5]] for r in points])
    return profile(values[:, 0] * 1e3, values[:, 1], clutter_height=values[:, 3], zone=values[:, 4].astype(int))


def log(path):
    return {(r[0].strip(), r[1].strip()): r[3] for r in rows(path) if len(r) > 3 and r[0]}


def choices(logged, path):
    def value(name):
        return float(next(v for (n, _), v in logged.items() if n == name))

    transmitter = (value("lam_t (deg)"), value("phi_t (deg)"))
    receiver = (value("lam_r (deg)"), value("phi_r (deg)"))
    return {
        "frequency": value("f (GHz)") * 1e9,
        "transmitter_height": value("htg (m)"),
        "receiver_height": value("hrg (m)"),
        "latitude": path_centre(transmitter, receiver, distance=float(path["distance"][-1]))[1],
        "time_percentage": value("p (%)"),
        "location_percentage": value("pL (%)"),
        "location_deviation": value("sigmaL (dB)"),
        "polarisation": POLARISATION[int(value("pol"))],
        "refractivity_gradient": value("DN"),
        "surface_refractivity": value("N0"),
        "transmitter_coast": value("dct (km)") * 1e3,
        "receiver_coast": value("dcr (km)") * 1e3,
    }


PROFILES = sorted(DATA.glob("itu-p1812/validation_profiles/*.csv"))


@pytest.mark.parametrize("path", PROFILES or [None], ids=lambda p: p.stem if p else "absent")
def test_validation_examples(path):
    if path is None:
        pytest.skip("no itu-p1812/validation_profiles in TWINKIT_TESTDATA")
    terrain = itu_profile(path)
    measurements = [r for r in section(rows(path), "Measurements") if r and r[0]]
    logs = sorted((path.parent.parent / "validation_results").glob(f"{path.stem}_[0-9]_log.csv"))
    assert logs
    for file in logs:
        logged = log(file)
        given_by_log = choices(logged, terrain)
        terms = p1812_terms(terrain, **given_by_log)
        checked = {(n, e): v for (n, e), v in logged.items() if (n, e) in LOGGED}
        assert len(checked) == len(LOGGED)
        for key, printed in checked.items():
            # ten significant digits are printed: half of the last one, or 1e-6 where that is finer
            tolerance = max(1e-6, 5.1e-10 * abs(float(printed)))
            assert float(terms[LOGGED[key]]) == pytest.approx(float(printed), abs=tolerance), (file.stem, key)
        diffracted = float(logged["Lb0p", "Eq (10)"]) + float(logged["Ldp (dB)", "Eq (41)"])
        assert float(terms["diffracted"]) == pytest.approx(diffracted, abs=1e-6)
        # the profile's own table gives loss and field strength with eight decimals, some rows with seven
        row = measurements[int(file.stem.split("_")[-2])]
        power = float(logged["Ptx (kW)", ""]) * 1e3
        loss, field = row[17], row[16]
        assert float(terms["path_loss"]) == pytest.approx(float(loss), abs=1e-8 + rounding(loss))
        strength = field_strength(float(terms["path_loss"]), frequency=given_by_log["frequency"], power=power)
        assert strength == pytest.approx(float(field), abs=1e-8 + rounding(field) + 1e-9 * abs(strength))


def rounding(text):
    """Half a unit of the last decimal printed."""
    return 0.5 * 10.0 ** -len(text.strip().partition(".")[2])


P452 = sorted(DATA.glob("itu-p452/results/*.csv"))
SHARED = {
    "dtot": "distance",
    "hts": "transmitter_altitude",
    "hrs": "receiver_altitude",
    "theta_t": "transmitter_angle",
    "theta_r": "receiver_angle",
    "theta": "path_angle",
    "hm": "terrain_roughness",
    "hte": "transmitter_ducting_height",
    "hre": "receiver_ducting_height",
    "hstd": "diffraction_start",
    "hsrd": "diffraction_end",
    "dlt": "transmitter_horizon",
    "dlr": "receiver_horizon",
    "dtm": "land_length",
    "dlm": "inland_length",
    "b0": "anomalous_percentage",
    "omega": "sea_fraction",
    "Ldsph": "spherical_median",
    "Ld50": "diffraction_median",
    "Ldp": "diffraction",
}


@pytest.mark.parametrize("path", P452 or [None], ids=lambda p: p.stem if p else "absent")
def test_p526_parts_agree_with_p452(path):
    """P.452 shares geometry and diffraction; its tables print six to eight decimals of rounded inputs."""
    if path is None:
        pytest.skip("no itu-p452/results in TWINKIT_TESTDATA")
    terrain, compared = None, 0
    for row in csv.DictReader(path.read_text(encoding="latin-1").splitlines()):
        row = {k.strip(): v for k, v in row.items() if k}
        if terrain is None:
            points = rows(path.parent.parent / "profiles" / row["profile"].strip())[1:]
            d, h, r = (np.array([float(p[k] or 0) for p in points]) for k in range(3))
            # P.452 leaves out clutter nearer than 50 m to either end
            r[(d < 0.05) | (d > d[-1] - 0.05)] = 0.0
            zone = [{"A1": 3, "A2": 4, "B": 1}[p[3].strip()] for p in points]
            if float(row["dlm"]) == float(row["dtot"]):
                zone = 4  # one table was made with its whole profile called inland
            terrain = profile(d * 1e3, h, clutter_height=r, zone=zone)
        number = {k: float(v) for k, v in row.items() if k not in ("profile", "path")}
        if not (0.03 <= number["f (GHz)"] <= 6 and 1 <= number["p (%)"] <= 50):
            continue
        ends = [(number[f"phi{e}_e (deg)"], number[f"phi{e}_n (deg)"]) for e in "tr"]
        terms = p1812_terms(
            terrain,
            frequency=number["f (GHz)"] * 1e9,
            transmitter_height=number["htg (m)"],
            receiver_height=number["hrg (m)"],
            latitude=path_centre(*ends, distance=float(terrain["distance"][-1]))[1],
            time_percentage=number["p (%)"],
            polarisation=POLARISATION[int(number["pol (1-h/2-v)"])],
            refractivity_gradient=number["DN"],
            surface_refractivity=number["N0"],
        )
        for theirs, ours in SHARED.items():
            assert float(terms[ours]) == pytest.approx(number[theirs], abs=1.2e-4), (theirs, number["f (GHz)"])
        compared += 1
    assert compared


# ---------------------------------------------------------------- properties


def hills(seed, n=60, step=100.0, rough=40.0):
    rng = np.random.default_rng(seed)
    return profile(np.arange(n) * step, 100.0 + rough * np.abs(np.cumsum(rng.normal(size=n))) / np.sqrt(n))


COMMON = {"frequency": 9e8, "transmitter_height": 30.0, "receiver_height": 1.5, "latitude": 45.0}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    frequency=st.floats(3e7, 6e9),
    high=st.floats(1, 300),
    low=st.floats(1, 300),
    percentage=st.floats(1, 50),
    rough=st.floats(0, 400),
)
def test_reciprocity(seed, frequency, high, low, percentage, rough):
    """The path back loses as much: every rule of the Recommendation is symmetric but for ties."""
    there = hills(seed, rough=rough)
    back = profile(
        there["distance"].values,
        there["ground_height"].values[::-1],
        clutter_height=there["clutter_height"].values[::-1],
    )
    rest = {"frequency": frequency, "latitude": 20.0, "time_percentage": percentage}
    one = p1812(there, transmitter_height=high, receiver_height=low, **rest)
    other = p1812(back, transmitter_height=low, receiver_height=high, **rest)
    assert one == pytest.approx(other, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rough=st.floats(0, 400), frequency=st.floats(3e7, 6e9), height=st.floats(1, 100))
def test_never_less_than_sight_and_rarer_means_less(seed, rough, frequency, height):
    terrain = hills(seed, rough=rough)
    times = np.array([1.0, 5.0, 20.0, 50.0])
    rest = COMMON | {"frequency": frequency, "transmitter_height": height}
    losses = p1812(terrain, time_percentage=times, **rest)
    assert np.isfinite(losses).all()
    for time, loss in zip(times, losses, strict=True):
        assert loss >= float(p1812_terms(terrain, time_percentage=time, **rest)["sight_loss"]) - 1e-9
    assert (np.diff(losses) > -0.3).all(), "a loss not exceeded for more of the time is not smaller"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), at=st.integers(5, 54), more=st.floats(1, 500))
def test_a_higher_hill_loses_more(seed, at, more):
    terrain = hills(seed, rough=10.0)
    raised = terrain["clutter_height"].values.copy()
    raised[at] += 20.0
    low = profile(terrain["distance"].values, terrain["ground_height"].values, clutter_height=raised)
    raised[at] += min(more, 400.0)
    high = profile(terrain["distance"].values, terrain["ground_height"].values, clutter_height=raised)
    assert p1812(high, **COMMON) >= p1812(low, **COMMON) - 1e-9


def test_limits():
    high = profile(np.arange(0, 5001, 100), np.zeros(51))
    clear = p1812_terms(high, **COMMON | {"transmitter_height": 2000.0, "receiver_height": 2000.0})
    assert float(clear["path_loss"]) == pytest.approx(float(clear["free_space_loss"]), abs=0.05)
    assert float(clear["diffraction"]) == 0.0
    # for half of the time there is no enhancement, for half of the locations no margin
    assert float(clear["sight_loss"]) == pytest.approx(float(clear["free_space_loss"]), abs=1e-12)
    rare = p1812(high, location_percentage=95.0, location_deviation=5.0, **COMMON)
    assert rare - p1812(high, **COMMON) == pytest.approx(1.6449 * 5.0, abs=3e-3)
    sea = profile(np.arange(0, 5001, 100), np.zeros(51), zone=1)
    assert p1812(sea, location_percentage=95.0, location_deviation=5.0, **COMMON) == p1812(sea, **COMMON)


def test_long_paths_stay_finite():
    far = profile(np.linspace(0, 3e6, 3001), np.zeros(3001))
    for frequency in (3e7, 6e9):
        assert np.isfinite(p1812(far, **COMMON | {"frequency": frequency, "time_percentage": 1.0}))
    walls = profile(np.linspace(0, 1e6, 1001), np.where(np.arange(1001) % 7 == 3, 8000.0, 0.0))
    assert np.isfinite(p1812(walls, **COMMON))


def test_arrays_broadcast_and_terms_are_labelled():
    terrain = hills(1)
    loss = p1812(
        terrain, **COMMON | {"frequency": np.array([[9e8], [2e9]]), "receiver_height": np.array([1.5, 10.0, 30])}
    )
    assert loss.shape == (2, 3)
    assert loss[1, 2] == p1812(terrain, **COMMON | {"frequency": 2e9, "receiver_height": 30.0})
    terms = p1812_terms(terrain, **COMMON)
    assert set(terms.data_vars) == set(TERMS)
    assert terms["ducting"].attrs["equation"] == "(46)"
    assert "assumptions" in terms.attrs
    told = p1812_terms(terrain, surface_refractivity=325.0, refractivity_gradient=45.0, **COMMON)
    assert "N-units" not in told.attrs["assumptions"]


def test_location_deviation_falls_above_clutter():
    at = [
        location_deviation(9e8, receiver_height=h, clutter_height=10.0, resolution=100.0) for h in (1.5, 10, 15, 20, 30)
    ]
    assert at[0] == at[1]
    assert at[2] == pytest.approx(at[0] / 2)
    assert at[3] == at[4] == 0.0


def test_gradient_of_the_maps():
    pytest.importorskip("itur")
    # P.1812's own map gives 41.3 over the Irish Sea (itu-p452 tables); P.453's newer one is near it
    assert refractivity_gradient(-4.8, 53.7) == pytest.approx(41.3, abs=4.0)
    with pytest.raises(TwinError, match="latitude"):
        refractivity_gradient(10.0, 95.0)


# ---------------------------------------------------------------- bad input

STEPS = [0.0, 100, 200, 300, 400]


@pytest.mark.parametrize(
    ("distance", "height", "match"),
    [
        ([0, 100, 100, 300, 400], [0] * 5, "increase"),
        ([0, 200, 100, 300, 400], [0] * 5, "increase"),
        ([100, 200, 300, 400, 500], [0] * 5, "first of them 0 m"),
        ([0, 100, 200], [0] * 3, "at least 5 points"),
        ([0, 10, 20, 30, 40], [0] * 5, "250 m to 3000 km"),
        ([0, 1e6, 2e6, 3e6, 4e6], [0] * 5, "250 m to 3000 km"),
        (STEPS, [0, 1, np.nan, 3, 4], "number at every point"),
        (STEPS, [0, 1, -32768, 3, 4], "voids"),
        (STEPS, [0, 1, 2, 3], "5 values"),
        (STEPS, ["a"] * 5, "numbers"),
        (STEPS, [[0] * 5], "one value for each point"),
    ],
)
def test_bad_profiles(distance, height, match):
    with pytest.raises(TwinError, match=match):
        profile(distance, height)


def test_bad_zone_and_clutter():
    with pytest.raises(TwinError, match="zone"):
        profile(STEPS, [0] * 5, zone=[1, 2, 3, 4, 4])
    with pytest.raises(TwinError, match="clutter_height"):
        profile(STEPS, [0] * 5, clutter_height=[0, -1, 0, 0, 0])
    with pytest.raises(TwinError, match="unit 'km'"):
        profile(xr.DataArray(STEPS, dims="distance", attrs={"units": "km"}), [0] * 5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frequency", 900.0),
        ("frequency", 7e9),
        ("frequency", np.nan),
        ("transmitter_height", 0.5),
        ("receiver_height", 3001.0),
        ("time_percentage", 0.5),
        ("time_percentage", 51.0),
        ("location_percentage", 100.0),
        ("location_deviation", -1.0),
        ("latitude", 91.0),
        ("polarisation", "circular"),
        ("refractivity_gradient", 157.0),
        ("surface_refractivity", 0.0),
        ("receiver_coast", -1.0),
    ],
)
def test_choices_outside_the_recommendation(name, value):
    with pytest.raises(TwinError, match=name):
        p1812(hills(1), **COMMON | {name: value})


def test_other_bad_calls():
    with pytest.raises(TwinError, match="profile"):
        p1812(np.zeros(5), **COMMON)
    with pytest.raises(TwinError, match="one number"):
        p1812_terms(hills(1), **COMMON | {"frequency": np.array([9e8, 2e9])})
    with pytest.raises(TwinError, match="longitude and latitude"):
        path_centre((10.0, 120.0), (10.0, 20.0))
    bare = xr.Dataset({"ground_height": ("distance", np.zeros(5))}, coords={"distance": STEPS})
    assert p1812(bare, **COMMON) == p1812(profile(STEPS, np.zeros(5)), **COMMON)
