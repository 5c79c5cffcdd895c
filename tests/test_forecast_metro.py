import numpy as np
import pandas as pd
import pytest

from twinkit import forecast
from twinkit.error import TwinError

COLUMNS = ["Date", "Hour", "Station", "Ridership"]


def rows(days=3, stations=("Lalbagh", "Trinity"), count=50):
    return pd.DataFrame(
        [(f"2025-08-0{d + 1}", h, s, count) for d in range(days) for h in range(24) for s in stations], columns=COLUMNS
    )


@pytest.fixture
def written(tmp_path):
    def write(table):
        file = tmp_path / "station-hourly.parquet"
        table.to_parquet(file)
        return file

    return write


def test_entries_and_pairs_of_the_same_days_agree(testdata):
    folder = testdata("bengaluru-metro-od/station-hourly.parquet").parent
    entries = forecast.metro(folder / "station-hourly.parquet")
    table = pd.read_parquet(folder / "station-hourly.parquet")
    assert float(entries.sum()) == pytest.approx(table["Ridership"].sum(), rel=1e-4)
    pairs = pd.read_parquet(testdata("bengaluru-metro-od/stationpair-hourly.parquet"), columns=["Ridership"])
    assert float(entries.sum()) == pytest.approx(pairs["Ridership"].sum(), rel=0.01)
    # the yellow line opened on 11 August, local time
    opened = entries.sel(station="Bommanahalli").dropna("time").time.values[0]
    assert opened == np.datetime64("2025-08-10T18:30")
    exits = forecast.metro(folder / "station-hourly-exits.parquet")
    assert exits.sizes == entries.sizes


def test_hours_that_are_not_there_are_missing_and_spellings_are_joined(written, tmp_path):
    table = rows(stations=("MG Road", "Mahatma Gandhi Road", "Trinity"))
    table = table[~((table.Hour == 3) & (table.Station == "Trinity"))]
    names = tmp_path / "station-names.csv"
    names.write_text("alt_name;name\nMG Road;Mahatma Gandhi Road\n", encoding="utf-8")
    read = forecast.metro(written(table), names=names)
    assert read.station.values.tolist() == ["Mahatma Gandhi Road", "Trinity"]
    assert (read.sel(station="Mahatma Gandhi Road") == 100).all()
    assert int(np.isnan(read.sel(station="Trinity")).sum()) == 3
    assert read.attrs["units"] == "people"


BAD = {
    "a date like": lambda t: t.assign(Date="8/1/25"),
    "an hour from 0": lambda t: t.assign(Hour=t.Hour + 1),
    "passengers from 0": lambda t: t.assign(Ridership=-1),
    "once": lambda t: pd.concat([t, t.head(1)]),
    "columns Date": lambda t: t.rename(columns={"Station": "Origin Station"}),
    r"\(0 rows\)": lambda t: t.head(0),
}


@pytest.mark.parametrize("said", BAD)
def test_bad_files_are_refused(said, written):
    with pytest.raises(TwinError, match=said):
        forecast.metro(written(BAD[said](rows())))


def test_no_file_and_no_parquet(tmp_path):
    with pytest.raises(TwinError, match=r"no there\.parquet"):
        forecast.metro(tmp_path / "there.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"not at all")
    with pytest.raises(TwinError, match="a Parquet file"):
        forecast.metro(tmp_path / "bad.parquet")
    pd.DataFrame(rows()).to_parquet(tmp_path / "good.parquet")
    with pytest.raises(TwinError, match="alt_name;name"):
        forecast.metro(tmp_path / "good.parquet", names=tmp_path / "none.csv")
