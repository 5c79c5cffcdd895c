"""What the planner's page knows: edits, the coverage that answers them, branches; and the page without a browser."""

import math
import threading
import time

import numpy as np
import pytest
import xarray as xr
from bokeh.models import ColumnDataSource

import twinkit as tk
from twinkit.error import TwinError
from twinkit.radio.ranking import Stopped
from twinkit.view.dashboard import plan as plan_page
from twinkit.view.dashboard.plan_branch import Kept, beside, meanwhile
from twinkit.view.dashboard.plan_edits import Edit, after, edited, fresh_name, laid_upon, tables_of
from twinkit.view.dashboard.plan_state import COVERED, GAINED, LOST, NOWHERE, Plan
from twinkit.view.dashboard.plan_worker import Worker
from twinkit.view.dashboard.session import Session

THRESHOLD = -95.0


@pytest.fixture(scope="module")
def town():
    return tk.datasets.town(sites=6, seed=1, resolution=100)


@pytest.fixture
def plan(town):
    return Plan(town, path_loss=tk.radio.uma, threshold=THRESHOLD)


def middle(twin, east=0.0, north=0.0):
    surface = twin["surface"]
    return {"x": float(surface.x.mean()) + east, "y": float(surface.y.mean()) + north}


def some_edits(plan, count, seed):
    """Edits that a planner could make, one on the other."""
    rng = np.random.default_rng(seed)
    left, right, bottom, top = plan.tables.box
    for _ in range(count):
        sites = plan.sites()
        site = str(rng.choice(sites))
        place = {"x": float(rng.uniform(left, right)), "y": float(rng.uniform(bottom, top))}
        kind = rng.choice(["move", "tune", "add", "remove"] if len(sites) > 2 else ["move", "tune", "add"])
        if kind == "tune":
            name = str(rng.choice(["height", "azimuth", "downtilt", "transmit_power", "frequency"]))
            value = {"height": 22.0, "azimuth": 77.0, "downtilt": 6.0, "transmit_power": 40.0, "frequency": 2.1e9}[name]
            plan.do(Edit("tune", site, {name: value}))
        elif kind == "add":
            plan.do(Edit("add", fresh_name(plan.now()), place, like=site))
        else:
            plan.do(Edit(str(kind), site, place if kind == "move" else {}))


# ---------------------------------------------------------------- exactness


@pytest.mark.parametrize(
    "choices",
    [
        {"path_loss": tk.radio.uma},
        {"path_loss": tk.radio.rma, "farthest": 2500.0},
        {"path_loss": tk.radio.p1812, "paths": tk.radio.sweep, "deep": 1},
    ],
    ids=["3GPP", "not far", "P.1812 along radials"],
)
def test_the_fine_picture_is_coverage_of_the_edited_twin(town, choices):
    if "paths" in choices:
        town = tk.datasets.town(sites=4, seed=2, resolution=200)
    plan = Plan(town, threshold=THRESHOLD, **choices)
    given = {k: v for k, v in choices.items() if k != "deep"}
    base = tk.radio.coverage(town, **given).rsrp > THRESHOLD
    people = town["surface/people"].fillna(0.0).astype(float)
    for seed in range(3):
        some_edits(plan, 2, seed)
        seen = plan.fine()
        twin = plan.twin()
        made = tk.radio.coverage(twin, **given)
        np.testing.assert_array_equal(seen.rsrp, made.rsrp.values)
        kept = plan.coverage()
        assert list(kept) == list(made)
        for name in made:
            np.testing.assert_array_equal(kept[name].values, made[name].values)
            assert kept[name].attrs == made[name].attrs
        now = made.rsrp > THRESHOLD
        classes = {COVERED: now & base, GAINED: now & ~base, LOST: base & ~now, NOWHERE: ~now & ~base}
        for number, truth in classes.items():
            np.testing.assert_array_equal(seen.classes == number, truth.values)
        told = seen.people
        sums = [people.where(t, 0.0).sum().item() for t in (now, base, now & ~base, base & ~now)]
        np.testing.assert_allclose([told.covered, told.before, told.gained, told.lost], sums, rtol=1e-9)
        np.testing.assert_allclose(told.everybody, people.sum().item(), rtol=1e-9)
        np.testing.assert_allclose(told.share, tk.city.share(now, of=town["surface/people"]).item(), rtol=1e-6)


def test_a_students_model_is_as_good(town):
    def mine(distance, *, frequency):
        return 40 * np.log10(np.maximum(distance, 1.0)) + 20 * np.log10(frequency) - 170

    plan = Plan(town, path_loss=mine, threshold=THRESHOLD)
    plan.do(Edit("move", plan.sites()[0], middle(town, east=700.0)))
    np.testing.assert_array_equal(plan.fine().rsrp, tk.radio.coverage(plan.twin(), path_loss=mine).rsrp.values)


def test_the_coarse_picture_is_the_fine_one_at_some_pixels(town):
    plan = Plan(tk.datasets.town(sites=6, seed=1, resolution=20), path_loss=tk.radio.uma, threshold=THRESHOLD)
    plan.do(Edit("move", plan.sites()[1], middle(town, east=900.0)))
    coarse, fine = plan.coarse(), plan.fine()
    every = coarse.every
    assert every > 1
    rows = slice((every - 1) // 2, None, every)
    np.testing.assert_array_equal(coarse.rsrp, fine.rsrp[rows, rows])
    np.testing.assert_allclose(coarse.people.everybody, fine.people.everybody, rtol=1e-9)
    assert abs(coarse.people.share - fine.people.share) < 0.05


def test_a_preview_is_not_remembered(plan, town):
    first = plan.fine()
    extra = Edit("move", plan.sites()[0], middle(town, east=1500.0))
    moved = plan.fine(extra)
    assert plan.edits == ()
    assert (moved.classes != first.classes).any()
    np.testing.assert_array_equal(plan.fine().rsrp, first.rsrp)
    assert moved.people.covered == pytest.approx(moved.people.before + moved.people.gained - moved.people.lost)


def test_a_larger_map_than_the_finest_is_looked_at_less_often(town, monkeypatch):
    from twinkit.view.dashboard import plan_state

    monkeypatch.setattr(plan_state, "FINE", town["surface/people"].size // 3)
    plan = Plan(town, path_loss=tk.radio.uma, threshold=THRESHOLD)
    seen = plan.fine()
    assert seen.every == 2
    np.testing.assert_allclose(seen.people.everybody, float(town["surface/people"].sum(dtype=float)), rtol=1e-6)
    with pytest.raises(TwinError, match="a map of at most"):
        plan.coverage()


def test_who_wants_another_answer_does_not_wait(plan):
    plan.fine()
    plan.do(Edit("remove", plan.sites()[0]))
    with pytest.raises(Stopped):
        plan.fine(stop=lambda: True)
    np.testing.assert_array_equal(plan.fine().rsrp, tk.radio.coverage(plan.twin(), path_loss=tk.radio.uma).rsrp.values)


def test_another_threshold_counts_anew(plan):
    plan.do(Edit("remove", plan.sites()[0]))
    plan.fine()
    plan.judge(-80.0)
    seen = plan.fine()
    assert (seen.classes == COVERED).sum() + (seen.classes == GAINED).sum() == (seen.rsrp > -80.0).sum()
    assert (seen.classes == LOST).any()


# ---------------------------------------------------------------- the list of edits


def test_undo_and_redo_go_back_and_forth(plan, town):
    pictures = [plan.fine().rsrp]
    some_edits(plan, 5, 11)
    edits = plan.edits
    for _ in range(5):
        assert plan.undo()
    assert not plan.undo()
    np.testing.assert_array_equal(plan.fine().rsrp, pictures[0])
    for _ in range(5):
        assert plan.redo()
    assert not plan.redo()
    assert plan.edits == edits
    np.testing.assert_array_equal(plan.fine().rsrp, tk.radio.coverage(plan.twin(), path_loss=tk.radio.uma).rsrp.values)
    plan.undo()
    plan.do(Edit("move", plan.sites()[0], middle(town)))
    assert not plan.redo()


def test_the_twin_itself_stays_as_it_is(town):
    before = {n: town[n].to_dataset().copy(deep=True) for n in ("sites", "cells", "links")}
    plan = Plan(town, path_loss=tk.radio.uma)
    some_edits(plan, 6, 3)
    plan.twin()
    for name, table in before.items():
        xr.testing.assert_identical(town[name].to_dataset(), table)


def test_what_follows_from_an_edit(town):
    site = str(town["cells"].site.values[0])
    place = middle(town, east=800.0, north=-300.0)
    twin = edited(town, [Edit("move", site, place)])
    import pyproj

    there = pyproj.Transformer.from_crs(town.attrs["crs"], "EPSG:4326", always_xy=True).transform(*place.values())
    moved = twin["sites"].to_dataset().sel(site=site)
    np.testing.assert_allclose([float(moved.longitude), float(moved.latitude)], there)
    ends = {e: twin["links"][e].values.astype(str) for e in ("source", "target")}
    touched = (ends["source"] == site) | (ends["target"] == site)
    at = {str(s): i for i, s in enumerate(twin["sites"].site.values)}
    for number in range(len(touched)):
        if not touched[number]:
            assert twin["links"].length.values[number] == town["links"].length.values[number]
            continue
        pair = [at[ends[e][number]] for e in ("source", "target")]
        apart = math.hypot(*(np.diff(twin["sites"][d].values[pair]).item() for d in ("x", "y")))
        assert twin["links"].length.values[number] >= apart
    assert "planned" in twin["sites/x"].attrs["provenance"]
    assert "planned" not in twin["sites/height"].attrs["provenance"]
    fewer = edited(town, [Edit("remove", site)])
    assert site not in fewer["sites"].site.values
    assert site not in fewer["cells"].site.values
    assert fewer["links"].sizes["link"] == (~touched).sum()


def test_azimuth_turns_the_whole_site_and_a_cell_alone(town):
    site = str(town["cells"].site.values[0])
    own = town["cells"].site.values == site
    names = town["cells"].cell.values[own]
    turned = edited(town, [Edit("tune", site, {"azimuth": 350.0})])["cells"].azimuth.values[own]
    assert turned.tolist() == [350.0, 110.0, 230.0]
    alone = edited(town, [Edit("tune", site, {"azimuth": 350.0}, cell=str(names[1]))])["cells"].azimuth.values[own]
    assert alone[1] == 350.0
    assert alone[[0, 2]].tolist() == town["cells"].azimuth.values[own][[0, 2]].tolist()


def test_a_new_site_has_the_make_of_another(town):
    like = str(town["cells"].site.values[-1])
    twin = edited(
        town, [Edit("add", "new-1", middle(town), like=like), Edit("add", "new-2", middle(town), like="new-1")]
    )
    assert twin["cells"].site.values.tolist()[-6:] == ["new-1"] * 3 + ["new-2"] * 3
    for name in ("azimuth", "frequency", "transmit_power"):
        assert len(set(map(tuple, twin["cells"][name].values[-9:].reshape(3, 3)))) == 1
    assert fresh_name(tables_of(twin)) == "new-3"
    assert twin["sites"].to_dataset()["name"].values.tolist()[-1] == "new-2"


HOSTILE = [
    Edit("move", "nobody", {"x": 0.0, "y": 0.0}),
    Edit("move", "<script>alert(1)</script>", {"x": 0.0, "y": 0.0}),
    Edit("move", "s003", {"x": math.nan, "y": 0.0}),
    Edit("move", "s003", {"x": math.inf, "y": 0.0}),
    Edit("move", "s003", {"x": 500e3, "y": 1e9}),
    Edit("move", "s003", {"x": "500000); DROP TABLE", "y": 0.0}),
    Edit("move", "s003", {}),
    Edit("tune", "s003", {"height": -3.0}),
    Edit("tune", "s003", {"height": math.nan}),
    Edit("tune", "s003", {"frequency": 1800.0}),
    Edit("tune", "s003", {"transmit_power": 1e9}),
    Edit("tune", "s003", {"height": 30.0, "azimuth": 3.0}),
    Edit("tune", "s003", {"__class__": 1.0}),
    Edit("tune", "s003", {"azimuth": 30.0}, cell="s004a"),
    Edit("tune", "s001", {"azimuth": 30.0}),
    Edit("add", "s003", {"x": 500e3, "y": 0.0}, like="s004"),
    Edit("add", "new-1", {"x": 500e3, "y": 0.0}, like="nobody"),
    Edit("add", "new-1", {"x": 500e3, "y": 0.0}, like="s001"),
    Edit("remove", ""),
    Edit("explode", "s003"),
]


@pytest.mark.parametrize("edit", HOSTILE, ids=range(len(HOSTILE)))
def test_a_bad_edit_is_one_clear_message_and_changes_nothing(plan, edit):
    plan.do(Edit("tune", "s003", {"height": 31.0}))
    with pytest.raises(TwinError, match="expected"):
        plan.do(edit)
    assert len(plan.edits) == 1
    assert float(plan.now().sites.height.sel(site="s003")) == 31.0


def test_a_value_that_the_model_refuses(town):
    plan = Plan(town, path_loss=tk.radio.uma)
    plan.coarse()
    plan.do(Edit("tune", plan.sites()[0], {"height": 300.0}))
    with pytest.raises(TwinError, match="transmitter_height"):
        plan.coarse()
    assert plan.undo()
    assert plan.coarse().people.gained == 0.0


def test_the_plan_goes_onto_another_state_of_the_twin(plan, town):
    sites = plan.sites()
    plan.do(Edit("move", sites[0], middle(town)))
    plan.do(Edit("tune", sites[1], {"height": 44.0}))
    newest = edited(town, [Edit("remove", sites[0])])
    other, left = plan.onto(newest)
    assert [e.site for e in left] == [sites[0]]
    assert [e.site for e in other.edits] == [sites[1]]
    assert after(tables_of(newest), other.edits).sites.height.sel(site=sites[1]).item() == 44.0
    assert laid_upon(tables_of(town), plan.edits) == (plan.edits, ())


# ---------------------------------------------------------------- what citizens ask for


def test_wishes_are_counted_as_people_are(plan, town):
    people = town["surface/people"]
    covered = plan.fine().rsrp > THRESHOLD
    dark = np.argwhere(~covered)
    wishes = np.zeros(people.shape)
    wishes[tuple(dark[len(dark) // 2])] = 3.0
    wishes[tuple(np.argwhere(covered)[0])] = 2.0
    plan.weigh(xr.DataArray(wishes, people.coords, ("y", "x")))
    seen = plan.fine().wished
    assert (seen.everybody, seen.covered, seen.gained) == (5.0, 2.0, 0.0)
    row, column = dark[len(dark) // 2]
    place = {"x": float(town["surface"].x[column]), "y": float(town["surface"].y[row])}
    plan.do(Edit("add", "new-1", place, like=plan.sites()[0]))
    seen = plan.fine().wished
    assert (seen.covered, seen.gained) == (5.0, 3.0)
    assert plan.coarse().wished.everybody == 5.0
    with pytest.raises(TwinError, match="wishes on the surface"):
        Plan(town, path_loss=tk.radio.uma, wished=xr.DataArray(np.zeros((2, 2)), dims=("y", "x")))


# ---------------------------------------------------------------- the store


@pytest.fixture
def stored(town, tmp_path):
    path = tmp_path / "town.twin"
    tk.save(town, path, message="the town")
    return path


def test_a_plan_is_kept_as_a_branch_with_its_coverage(stored, full_disk):
    plan = Plan(tk.open(stored), path_loss=tk.radio.uma, threshold=THRESHOLD)
    kept = Kept(stored)
    with pytest.raises(TwinError, match="a plan with a change"):
        kept.save(plan, "taller", "why not", author="asha")
    plan.do(Edit("tune", plan.sites()[0], {"height": 44.0}))
    with pytest.raises(TwinError, match="a message"):
        kept.save(plan, "taller", "  ", author="asha")
    with full_disk(), pytest.raises(TwinError, match="room on the disk"):
        kept.save(plan, "taller", "a taller mast at the school", author="asha")
    assert set(tk.store.branches(stored)) == {"main"}
    done = kept.save(plan, "taller", "a taller mast at the school", author="asha")
    history = tk.history(stored, branch="taller")
    assert [(c.author, c.message) for c in history] == [
        ("asha", "a taller mast at the school"),
        (history[1].author, "the town"),
    ]
    assert set(done.changed) >= {"sites", "coverage"}
    again = tk.open(stored, branch="taller")
    np.testing.assert_array_equal(
        again["coverage"].rsrp.values, tk.radio.coverage(plan.twin(), path_loss=tk.radio.uma).rsrp.values
    )
    assert len(tk.history(stored)) == 1
    plan.do(Edit("tune", plan.sites()[1], {"height": 40.0}))
    kept.save(plan, "taller", "and another", author="asha")
    assert len(tk.history(stored, branch="taller")) == 3


def test_nobody_overwrites_what_another_planner_did(stored):
    mine = Plan(tk.open(stored), path_loss=tk.radio.uma, threshold=THRESHOLD)
    mine.do(Edit("remove", mine.sites()[0]))
    first = Kept(stored)
    first.save(mine, "fewer", "one mast less", author="asha")
    other = tk.open(stored, branch="fewer")
    tk.save(edited(other, [Edit("remove", mine.sites()[0])]), stored, branch="fewer", message="two less", author="omid")
    mine.do(Edit("tune", mine.sites()[-1], {"height": 44.0}))
    with pytest.raises(TwinError, match="fewer-2"):
        first.save(mine, "fewer", "mine again", author="asha")
    assert len(mine.edits) == 2
    first.save(mine, "fewer-2", "mine again", author="asha")
    assert tk.history(stored, branch="fewer")[0].author == "omid"


def test_what_happened_meanwhile_is_listed(stored, town):
    plan = Plan(tk.open(stored), path_loss=tk.radio.uma)
    assert meanwhile(plan, stored) == []
    tk.save(edited(town, [Edit("remove", plan.sites()[0])]), stored, message="taken down", author="omid")
    assert [c.message for c in meanwhile(plan, stored)] == ["taken down"]
    plan.do(Edit("tune", plan.sites()[-1], {"height": 44.0}))
    Kept(stored).save(plan, "mine", "from what I opened", author="asha")
    assert [c.message for c in tk.history(stored, branch="mine")] == ["from what I opened", "the town"]


def test_branches_stand_side_by_side(stored):
    plan = Plan(tk.open(stored), path_loss=tk.radio.uma, threshold=THRESHOLD)
    plan.do(Edit("remove", plan.sites()[0]))
    seen = plan.fine().people
    Kept(stored).save(plan, "fewer", "one mast less", author="asha")
    table, covered, twins = beside(plan, stored, ["main", "fewer"])
    np.testing.assert_allclose(table.covered.values, [seen.before, seen.covered])
    np.testing.assert_allclose(table.lost.values, [0.0, seen.lost])
    assert table.why.values.tolist() == ["the town", "one mast less"]
    assert table.covered.attrs["units"] == "people"
    made = tk.view.before_after(*covered, twin=twins[1])
    assert made.png.startswith(b"\x89PNG")
    with pytest.raises(TwinError):
        beside(plan, stored, ["main", "nobody"])
    other = tk.open(stored)
    lifted = tk.extend(other, surface=other["surface"].to_dataset().assign(ground_height=lambda d: d.ground_height + 1))
    tk.store.branch(stored, "lifted")
    tk.save(lifted, stored, branch="lifted", message="another ground")
    with pytest.raises(TwinError, match="same ground"):
        beside(plan, stored, ["main", "lifted"])


def test_a_store_that_vanished_loses_nothing(stored, tmp_path):
    plan = Plan(tk.open(stored), path_loss=tk.radio.uma, threshold=THRESHOLD)
    plan.do(Edit("remove", plan.sites()[0]))
    before = plan.fine().people
    stored.rename(tmp_path / "elsewhere")
    with pytest.raises(TwinError):
        Kept(stored).save(plan, "fewer", "one mast less", author="asha")
    assert len(plan.edits) == 1
    plan.undo()
    plan.redo()
    assert plan.fine().people == before


# ---------------------------------------------------------------- the page without a browser


@pytest.fixture
def pins(town):
    """Citizens' pins in two squares, one of them where nobody is covered."""
    dark = np.argwhere(~(tk.radio.coverage(town, path_loss=tk.radio.rma).rsrp.values > -85.0))
    surface = town["surface"].to_dataset()
    row, column = dark[len(dark) // 3]
    x, y = [float(surface.x[i]) for i in (column, 30)], [float(surface.y[i]) for i in (row, 30)]
    at = {"x": ("square", x), "y": ("square", y)}
    counts = xr.DataArray([[4.0, 2.0], [3.0, 0.0]], {"subject": ["slow", "worry"], **at}, ("square", "subject"))
    return counts.assign_coords(square=["dark", "middle"]).rename("pins").assign_attrs(units="1")


def shown(whole, name):
    """All that a page's panes and widgets of one kind hold."""
    return [part for part in whole.select() if type(part).__name__ == name]


def test_the_page_in_a_notebook_answers_at_once(town, stored, monkeypatch):
    from panel.io import notebook

    pushed = []
    monkeypatch.setattr(notebook, "push_notebook", lambda *panes: pushed.extend(panes))
    session = Session(stored, role="planner")
    whole = plan_page.app(session, threshold=-85.0)
    whole.get_root()
    pushed.clear()
    (site,) = [w for w in shown(whole, "Select") if w.label == "site"]
    site.value = next(v for v in site.options.values() if v == "s005")
    (height,) = [w for w in shown(whole, "FloatInput") if w.label.startswith("antenna height")]
    height.value = 60.0
    assert pushed  # the map went to the cell
    numbers = next(p.object for p in shown(whole, "HTML") if "people_covered" in str(p.object))
    twin = edited(town, [Edit("tune", "s005", {"height": 60.0})])
    covered = tk.radio.coverage(twin, path_loss=tk.radio.rma).rsrp > -85.0
    people = float(town["surface/people"].astype(float).where(covered, 0.0).sum())
    assert f'data-number="people_covered">{float(f"{round(people):.3g}"):,.0f}<' in numbers
    height.value = -1.0
    assert "expected height from 1 to 400 m" in session.notices[-1].text
    assert height.value == 60.0
    height.value = 300.0  # which the vocabulary allows and the model does not
    assert "taken back" in session.notices[-1].text
    assert height.value == 60.0
    (undo,) = [w for w in shown(whole, "Button") if w.label == "Undo"]
    undo.clicks += 1
    assert height.value != 60.0
    assert undo.disabled


def test_a_model_that_takes_nothing_of_the_plan_takes_nothing_from_it(town):
    def short(ground_distance, transmitter_height):
        if np.max(transmitter_height) > 20:
            raise TwinError("masts of at most 20 m", found=f"{np.max(transmitter_height):g} m", hint="choose another")
        return 60 + 40 * np.log10(np.maximum(ground_distance, 1.0) / 10)

    session = Session(twin=town, role="planner")
    models = {"own": (tk.radio.uma, {}), "rma": (short, {})}
    whole = plan_page._Page(session, models, -85.0, None).whole
    named = {w.label: w for kind in ("Select", "Button") for w in shown(whole, kind)}
    for _ in range(3):
        named["100 m east"].clicks += 1
    steps = next(p for p in shown(whole, "HTML") if "<ol" in str(p.object))
    assert str(steps.object).count("<li>") == 3
    named["path loss model"].value = "rma"
    assert "masts of at most 20 m" in session.notices[-1].text
    assert named["path loss model"].value == "own"
    assert str(steps.object).count("<li>") == 3
    named["Undo"].clicks += 1
    assert str(steps.object).count("<li>") == 2


def test_a_viewer_saves_nothing(stored):
    session = Session(stored, role="viewer")
    whole = plan_page.app(session)
    named = {w.label: w for kind in ("TextInput", "Button") for w in shown(whole, kind)}
    named["100 m east"].clicks += 1
    assert not named["Undo"].disabled
    named["name of the branch"].value, named["message: why"].value = "forged", "let me in"
    assert named["Save the plan"].disabled
    named["Save the plan"].clicks += 1
    assert "This needs the role planner" in session.notices[-1].text
    assert set(tk.store.branches(stored)) == {"main"}


def test_citizens_pins_are_shown_and_counted(town, pins):
    session = Session(twin=town, role="planner")
    whole = plan_page.app(session, threshold=-85.0, pins=pins, square=500.0)
    text = next(p.object for p in shown(whole, "HTML") if "people_covered" in str(p.object))
    assert 'data-number="wishes_met"' in text
    assert "of 9;" in text
    (box,) = [w for w in shown(whole, "Checkbox") if "pins" in w.label]
    figure = shown(whole, "Bokeh")[0].object
    counts = [s.data["count"] for s in figure.select({"type": ColumnDataSource}) if "count" in s.data]
    assert [list(c) for c in counts] == [["6", "3"]]
    box.value = False
    text = next(p.object for p in shown(whole, "HTML") if "people_covered" in str(p.object))
    assert "wishes_met" not in text


def test_a_register_gives_pins_as_finely_as_the_role_may_see(town, tmp_path):
    from twinkit.participate import register

    with register(tmp_path / "pins.db", twin=town, fewest=3, moderated=False) as held:
        surface = town["surface"]
        for number in range(4):
            east = 0.0 if number < 3 else 2000.0
            place = {"x": float(surface.x.mean()) + east, "y": float(surface.y.mean())}
            source, words = f"10.0.0.{number}", f"no signal here, {number}"
            held.receive("no signal", words, source=source, key=f"key-{number}", **place)
        for role, counts in (("planner", [3, 1]), ("viewer", [3])):
            session = Session(twin=town, role=role)
            session.register = held
            found, square = plan_page._asked(session)
            assert square == held.choices["square"]
            assert sorted(found.sum("subject").values.tolist(), reverse=True) == counts


@pytest.mark.parametrize("language", ["hi", "fr", "fa"])
def test_every_phrase_stands_in_every_language(town, language):
    import csv
    from importlib import resources

    text = resources.files("twinkit.view.dashboard").joinpath("words_plan.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        assert row[language].strip(), row["key"]
        parts = {k for k in ("site", "x", "y", "count", "share", "people", "who", "why") if f"{{{k}}}" in row["en"]}
        assert all(f"{{{k}}}" in row[language] for k in parts), row["key"]
    plan_page.app(Session(twin=town, role="planner", language=language), threshold=-85.0).get_root()


def test_a_worker_answers_the_newest_question():
    begun, go = threading.Event(), threading.Event()
    answered = []

    def work(question, newer):
        begun.set()
        go.wait(20)
        answered.append((question, newer()))

    worker = Worker(work)
    worker.ask("first")
    assert begun.wait(20)
    for question in ("second", "third", "last"):
        worker.ask(question)
    assert worker.newer()
    go.set()
    end = time.monotonic() + 20
    while len(answered) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert answered == [("first", True), ("last", False)]
    worker.end()
    worker.ask("after the end")
    time.sleep(0.05)
    assert len(answered) == 2
