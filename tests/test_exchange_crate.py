"""One state of a store as a Research Object Crate, and back: accepted outside, the same numbers, never trusted."""

import hashlib
import io
import json
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import twinkit as tk
from twinkit.error import TwinError
from twinkit.exchange.crate import COMMIT, HOME, MANIFEST, METADATA

CONTEXT = Path(__file__).parent / "rocrate" / "context-1.1.jsonld"


@pytest.fixture(scope="module")
def stored(tmp_path_factory, small_twin):
    """A store with three commits, a tag and a branch; numbers, texts, times, gaps and blocks that grew."""
    path = tmp_path_factory.mktemp("store") / "small.twin"
    twin = small_twin(pixels=20)
    twin.attrs |= {"licence": "CC-BY-4.0", "sources": "generated; a drive test of nobody", "place": "nowhere"}
    twin["cells/azimuth"].attrs["provenance"] = "measured: with a compass"
    tk.save(twin, path, message="the beginning", author="Asha")
    tk.tag(path, "paper")
    hours = np.datetime64("2026-03-01", "ns") + np.arange(50) * np.timedelta64(15, "m")
    cells = twin["cells"].cell.values
    load = np.random.default_rng(1).uniform(0, 1, (50, len(cells)))
    load[3, 1] = np.nan
    readings = tk.stamp(xr.DataArray(load, {"time": hours, "cell": cells}, ("time", "cell")), "load").to_dataset()
    for start, stop in ((0, 20), (20, 37), (37, 50)):
        part = readings.isel(time=slice(start, stop))
        tk.store.append(path, "telemetry", part, message=f"readings to {stop}", author="Bahar")
    tk.branch(path, "what-if.one")
    tk.save(
        tk.extend(tk.open(path), extra=xr.Dataset({"notes": ("note", ["a", "é"])})),
        path,
        message="x",
        branch="what-if.one",
    )
    return path


@pytest.fixture(scope="module")
def made(stored, tmp_path_factory):
    return tk.exchange.crate(stored, tmp_path_factory.mktemp("crate") / "small.zip")


def texts(path):
    """Name to content of every file of a zip."""
    with zipfile.ZipFile(path) as held:
        return {n: held.read(n) for n in held.namelist() if not n.endswith("/")}


def packed(path, files, *, listed=True, **more):
    """A zip with these files, with a manifest that knows them."""
    files = {n: c for n, c in files.items() if n != MANIFEST}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            out.writestr(name, content)
        if listed:
            lines = [f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in files.items()]
            out.writestr(MANIFEST, "".join(lines))
        for name, content in more.items():
            out.writestr(name, content)
    return path


# ---------------------------------------------------------------- out and back


def test_the_same_numbers_come_back(stored, made, tmp_path):
    again = tk.exchange.rebuild(made.path, tmp_path / "again.twin", head=made.head)
    old, new = tk.open(stored), tk.open(tmp_path / "again.twin")
    assert not tk.diff(old, new)
    for node, child in old.children.items():
        xr.testing.assert_identical(child.to_dataset().load(), new[node].to_dataset().load())
        assert child.to_dataset().load().equals(new[node].to_dataset().load())
    assert dict(old.attrs) == dict(new.attrs)
    assert again.author == "Bahar"
    assert made.head[:12] in again.message
    assert tk.verify(tmp_path / "again.twin", head=again.head, thorough=True)
    # and it lives on: readings go on where they stopped
    later = old["telemetry"].to_dataset().isel(time=slice(0, 1)).load()
    later = later.assign_coords(time=old["telemetry"].time.values[-1:] + np.timedelta64(15, "m"))
    tk.store.append(tmp_path / "again.twin", "telemetry", later, message="one more")
    assert tk.verify(tmp_path / "again.twin")


def test_a_crate_of_a_rebuilt_store_is_the_same_but_for_its_history(made, tmp_path):
    tk.exchange.rebuild(made.path, tmp_path / "again.twin")
    tk.exchange.crate(tmp_path / "again.twin", tmp_path / "again.zip")
    first, second = texts(made.path), texts(tmp_path / "again.zip")
    differ = {n for n in first | second if first.get(n) != second.get(n)}
    assert differ == {COMMIT, METADATA, MANIFEST}
    old, new = (json.loads(f[COMMIT]) for f in (first, second))
    assert old["content"] == new["content"]
    assert old["nodes"] == new["nodes"]


def test_same_state_same_bytes(stored, made, tmp_path):
    again = tk.exchange.crate(stored, tmp_path / "again.zip")
    assert again.path.read_bytes() == made.path.read_bytes()
    tk.exchange.crate(stored, tmp_path / "again.zip")  # a crate may be replaced


def test_any_state_can_be_chosen(stored, tmp_path):
    tagged = tk.exchange.crate(stored, tmp_path / "a.zip", tag="paper")
    assert tagged.head == tk.store.tags(stored)["paper"]
    assert not any("telemetry" in n for n in texts(tagged.path))
    branch = tk.exchange.crate(stored, tmp_path / "b.zip", branch="what-if.one")
    tk.exchange.rebuild(branch.path, tmp_path / "b.twin")
    assert tk.open(tmp_path / "b.twin")["extra/notes"].values.tolist() == ["a", "é"]
    by_head = tk.exchange.crate(stored, tmp_path / "c.zip", commit=tagged.head[:10])
    assert by_head.path.read_bytes() == tagged.path.read_bytes()


def test_plain_xarray_reads_the_arrays(stored, made, tmp_path):
    with zipfile.ZipFile(made.path) as held:
        held.extractall(tmp_path)
    plain = xr.open_datatree(tmp_path / "twin.zarr", engine="zarr", consolidated=False)
    own = tk.open(stored)
    np.testing.assert_array_equal(plain["telemetry/load"].values, own["telemetry/load"].values)
    np.testing.assert_array_equal(plain["telemetry"].time.values, own["telemetry"].time.values)
    assert plain["sites"].site.values.tolist() == own["sites"].site.values.tolist()


def test_sha256sum_reads_the_manifest(made, program, tmp_path):
    import subprocess

    with zipfile.ZipFile(made.path) as held:
        held.extractall(tmp_path)
    done = subprocess.run([program("sha256sum"), "--check", "--quiet", MANIFEST], cwd=tmp_path, check=False)
    assert done.returncode == 0


def test_readings_of_a_journal_come_along_and_go_on(small_twin, tmp_path):
    path, again = tmp_path / "live.twin", tmp_path / "again.twin"
    tk.save(small_twin(pixels=10), path, message="the beginning")
    one = {"variable": "load", "sensor": "s0-0", "value": 0.25}
    with tk.store.journal(path) as journal:
        journal.record(one | {"time": np.datetime64("2026-03-01T12:00")})
        journal.record(one | {"time": np.datetime64("2026-03-01T12:15")})
        journal.drain(all=True)
        journal.record(one | {"time": np.datetime64("2026-03-01T12:15"), "value": 0.5})
        journal.drain(all=True)
    made = tk.exchange.crate(path, tmp_path / "live.zip", licence="CC0-1.0")
    tk.exchange.rebuild(made.path, again, head=made.head)
    assert not tk.diff(tk.open(path), tk.open(again))
    for minute in (30, 45):
        with tk.store.journal(again) as journal:
            assert journal.record(one | {"time": np.datetime64(f"2026-03-01T12:{minute}")}).new == 1
            known = journal.record(one | {"time": np.datetime64("2026-03-01T12:00")})
            assert (known.new, known.duplicate) == (0, 1)
        assert tk.verify(again), tk.verify(again)
    with tk.store.journal(again) as journal:
        journal.drain(all=True)
    assert tk.open(again)["telemetry/load"].sel(cell="s0-0").values.tolist() == [0.25, 0.5, 0.25, 0.25]
    assert tk.verify(again)


def test_a_store_at_an_address_gives_the_same_crate(made, tmp_path, monkeypatch):
    moto, boto3 = pytest.importorskip("moto.server"), pytest.importorskip("boto3")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    said = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in (said | {"AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}).items():
        monkeypatch.setenv(name, value)
    try:
        boto3.client("s3", endpoint_url=said["AWS_ENDPOINT_URL"], region_name="us-east-1").create_bucket(Bucket="twins")
        tk.exchange.rebuild(made.path, tmp_path / "again.twin")
        near = tk.open(tmp_path / "again.twin")
        tk.save(near, "s3://twins/far.twin", message="the same, far away", author="Asha")
        far = tk.exchange.crate("s3://twins/far.twin", tmp_path / "far.zip")
    finally:
        running.stop()
    tk.exchange.rebuild(far.path, tmp_path / "back.twin", head=far.head)
    assert not tk.diff(near, tk.open(tmp_path / "back.twin"))


# ---------------------------------------------------------------- what it says of itself


def test_the_metadata_say_who_what_when_and_whence(stored, made):
    graph = {e["@id"]: e for e in json.loads(texts(made.path)[METADATA])["@graph"]}
    root = graph["./"]
    assert root["license"] == {"@id": "https://spdx.org/licenses/CC-BY-4.0"}
    assert [graph[a["@id"]]["name"] for a in root["author"]] == ["Asha", "Bahar"]
    assert graph["#head"]["value"] == made.head == tk.history(stored)[0].head
    assert root["datePublished"] == tk.history(stored)[0].when.isoformat()
    assert graph["#cells/azimuth"]["measurementTechnique"] == "measured: with a compass"
    assert graph["#cells/azimuth"]["additionalType"] == "measured"
    assert graph["#cells/azimuth"]["unitText"] == "degree"
    assert graph["#cells/downtilt"]["additionalType"] == "unknown"
    assert [graph[s["@id"]]["name"] for s in root["isBasedOn"]] == ["generated", "a drive test of nobody"]
    assert graph[HOME]["softwareVersion"] == tk.__version__
    assert graph["#commit"]["agent"] == {"@id": "#author-2"}
    sizes = {n: str(len(c)) for n, c in texts(made.path).items()}
    assert graph[MANIFEST]["contentSize"] == sizes[MANIFEST]
    assert graph[COMMIT]["contentSize"] == sizes[COMMIT]


def test_authors_and_licence_may_be_said(stored, tmp_path):
    orcid = "https://orcid.org/0000-0002-1825-0097"
    own = tk.exchange.crate(stored, tmp_path / "a.zip", authors=[f"Carla <{orcid}>"], licence="as the office says")
    graph = {e["@id"]: e for e in json.loads(texts(own.path)[METADATA])["@graph"]}
    assert graph[orcid]["name"] == "Carla"
    assert graph["./"]["author"] == {"@id": orcid}
    assert graph["#licence"]["description"] == "as the office says"
    assert graph["#commit"]["agent"] == {"@id": "#committer"}


@pytest.fixture
def cache(tmp_path):
    """The validator's own HTTP cache, filled from the context that the tests carry."""
    import requests
    import requests_cache
    import urllib3

    class Carried(requests.adapters.BaseAdapter):
        def send(self, request, **_):
            answer = requests.Response()
            answer.status_code, answer.url, answer.request = 200, request.url, request
            answer.headers["Content-Type"] = "application/ld+json"
            body = io.BytesIO(CONTEXT.read_bytes())
            answer.raw = urllib3.HTTPResponse(body, dict(answer.headers), 200, preload_content=False)
            return answer

        def close(self):
            pass

    with requests_cache.CachedSession(str(tmp_path / "cache"), backend="sqlite", expire_after=-1) as session:
        session.mount("https://w3id.org/", Carried())
        assert session.get("https://w3id.org/ro/crate/1.1/context").status_code == 200
    return tmp_path / "cache"


JUDGED = """
import json, sys
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings
settings = ValidationSettings(rocrate_uri=sys.argv[1], cache_path=sys.argv[2], offline=True,
    profile_identifier="ro-crate-1.1", requirement_severity=Severity.REQUIRED, enforce_availability=True)
found = services.validate(settings)
said = {"passed": found.passed(), "issues": [i.message for i in found.issues],
    "executed": len(found.executed_checks), "skipped": [c.identifier for c in found.skipped_checks]}
print("said:" + json.dumps(said))
"""


def judged(path, cache):
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", JUDGED, path, cache], capture_output=True, text=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("said:")), None)
    assert line, done.stderr
    return json.loads(line.removeprefix("said:"))


def test_the_public_validator_accepts_it(made, cache, tmp_path):
    found = judged(made.path, cache)
    assert found["passed"]
    assert found["issues"] == []
    assert found["skipped"] == []
    assert found["executed"] > 40
    # and it would say no: the same crate without its licence
    files = texts(made.path)
    metadata = json.loads(files[METADATA])
    del next(e for e in metadata["@graph"] if e["@id"] == "./")["license"]
    with zipfile.ZipFile(tmp_path / "bare.zip", "w") as out:
        for name, content in (files | {METADATA: json.dumps(metadata).encode()}).items():
            out.writestr(name, content)
    assert not judged(tmp_path / "bare.zip", cache)["passed"]


# ---------------------------------------------------------------- what is refused on the way out


def test_no_licence_no_crate(tmp_path):
    tk.save(tk.assemble({}, title="one mast", crs="EPSG:32643"), tmp_path / "a.twin", message="x")
    with pytest.raises(TwinError, match="licence"):
        tk.exchange.crate(tmp_path / "a.twin", tmp_path / "a.zip")
    assert tk.exchange.crate(tmp_path / "a.twin", tmp_path / "a.zip", licence="CC0-1.0").licence == "CC0-1.0"


def test_a_damaged_store_gives_no_crate(stored, tmp_path):
    copy = tmp_path / "copy.twin"
    shutil.copytree(stored, copy)
    largest = max((copy / "chunks").iterdir(), key=lambda p: p.stat().st_size)
    damaged = bytearray(largest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    largest.write_bytes(bytes(damaged))
    with pytest.raises(TwinError, match=r"verify"):
        tk.exchange.crate(copy, tmp_path / "a.zip")
    assert not list(tmp_path.glob("*.zip"))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"authors": []}, "at least one author"),
        ({"authors": ["<>"]}, "an author as a name"),
        ({"authors": [3]}, "an author as a name"),
        ({"licence": ""}, "a licence"),
        ({"tag": "nothing"}, "a tag of this store"),
        ({"commit": "0000"}, "the head of a commit"),
        ({"as_of": "1999-01-01"}, "not before the first commit"),
    ],
)
def test_choices_are_checked(stored, tmp_path, choices, said):
    with pytest.raises(TwinError, match=said):
        tk.exchange.crate(stored, tmp_path / "a.zip", **choices)
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way_is_left_alone(stored, tmp_path):
    (tmp_path / "thesis.zip").write_bytes(b"five years")
    with pytest.raises(TwinError, match="no crate"):
        tk.exchange.crate(stored, tmp_path / "thesis.zip")
    assert (tmp_path / "thesis.zip").read_bytes() == b"five years"
    with pytest.raises(TwinError, match="a folder"):
        tk.exchange.crate(stored, tmp_path)


# ---------------------------------------------------------------- what is refused on the way in


def refused(path, tmp_path, match=None, **choices):
    """One TwinError that names the crate, no store, and nothing left behind."""
    before = set(tmp_path.rglob("*"))
    with pytest.raises(TwinError, match=match) as fault:
        tk.exchange.rebuild(path, tmp_path / "new.twin", **choices)
    assert set(tmp_path.rglob("*")) == before
    return fault.value


def test_every_flipped_byte_is_found(made, tmp_path):
    whole = made.path.read_bytes()
    # of the arrays and texts; the zip's own directory repeats names and sums and may hold a byte that says nothing
    end = zipfile.ZipFile(made.path).start_dir
    for at in np.random.default_rng(5).integers(0, end, 25):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << int(at) % 8
        (tmp_path / "flipped.zip").write_bytes(bytes(flipped))
        try:
            tk.exchange.rebuild(tmp_path / "flipped.zip", tmp_path / "new.twin")
        except TwinError:
            assert not (tmp_path / "new.twin").exists()
        else:
            # a byte of a local header that the directory overrules (date, version): then nothing else may differ
            assert texts(tmp_path / "flipped.zip") == texts(made.path)
            shutil.rmtree(tmp_path / "new.twin")


def test_a_file_that_is_missing_added_or_changed_is_named(made, tmp_path):
    files = texts(made.path)
    block = next(n for n in files if "/load/c/" in n)
    manifest = {MANIFEST: files[MANIFEST]}

    def kept(change):
        changed = {n: c for n, c in (files | change).items() if c is not None} | manifest
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
            for name, content in changed.items():
                out.writestr(name, content)
        return tmp_path / "a.zip"

    assert "is missing" in refused(kept({block: None}), tmp_path, match="load").found
    assert "added" in refused(kept({"twin.zarr/evil.py": b"x"}), tmp_path, match="evil").found
    assert block in refused(kept({block: files[block][:-1] + bytes([files[block][-1] ^ 1])}), tmp_path).where
    for name in (METADATA, COMMIT):
        refused(kept({name: None}), tmp_path, match=name)


def test_a_manifest_made_to_fit_helps_nobody(made, tmp_path):
    """Who rewrites values and manifest still meets the digests of the commit, and then the head that was published."""
    files = texts(made.path)
    own = json.loads(files[COMMIT])
    block = next(n for n in files if "/azimuth/c/" in n)
    other = next(n for n in files if "/downtilt/c/" in n)
    swapped = packed(tmp_path / "a.zip", files | {block: files[other]})
    assert "azimuth" in refused(swapped, tmp_path).found
    lacking = packed(tmp_path / "a.zip", {n: c for n, c in files.items() if n != block})
    refused(lacking, tmp_path, match="every block")
    rewritten = files | {COMMIT: json.dumps(own | {"author": "Mallory"}).encode()}
    assert "rewritten" in refused(packed(tmp_path / "a.zip", rewritten), tmp_path).found
    less = own | {"nodes": {n: d for n, d in own["nodes"].items() if n != "links"}}
    less["nodes"]["ghost"] = "0" * 64
    refused(packed(tmp_path / "a.zip", files | {COMMIT: json.dumps(less).encode()}), tmp_path)
    # all digests made anew: whole in itself, and another head
    from twinkit.store import digest

    forged = own | {"author": "Mallory"}
    forged["head"] = digest.head(
        **{k: forged[k] for k in ("author", "changed", "content", "message", "parent", "when")}
    )
    metadata = files[METADATA].replace(own["head"].encode(), forged["head"].encode())
    anew = packed(tmp_path / "a.zip", files | {COMMIT: json.dumps(forged).encode(), METADATA: metadata})
    refused(anew, tmp_path, match=made.head[:16], head=made.head)
    assert tk.exchange.rebuild(anew, tmp_path / "forged.twin").author == "Mallory"


@pytest.mark.parametrize(
    "name", ["../out.txt", "/etc/out.txt", "twin.zarr/../../out.txt", "C:/out.txt", "a\\..\\out.txt", "a//b", "./a"]
)
def test_no_name_leads_out(made, tmp_path, name):
    folder = tmp_path / "deep" / "deeper"
    folder.mkdir(parents=True)
    path = packed(folder / "a.zip", texts(made.path) | {name: b"out"})
    assert "leads elsewhere" in refused(path, folder).found
    assert not list(tmp_path.glob("**/out.txt"))


def test_no_links_no_twins(made, tmp_path):
    files = texts(made.path)
    path = packed(tmp_path / "a.zip", files)
    with zipfile.ZipFile(path, "a") as out:
        link = zipfile.ZipInfo("twin.zarr/link")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        out.writestr(link, "/etc/passwd")
    assert "leads elsewhere" in refused(path, tmp_path).found
    path = packed(tmp_path / "a.zip", files)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as out:
        out.writestr(COMMIT, b"{}")
    assert "twice" in refused(path, tmp_path).found
    path = packed(tmp_path / "a.zip", files | {COMMIT.upper(): b"{}"})
    assert "twice" in refused(path, tmp_path).found


def test_bombs_do_not_go_off(made, tmp_path):
    files = texts(made.path)
    bomb = packed(tmp_path / "a.zip", files | {"twin.zarr/zeros": bytes(50_000_000)})
    assert bomb.stat().st_size < 1e6
    refused(bomb, tmp_path, match="most", most=2e7)
    # arrays that would be larger than any disk, and blocks that say so or do not
    array = "twin.zarr/telemetry/load/zarr.json"
    told = json.loads(files[array])
    for change, said in (
        ({"shape": [10**12, told["shape"][1]]}, "GB in all"),
        ({"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**9, 10**3]}}}, "GB"),
        ({"shape": [10**5, told["shape"][1]]}, "every block"),
        ({"codecs": [*told["codecs"][:1], {"name": "gzip", "configuration": {"level": 5}}]}, "gzip"),
    ):
        refused(packed(tmp_path / "a.zip", files | {array: json.dumps(told | change).encode()}), tmp_path, match=said)
    block = next(n for n in files if "/load/c/" in n)
    header = bytearray(files[block])
    header[4:8] = (2**31 - 1).to_bytes(4, "little")
    refused(packed(tmp_path / "a.zip", files | {block: bytes(header)}), tmp_path, match="2,147")
    text = next(n for n in files if n.startswith("twin.zarr/sites/site/c/"))
    import numcodecs

    refused(packed(tmp_path / "a.zip", files | {array: bytes(65_000_000)}), tmp_path, match="a text of 65 MB")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as out:
        for name, content in files.items():
            out.writestr(name, content)
    refused(tmp_path / "a.zip", tmp_path, match="unusual")
    frame = numcodecs.Zstd().encode(bytes(100_000_000))
    refused(packed(tmp_path / "a.zip", files | {text: frame}), tmp_path, match="100")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(18), b"PK\x03\x04" + bytes(100)])
def test_what_is_no_crate_is_refused(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    fault = refused(tmp_path / "a.zip", tmp_path)
    assert "a.zip" in fault.where


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (COMMIT, b"{"),
        (COMMIT, b"[" * 100_000),
        (COMMIT, b"[]"),
        (COMMIT, b'{"head": 3}'),
        ("twin.zarr/zarr.json", b"{}"),
        ("twin.zarr/zarr.json", b"\xff"),
        ("twin.zarr/sites/zarr.json", b'{"zarr_format": 2}'),
        ("twin.zarr/sites/site/zarr.json", b'{"zarr_format": 3, "node_type": "array"}'),
    ],
)
def test_malformed_documents_are_one_error(made, tmp_path, name, content):
    refused(packed(tmp_path / "a.zip", texts(made.path) | {name: content}), tmp_path)


def test_where_it_goes_is_checked(made, tmp_path):
    (tmp_path / "new.twin").mkdir()
    (tmp_path / "new.twin" / "mine").write_text("kept")
    refused(made.path, tmp_path, match="a new folder")
    shutil.rmtree(tmp_path / "new.twin")
    refused(tmp_path / "nothing.zip", tmp_path, match="nothing at this path")
    refused(tmp_path, tmp_path, match="a folder")
    refused(made.path, tmp_path, match="at least 8 digits", head="abc")
    refused(made.path, tmp_path, match="the head", head="0" * 64)


# ---------------------------------------------------------------- the command


def test_the_command_goes_both_ways(stored, made, tmp_path):
    from twinkit.cli import app

    run = CliRunner()
    out = run.invoke(app, ["crate", str(stored), str(tmp_path / "a.zip")], catch_exceptions=False)
    assert out.exit_code == 0
    assert made.head in out.output
    assert (tmp_path / "a.zip").read_bytes() == made.path.read_bytes()
    back = run.invoke(
        app, ["crate", "--rebuild", str(tmp_path / "a.zip"), str(tmp_path / "b.twin"), "--head", made.head[:12]]
    )
    assert back.exit_code == 0, back.output
    assert not tk.diff(tk.open(stored), tk.open(tmp_path / "b.twin"))
    with pytest.raises(TwinError, match="--tag"):
        run.invoke(app, ["crate", "--rebuild", "a.zip", "b.twin", "--tag", "paper"], catch_exceptions=False)
    with pytest.raises(TwinError, match="--head"):
        run.invoke(app, ["crate", "a.twin", "b.zip", "--head", "12345678"], catch_exceptions=False)
