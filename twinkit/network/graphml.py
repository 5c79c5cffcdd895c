"""Networks as GraphML, with the attributes of the Internet Topology Zoo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.network.read import content, laid_out, number, text, unique, xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["graphml"]

MEDIA = {
    "fiber": "fibre", "fibre": "fibre", "optical": "fibre", "microwave": "microwave", "wireless": "microwave",
    "satellite": "satellite",
}  # fmt: skip
"""What the Zoo's `LinkType` says of the medium; a signal format (DS-3, SDH, Ethernet) says nothing of it."""


def graphml(file: Any) -> xr.DataTree:
    """A twin from a network in GraphML.

    Parameters
    ----------
    file : path, open file or bytes
        Undirected, as the files of the Topology Zoo are.

    Returns
    -------
    DataTree
        ``sites`` (name, kind, country, internal; longitude, latitude, x and y, NaN where the file has none) and
        ``links`` (source, target, medium, capacity [bit/s], length [m] along the great circle, label). Parallel links
        and links from a site to itself stay; what is unknown is NaN or "". A link with more than two ends becomes a
        site of kind ``hyperedge``, to which each end has a link: it is a shared medium, and no place.

    Errors
    ------
    TwinError
        Not GraphML, a directed or a nested graph, a site that is none, a repeated node id, XML entities.

    Examples
    --------
    >>> twin = graphml(b'''<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="undirected">
    ... <node id="0"/><node id="1"/><edge source="0" target="1"/><edge source="0" target="1"/></graph></graphml>''')
    >>> dict(twin["links"].sizes), twin["links/capacity"].values
    ({'link': 2}, array([nan, nan]))

    References
    ----------
    S. Knight, H. X. Nguyen, N. Falkner, R. Bowden and M. Roughan, The Internet Topology Zoo, IEEE Journal on Selected
    Areas in Communications 29(9), 2011, doi 10.1109/JSAC.2011.111002.
    """
    raw, name = content(file)
    root = xml(raw, name)
    if root.tag != "graphml":
        raise TwinError("a <graphml> document", found=f"<{root.tag}>", hint="for SNDlib: sndlib(file)", where=name)
    drawn = root.find("graph")
    if drawn is None:
        raise TwinError("a graph", found="none", hint="is the file whole?", where=name)
    if drawn.find(".//graph") is not None:
        raise TwinError("one graph", found="graphs within nodes", hint="write each as a file", where=name)
    if drawn.get("edgedefault") == "directed" or any(e.get("directed") == "true" for e in drawn.findall("edge")):
        raise TwinError(
            "an undirected graph", found="a directed one",
            hint="networkx.read_graphml(file).to_undirected(), and write that", where=name,
        )  # fmt: skip
    keys = {text(k.get("id")): text(k.get("attr.name")) for k in root.findall("key")}
    defaults = {
        keys[text(k.get("id"))]: k.findtext("default") for k in root.findall("key") if k.find("default") is not None
    }

    def told(element: Element) -> dict[str, Any]:
        own = {keys.get(text(d.get("key")), text(d.get("key"))): d.text for d in element.findall("data")}
        return defaults | own

    if drawn.find("node") is None:
        raise TwinError("a graph with nodes", found="none", hint="is the file whole?", where=name)
    about = told(drawn)
    nodes = [(text(n.get("id")), told(n)) for n in drawn.findall("node")]
    edges = [(text(e.get("source")), text(e.get("target")), text(e.get("id")), told(e)) for e in drawn.findall("edge")]
    for count, shared in enumerate(drawn.findall("hyperedge")):
        hub = text(shared.get("id")) or f"hyperedge {count}"
        nodes.append((hub, told(shared) | {"hyperedge": "1"}))
        edges += [(hub, text(end.get("node")), "", {}) for end in shared.findall("endpoint")]
    return _twin(nodes, edges, about, name)


def _twin(nodes: list[Any], edges: list[Any], about: dict[str, Any], name: str) -> xr.DataTree:
    said = {"provenance": f"measured: GraphML, {name}"}
    ids = unique([n for n, _ in nodes], "node", f"{name}: nodes")
    known = set(ids)
    for a, b, *_ in edges:
        for end in (a, b):
            if end not in known:
                raise TwinError(
                    "edges between nodes of the file", found=f"an end '{end}'", hint="correct the file",
                    where=f"{name}: edges",
                )  # fmt: skip

    def words(key: str) -> Any:
        return "site", np.array([text(t.get(key)) for _, t in nodes], dtype=object), said

    places = {
        own: ("site", np.array([number(t.get(key), what=key, where=f"{name}: '{n}'") for n, t in nodes], float), said)
        for own, key in (("longitude", "Longitude"), ("latitude", "Latitude"))
    }
    kinds = ["hyperedge" if _yes(t.get("hyperedge")) else text(t.get("type")) for _, t in nodes]
    sites = xr.Dataset(
        places
        | {
            "name": words("label"),
            "country": words("Country"),
            "kind": ("site", np.array(kinds, dtype=object), said),
            "internal": ("site", np.array([_yes(t.get("Internal", 1)) for _, t in nodes], dtype=bool), said),
        },
        {"site": ids},
    )
    own = [e[2] for e in edges]
    # the Zoo's keys count the parallel links of one pair, so that an id need not be an edge's own
    named = own if all(own) and len(set(own)) == len(own) else [f"e{i}" for i in range(len(edges))]
    kind = [text(t.get("LinkType")) for *_, t in edges]
    speeds = np.array([number(t.get("LinkSpeedRaw"), what="LinkSpeedRaw", where=f"{name}: edges") for *_, t in edges])
    values = {
        "source": [e[0] for e in edges],
        "target": [e[1] for e in edges],
        "medium": [MEDIA.get(k.lower(), "") for k in kind],
        "link_type": kind,
        "label": [text(t.get("LinkLabel")) for *_, t in edges],
    }
    links = xr.Dataset(
        {k: ("link", np.array(v, dtype=object), said) for k, v in values.items()}
        | {"capacity": ("link", speeds.astype(float), said | {"assumptions": "NaN where the file states no speed"})},
        {"link": np.array(named, dtype=object)},
    )
    title = text(about.get("Network")) or text(about.get("label")) or name.partition(".")[0]
    out = laid_out(sites, links, title=title, source=f"GraphML, {name}")
    date = text(about.get("NetworkDate"))
    if date:
        out.attrs["version"] = date
    return out


def _yes(value: Any) -> bool:
    return str(value).strip().lower() in ("1", "1.0", "true")
