"""Traces: the real files with what they say in the vocabulary's words and units, and wrong files refused in words."""

import importlib
import io
import struct
import zipfile

import numpy as np
import pandas as pd
import pytest

from twinkit import TwinError
from twinkit.telemetry.trace import trace

module = importlib.import_module("twinkit.telemetry.trace")  # the package binds the function under this name

HEADER = (
    "Timestamp,Longitude,Latitude,Speed,Operatorname,CellID,NetworkMode,RSRP,RSRQ,SNR,CQI,RSSI,DL_bitrate,UL_bitrate,"
    "RAWCELLID\n"
)
ROW = "2019.12.16_13.40.04,-8.39,51.88,36,B,11,5G,-103,-15,1.0,15,-90,72,20,10805003\n"


def drive(tmp_path, text, name="one.csv"):
    file = tmp_path / name
    file.write_text(text)
    return file


# ---------------------------------------------------------------- real files


@pytest.fixture(scope="module")
def cork(testdata):
    return trace(testdata("ucc-5g/5G-production-dataset.zip"), only="Netflix/Driving")


def test_the_whole_drive_test_of_cork(testdata):
    whole = trace(testdata("ucc-5g/5G-production-dataset.zip"))
    assert whole.sizes["sample"] == 188_711
    assert len(set(whole.trace.values)) == 83
    assert not any("__MACOSX" in t for t in set(whole.trace.values))


def test_a_drive_test_in_the_words_and_units_of_the_vocabulary(cork):
    assert cork.rsrp.attrs["units"] == "dBm"
    assert cork.rsrp.attrs["provenance"].startswith("measured: ")
    assert cork.speed.attrs["units"] == "m/s"
    assert 5 < float(cork.speed.max()) < 40
    assert float(cork.download_rate.max()) > 1e7
    assert -9 < float(cork.longitude.min()) < float(cork.longitude.max()) < -8
    assert {"5G", "LTE"} <= set(cork.network_mode.values)
    assert np.isnan(cork.rssi).any(), "a hyphen is a missing value"
    assert (np.diff(cork.time) == np.timedelta64(0)).any(), "telephones repeat times; the samples are kept"


def test_the_weather_of_a_vineyard_and_its_links(testdata):
    hourly = trace(testdata("lora-rssi/vineyard-2021_data/combined_hourly_data.csv"))
    assert dict(hourly.sizes) == {"time": 2029, "node": 8}
    assert float(np.isnan(hourly.rssi.sel(node="08")).mean()) == pytest.approx(0.07, abs=0.02)
    assert hourly.rssi.attrs["units"] == "dBm"
    assert 95e3 < float(hourly.pressure.min()) < float(hourly.pressure.max()) < 105e3
    assert float(hourly.humidity.max()) <= 1
    # two files of one station: the rate of an hour is the mean of that of its six parts
    fine = trace(testdata("lora-rssi/vineyard-2021_data/weather_data.csv"))
    mean = fine.rain.resample(time="1h").mean().reindex(time=hourly.time)
    assert float(hourly.rain.max()) > 2
    assert np.allclose(mean, hourly.rain, atol=0.02)


# ---------------------------------------------------------------- time


def test_local_time_becomes_utc(tmp_path):
    summer = ROW.replace("2019.12.16", "2020.07.01")
    said = trace(drive(tmp_path, HEADER + ROW + summer))
    assert said.time.values.tolist() == np.array(["2019-12-16T13:40:04", "2020-07-01T12:40:04"], "M8[ns]").tolist()
    there = trace(drive(tmp_path, HEADER + ROW), timezone="Asia/Kolkata")
    assert there.time.values[0] == np.datetime64("2019-12-16T08:10:04")
    with pytest.raises(TwinError, match="did you mean 'Europe/Dublin'"):
        trace(drive(tmp_path, HEADER + ROW), timezone="Europe/Dubln")


def test_an_hour_that_comes_twice_is_its_first_and_one_that_never_came_is_none(tmp_path):
    twice = ROW.replace("2019.12.16_13.40", "2019.10.27_01.30")
    never = ROW.replace("2019.12.16_13.40", "2020.03.29_01.30")
    times = trace(drive(tmp_path, HEADER + twice + never)).time.values
    assert times[0] == np.datetime64("2019-10-27T00:30:04")
    assert np.isnat(times[1])


def test_a_receiver_without_a_fix_is_nowhere(tmp_path):
    said = trace(drive(tmp_path, HEADER + ROW.replace("-8.39,51.88", "0,0")))
    assert np.isnan(said.longitude).all()


# ---------------------------------------------------------------- tables of readings


TABLE = pd.DataFrame(
    {
        "time": ["2026-03-02T12:00:00Z", "2026-03-02T12:15:00Z", "2026-03-02T12:00:00Z", "2026-03-02T12:00:00Z"],
        "sensor": ["a", "a", "b", "b"],
        "variable": "load",
        "value": [0.1, 0.2, 0.3, 0.4],
    }
)


def test_a_table_of_readings_from_csv_and_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    TABLE.to_csv(tmp_path / "a.csv", index=False)
    TABLE.to_parquet(tmp_path / "a.parquet")
    one, two = trace(tmp_path / "a.csv"), trace(tmp_path / "a.parquet")
    assert one.equals(two)
    assert one["load"].attrs["provenance"] == "measured: a.csv"
    assert one["load"].dims == ("time", "cell")
    assert one["load"].sel(cell="b").values[0] == 0.4, "the last of two is the correction"
    assert np.isnan(one["load"].sel(cell="b").values[1])
    assert one.time.values[0] == np.datetime64("2026-03-02T12:00")


def test_a_column_for_each_variable_and_the_kind_of_sensor_by_its_name(tmp_path):
    text = "time,site,traffic,energy\n2026-03-02T12:00:00+05:30,s,5,100\n2026-03-02T13:00:00+05:30,s,6,\n"
    said = trace(drive(tmp_path, text))
    assert said.traffic.dims == ("time", "site")
    assert said.time.values[0] == np.datetime64("2026-03-02T06:30")
    assert np.isnan(said.energy.values[1, 0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a CSV with a header"),
        ("\0\0\0", "a CSV with a header"),
        ("a,b\n1,2\n", "a drive test"),
        (HEADER + ROW.replace("-103", "weak"), "numbers as RSRP; found 'weak' in line 2"),
        (HEADER + ROW + ROW.replace("2019.12", "2019.13"), "Timestamp as .* in line 3"),
        (HEADER + ROW.replace(",72,", ",inf,"), "finite numbers as DL_bitrate"),
        (HEADER + ROW.replace("\n", ",7,7,7\n") + '"', "as many cells"),
        ("time,sensor,variable,value\nyesterday,a,load,1\n", "time as .*'yesterday' in line 2"),
        ("time,sensor,variable,value\n2026-03-02T12:00,,load,1\n", "a sensor in every row"),
        ("time,sensor,variable,value\n2026-03-02T12:00,a,lod,1\n", "use 'load'"),
        ("time,site,variable,value\n2026-03-02T12:00,a,load,1\n", "variables on time and site"),
        ("time,sensor\n2026-03-02T12:00,a\n", "at least one variable"),
        ("time,sensor,load\n2026-03-02T12:00,a,1\n2026-03-02T12:00Z,a,1\n", "time as .* in line 3"),
        ("timestamp;temp;hum;bar\n12;1;1;1\n", "seconds since 1970"),
        ("timestamp;temp;hum;bar\n1605520800;1;1;1\n1605520800;1;1;1\n", "each time once"),
    ],
)
def test_a_wrong_file_is_one_clear_error(tmp_path, text, said):
    with pytest.raises(TwinError, match=said):
        trace(drive(tmp_path, text))


def test_bytes_that_are_no_text_no_file_and_a_folder(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x80a,b\n")
    with pytest.raises(TwinError, match="UTF-8"):
        trace(tmp_path / "a.csv")
    with pytest.raises(TwinError, match="expected a file; found none"):
        trace(tmp_path / "b.csv")
    with pytest.raises(TwinError, match="found a folder"):
        trace(tmp_path)
    pytest.importorskip("pyarrow")
    (tmp_path / "c.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    with pytest.raises(TwinError, match="a Parquet file"):
        trace(tmp_path / "c.parquet")


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 100)
    with pytest.raises(TwinError, match="at most 100 bytes"):
        trace(drive(tmp_path, HEADER + ROW))


# ---------------------------------------------------------------- zips


def packed(tmp_path, **files):
    file = tmp_path / "all.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as whole:
        for name, text in files.items():
            whole.writestr(name.replace("_slash_", "/"), text)
    return file


def test_what_a_mac_adds_is_skipped(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as whole:
        whole.writestr("d/b.csv", HEADER + ROW)
        whole.writestr("d/a.csv", HEADER + ROW)
        whole.writestr("__MACOSX/d/._a.csv", b"\xff\xfe\x00")
        whole.writestr("d/._b.csv", b"\xff\xfe\x00")
    assert trace(tmp_path / "all.zip").trace.values.tolist() == ["d/a", "d/b"]


@pytest.mark.parametrize("name", ["../a.csv", "/etc/a.csv", "C:/a.csv", "a/../../b.csv", "..\\a.csv"])
def test_a_path_that_leaves_the_zip_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as whole:
        whole.writestr(name, HEADER + ROW)
    with pytest.raises(TwinError, match="a path that leaves it"):
        trace(tmp_path / "all.zip")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    file = tmp_path / "all.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as whole, whole.open("a.csv", "w") as stream:
        for _ in range(260):
            stream.write(bytes(2**20))
    with pytest.raises(TwinError, match="bytes of text; at most"):
        trace(tmp_path / "all.zip")


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path):
    file = packed(tmp_path, **{"a.csv": HEADER + ROW * 1000})
    raw = bytearray(file.read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<I", 100)  # what the directory states as its size
    file.write_bytes(raw)
    with pytest.raises(TwinError, match="a damaged one"):
        trace(file)


def test_other_damage_of_a_zip(tmp_path, monkeypatch):
    good = packed(tmp_path, **{"a.csv": HEADER + ROW * 50}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(good[: len(good) // 2])
    with pytest.raises(TwinError, match="a damaged one"):
        trace(tmp_path / "cut.zip")
    turned = bytearray(good)
    turned[60] ^= 0xFF
    (tmp_path / "turned.zip").write_bytes(turned)
    with pytest.raises(TwinError, match="a damaged one"):
        trace(tmp_path / "turned.zip")
    with pytest.raises(TwinError, match="no CSV with 'Driving'"):
        trace(tmp_path / "all.zip", only="Driving")
    stranger = io.BytesIO()
    with zipfile.ZipFile(stranger, "w") as whole:
        whole.writestr("a.csv", "a,b\n1,2\n")
    (tmp_path / "stranger.zip").write_bytes(stranger.getvalue())
    with pytest.raises(TwinError, match="drive tests in a zip"):
        trace(tmp_path / "stranger.zip")
    monkeypatch.setattr(module, "MEMBERS", 0)
    with pytest.raises(TwinError, match="1 files; at most 0"):
        trace(tmp_path / "all.zip")
