"""Timetables and station pairs: what the standard says, what the data's README says, and files made to hurt."""

import contextlib
import zipfile

import numpy as np
import pytest

from twinkit import TwinError
from twinkit.mobility import gtfs, metro, station_entries, transit

FEED = {
    "agency.txt": "agency_id,agency_name,agency_url,agency_timezone\na,Bus,http://bus.example,{zone}\n",
    "stops.txt": "stop_id,stop_name,stop_lat,stop_lon\ns1,Market,12.9,77.5\ns2,School,12.95,77.55\ns3,Lake,13.0,77.6\n",
    "routes.txt": "route_id,route_type\nr1,3\n",
    "calendar.txt": (
        "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
        "work,1,1,1,1,1,0,0,20260101,20261231\nrest,0,0,0,0,0,1,1,20260101,20261231\n"
    ),
    "calendar_dates.txt": "service_id,date,exception_type\nwork,20260126,2\nrest,20260126,1\n",
    "trips.txt": "route_id,service_id,trip_id\nr1,work,t1\nr1,work,often\nr1,rest,late\n",
    "stop_times.txt": (
        "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
        "t1,08:20:00,08:20:00,s3,30\nt1,08:00:00,08:01:00,s1,10\nt1,,,s2,20\n"
        "often,00:00:00,00:00:00,s1,1\noften,00:10:00,00:10:00,s2,2\n"
        "late,23:50:00,23:50:00,s1,1\nlate,25:10:00,25:10:00,s3,2\n"
    ),
    "frequencies.txt": "trip_id,start_time,end_time,headway_secs\noften,06:00:00,07:00:00,1200\n",
}


@pytest.fixture
def feed(tmp_path):
    def made(zone="Asia/Kolkata", leave_out=(), **changed):
        path = tmp_path / "feed.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, text in FEED.items():
                if name not in leave_out:
                    file.writestr(name, changed.get(name.partition(".")[0], text).replace("{zone}", zone))
        return path

    return made


def test_services_of_a_weekday_with_frequencies_and_untimed_stops(feed):
    day = gtfs(feed(), date="2026-03-02")
    assert list(dict.fromkeys(day.trip.values)) == ["often#1", "often#2", "often#3", "t1"]
    t1 = day.isel(call=day.trip.values == "t1")
    assert list(day.stop.values[t1["at"].values]) == ["s1", "s2", "s3"]
    minutes = t1.arrives.values.astype("datetime64[s]").astype(str)
    assert list(minutes) == ["2026-03-02T02:30:00", "2026-03-02T02:40:00", "2026-03-02T02:50:00"]
    third = day.isel(call=day.trip.values == "often#3")
    assert str(third.leaves.values[0])[:16] == "2026-03-02T01:10"
    assert set(day.route.values) == {"r1"}
    assert day.attrs["provenance"].startswith("measured")


def test_exceptions_of_the_calendar_and_times_beyond_midnight(feed):
    """Republic Day, a Monday, runs like a Sunday; 25:10 is ten past one on the day after."""
    day = gtfs(feed(), date="2026-01-26")
    assert set(day.trip.values) == {"late"}
    assert str(day.arrives.values[1])[:16] == "2026-01-26T19:40"


def test_a_date_without_service_gives_no_calls(feed):
    assert gtfs(feed(), date="2031-01-01").sizes["call"] == 0


@pytest.mark.parametrize(("date", "hour"), [("2026-03-27", 7), ("2026-03-29", 6), ("2026-10-25", 7)])
def test_times_hold_on_the_days_on_which_clocks_change(feed, date, hour):
    """Eight on the wall in Paris is seven in UTC in winter and six in summer, the day of the change itself included."""
    every = "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
    path = feed("Europe/Paris", calendar=every + "work,1,1,1,1,1,1,1,20260101,20261231\n")
    day = gtfs(path, date=date)
    assert day.isel(call=day.trip.values == "t1").arrives.dt.hour.values[0] == hour


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"leave_out": ("stop_times.txt",)}, "one stop_times.txt"),
        ({"leave_out": ("calendar.txt", "calendar_dates.txt")}, "neither"),
        ({"stop_times": FEED["stop_times.txt"].replace("08:20:00,08:20:00", "8h20,8h20")}, "8h20"),
        ({"stop_times": FEED["stop_times.txt"].replace("08:20:00,08:20:00", "07:20:00,07:20:00")}, "never fall"),
        ({"stop_times": FEED["stop_times.txt"].replace("s3,30", "s9,30")}, "'s9'"),
        ({"stop_times": FEED["stop_times.txt"].replace("s3,30", "s3,last")}, "whole number"),
        ({"stop_times": "trip_id,stop_id\nt1,s1\n"}, "no arrival_time"),
        ({"frequencies": FEED["frequencies.txt"].replace("1200", "0")}, "headway"),
        ({"frequencies": FEED["frequencies.txt"].replace("1200", "-60")}, "headway"),
        ({"stops": FEED["stops.txt"].replace("12.9,", "north,")}, "degrees"),
        ({"stops": FEED["stops.txt"].replace("12.9,", "129,")}, "within 90"),
        ({"zone": "Mars/Olympus"}, "time zone"),
    ],
)
def test_a_timetable_with_faults_is_refused_by_line(feed, changed, says):
    with pytest.raises(TwinError, match=says):
        gtfs(feed(**changed), date="2026-03-02")


def test_hostile_archives_are_refused(feed, tmp_path):
    bomb = feed(stop_times=FEED["stop_times.txt"] + "t1,09:00:00,09:00:00,s1,40\n" * 2_000_000)
    with pytest.raises(TwinError, match="fill memory"):
        gtfs(bomb, date="2026-03-02")
    long = feed(stop_times=FEED["stop_times.txt"] + "t1," + "".join(map(str, range(40_000))))
    with pytest.raises(TwinError, match="lines of fewer than 100000 letters"):
        gtfs(long, date="2026-03-02")
    # names that lead out of the archive are never looked for, and formulas stay text
    path = feed(stops=FEED["stops.txt"].replace("Market", "=cmd|'/c calc'!A1"))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("../../stops.txt", "stop_id\nelsewhere\n")
        file.writestr("/etc/stops.txt", "stop_id\nelsewhere\n")
    assert gtfs(path, date="2026-03-02").name.values.tolist() == ["=cmd|'/c calc'!A1", "School", "Lake"]
    path = feed()
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("stops.txt", "stop_id\nx\n")
    with pytest.raises(TwinError, match=r"one stops\.txt"):
        gtfs(path, date="2026-03-02")
    raw = bytearray(feed().read_bytes())
    raw[len(raw) // 3] ^= 0xFF
    cut = tmp_path / "cut.zip"
    for content in (bytes(raw[: len(raw) // 2]), b"", b"PK\x03\x04 no zip"):
        cut.write_bytes(content)
        with pytest.raises(TwinError):
            gtfs(cut, date="2026-03-02")
    with pytest.raises(TwinError):
        gtfs(tmp_path / "absent.zip", date="2026-03-02")


@pytest.mark.parametrize("limit", ["MOST_CALLS", "MOST_BYTES"])
def test_a_timetable_larger_than_a_country_is_refused(feed, monkeypatch, limit):
    monkeypatch.setattr(transit, limit, 4)
    with pytest.raises(TwinError, match="at most"):
        gtfs(feed(), date="2026-03-02")


def test_a_small_parquet_that_names_a_long_name_often_fills_no_memory(tmp_path):
    """Forty kilobytes that would be 40 GB of text: a dictionary with one name, and a million rows that mean it."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = 1_000_000
    name = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * 40_000]))
    other = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["y"]))
    day = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["2026-03-02"]))
    riders = pa.array(np.ones(rows, np.int64))
    columns = {"Date": day, "Hour": riders, "Origin Station": name, "Destination Station": other, "Ridership": riders}
    pq.write_table(pa.table(columns), tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 100_000
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert float(metro(tmp_path / "bomb.parquet").sum()) == rows
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_500_000  # kilobytes


def test_no_flipped_byte_gives_a_traceback(feed):
    path = feed()
    good = path.read_bytes()
    rng = np.random.default_rng(1)
    for at in rng.integers(0, len(good), 120):
        raw = bytearray(good)
        raw[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(raw)
        with contextlib.suppress(TwinError):
            gtfs(path, date="2026-03-02")


def test_bengaluru_keeps_its_totals(testdata):
    """The README: 12,059,475 in pairs against 12,116,611 entries of the same 18 days, 99.5 %, joined on names."""
    folder = testdata("bengaluru-metro-od")
    flow = metro(folder / "stationpair-hourly.parquet")
    entries = station_entries(folder / "station-hourly.parquet")
    assert float(flow.sum()) == 12_059_475
    assert float(entries.sum()) == 12_116_611
    assert list(flow.origin.values) == list(entries.station.values)
    assert flow.sizes["origin"] == 83
    # station by station the two tables differ by up to 6.3 %
    assert flow.sum(("time", "destination")).values == pytest.approx(entries.sum("time").values, rel=0.08)
    assert float(flow.sum() / entries.sum()) == pytest.approx(0.995, abs=0.001)


def test_station_pairs_of_a_made_file(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    good = {
        "Date": ["2026-03-02"] * 3,
        "Hour": [8, 8, 9],
        "Origin Station": ["A ", "A", "B"],
        "Destination Station": ["B", "B", "A"],
        "Ridership": [3, 4, 5],
    }
    path = tmp_path / "pairs.parquet"

    def written(**changed):
        pq.write_table(pa.table({**good, **changed}), path)
        return path

    flow = metro(written())
    assert flow.sel(origin="A", destination="B").values.tolist() == [7.0, 0.0]
    assert str(flow.time.values[0])[:16] == "2026-03-02T02:30"
    for changed, says in (
        ({"Hour": [8, 8, 24]}, "hours from 0"),
        ({"Hour": ["8", "8", "9"]}, "hours from 0"),
        ({"Ridership": ["1", "2", "3"]}, "0 or more"),
        ({"Ridership": [1, 2, -3]}, "0 or more"),
        ({"Ridership": [1, 2, None]}, "every row"),
        ({"Date": ["2026-13-02"] * 3}, "a date"),
    ):
        with pytest.raises(TwinError, match=says):
            metro(written(**changed))
    with pytest.raises(TwinError, match="Station"):
        station_entries(written())
    path.write_bytes(b"no parquet")
    with pytest.raises(TwinError, match="Parquet"):
        metro(path)
