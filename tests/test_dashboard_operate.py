"""Operate: what an operator sees of a store that readings come into, and what was known when."""

import re
import shutil
import threading
import time
import warnings

import numpy as np
import pytest
import xarray as xr
from playwright.sync_api import expect

import twinkit as tk
from twinkit.telemetry.generate import Fault, generate, spoil
from twinkit.view.dashboard import operate_state as state
from twinkit.view.dashboard.operate_belief import EVERY, PERIOD, Belief, alarms_of, model_of

START = np.datetime64("2026-03-02T00:00", "ns")  # a Monday
NOISE = 0.04


@pytest.fixture(scope="module")
def region():
    return tk.datasets.town(sites=24, seed=1)


@pytest.fixture(scope="module")
def truth(region):
    """Two days of load of twelve cells that are neither idle nor full at the rush, as sensors say it."""
    peak = tk.telemetry.peak_load(region)
    names = [str(c) for c in peak["cell"].to_numpy()[np.sort(np.argsort(np.abs(peak.to_numpy() - 0.6))[:12])]]
    load = generate(region, start=START, days=2, seed=1)["load"].sel(cell=names)
    rng = np.random.default_rng(5)
    return (load + NOISE * rng.standard_normal(load.shape)).clip(0, 1).rename("load").compute()


@pytest.fixture(scope="module")
def seen(truth):
    """The same, with a sensor that reads too much from Monday noon."""
    wrong = Fault("bias", str(truth["cell"].to_numpy()[4]), START + np.timedelta64(12, "h"),
                  START + np.timedelta64(2, "D"), size=0.25)  # fmt: skip
    return spoil(truth.to_dataset(), [wrong])["load"].clip(0, 1)


def said(part):
    """Readings as the journal takes them."""
    times, cells = np.meshgrid(part["time"].to_numpy(), part["cell"].to_numpy(), indexing="ij")
    values = part.transpose("time", "cell").to_numpy().ravel()
    there = np.isfinite(values)
    return {
        "variable": "load",
        "sensor": cells.ravel()[there].tolist(),
        "time": times.ravel()[there],
        "value": values[there],
    }


@pytest.fixture
def path(region, tmp_path):
    tk.save(region, tmp_path / "town.twin", message="before any reading")
    return tmp_path / "town.twin"


@pytest.fixture(scope="module")
def filled(region, seen, tmp_path_factory):
    """A store with a day and a half in it, and the head of what was known after twelve hours."""
    path = tmp_path_factory.mktemp("operate") / "town.twin"
    tk.save(region, path, message="before any reading")
    with tk.store.journal(path) as journal:
        first = journal.record(said(seen.isel(time=slice(0, 48))))
        time.sleep(0.005)
        journal.record(said(seen.isel(time=slice(48, 144))))
        journal.drain(all=True)
    return path, np.datetime64(first.received, "ns")


def whole(region, readings, **choices):
    cells = tuple(readings["cell"].to_numpy().tolist())
    belief = Belief(model_of(region, cells), START, **choices)
    belief.follow(readings)
    return belief


# ---------------------------------------------------------------- the estimate that goes on


def test_an_estimate_that_grew_reading_by_reading_is_the_one_that_was_made_at_once(region, seen):
    part = seen.isel(time=slice(0, 70))
    once = whole(region, part)
    grown = Belief(once.model, START)
    rng = np.random.default_rng(3)
    ends = np.unique([*rng.integers(1, 70, 12), 70])
    done = [grown.follow(part.isel(time=slice(0, end))) for end in ends.tolist()]
    assert sum(done) == 70, "each cycle once"
    assert grown.record.identical(once.record)
    assert np.array_equal(grown.state["load"], once.state["load"])
    assert grown.ahead().identical(once.ahead())


def test_the_estimate_is_that_of_assimilate_in_one_go(region, seen):
    once = whole(region, seen.isel(time=slice(0, 40)))
    model = once.model
    first = model.typical(START - PERIOD).to_dataset(name="load").assign_coords(time=START - PERIOD)
    first = tk.assimilate.ensemble(first, members=100, spread=0.1, seed=1)
    record, _ = tk.assimilate.estimate(
        first, tk.network.step, seen.isel(time=slice(0, 40)).reset_coords(drop=True), noise=model.noise, seed=1,
        forcing=model.typical, method=model.method,
    )  # fmt: skip
    assert np.array_equal(once.record["load"], record["load"])
    assert np.array_equal(once.record["innovation_spread"], record["innovation_spread"])


def test_a_late_correction_changes_what_came_after_and_costs_no_more_than_the_way_from_there(region, seen):
    part = seen.isel(time=slice(0, 90))
    belief = whole(region, part)
    before = belief.record
    other = part.copy(deep=True)
    other[60, 2] = np.clip(other[60, 2] + 0.3, 0, 1) if other[60, 2] < 0.5 else other[60, 2] - 0.3
    done = belief.follow(other)
    assert 90 - 60 <= done < 90 - 60 + EVERY
    assert belief.record.isel(time=slice(0, 60)).identical(before.isel(time=slice(0, 60)))
    assert belief.record.identical(whole(region, other).record)
    assert abs(float((belief.record["load"] - before["load"]).isel(time=60).sel(cell=part["cell"][2]))) > 0.01
    assert not np.array_equal(belief.state["load"], whole(region, part).state["load"]), "today's answer"
    assert belief.follow(part) == done, "and back"
    assert belief.record.identical(before)


def test_a_reading_that_came_late_for_a_silent_time_is_a_correction(region, seen):
    part = seen.isel(time=slice(0, 50))
    silent = part.copy(deep=True)
    silent[20:23] = np.nan
    belief = whole(region, silent)
    assert belief.follow(part) >= 30
    assert belief.record.identical(whole(region, part).record)


def test_old_days_are_dropped_and_the_belief_goes_on(region, seen):
    week = xr.concat([seen, seen.assign_coords(time=seen["time"] + np.timedelta64(2, "D"))], "time")
    kept = whole(region, week, rows=10_000)
    belief = Belief(kept.model, START, rows=96)
    for end in range(32, week.sizes["time"] + 1, 32):
        since = week["time"].to_numpy()[max(0, (end - 96 - 96) // 96 * 96)]
        belief.follow(week.isel(time=slice(0, end)).sel(time=slice(since, None)), since=since)
    assert belief.front
    assert len(belief.read) < 2 * 96
    assert belief.record.sizes["time"] == len(belief.read) == len(belief.times)
    assert belief.record.identical(kept.record.isel(time=slice(belief.front, None)))
    assert min(belief.kept) == belief.front
    assert len(belief.kept) <= 2 * 96 // EVERY + 1
    named = {(a["fault"], a["sensor"]) for a in kept.alarms()}
    assert named
    assert named <= {(a["fault"], a["sensor"]) for a in belief.alarms()}, "what was raised stays said"
    first = min(a["since"] for a in kept.alarms())
    assert min(a["since"] for a in belief.alarms()) == first


def test_an_estimate_that_fails_leaves_all_as_it_was(region, seen, monkeypatch):
    belief = whole(region, seen.isel(time=slice(0, 40)))
    before, read = belief.record, belief.read

    def broken(*_, **__):
        raise tk.TwinError("a model", found="none", hint="wait")

    monkeypatch.setattr(tk.assimilate, "estimate", broken)
    with pytest.raises(tk.TwinError):
        belief.follow(seen.isel(time=slice(0, 60)))
    assert belief.record is before
    assert belief.read is read
    monkeypatch.undo()
    belief.follow(seen.isel(time=slice(0, 60)))
    assert belief.record.identical(whole(region, seen.isel(time=slice(0, 60))).record)


def test_many_cells_are_each_estimated_from_their_own_readings(region):
    names = tuple(f"c{i:02}" for i in range(24))
    rng = np.random.default_rng(1)
    values = np.clip(0.5 + 0.1 * rng.standard_normal((20, 24)), 0, 1)
    load = xr.DataArray(values, {"time": START + PERIOD * np.arange(20), "cell": list(names)}, ("time", "cell"))
    belief = whole(region, load.rename("load"))
    assert not belief.model.people, "strangers have no people, and the same peak for all"
    other = load.rename("load").copy()
    other[3, 0] = 0.99
    changed = whole(region, other)
    same = [str(c) for c in changed.record["cell"].to_numpy()
            if np.allclose(changed.record["load"].sel(cell=c), belief.record["load"].sel(cell=c))]  # fmt: skip
    assert same == list(names[1:])


# ---------------------------------------------------------------- a watch on a store


def test_a_store_without_readings_is_looked_at_in_peace(path):
    watch = state.Watch(path)
    assert watch.look()
    assert watch.now.record is None
    assert watch.now.times.size == 0
    assert watch.now.alarms == []
    assert watch.figures.new == 0
    assert np.isnat(watch.figures.received)
    assert state.stale(watch.figures, START) == 0
    assert not watch.look(), "nothing is new"
    assert state.findings_of(watch.now.readings) == []
    assert state.evidence(watch.now, "s001a").sizes["time"] == 0
    assert np.isnan(state.load_of_sites(watch.places, watch.now, START)["load"]).all()


def test_what_is_journaled_while_one_watches_is_seen_and_only_what_is_new_is_worked_out(path, seen):
    watch = state.Watch(path)
    watch.look()
    with tk.store.journal(path) as journal:
        journal.record(said(seen.isel(time=slice(0, 40))))
        assert watch.look()
        assert watch.now.last == seen["time"].to_numpy()[39]
        assert watch.belief.cycles == 40
        journal.record(said(seen.isel(time=slice(40, 41))))
        assert watch.look()
        assert watch.belief.cycles == 41
        journal.drain(all=True)
        assert watch.look()
        assert watch.belief.cycles == 41, "a commit is news, but no reading"
        assert watch.figures.pending == 0
        assert watch.figures.new == 492
        journal.reject([("twinkit/x", b"{", "no JSON")])
        watch.look()
    assert watch.figures.rejected == 1
    assert list(watch.figures.reasons) == ["no JSON"]
    assert "readings" in watch.figures.message
    assert watch.figures.tells_of == seen["time"].to_numpy()[40]
    again = state.Watch(path)
    again.look()
    assert again.now.record.identical(watch.now.record), "a page that was opened later believes the same"


def test_an_alarm_names_the_sensor_since_when_and_on_what_evidence(filled, seen):
    path, _ = filled
    watch = state.Watch(path)
    watch.look()
    (alarm,) = watch.now.alarms
    sensor = str(seen["cell"].to_numpy()[4])
    assert (alarm["fault"], alarm["sensor"]) == ("sensor biased", sensor)
    assert abs(alarm["since"] - (START + np.timedelta64(12, "h"))) <= np.timedelta64(1, "h")
    assert "mean innovation +" in alarm["evidence"]
    shown = state.evidence(watch.now, sensor)
    during = shown["ratio"].sel(time=slice(alarm["since"], alarm["raised"]))
    assert float(during.mean()) > 1 > abs(float(shown["ratio"].sel(time=slice(None, alarm["since"])).mean()))
    owner = watch.places[1][sensor]
    sites = state.load_of_sites(watch.places, watch.now, watch.now.last)
    assert sites["alarms"].sel(site=owner).item() == 1
    assert sites["alarms"].sum() == 1
    assert state.load_of_sites(watch.places, watch.now, START)["alarms"].sum() == 0, "not before it began"


def test_going_back_shows_what_was_known_then_and_what_it_made_one_believe(filled, seen):
    path, then = filled
    watch = state.Watch(path)
    watch.look()
    cycles = watch.belief.cycles
    known = watch.known(then)
    assert known.last == seen["time"].to_numpy()[47]
    assert known.alarms == []
    assert known.record.identical(watch.now.record.isel(time=slice(0, 48)))
    assert known.ahead["time"].to_numpy()[0] > known.last, "beyond it there was a forecast"
    assert watch.belief.cycles == cycles, "now is not disturbed"
    assert watch.now.last == seen["time"].to_numpy()[143]
    about = known.last + np.timedelta64(6, "h")
    believed, came = known.at_time(about), watch.now.at_time(about)
    assert float(believed["load_spread"].mean()) > float(came["load_spread"].mean())
    assert watch.known(then) is known, "kept ready"
    assert watch.known(np.datetime64("NaT")) is watch.now
    assert then in watch.moments
    with pytest.raises(tk.TwinError, match="2020"):
        watch.known(np.datetime64("2020-01-01"))


def test_what_was_believed_on_monday_about_sunday_is_not_what_a_correction_makes_of_it(path, seen):
    with tk.store.journal(path) as journal:
        monday = journal.record(said(seen.isel(time=slice(0, 48))))
        time.sleep(0.005)
        wrong = seen.isel(time=slice(30, 34)).copy(deep=True)
        wrong[:] = 0.9
        journal.record(said(wrong))
        journal.drain(all=True)
    watch = state.Watch(path)
    watch.look()
    sunday = seen["time"].to_numpy()[33]
    known = watch.known(np.datetime64(monday.received, "ns"))
    before, after = (k.at_time(sunday)["load"] for k in (known, watch.now))
    assert float((after - before).max()) > 0.1
    assert np.allclose(known.readings["load"].sel(time=sunday), seen.sel(time=sunday))
    assert (watch.now.readings["load"].sel(time=sunday) == 0.9).all()


def test_a_new_sensor_joins_and_the_answer_is_that_of_a_fresh_look(path, seen):
    watch = state.Watch(path)
    with tk.store.journal(path) as journal:
        journal.record(said(seen.isel(time=slice(0, 20), cell=slice(0, 11))))
        watch.look()
        assert len(watch.now.cells) == 11
        journal.record(said(seen.isel(time=slice(20, 24))))
        watch.look()
    fresh = state.Watch(path)
    fresh.look()
    assert len(watch.now.cells) == 12
    assert watch.now.record.identical(fresh.now.record)


def test_a_page_that_stays_open_works_out_each_cycle_once_while_days_are_dropped(path, seen):
    part = seen.isel(cell=slice(0, 4))
    days = [part.assign_coords(time=part["time"] + np.timedelta64(2 * k, "D")) for k in range(2)]
    weeks = xr.concat(days, "time")
    watch = state.Watch(path, days=1)
    with tk.store.journal(path) as journal:
        for start in range(0, 320, 64):
            journal.record(said(weeks.isel(time=slice(start, start + 64))))
            watch.look()
    assert watch.belief.cycles == 320
    assert watch.belief.front > 0
    assert watch.now.last == weeks["time"].to_numpy()[319]
    assert watch.now.record.sizes["time"] == len(watch.belief.read) < 2 * 96
    assert watch.now.readings["time"].to_numpy()[0] == watch.belief.times[0]


def test_more_cells_than_are_estimated_leave_the_busiest(path, seen, monkeypatch):
    monkeypatch.setattr(state, "WATCHED", 4)
    with tk.store.journal(path) as journal:
        journal.record(said(seen.isel(time=slice(0, 8))))
    watch = state.Watch(path)
    watch.look()
    mean = seen.isel(time=slice(0, 8)).mean("time")
    busiest = set(mean["cell"].to_numpy()[np.argsort(-mean.to_numpy())[:4]].tolist())
    assert set(watch.now.cells) == busiest
    assert watch.now.left == 8


def test_a_store_that_vanishes_is_said_and_what_was_known_stays(path, seen, tmp_path):
    with tk.store.journal(path) as journal:
        journal.record(said(seen.isel(time=slice(0, 20))))
        journal.drain(all=True)
    watch = state.Watch(path)
    watch.look()
    before, looked = watch.now, watch.looked
    path.rename(tmp_path / "away")
    with pytest.raises(tk.TwinError, match=r"town\.twin"):
        watch.look()
    assert watch.now is before
    assert watch.looked == looked
    (tmp_path / "away").rename(path)
    watch.look()
    assert watch.now.record.identical(before.record)


def test_another_store_of_that_name_is_read_anew(path, region, seen, tmp_path):
    with tk.store.journal(path) as journal:
        journal.record(said(seen.isel(time=slice(0, 20))))
    watch = state.Watch(path)
    watch.look()
    shutil.rmtree(path)
    tk.save(region, path, message="another")
    with tk.store.journal(path) as journal:
        journal.record(said(seen.isel(time=slice(4, 12))))
    watch.look()
    fresh = state.Watch(path)
    fresh.look()
    assert watch.now.record.identical(fresh.now.record)
    assert watch.figures.new == 96


def test_values_beyond_belief_are_counted_and_left_out(path, seen):
    part = seen.isel(time=slice(0, 12)).copy(deep=True)
    part[5, 0], part[6, 1] = 57.0, -3.0
    with tk.store.journal(path) as journal:
        journal.record(said(part))
    watch = state.Watch(path)
    watch.look()
    assert watch.now.outside == 2
    assert float(watch.now.record["load"].max()) <= 1.2
    assert np.isnan(watch.now.readings["load"].sel(cell=part["cell"][0]).isel(time=5))


def test_a_twin_in_memory_has_no_past(region, seen):
    nodes = {n: c.to_dataset(inherit=False) for n, c in region.children.items()}
    twin = tk.assemble({**nodes, "telemetry": seen.isel(time=slice(0, 12)).to_dataset()}, title="t", crs="EPSG:32643")
    watch = state.Watch(twin=twin)
    assert watch.look()
    assert watch.now.last == seen["time"].to_numpy()[11]
    with pytest.raises(tk.TwinError, match="memory"):
        watch.known(START)


def test_readings_are_stale_when_two_periods_passed_without_one():
    received = np.datetime64("2026-03-02T12:00:00", "ns")
    figures = state.Figures(received=received)
    assert state.stale(figures, received + np.timedelta64(29, "m")) == 0
    assert state.stale(figures, received + np.timedelta64(31, "m")) == 31 * 60


def test_quality_is_summed_up_by_sensor_and_kind(path, seen):
    part = seen.isel(time=slice(0, 96)).copy(deep=True)
    part[40:60, 3] = np.nan
    with tk.store.journal(path) as journal:
        journal.record(said(part))
    watch = state.Watch(path)
    watch.look()
    found = {(f["flag"], f["sensor"]): f for f in state.findings_of(watch.now.readings)}
    gap = found["gap", str(part["cell"].to_numpy()[3])]
    assert (gap["times"], gap["readings"]) == (1, 20)
    assert gap["start"] == part["time"].to_numpy()[40]


def test_lines_and_moments_are_thinned_from_first_to_last():
    many = state.thinned(np.arange(10_000), 300)
    assert len(many) == 300
    assert (many[0], many[-1]) == (0, 9999)
    assert len(state.thinned(np.arange(5), 300)) == 5


def test_arrivals_tell_when_readings_came_in_the_journal_and_in_the_store(path, seen):
    assert len(tk.store.arrivals(path).time) == 0
    with tk.store.journal(path) as journal:
        first = journal.record(said(seen.isel(time=slice(0, 4))))
        time.sleep(0.005)
        second = journal.record(said(seen.isel(time=slice(4, 6))))
        waiting = tk.store.arrivals(path)
        assert waiting.pending == 72
        assert waiting.rate(now=waiting.newest, over=9) == 8
        journal.drain(all=True)
        time.sleep(0.005)
        late = journal.record(said(seen.isel(time=slice(0, 1)) * 0.5))
        came = tk.store.arrivals(path)
    assert [int(m.astype("i8")) for m in came.moments] == [first.received, second.received, late.received]
    assert came.pending == 12
    assert (came.new, came.corrected) == (72, 12)
    assert np.array_equal(came.time, seen["time"].to_numpy()[:6])
    assert came.first[0] == np.datetime64(first.received, "ns")
    assert came.last[0] == np.datetime64(late.received, "ns")
    assert came.last[5] == np.datetime64(second.received, "ns")


def test_one_watch_serves_all_pages_of_a_store(filled):
    path, _ = filled
    assert state.watching(path) is state.watching(str(path))
    watch = state.watching(path)
    found, faults = [], []

    def look():
        try:
            found.append(watch.look())
        except tk.TwinError as fault:
            faults.append(fault)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert len(found) == 4
    assert sum(found) == 1


def test_alarms_of_nothing_are_none():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert alarms_of(None) == []


def test_a_twin_without_places_or_cells_is_no_reason_to_stop():
    watch = state.Watch(twin=tk.assemble({}, title="nothing", crs="EPSG:32643"))
    assert state.load_of_sites(watch.places, watch.now, START).sizes["site"] == 0
    watch.look()
    assert state.load_of_sites(watch.places, watch.now, START).sizes["site"] == 0


# ---------------------------------------------------------------- the page


@pytest.mark.parametrize("language", ["en", "hi", "fr", "fa"])
def test_words_and_moments_stand_in_each_language(language):
    from twinkit.view.dashboard import operate_figures as figures

    text = figures.say("alarm_row", language, fault="F", sensor=" s1", since="A", raised="B", cleared="C")
    assert all(part in text for part in ("F", "s1", "A", "B", "C"))
    shown = figures.moment(np.datetime64("2026-03-02T22:30"), language, hours=5.5)
    assert "UTC+5:30" in shown.translate(str.maketrans("۰۱۲۳۴۵۶۷۸۹", "0123456789")), "the day is another one there"
    assert "03-03" in shown or "۰۳/۰۳" in shown
    assert figures.moment(np.datetime64("NaT"), language) == "–"


def test_two_names_that_look_alike_are_told_apart():
    from twinkit.view.dashboard.operate import _options

    names = ["a" * 80, "a" * 81, "b"]
    assert list(_options(names).values()) == names


def test_in_a_notebook_cell_the_same_page_stands_and_looks_when_it_is_told(filled, region, monkeypatch):
    pytest.importorskip("panel")
    from twinkit.view.dashboard import operate

    made = []
    monkeypatch.setattr(
        operate, "_Operate", lambda session, real=operate._Operate: made.append(real(session)) or made[-1]
    )
    tk.view.dashboard(filled[0], app="operate")
    (page,) = made
    assert page.alone
    assert "sensor biased" in page.alarms.object
    page.pause.clicks += 1
    assert page.known.last == page.watch.now.last
    tk.view.dashboard(region, app="operate")
    assert "memory" in made[-1].alarms.object


def test_what_is_not_estimated_is_shown_as_it_was_read(path, region):
    pytest.importorskip("panel")
    from twinkit.view.dashboard.operate import _Operate
    from twinkit.view.dashboard.session import Session

    made = generate(region, start=START, days=1, seed=2).compute()
    with tk.store.journal(path) as journal:
        for name in ("users", "temperature", "energy"):
            array = made[name].isel(time=slice(0, 16))
            dim = next(d for d in array.dims if d != "time")
            array = array.transpose("time", dim).isel({dim: slice(0, 5)})
            given = said(array.rename({dim: "cell"}) if dim != "cell" else array)
            journal.record(given | {"variable": name})
    page = _Operate(Session(path, role="viewer"))
    assert page.watch.now.record is None
    assert "only load is estimated" in page.alarms.object
    assert set(page.variable.options.values()) == {"users", "temperature", "energy"}
    for name in ("temperature", "energy", "users"):
        page.variable.value = name
        array = page.known.readings[name]
        values = array.sel({array.dims[1]: page.cell.value})
        assert np.isfinite(values).sum() == (4 if name == "energy" else 16), "energy comes once an hour"
        assert page.fan_picture.alt.endswith("It is not estimated.")
        assert f"{int(np.isfinite(values).sum())} readings up to 2026-03-02" in page.fan_picture.alt
        assert page.fan.seen.data["value"].max() == pytest.approx(float(values.max()))
    assert "No load is known yet" in page.map_picture.alt
    assert page.fan_picture.view.visible
    assert not page.gap_picture.view.visible, "an empty picture says nothing"
    due = [f for f in state.findings_of(page.known.readings) if (f["flag"], f["variable"]) == ("gap", "energy")]
    assert due == [], "an hourly reading is not missed between the hours"


WAIT = 60_000  # [ms] two cores that others use, too


def shows(page, text):
    page.get_by_text(text).first.wait_for(timeout=WAIT)
    return page.get_by_text(text).first.inner_text()


FIRST_SITE = """() => {  // where the first site of the map with a load is on the screen
  const walk = view => {
    if (view.model?.type === 'Figure' && view.model.match_aspect) {
      const data = view.model.renderers.map(r => r.data_source?.data).find(d => d?.key?.length > 1);
      const box = view.el.getBoundingClientRect();
      return [view.frame.x_scale.compute(data.x[1]) + box.left, view.frame.y_scale.compute(data.y[1]) + box.top,
              data.key[1]];
    }
    for (const child of view.child_views ?? []) { const found = walk(child); if (found) return found }
  };
  for (const view of Bokeh.index) { const found = walk(view); if (found) return found }
}"""


@pytest.fixture(scope="module")
def live(dashboards, region, seen, tmp_path_factory):
    """A server on a store into which readings come: its address, and what journals the first rows, or others."""
    path = tmp_path_factory.mktemp("live") / "town.twin"
    tk.save(region, path, message="before any reading")

    def come(rows=0, *, part=None):
        have = len(tk.store.arrivals(path).time)
        if part is not None:
            journal.record(said(part))
        elif rows > have:
            journal.record(said(seen.isel(time=slice(have, rows))))

    with tk.store.journal(path) as journal, dashboards(path, "--app", "operate") as address:
        yield f"{address}/operate", come


def test_readings_appear_by_themselves_and_so_does_the_alarm_with_its_evidence(live, looking, seen):
    address, come = live
    began = time.perf_counter()
    page = looking(address)
    assert "twinkit live town.twin --broker" in shows(page, "No reading has come into this store yet")
    print(f"opened in {time.perf_counter() - began:.1f} s")
    come(40)
    shows(page, "No alarm: readings and estimate agree.")
    shows(page, "Map of 24 sites with cells, north up, at 2026-03-02 09:45 UTC (estimate)")
    come(112)
    sensor = str(seen["cell"].to_numpy()[4])
    shows(page, f"sensor biased {sensor}, since 2026-03-02 1")
    told = page.get_by_role("listitem").first
    expect(told).to_contain_text("still open")
    expect(told).to_contain_text("mean innovation +")
    # it is read out, too
    expect(page.get_by_role("alert").filter(has_text=f"Alarm: sensor biased {sensor}")).to_have_count(1)
    shows(page, "Map of 24 sites with cells, north up, at 2026-03-03 03:45 UTC (estimate)")
    page.get_by_role("row", name="Readings / corrections").filter(has_text="1,344 / 0").wait_for(timeout=WAIT)

    # the button under the alarm, with the keyboard
    page.get_by_role("button", name=f"Show {sensor}").focus()
    page.keyboard.press("Enter")
    shows(page, f"Load of {sensor}: ")
    expect(page.get_by_label("Cell or sensor")).to_have_value(sensor)
    shows(page, f"readings of {sensor} against the forecast")


def test_the_sliders_go_back_in_time_by_keyboard_and_the_fields_by_typing(live, looking, seen):
    address, come = live
    come(40)
    come(112)
    page = looking(address)
    shows(page, "now, with all that came")
    slider = page.get_by_role("slider", name="Known at")
    slider.focus()
    page.keyboard.press("Home")
    shows(page, "You see what was known on")
    shows(page, "Nothing was known of these readings at")
    page.keyboard.press("ArrowRight")
    shows(page, "Map of 24 sites with cells, north up, at 2026-03-02 09:45 UTC (estimate)")
    shows(page, "No alarm: readings and estimate agree.")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("UTC"))

    # what was believed then about the evening was a forecast; now it is an estimate
    field = page.get_by_label("About, typed (UTC)")
    field.fill("2026-03-02T18:15+00:00")
    field.press("Enter")
    shows(page, "2026-03-02 18:15 UTC, forecast")  # which goes by half hours from 09:45
    shows(page, "at 2026-03-02 18:15 UTC (forecast); it lies")
    back = page.get_by_role("button", name="Back to now")
    page.get_by_role("slider", name="Known at").focus()
    page.keyboard.press("End")
    shows(page, "2026-03-02 18:15 UTC, estimate")
    shows(page, "at 2026-03-02 18:15 UTC (estimate); it lies")
    expect(back).to_be_hidden()

    # a moment that is none; one before the store
    typed = page.get_by_label("Known at, typed (UTC)")
    typed.fill("<b>yesterday</b>")
    typed.press("Enter")
    assert "<b>yesterday</b>" in shows(page, "expected a moment in UTC")
    page.get_by_role("button", name="Earlier").last.click()
    expect(page.get_by_role("alert").filter(has_text="expected")).to_have_count(0)  # no longer what matters
    page.get_by_role("button", name="Later").last.click()
    typed.fill("1999-01-01")
    typed.press("Enter")
    shows(page, "1999-01-01")
    shows(page, "now, with all that came")

    # earlier and later are buttons, too
    page.get_by_role("button", name="Earlier").last.focus()
    page.keyboard.press("Enter")
    shows(page, "2026-03-02 18:00 UTC, estimate")
    page.get_by_role("button", name="Newest").last.click()
    shows(page, "2026-03-03 03:45 UTC, estimate")
    x, y, site = page.evaluate(FIRST_SITE)
    page.mouse.click(x, y)
    expect(page.get_by_label("Site").locator("option:checked")).to_have_text(site)  # a click on the map chooses
    page.get_by_label("Site").select_option(index=1)
    page.get_by_label("Time shown").select_option(label="7 days")
    shows(page, "Load of s")


def test_a_correction_changes_the_answer_and_a_pause_holds_it(live, looking, seen):
    address, come = live
    come(112)
    page = looking(address)
    sensor = str(seen["cell"].to_numpy()[1])
    shows(page, "now, with all that came")
    page.get_by_label("Cell or sensor").select_option(value=None, label=sensor)
    before = shows(page, f"Load of {sensor}: ")
    wrong = seen.isel(time=slice(108, 112), cell=slice(1, 2))
    pause = page.get_by_role("button", name="Pause")
    pause.click()
    shows(page, "Paused: nothing new is shown.")
    come(part=wrong * 0 + 0.95)
    time.sleep(3)
    assert shows(page, f"Load of {sensor}: ") == before
    page.get_by_role("button", name="Go on").click()
    page.get_by_text(before).wait_for(state="detached", timeout=WAIT)
    after = shows(page, f"Load of {sensor}: ")
    load = [float(t.partition(": ")[2].partition("%")[0]) for t in (before, after)]
    assert load[1] > load[0] + 5
    shows(page, "/ 4")


@pytest.mark.parametrize(
    ("width", "scheme", "language"), [(1440, "light", "en"), (360, "dark", "en"), (360, "light", "fa")]
)
def test_the_page_fits_is_read_by_all_and_says_its_times(live, looking, axe, width, scheme, language):
    address, come = live
    come(112)
    page = looking(address, width=width, scheme=scheme, locale=language)
    words = {"en": "with all that came", "fa": "با هر آنچه رسیده"}
    shows(page, words[language])
    page.locator(".bk-Figure canvas").first.wait_for(timeout=WAIT)
    page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
    assert axe(page) == []
    small = page.evaluate(
        """() => { const found = []; const walk = (root) => { for (const e of root.querySelectorAll('*')) {
        if (e.shadowRoot) walk(e.shadowRoot);
        if ([...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.getClientRects().length
            && !['STYLE', 'SCRIPT'].includes(e.tagName) && parseFloat(getComputedStyle(e).fontSize) < 12)
          found.push(e.outerHTML.slice(0, 200)) } }; walk(document); return found }"""
    )
    assert small == []
    if language == "fa":
        assert page.get_by_text("بار ").first.evaluate("e => getComputedStyle(e).direction") == "rtl"


HOSTILE = [
    "<script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "a\u202eb",
    "${window.pwned=1}",
    "x" * 500,
]


@pytest.fixture
def hostile(tmp_path):
    """A twin whose ids, places and readings mean harm."""
    count = len(HOSTILE)
    names = np.array(HOSTILE, dtype=object)
    sites = xr.Dataset(
        {"x": ("site", np.array([0.0, 900.0, np.nan, 1e12, 400.0])), "y": ("site", np.arange(count) * 300.0)},
        {"site": names},
    )  # fmt: skip
    cells = xr.Dataset({"site": ("cell", names), "frequency": ("cell", np.full(count, 8e8))}, {"cell": names})
    twin = tk.assemble({"sites": sites, "cells": cells}, title="<script>window.pwned=1</script>", crs="EPSG:32643")
    path = tmp_path / "hostile.twin"
    tk.save(twin, path, message="<script>window.pwned=1</script>\u202e")
    rng = np.random.default_rng(1)
    load = xr.DataArray(
        np.clip(0.5 + 0.05 * rng.standard_normal((30, count)), 0, 1),
        {"time": START + PERIOD * np.arange(30), "cell": HOSTILE}, ("time", "cell"), name="load",
    )  # fmt: skip
    load[10, 1], load[11, 2] = 1e300, -5.0
    load[12:, 3] = np.nan
    with tk.store.journal(path) as journal:
        journal.record(said(load))
        journal.reject([("t", b"{", "value '<script>window.pwned=1</script>' \u202e <b>bold</b>")])
        journal.drain(all=True)
    return path


def test_hostile_names_and_values_are_text_and_what_vanishes_is_said(hostile, dashboards, looking, tmp_path):
    with dashboards(hostile, "--app", "operate") as address:
        page = looking(f"{address}/operate")
        shows(page, "now, with all that came")
        options = page.get_by_label("Cell or sensor").locator("option")
        expect(options.filter(has_text=HOSTILE[0])).to_have_count(1)
        expect(options.filter(has_text="a\\u202eb")).to_have_count(1)
        options = options.all_inner_texts()
        for option in options:
            page.get_by_label("Cell or sensor").select_option(label=option)
            shows(page, f"Load of {option}" if len(option) < 60 else "Load of xxx")
        shows(page, "2 readings of load lie outside 0 to 100%")
        for summary in page.get_by_text("The table behind this picture").all():
            summary.click()
        assert page.evaluate("window.pwned") is None
        assert page.locator("table b, table img, table script").count() == 0

        # messages that no widget sends
        forged = page.evaluate(
            """() => { let count = 0; for (const root of Bokeh.documents[0].roots()) root.references().forEach(m => {
            const put = (o, k, v) => { try { o[k] = v; count += o[k] === v } catch (e) {} };
            if (m.type.endsWith('ReactiveHTML')) for (const v of [1e9, -5, 3]) put(m.data, 'value', v);
            if (m.type.endsWith('Select')) put(m, 'value', '<script>window.pwned=1</script>'); }); return count }"""
        )
        assert forged >= 4
        time.sleep(1)
        page.close()
        page.said.clear()
        page = looking()
        page.clock.install()
        page.goto(f"{address}/operate")
        shows(page, "now, with all that came")

        hostile.rename(tmp_path / "away")
        shows(page, "The store is gone")
        expect(page.get_by_text("Load of ").first).to_be_visible()  # what was shown stays
        (tmp_path / "away").rename(hostile)
        shows(page, "The store is back")
    # the server is gone: the page itself says so
    page.clock.fast_forward(40_000)
    expect(page.get_by_role("alert").filter(has_text="No word from the server for")).to_have_count(1)
    page.close()
    page.said.clear()
