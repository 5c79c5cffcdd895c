"""Readers of SNDlib and GraphML: every public file, what is unknown, and files that mean harm."""

import gzip
import io
import json
import tarfile

import networkx as nx
import numpy as np
import pytest

from twinkit import TwinError, network
from twinkit.network import read

NATIVE = """?SNDlib native format; type: network; version: 1.0
# a comment with a stray bracket (
META (
  unit = MBITPERSEC
)
NODES (
  K\u00f6ln ( 6.96 50.94 )
  Bonn ( 7.10 50.73 )
)
LINKS (
  L1 ( K\u00f6ln Bonn ) 155.00 0.00 0.00 0.00 ( 622.00 9.00 )
)
DEMANDS (
  D1 ( K\u00f6ln Bonn ) 2 10.00 UNLIMITED
)
"""

XML = """<?xml version="1.0" encoding="ISO-8859-1"?>
<network xmlns="http://sndlib.zib.de/network" version="1.0"><meta><unit>MBITPERSEC</unit></meta>
<networkStructure><nodes coordinatesType="{kind}">
<node id="K\u00f6ln"><coordinates><x>6.96</x><y>50.94</y></coordinates></node>
<node id="Bonn"><coordinates><x>7.10</x><y>50.73</y></coordinates></node></nodes>
<links><link id="L1"><source>K\u00f6ln</source><target>Bonn</target>
<preInstalledModule><capacity>155.0</capacity><cost>0.0</cost></preInstalledModule>
<additionalModules><addModule><capacity>622.0</capacity><cost>9.0</cost></addModule></additionalModules></link></links>
</networkStructure>
<demands><demand id="D1"><source>K\u00f6ln</source><target>Bonn</target><demandValue>20.0</demandValue></demand>
</demands>
</network>"""

BOMB = """<?xml version="1.0"?><!DOCTYPE graphml [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><graphml><graph><node id="&c;"/></graph></graphml>"""
OUTSIDE = (
    '<!DOCTYPE graphml [<!ENTITY x SYSTEM "file:///etc/passwd">]><graphml><graph><node id="&x;"/></graph></graphml>'
)


def graph(inside, **of):
    told = " ".join(f'{k}="{v}"' for k, v in ({"edgedefault": "undirected"} | of).items())
    keys = '<key id="d0" attr.name="LinkSpeedRaw" for="edge"/><key id="d1" attr.name="label" for="node"/>'
    whole = f"{keys}<graph {told}>{inside}</graph>"
    return f'<graphml xmlns="http://graphml.graphdrawing.org/xmlns">{whole}</graphml>'.encode()


def placed(longitude, latitude):
    """A graph of one node at a place."""
    keys = b'<key id="lo" for="node" attr.name="Longitude"/><key id="la" for="node" attr.name="Latitude"/>'
    node = f'<node id="0"><data key="lo">{longitude}</data><data key="la">{latitude}</data></node>'
    return b"<graphml>" + keys + f'<graph edgedefault="undirected">{node}</graph></graphml>'.encode()


@pytest.fixture(scope="module")
def zoo(testdata):
    return {k: network.graphml(v) for k, v in network.members(testdata("topology-zoo/graphml.tar.gz"))}


# ---------------------------------------------------------------- SNDlib


@pytest.mark.parametrize(
    ("name", "sites", "links", "demands"),
    [("india35", 35, 80, 595), ("polska", 12, 18, 66), ("germany50", 50, 88, 662), ("abilene", 12, 15, 132)],
)
def test_an_instance_has_its_size(name, sites, links, demands, testdata):
    twin = network.sndlib(testdata(f"sndlib/native/{name}/{name}.txt"), both_ways=False)
    assert [twin[n].sizes[d] for n, d in (("sites", "site"), ("links", "link"), ("demands", "demand"))] == [
        sites,
        links,
        demands,
    ]


def test_every_native_file_is_read(testdata):
    files = sorted(testdata("sndlib/native").glob("*/*.txt"))
    assert len(files) >= 13
    for file in files:
        twin = network.sndlib(file)
        assert (twin["links/capacity"] > 0).all(), file.name
        assert np.isfinite(network.link_load(twin, network.routing(twin)).link_load).all(), file.name


def test_native_text_and_json_of_one_network_are_the_same(testdata):
    one = network.sndlib(testdata("sndlib/native/india35/india35.txt"))
    two = network.sndlib(testdata("sndlib/json/india35.json"))
    for name in ("sites", "links", "demands"):
        assert one[name].to_dataset().equals(two[name].to_dataset()), name


def test_pixels_are_no_degrees_and_give_no_length(testdata):
    india = network.sndlib(testdata("sndlib/native/india35/india35.txt"))
    assert india["links/length"].isnull().all()
    assert "longitude" not in india["sites"]
    assert "x" not in india["sites"]
    assert "drawing's" in india.attrs["assumptions"]
    # 80 links of one module of 600, undirected demands in both directions
    assert (india["links/capacity"] == 600e6).all()
    assert float(india["demands/offered"].sum()) == 2 * 3292e6


def test_installed_capacity_stands_and_a_unit_is_read(testdata):
    abilene = network.sndlib(testdata("sndlib/native/abilene/abilene.txt"))
    assert set(abilene["links/capacity"].values) == {9920e6, 2480e6}
    assert abilene["demands"].sizes["demand"] == 132, "directed demands stay as they are"
    assert float(abilene["links/length"].sel(link="HSTNng_LOSAng")) == pytest.approx(2200e3, rel=0.02)


@pytest.mark.parametrize("kind", ["native", "xml"])
def test_native_and_xml_say_the_same(kind):
    raw = (NATIVE if kind == "native" else XML.format(kind="geographical")).encode("latin-1")
    twin = network.sndlib(raw)
    assert list(twin["sites"].site.values) == ["K\u00f6ln", "Bonn"]
    assert twin["links/capacity"].values.tolist() == [155e6]
    assert twin["demands/offered"].values.tolist() == [20e6, 20e6]
    assert float(twin["links/length"][0]) == pytest.approx(25.3e3, rel=0.01)
    ends = twin["sites"].to_dataset()
    apart = np.hypot(*(float(np.diff(ends[n])[0]) for n in "xy"))
    assert apart == pytest.approx(float(twin["links/length"][0]), rel=5e-3)


def test_xml_says_itself_that_it_is_a_drawing():
    twin = network.sndlib(XML.format(kind="pixel").encode("latin-1"))
    assert twin["links/length"].isnull().all()
    assert twin["sites/drawing_x"].values.tolist() == [6.96, 7.10]


def test_unit_and_both_ways_can_be_said():
    twin = network.sndlib(NATIVE.encode("latin-1"), unit=1e9, both_ways=False)
    assert twin["demands/offered"].values.tolist() == [20e9]
    with pytest.raises(TwinError, match="unit from"):
        network.sndlib(NATIVE.encode("latin-1"), unit=-1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: "", "a network file of SNDlib; found an empty file|a network file of SNDlib; found ''"),
        (lambda t: "NODES (", "a network file of SNDlib"),
        (lambda t: t[: t.index("LINKS") + 30], "no whole LINKS"),
        (lambda t: t[: t.index("  D1")], "a section DEMANDS that ends"),
        (lambda t: t.replace("6.96", "east"), "a number as coordinate; found 'east'"),
        (lambda t: t.replace("6.96", "inf"), "a number as coordinate"),
        (lambda t: t.replace("155.00", "-155"), "capacities of 0 or more; found -155 at 'L1'"),
        (lambda t: t.replace("2 10.00", "2 -10"), "demands of 0 or more"),
        (lambda t: t.replace("2 10.00", "2"), "a number as demand; found 'UNLIMITED'"),
        (lambda t: t.replace("( K\u00f6ln Bonn ) 155", "( K\u00f6ln Trier ) 155"), "found 'Trier' at 'L1'"),
        (lambda t: t.replace("  Bonn (", "  K\u00f6ln ("), "found 'K\u00f6ln' twice"),
        (lambda t: t.replace("MBITPERSEC", "PIGEONS"), "found PIGEONS"),
        (lambda t: t.replace("Bonn", "Bonn\x1b[2J"), "ids without control characters"),
        (lambda t: t.replace("L1 ( K\u00f6ln Bonn )", "L1 K\u00f6ln Bonn"), "a row 'id"),
    ],
)
def test_a_broken_native_file_is_refused(change, says):
    with pytest.raises(TwinError, match=says):
        network.sndlib(change(NATIVE).encode("latin-1"))


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"{", "JSON; found"),
        (b"{}", "JSON with nodes"),
        (json.dumps({"nodes": [{"id": "a"}], "links": [{"id": 1}]}).encode(), "KeyError: 'source'"),
        (b'{"nodes": 3, "links": []}', "JSON with nodes"),
        (b"[" * 100_000, "a network file of SNDlib"),
        (b'{"nodes":' + b"[" * 100_000, "JSON; found"),
        (b'{"nodes": ' + b"1" * 5000 + b"}", "JSON; found"),
        (json.dumps({"nodes": [{"id": "a\x1b[2J"}], "links": []}).encode(), "ids without control characters"),
        (
            b"?SNDlib native format\nNODES (\n a ( 1 1 )\n)\nLINKS (\n l ( a a ) -5 0 0 0 ( )\n)\nDEMANDS (\n)",
            "found -5 at 'l'",
        ),
        (None, "a path, an open file or bytes"),
        (b"<network>", "well-formed XML"),
        (b"<html/>", "a <network> of SNDlib; found <html>"),
        (b"<network/>", "a network with nodes"),
        (BOMB.encode(), "XML without a document type"),
        (OUTSIDE.encode(), "XML without a document type"),
        (b"<a>" * 1000, "at most 64 elements within"),
        (b"\xff\xfe\x00", "a network file of SNDlib"),
    ],
)
def test_what_is_no_network_of_sndlib_is_refused(raw, says):
    with pytest.raises(TwinError, match=says):
        network.sndlib(raw)


def test_a_file_that_is_not_there_and_one_that_is_too_large(tmp_path, monkeypatch):
    with pytest.raises(TwinError, match=r"No such file.*check the path"):
        network.sndlib(tmp_path / "none.txt")
    with pytest.raises(TwinError, match="a file that can be read"):
        network.graphml(tmp_path)
    monkeypatch.setattr(read, "LARGEST", 100)
    with pytest.raises(TwinError, match="a file of at most"):
        network.sndlib(io.BytesIO(b" " * 101))


# ---------------------------------------------------------------- GraphML


def test_all_files_of_the_topology_zoo_are_networks(zoo):
    assert len(zoo) == 276
    sites = sum(t["sites"].sizes["site"] for t in zoo.values())
    links = sum(t["links"].sizes["link"] for t in zoo.values())
    located = sum(int(np.isfinite(t["sites/longitude"]).sum()) for t in zoo.values())
    whole = sum(bool(np.isfinite(t["sites/longitude"]).all()) for t in zoo.values())
    assert (sites, links, located, whole) == (10952, 13976, 8815, 85)
    hyper = sum(int((t["sites/kind"] == "hyperedge").sum()) for t in zoo.values())
    loops = sum(int((t["links/source"].values == t["links/target"].values).sum()) for t in zoo.values())
    assert (hyper, loops) == (226, 2)
    speeds = sum(int(np.isfinite(t["links/capacity"]).sum()) for t in zoo.values())
    assert speeds == 3928
    assert not any("None" in t[f"sites/{n}"].values for t in zoo.values() for n in ("name", "kind", "country"))


@pytest.mark.parametrize("name", ["Airtel", "Ernet", "Kdl", "TataNld"])
def test_a_file_agrees_with_networkx(name, zoo, testdata):
    raw = dict(network.members(testdata("topology-zoo/graphml.tar.gz")))[name]
    theirs, ours = nx.read_graphml(io.BytesIO(raw)), network.graph(zoo[name])
    assert dict(theirs.degree()) == dict(ours.degree())
    for node, told in theirs.nodes(data=True):
        if "Longitude" in told:
            assert ours.nodes[node]["longitude"] == told["Longitude"]
        else:
            assert np.isnan(ours.nodes[node]["longitude"])


def test_parallel_links_missing_places_and_shared_media_stay_what_they_are():
    inside = '<node id="0"><data key="d1">None</data></node><node id="1"/><node id="2"/>'
    inside += '<edge id="x" source="0" target="1"><data key="d0">1000</data></edge><edge id="x" source="1" target="0"/>'
    inside += '<hyperedge><endpoint node="0"/><endpoint node="1"/><endpoint node="2"/></hyperedge>'
    twin = network.graphml(graph(inside))
    assert twin["sites/name"].values.tolist() == ["", "", "", ""]
    assert twin["sites/kind"].values.tolist() == ["", "", "", "hyperedge"]
    assert twin["links"].sizes["link"] == 5
    assert len(set(twin["links"].link.values)) == 5
    assert float(twin["links/capacity"][0]) == 1000
    assert twin["links/capacity"][1:].isnull().all()
    assert network.graph(twin).number_of_edges("0", "1") == 2


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (graph("", edgedefault="directed"), "an undirected graph"),
        (graph('<node id="0"/><edge directed="true" source="0" target="0"/>'), "an undirected graph"),
        (graph('<node id="0"><graph/></node>'), "one graph"),
        (graph('<node id="0"/><node id="0"/>'), "found '0' twice"),
        (graph("<node/>"), "found an empty one"),
        (graph('<node id="0"/><edge source="0" target="9"/>'), "found an end '9'"),
        (
            graph('<node id="0"/><edge source="0" target="0"><data key="d0">fast</data></edge>'),
            "a number as LinkSpeedRaw",
        ),
        (graph('<node id="0"/><edge source="0" target="0"><data key="d0">-5</data></edge>'), "capacity from 0"),
        (b"<graphml/>", "a graph; found none"),
        (graph(""), "a graph with nodes; found none"),
        (placed("1000", "1000"), "places on the globe"),
        (placed("0", "95"), "places on the globe"),
        (b"<network/>", "a <graphml> document"),
        (b"", "well-formed XML"),
        (BOMB.encode(), "XML without a document type"),
        (OUTSIDE.encode(), "XML without a document type"),
        (BOMB.encode("utf-16"), "XML without a document type"),
    ],
)
def test_what_is_no_graphml_is_refused(raw, says):
    with pytest.raises(TwinError, match=says):
        network.graphml(raw)


# ---------------------------------------------------------------- archives


def archive(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for told, raw in members:
            info = tarfile.TarInfo(told) if isinstance(told, str) else told
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    return path


def link_to(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([("../../etc/x.graphml", b"")], "names inside the archive"),
        ([("/etc/x.graphml", b"")], "names inside the archive"),
        ([("zoo\\..\\x.graphml", b"")], "names inside the archive"),
        ([(link_to("a.graphml", "/etc/passwd", tarfile.SYMTYPE), b"")], "a link or a device"),
        ([(link_to("a.graphml", "b", tarfile.LNKTYPE), b"")], "a link or a device"),
        ([(link_to("a.graphml", "", tarfile.CHRTYPE), b"")], "a link or a device"),
        ([("a.graphml", b" " * 2000)], "members of at most"),
        ([("a.bin", b" " * 900), ("b.bin", b" " * 900)], "members of at most"),
        ([(f"{i}.txt", b"") for i in range(12)], "at most 10 members"),
    ],
)
def test_an_archive_that_means_harm_is_refused(members, says, tmp_path, monkeypatch):
    monkeypatch.setattr(read, "LARGEST", 1000)
    monkeypatch.setattr(read, "MOST_TOTAL", 1500)
    monkeypatch.setattr(read, "MOST_MEMBERS", 10)
    with pytest.raises(TwinError, match=says):
        list(network.members(archive(tmp_path / "a.tar.gz", members)))


def test_an_archive_cut_short_and_one_that_is_none(tmp_path):
    whole = archive(tmp_path / "a.tar.gz", [("a.graphml", bytes(range(256)) * 400)]).read_bytes()
    (tmp_path / "b.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "c.tar.gz").write_bytes(gzip.compress(b"no archive"))
    for name in ("b.tar.gz", "c.tar.gz", "none.tar.gz"):
        with pytest.raises(TwinError, match="a tar archive"):
            list(network.members(tmp_path / name))


def test_only_the_ending_asked_for_comes_out(tmp_path):
    path = archive(tmp_path / "a.tar", [("z/a.graphml", b"1"), ("z/b.txt", b"2"), ("c.graphml", b"3")], "w")
    assert dict(network.members(path)) == {"a": b"1", "c": b"3"}
    assert dict(network.members(path, ending=".txt")) == {"b": b"2"}
