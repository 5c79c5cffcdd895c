"""Networks of SNDlib, the library of survivable network design: native text, XML and JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import xarray as xr

from twinkit.contract import within
from twinkit.error import TwinError
from twinkit.network.read import content, laid_out, number, text, unique, xml

__all__ = ["sndlib"]

UNITS = {"MBITPERSEC": 1e6, "KBITPERSEC": 1e3, "GBITPERSEC": 1e9, "BITPERSEC": 1.0}

SECTION = re.compile(r"^[ \t]*([A-Z_]+)[ \t]*\([ \t]*$(.*?)^[ \t]*\)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\s*(?P<id>\S+)\s+\(\s*(?P<first>\S+)\s+(?P<second>\S+)\s*\)(?P<rest>.*)$")


def sndlib(
    file: Any, *, unit: float | None = None, geographic: bool | None = None, both_ways: bool | None = None
) -> xr.DataTree:
    """A twin from a network of SNDlib.

    Parameters
    ----------
    file : path, open file or bytes
        Native text (latin-1), XML, or the JSON that other tools make of it.
    unit : float [bit/s], optional
        What the file's unit of capacity and demand is worth. Left out: what the file states, else 1 Mbit/s.
    geographic : bool, optional
        Whether the coordinates are degrees. Left out: what the file states, else no where one lies off the globe or
        all are whole numbers, as pixels of a drawing are (india35).
    both_ways : bool, optional
        Whether each demand is asked for in both directions. Left out: yes where no pair stands in the file in both
        directions, as those instances of SNDlib are undirected.

    Returns
    -------
    DataTree
        ``sites`` (longitude, latitude, x, y; or drawing_x, drawing_y where the coordinates are a drawing's), ``links``
        (source, target, capacity [bit/s], length [m] along the great circle; NaN on a drawing) and, where there are
        demands, ``demands`` (origin, destination, offered [bit/s]). A link without capacity has that of its smallest
        module, one of it; the attribute ``assumptions`` says what was taken for granted.

    Errors
    ------
    TwinError
        A file that is none of these, is cut short, repeats an id, names a site that it has not, declares XML entities,
        or holds a number that is none.

    Examples
    --------
    >>> twin = sndlib(b'''?SNDlib native format; type: network; version: 1.0
    ... NODES (
    ...   Pune ( 73.86 18.52 )
    ...   Mumbai ( 72.88 19.08 )
    ... )
    ... LINKS (
    ...   L1 ( Pune Mumbai ) 0.00 0.00 0.00 0.00 ( 40.00 3290.00 )
    ... )
    ... DEMANDS (
    ...   D1 ( Pune Mumbai ) 1 34.00 UNLIMITED
    ... )''')
    >>> float(twin["links/capacity"][0]), round(float(twin["links/length"][0]), -3), twin["demands/origin"].values
    (40000000.0, 120000.0, array(['Pune', 'Mumbai'], dtype=object))

    References
    ----------
    S. Orlowski, R. Wessäly, M. Pióro and A. Tomaszewski, SNDlib 1.0: survivable network design library, Networks 55,
    2010, pages 276-286, doi 10.1002/net.20371.
    """
    raw, name = content(file)
    start = raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    parse = {b"<": _of_xml, b"{": _of_json}.get(start, _of_native)
    nodes, links, demands, told = parse(raw, name)
    if not nodes:
        raise TwinError("a network with nodes", found="none", hint="is it a file of SNDlib?", where=name)
    sites = unique([n for n, _, _ in nodes], "node", f"{name}: nodes")
    ids = unique([link[0] for link in links], "link", f"{name}: links")
    known = set(sites)
    for kind, rows in (("links", links), ("demands", demands)):
        for row in rows:
            for end in row[1:3]:
                if end not in known:
                    raise TwinError(
                        f"ends among the {len(known)} nodes", found=f"'{end}' at '{row[0]}'",
                        hint="correct the file", where=f"{name}: {kind}",
                    )  # fmt: skip
    worth, assumed = _worth(unit, told, name)
    said = {"provenance": f"measured: SNDlib, {name}"}
    node, drawn = _places(sites, nodes, geographic if geographic is not None else told.get("geographic"), said)
    if drawn:
        assumed.append("coordinates are a drawing's, so that no length is known")
    capacity, bought = _capacity(links, worth, name)
    if bought:
        assumed.append(f"{bought} links without capacity have one of their smallest module")
    link = xr.Dataset(
        {
            "source": ("link", np.array([r[1] for r in links], dtype=object), said),
            "target": ("link", np.array([r[2] for r in links], dtype=object), said),
            "capacity": ("link", capacity, said | {"assumptions": "; ".join(assumed)}),
        },
        {"link": ids},
    )
    further = {}
    if demands:
        demand, doubled = _demands(demands, worth, both_ways, said, name)
        further["demands"] = demand
        if doubled:
            assumed.append("demands are asked for in both directions")
    out = laid_out(node, link, title=told.get("title") or name.partition(".")[0], source=f"SNDlib, {name}", **further)
    out.attrs["assumptions"] = "; ".join(assumed)
    return out


def _worth(unit: float | None, told: dict[str, Any], name: str) -> tuple[float, list[str]]:
    if unit is not None:
        within(unit, 1e-6, 1e15, name="unit", unit="bit/s")
        return float(unit), []
    stated = str(told.get("unit", "")).strip().upper()
    if not stated:
        return 1e6, ["the file states no unit: taken as Mbit/s"]
    if stated not in UNITS:
        raise TwinError(f"a unit among {', '.join(UNITS)}", found=stated, hint="give unit= in bit/s", where=name)
    return UNITS[stated], []


def _places(
    ids: np.ndarray, nodes: list[Any], geographic: bool | None, said: dict[str, str]
) -> tuple[xr.Dataset, bool]:
    east, north = (np.array([n[i] for n in nodes], float) for i in (1, 2))
    if geographic is None:
        known = np.isfinite(east) & np.isfinite(north)
        whole = (east[known] == np.round(east[known])).all() and (north[known] == np.round(north[known])).all()
        off = (np.abs(east[known]) > 180).any() or (np.abs(north[known]) > 90).any()
        geographic = bool(known.any() and not whole and not off)
    names = ("longitude", "latitude") if geographic else ("drawing_x", "drawing_y")
    return xr.Dataset({n: ("site", v, said) for n, v in zip(names, (east, north), strict=True)}, {"site": ids}), (
        not geographic
    )


def _capacity(links: list[Any], worth: float, name: str) -> tuple[np.ndarray, int]:
    out, bought = np.full(len(links), np.nan), 0
    for i, (link, _, _, installed, modules) in enumerate(links):
        if installed < 0 or any(m < 0 for m in modules):
            raise TwinError(
                "capacities of 0 or more", found=f"{min([installed, *modules]):g} at '{link}'",
                hint="correct the file", where=f"{name}: links",
            )  # fmt: skip
        if installed > 0:
            out[i] = installed * worth
        else:
            sold = [m for m in modules if m > 0]
            out[i], bought = (min(sold) * worth if sold else 0.0), bought + bool(sold)
    return out, bought


def _demands(
    rows: list[Any], worth: float, both_ways: bool | None, said: dict[str, str], name: str
) -> tuple[xr.Dataset, bool]:
    ids = unique([r[0] for r in rows], "demand", f"{name}: demands")
    origin, destination = (np.array([r[i] for r in rows], dtype=object) for i in (1, 2))
    offered = np.array([r[3] for r in rows], float) * worth
    if not (offered >= 0).all():
        at = int(np.flatnonzero(~(offered >= 0))[0])
        raise TwinError(
            "demands of 0 or more", found=f"{offered[at]:g} at '{ids[at]}'", hint="correct the file",
            where=f"{name}: demands",
        )  # fmt: skip
    pairs = {(a, b) for a, b in zip(origin, destination, strict=True) if a != b}
    if both_ways is None:
        both_ways = not any((b, a) in pairs for a, b in pairs)
    if both_ways:
        ids = np.concatenate([ids, np.array([f"{i} back" for i in ids], dtype=object)])
        origin, destination = np.concatenate([origin, destination]), np.concatenate([destination, origin])
        offered = np.concatenate([offered, offered])
    values = {"origin": origin, "destination": destination, "offered": offered}
    return xr.Dataset({k: ("demand", v, said) for k, v in values.items()}, {"demand": ids}), bool(both_ways)


# ---------------------------------------------------------------- the three formats
# Each gives nodes (id, x, y), links (id, source, target, installed, modules), demands (id, origin, destination, value)
# and what the file tells of itself.


def _of_native(raw: bytes, name: str) -> tuple[list[Any], list[Any], list[Any], dict[str, Any]]:
    whole = raw.decode("latin-1").replace("\r\n", "\n")
    if not whole.lstrip().startswith("?SNDlib native format"):
        raise TwinError(
            "a network file of SNDlib", found=repr(whole.lstrip()[:40]) or "an empty file",
            hint="native text begins with '?SNDlib native format'", where=name,
        )  # fmt: skip
    lines = "\n".join(line for line in whole.split("\n") if not line.lstrip().startswith("#"))
    parts = {m[1]: [r for r in m[2].split("\n") if r.strip()] for m in SECTION.finditer(lines)}
    missing = {"NODES", "LINKS"} - set(parts)
    if missing:
        raise TwinError(
            "sections NODES and LINKS, each closed by a bracket", found=f"no whole {' and '.join(sorted(missing))}",
            hint="the file was cut short: download it again", where=name,
        )  # fmt: skip
    if "DEMANDS" not in parts and re.search(r"^[ \t]*DEMANDS", lines, re.MULTILINE):
        raise TwinError(
            "a section DEMANDS that ends", found="none", hint="the file was cut short: download it again", where=name
        )
    about = (row.partition("=") for row in parts.get("META", []))
    told: dict[str, Any] = {key.strip(): value.strip() for key, _, value in about}
    nodes = []
    for row in parts["NODES"]:
        here, where = ROW.match(row), f"{name}: nodes"
        if here:
            nodes.append((here["id"], *(number(here[k], what="coordinate", where=where) for k in ("first", "second"))))
        elif len(row.split()) == 1:
            nodes.append((row.strip(), np.nan, np.nan))
        else:
            raise _row(row, where)
    links, demands = [], []
    for row in parts["LINKS"]:
        here, where = ROW.match(row), f"{name}: links"
        numbers = re.match(r"\s*(\S+)\s+\S+\s+\S+\s+\S+\s*\((.*)\)\s*$", here["rest"]) if here else None
        if not here or not numbers:
            raise _row(row, where)
        modules = [number(v, what="module", where=where) for v in numbers[2].split()[::2]]
        links.append(
            (here["id"], here["first"], here["second"], number(numbers[1], what="capacity", where=where), modules)
        )
    for row in parts.get("DEMANDS", []):
        here, where = ROW.match(row), f"{name}: demands"
        values = here["rest"].split() if here else []
        if not here or len(values) < 2:
            raise _row(row, where)
        size = number(values[0], what="routing unit", where=where) * number(values[1], what="demand", where=where)
        demands.append((here["id"], here["first"], here["second"], size))
    return nodes, links, demands, told


def _row(row: str, where: str) -> TwinError:
    return TwinError("a row 'id ( a b ) ...'", found=repr(row.strip()[:80]), hint="correct the file", where=where)


def _of_xml(raw: bytes, name: str) -> tuple[list[Any], list[Any], list[Any], dict[str, Any]]:
    root = xml(raw, name)
    if root.tag != "network":
        raise TwinError("a <network> of SNDlib", found=f"<{root.tag}>", hint="for GraphML: graphml(file)", where=name)
    drawn = root.find(".//nodes")
    kind = None if drawn is None else drawn.get("coordinatesType")
    told: dict[str, Any] = {e.tag: e.text for e in root.findall("meta/*")}
    told["geographic"] = None if kind is None else kind == "geographical"

    def value(element: Any, path: str, what: str) -> float:
        return number(element.findtext(path), what=what, where=f"{name}: {element.get('id')}")

    nodes = [
        (text(n.get("id")), value(n, "coordinates/x", "x"), value(n, "coordinates/y", "y"))
        for n in root.findall(".//nodes/node")
    ]
    links = [
        (
            text(e.get("id")), text(e.findtext("source")), text(e.findtext("target")),
            np.nan_to_num(value(e, "preInstalledModule/capacity", "capacity")),
            [number(m.text, what="module", where=name) for m in e.findall("additionalModules/addModule/capacity")],
        )
        for e in root.findall(".//links/link")
    ]  # fmt: skip
    demands = [
        (text(e.get("id")), text(e.findtext("source")), text(e.findtext("target")), value(e, "demandValue", "demand"))
        for e in root.findall(".//demands/demand")
    ]
    return nodes, links, demands, told


def _of_json(raw: bytes, name: str) -> tuple[list[Any], list[Any], list[Any], dict[str, Any]]:
    try:
        whole = json.loads(raw)
        nodes = [
            (
                text(n["id"]),
                number(n.get("longitude"), what="longitude", where=name),
                number(n.get("latitude"), what="latitude", where=name),
            )
            for n in whole["nodes"]
        ]
        links = [
            (
                text(e["id"]), text(e["source"]), text(e["target"]),
                np.nan_to_num(number(e.get("pre_installed_capacity"), what="capacity", where=name)),
                [number(m["module_capacity"], what="module", where=name) for m in e.get("modules", [])],
            )
            for e in whole["links"]
        ]  # fmt: skip
        demands = [
            (
                text(d["id"]), text(d["source"]), text(d["target"]),
                number(d.get("routing_unit", 1), what="routing unit", where=name)
                * number(d["demand_value"], what="demand", where=name),
            )
            for d in whole.get("demands", [])
        ]  # fmt: skip
    except TwinError:
        raise
    except (ValueError, RecursionError) as fault:
        # cut short, no text, or numbers of thousands of digits
        raise TwinError("JSON", found=str(fault), hint="download the file again", where=name) from None
    except (KeyError, TypeError, AttributeError) as fault:
        raise TwinError(
            "JSON with nodes, links and demands, each with its id and ends", found=f"{type(fault).__name__}: {fault}",
            hint="is it a network of SNDlib?", where=name,
        ) from None  # fmt: skip
    return nodes, links, demands, {}
