"""Crates: one state of a store as a Research Object Crate (RO-Crate), and a store made from such a crate.

A crate is a zip file. In it stand

- ``ro-crate-metadata.json``: who, what, when, under which licence, from which sources, and of each variable whether it
  was measured, modelled or generated, in the JSON-LD of RO-Crate 1.1;
- ``twin.zarr/``: the arrays as the store holds them, a plain Zarr version 3 hierarchy:
  ``xarray.open_datatree("twin.zarr", engine="zarr", consolidated=False)`` reads it without twinkit;
- ``commit.json``: what the commit says of itself, with the digests that tie every value to its head;
- ``manifest-sha256.txt``: the SHA-256 of all other files, in the form that ``sha256sum --check`` reads.

The same state gives the same bytes. Who can write the file can also rewrite all of its digests: only a head that was
kept elsewhere, in the paper or on its page, shows that.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import re
import stat
import tempfile
import uuid
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twinkit import __version__
from twinkit.error import TwinError, escaped
from twinkit.store import plain, repository
from twinkit.store.shown import quoted
from twinkit.vocabulary import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import xarray as xr

    from twinkit.store import Commit

__all__ = ["Crate", "crate", "rebuild"]

Path = str | os.PathLike[str]

METADATA, COMMIT, MANIFEST, ARRAYS = "ro-crate-metadata.json", "commit.json", "manifest-sha256.txt", "twin.zarr"
VERSION = "1.1"
"""Of the RO-Crate specification: the one that archives and their tools read today."""

HOME = "https://github.com/twinkit/twinkit"
MOST = 16e9
"""[byte] A crate that unpacks to more is refused, unless the caller says otherwise."""

DOCUMENT = 64e6
"""[byte] Most in a file of text, because it is read whole; a twin of ten thousand arrays has a twentieth of it."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip file can name: the true time would make other bytes of the same state."""


@dataclass(frozen=True)
class Crate:
    """A crate that was written: where, of which head, and how large.

    Attributes
    ----------
    path : Path
    head : str
        Publish it beside the crate: with it, `rebuild` shows that nothing was rewritten.
    files, bytes : int
    licence : str
    authors : tuple of str
    """

    path: pathlib.Path
    head: str
    files: int
    bytes: int
    licence: str
    authors: tuple[str, ...]

    def __str__(self) -> str:
        who = escaped(", ".join(self.authors))
        return (
            f"{self.path}: {self.files} files, {self.bytes / 1e6:.1f} MB\n"
            f"  licence {escaped(self.licence)}\n  authors {who}\n  head    {self.head}"
        )

    __repr__ = __str__


# ---------------------------------------------------------------- out


def crate(
    store: Path,
    path: Path,
    *,
    branch: str = "main",
    tag: str | None = None,
    commit: str | None = None,
    as_of: Any = None,
    licence: str | None = None,
    authors: Sequence[str] | None = None,
) -> Crate:
    """One state of a store as a Research Object Crate: a zip file for archives, reviewers and other machines.

    Every value is compared with its digest on the way, so that a damaged store gives no crate. The same state, licence
    and authors give the same bytes.

    Parameters
    ----------
    store : str or Path
        Folder or address of a stored twin. What was committed goes into the crate; readings that stand in the journal
        alone do not: drain it first.
    path : str or Path
        The zip file to write. Another crate is replaced; any other file is not.
    branch, tag, commit, as_of
        Which state, as `twinkit.open` takes them.
    licence : str, optional
        SPDX name ("CC-BY-4.0"), address, or words; left out, the twin's own.
    authors : list of str, optional
        Names, each perhaps with an ORCID: ``"Asha Rao <https://orcid.org/0000-0002-1825-0097>"``. Left out, all who
        committed to this state.

    Returns
    -------
    Crate
        Its ``head`` belongs on the page that publishes the crate.

    Errors
    ------
    TwinError
        No such state, a damaged store, no licence, a file that is no crate in the way, no room; `rocrate` missing.

    Examples
    --------
    >>> import tempfile, twinkit as tk
    >>> folder = tempfile.mkdtemp()
    >>> done = tk.save(tk.datasets.town(sites=3, seed=1), folder + "/town.twin", message="a town", author="Asha")
    >>> made = crate(folder + "/town.twin", folder + "/town.zip")
    >>> made.licence, made.authors, made.head == done.head
    ('CC0-1.0', ('Asha',), True)

    References
    ----------
    RO-Crate Metadata Specification 1.1, https://w3id.org/ro/crate/1.1
    """
    state = plain.state(store, branch=branch, tag=tag, commit=commit, as_of=as_of)
    target = _target(path)
    wrong = plain.faults(state.group, state.said)
    if wrong:
        raise TwinError(
            "a store that is as it was committed",
            found=wrong[0],
            hint="tk.verify(path) names all that is wrong; restore it from a copy of the store",
            where=os.fspath(store),
        )
    twin = state.twin
    free = _licence(twin, licence)
    people = _authors(authors, (row.author for row in state.line))
    metadata, folders = _metadata(twin, state, licence=free, authors=people)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.draft")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(draft, "x", zipfile.ZIP_STORED) as out:
            count = _packed(out, metadata, folders, state)
        draft.replace(target)
    except OSError as fault:
        raise TwinError(
            "a folder with room, that can be written",
            found=fault.strerror or str(fault),
            hint="free some space, or choose a folder of yours",
            where=str(target),
        ) from None
    finally:
        draft.unlink(missing_ok=True)
    return Crate(target, state.said["head"], count, target.stat().st_size, free, tuple(name for name, _ in people))


def _target(path: Path) -> pathlib.Path:
    target = repository.local(path)
    if target.is_dir():
        raise TwinError("the name of a file", found="a folder", hint=f"{target.name}/crate.zip", where=str(target))
    if target.exists():
        ours = False
        with contextlib.suppress(zipfile.BadZipFile, OSError, ValueError), zipfile.ZipFile(target) as held:
            ours = {METADATA, COMMIT} <= set(held.namelist())
        if not ours:
            raise TwinError(
                "a new file, or a crate to replace",
                found="a file that is no crate",
                hint="choose another name",
                where=str(target),
            )
    return target


def _packed(out: zipfile.ZipFile, metadata: bytes, folders: Iterable[str], state: plain.State) -> int:
    """Write all files, each once, and the folders that the metadata names; gives the number of files."""
    sums: dict[str, str] = {}

    def put(name: str, content: bytes, kind: int = stat.S_IFREG | 0o644) -> None:
        entry = zipfile.ZipInfo(name, EPOCH)
        entry.create_system, entry.external_attr = 3, kind << 16
        out.writestr(entry, content)
        if not entry.is_dir():
            sums[name] = hashlib.sha256(content).hexdigest()

    put(METADATA, metadata)
    put(COMMIT, _json(state.said))
    for name in folders:
        put(name, b"", stat.S_IFDIR | 0o755)
    for name in state.names:
        put(f"{ARRAYS}/{name}", state.content(name))
    put(MANIFEST, "".join(map(_line, sums.values(), sums)).encode())
    return len(sums)


def _line(digest: str, name: str) -> str:
    return f"{digest}  {name}\n"


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _licence(twin: xr.DataTree, given: str | None) -> str:
    found = twin.attrs.get("licence") if given is None else given
    if not isinstance(found, str) or not found.strip():
        raise TwinError(
            "a licence, or nobody may use the crate",
            found="none in the twin" if found is None else repr(found),
            hint="licence='CC-BY-4.0', or twin.attrs['licence'] before it is saved",
            where="licence",
        )
    return found.strip()


_ORCID = re.compile(r"\s*(?P<name>[^<>]+?)\s*(?:<(?P<id>https://orcid\.org/\d{4}-\d{4}-\d{4}-\d{3}[\dX])>)?\s*")


def _authors(given: Sequence[str] | None, committed: Iterable[str]) -> list[tuple[str, str]]:
    """Name and identifier of each author; names alone where the history is all that is known."""
    if given is None:
        return [(name, "") for name in sorted(set(committed))]
    found = []
    for text in [given] if isinstance(given, str) else given:
        parts = _ORCID.fullmatch(text) if isinstance(text, str) else None
        if parts is None:
            raise TwinError(
                "an author as a name, perhaps with an ORCID",
                found=quoted(text),
                hint="'Asha Rao', or 'Asha Rao <https://orcid.org/0000-0002-1825-0097>'",
                where="authors",
            )
        found.append((parts["name"], parts["id"] or ""))
    if not found:
        raise TwinError("at least one author", found="none", hint="leave authors out", where="authors")
    return found


# ---------------------------------------------------------------- what the crate says of itself


def _metadata(
    twin: xr.DataTree, state: plain.State, *, licence: str, authors: list[tuple[str, str]]
) -> tuple[bytes, list[str]]:
    """The JSON-LD of the crate, and the folders that it names."""
    try:
        from rocrate.model.contextentity import ContextEntity
        from rocrate.model.person import Person
        from rocrate.rocrate import ROCrate
    except ImportError:
        raise TwinError(
            "rocrate, which writes crates", found="none installed", hint="pip install 'twinkit[exchange]'"
        ) from None

    said = state.said
    made = ROCrate(version=VERSION)

    def entity(key: str, kind: str, /, **properties: Any) -> Any:
        return made.add(ContextEntity(made, key, {"@type": kind, **properties}))

    people = [
        made.add(Person(made, key or f"#author-{i + 1}", {"name": name})) for i, (name, key) in enumerate(authors)
    ]
    release = {"version": __version__, "softwareVersion": __version__}
    software = entity(HOME, "SoftwareApplication", name="twinkit", url=HOME, **release)
    title = str(twin.attrs.get("title") or "A digital twin")
    place = twin.attrs.get("place")
    root = made.root_dataset
    root["name"] = title
    root["description"] = (
        f"{title}: a digital twin of a telecom network{f', {place}' if place else ''}, as twinkit "
        f"{__version__} holds it. {_counted(twin)}. twinkit.exchange.rebuild makes a store of it again and "
        "checks every value against the head."
    )
    root["datePublished"] = said["when"]
    root["dateModified"] = said["when"]
    root["license"] = _licence_entity(entity, licence)
    root["author"] = _alone(people)
    root["keywords"] = ["digital twin", "telecommunications", *_kinds(twin)]
    root["version"] = said["head"][:12]
    root["identifier"] = entity(
        "#head",
        "PropertyValue",
        name="head",
        propertyID="sha256",
        value=said["head"],
        description="SHA-256 of the whole history up to this state; commit.json holds what it is made of",
    )
    sources = [s.strip() for s in str(twin.attrs.get("sources") or "").split(";") if s.strip()]
    if sources:
        root["isBasedOn"] = _alone(
            [entity(f"#source-{i + 1}", "CreativeWork", name=s, description=s) for i, s in enumerate(sources)]
        )
    if "crs" in twin.attrs:
        where = {"name": str(place)} if place else {"name": title}
        root["contentLocation"] = entity("#place", "Place", **where, description=f"in {twin.attrs['crs']}")
    entity(
        "#commit",
        "CreateAction",
        name=said["message"],
        agent={"@id": _agent(entity, people, said["author"]).id},
        endTime=said["when"],
        instrument={"@id": software.id},
        result={"@id": "./"},
    )
    root["mentions"] = {"@id": "#commit"}
    folders = _files(made, entity, twin, state)
    graph = made.metadata.generate()
    graph["@graph"].sort(key=lambda e: (e["@id"] not in (METADATA, "./"), e["@id"] != METADATA, e["@id"]))
    return _json(graph), folders


def _alone(entities: list[Any]) -> Any:
    """A list of one is written as the one."""
    return entities[0] if len(entities) == 1 else entities


def _files(made: Any, entity: Any, twin: xr.DataTree, state: plain.State) -> list[str]:
    """The data entities: the arrays, node by node with their variables, and the two files of digests."""
    names = [METADATA, COMMIT, *(f"{ARRAYS}/{name}" for name in state.names)]
    made.add_file(
        dest_path=COMMIT,
        properties={
            "contentSize": str(len(_json(state.said))),
            "name": "what the commit says",
            "description": "message, author, time, and the digests of nodes and values that give the head",
            "encodingFormat": "application/json",
        },
    )
    made.add_file(
        dest_path=MANIFEST,
        properties={
            "contentSize": str(sum(len(_line("0" * 64, name).encode()) for name in names)),
            "name": "SHA-256 of every other file",
            "description": "as sha256sum --check reads it",
            "encodingFormat": "text/plain",
        },
    )
    zarr = entity("https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html", "WebPage", name="Zarr version 3")
    whole = made.add_dataset(
        dest_path=ARRAYS,
        properties={
            "name": "the arrays",
            "description": "A Zarr version 3 hierarchy, one group a node of the twin",
            "encodingFormat": {"@id": zarr.id},
        },
    )
    folders = [f"{ARRAYS}/"]
    for node, child in twin.children.items():
        table = child.to_dataset(inherit=False)
        folders.append(f"{ARRAYS}/{node}/")
        sizes = ", ".join(f"{d} {n:,}" for d, n in table.sizes.items())
        held = made.add_dataset(
            dest_path=f"{ARRAYS}/{node}",
            properties={"name": node, "description": f"{node}: {sizes or 'attributes alone'}"},
        )
        whole.append_to("hasPart", held)
        if table.data_vars:
            held["variableMeasured"] = _alone([_variable(entity, node, str(n), v) for n, v in table.data_vars.items()])
    return folders


def _variable(entity: Any, node: str, name: str, array: xr.DataArray) -> Any:
    """What one variable is: meaning, unit, and whether it was measured, modelled or generated."""
    known = words().get(name)
    meaning = array.attrs.get("long_name") or (known.meaning.get("en") if known else "") or name
    origin = str(array.attrs.get("provenance") or "unknown: the variable does not say")
    more: dict[str, Any] = {}
    if array.attrs.get("units"):
        more["unitText"] = str(array.attrs["units"])
    if array.attrs.get("assumptions"):
        more["disambiguatingDescription"] = f"assumed: {_text(array.attrs['assumptions'])}"
    return entity(
        f"#{node}/{name}",
        "PropertyValue",
        name=name,
        description=_text(meaning),
        measurementTechnique=origin,
        additionalType=_kind(origin),
        **more,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _kind(origin: str) -> str:
    """The kinds of provenance in it, joined by " + " where a variable has several parts."""
    kinds = [p.strip().partition(":")[0] for p in origin.split(";")]
    known = [k for k in dict.fromkeys(kinds) if k in ("measured", "modelled", "generated")]
    return " + ".join(known) or "unknown"


def _kinds(twin: xr.DataTree) -> list[str]:
    found = {
        kind
        for child in twin.children.values()
        for array in child.data_vars.values()
        for kind in _kind(str(array.attrs.get("provenance", ""))).split(" + ")
    }
    return sorted(found - {"unknown"})


def _counted(twin: xr.DataTree) -> str:
    parts = [f"{child.sizes[n[:-1]]:,} {n}" for n, child in twin.children.items() if n[:-1] in child.sizes]
    return ", ".join(parts) or f"{len(twin.children)} nodes"


def _licence_entity(entity: Any, licence: str) -> Any:
    if re.fullmatch(r"https?://\S+", licence):
        return entity(licence, "CreativeWork", name=licence, description="licence of the data")
    if re.fullmatch(r"[A-Za-z0-9.+-]+", licence):
        address = f"https://spdx.org/licenses/{licence}"
        return entity(address, "CreativeWork", name=licence, description="licence of the data", url=address)
    return entity("#licence", "CreativeWork", name=licence.partition(".")[0], description=licence)


def _agent(entity: Any, people: list[Any], author: str) -> Any:
    """Who committed: one of the authors, or a person of their own."""
    same = next((p for p in people if p["name"] == author), None)
    return same or entity("#committer", "Person", name=author)


# ---------------------------------------------------------------- and back


def rebuild(
    crate: Path,
    path: Path,
    *,
    head: str | None = None,
    most: float = MOST,
    message: str | None = None,
    author: str | None = None,
) -> Commit:
    """A new store from a crate, with every file and every value compared with its digest first.

    Parameters
    ----------
    crate : str or Path
        The zip file. It is not trusted: nothing is written outside a folder of its own, and nothing is decoded that
        is larger than it says.
    path : str or Path
        Folder of the store to make; there must be nothing yet.
    head : str, optional
        The head that was published beside the crate, or its first 8 digits. Only this shows that the crate was not
        rewritten with all its digests.
    most : float [byte]
        Refuse a crate that unpacks to more.
    message, author : str, optional
        Of the first commit; left out, they say from which head it was rebuilt, and who committed that.

    Returns
    -------
    Commit
        The first of the new store. Its values have the digests that the crate's head vouches for; its own head is
        another, because its history begins here.

    Errors
    ------
    TwinError
        No crate, one that was altered, lacks a file or has a strange one, names a path outside, or would unpack to
        more than `most`; another head; a store that exists.

    Examples
    --------
    >>> import tempfile, twinkit as tk
    >>> folder = tempfile.mkdtemp()
    >>> _ = tk.save(tk.datasets.town(sites=3, seed=1), folder + "/town.twin", message="a town", author="Asha")
    >>> made = crate(folder + "/town.twin", folder + "/town.zip")
    >>> again = rebuild(folder + "/town.zip", folder + "/again.twin", head=made.head)
    >>> tk.diff(tk.open(folder + "/town.twin"), tk.open(folder + "/again.twin"))
    no difference
    """
    source = repository.local(crate)
    root = repository.local(path)
    if not source.is_file():
        raise TwinError(
            "the zip file of a crate",
            found="a folder" if source.is_dir() else "nothing at this path",
            hint="tk.exchange.crate(store, 'crate.zip') makes one",
            where=str(source),
        )
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise TwinError("a new folder", found="one that holds something", hint="choose another path", where=str(root))
    with contextlib.ExitStack() as stack:
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(dir=root.parent, prefix=".crate-")))
            archive = stack.enter_context(zipfile.ZipFile(source))
            said = _unpacked(archive, folder, most=most)
        except TwinError as fault:
            raise _of(fault, source) from None
        except _BROKEN as fault:
            raise TwinError(
                "the zip file of a crate, whole, and room to unpack it",
                found=getattr(fault, "strerror", None) or str(fault) or type(fault).__name__,
                hint="take another copy of it, or free some space",
                where=str(source),
            ) from None
        wanted = "" if head is None else str(head).rstrip("….").lower()
        if head is not None and (len(wanted) < 8 or not said["head"].startswith(wanted)):
            raise TwinError(
                f"the head {quoted(head)}" if len(wanted) >= 8 else "a head of at least 8 digits",
                found=f"{said['head'][:16]} in the crate",
                hint="take the crate from where the head was published",
                where=str(source),
            )
        try:
            return plain.restored(
                folder / ARRAYS,
                said,
                root,
                message=message or f"{said['message']} (rebuilt from head {said['head'][:12]})",
                author=author or said["author"],
                most=most,
            )
        except TwinError as fault:
            raise _of(fault, source, folder) from None


_BROKEN = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError, KeyError)
"""What the standard library raises at a file that is no zip, or a broken, encrypted or strangely packed one."""


def _of(fault: TwinError, source: pathlib.Path, folder: pathlib.Path | None = None) -> TwinError:
    """The fault with the crate's name before the place in it."""
    where = fault.where.replace(str(folder), "").strip("/") if folder else fault.where
    if where and source.name in where:
        return fault
    return TwinError(
        fault.expected, found=fault.found, hint=fault.hint, where=f"{source}{f', {where}' if where else ''}"
    )


def _altered(found: str, where: str = "") -> TwinError:
    return TwinError("a crate as twinkit wrote it", found=found, hint="take another copy of it", where=where)


def _unpacked(archive: zipfile.ZipFile, folder: pathlib.Path, *, most: float) -> dict[str, Any]:
    """The files of a crate in a folder, each compared with the manifest; gives what the commit said."""
    entries = _entries(archive, most=most)
    for name in (METADATA, COMMIT, MANIFEST):
        if name not in entries:
            raise _altered(f"no {name}", name)
    listed = _manifest(archive.read(entries[MANIFEST]))
    for names, word in ((set(listed) - set(entries), "is missing"), (set(entries) - set(listed) - {MANIFEST}, "")):
        if names:
            first = min(names)
            raise _altered(f"{quoted(first)} {word or 'is in no list: it was added'}", MANIFEST)
    for name, entry in entries.items():
        if name == MANIFEST:
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        found = hashlib.sha256()
        with archive.open(entry) as source, target.open("xb") as out:
            for part in _parts(source):
                found.update(part)
                out.write(part)
        if found.hexdigest() != listed[name]:
            raise _altered("other bytes than its SHA-256 in the manifest", name)
    said = _document((folder / COMMIT).read_bytes(), COMMIT)
    wrong = plain.told(said)
    if wrong:
        raise _altered(wrong[0], COMMIT)
    if said["head"] not in (folder / METADATA).read_text(encoding="utf-8"):
        raise _altered("the metadata of another state", METADATA)
    return said  # type: ignore[no-any-return]


def _entries(archive: zipfile.ZipFile, *, most: float) -> dict[str, zipfile.ZipInfo]:
    """Name to entry; refuses names that lead out of the folder, twins, links, and more than `most` bytes."""
    found: dict[str, zipfile.ZipInfo] = {}
    folded: set[str] = set()
    whole = 0
    for entry in archive.infolist():
        name = entry.filename
        parts = name.split("/")
        mode = entry.external_attr >> 16
        if entry.is_dir():
            parts = parts[:-1]
        if (
            not parts
            or any(p in ("", ".", "..") for p in parts)
            or any(c in name for c in "\\:\0")
            or (mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR))
        ):
            raise _altered(f"an entry that leads elsewhere: {quoted(name)}")
        if entry.is_dir():
            continue
        if name.casefold() in folded:
            raise _altered(f"{quoted(name)} twice")
        if entry.flag_bits & 1:
            raise _altered(f"{quoted(name)} is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # others say themselves how much memory they take
            raise _altered(f"{quoted(name)} packed in an unusual way")
        text = name in (METADATA, COMMIT, MANIFEST) or parts[-1] == "zarr.json"
        if text and entry.file_size > DOCUMENT:
            raise _altered(f"a text of {entry.file_size / 1e6:,.0f} MB", name)
        folded.add(name.casefold())
        found[name] = entry
        whole += entry.file_size
    if whole > most:
        raise TwinError(
            f"a crate that unpacks to at most {most / 1e9:g} GB",
            found=f"{whole / 1e9:,.1f} GB",
            hint=f"most={float(whole):.2g}, if you know where it comes from",
        )
    return found


def _parts(source: Any) -> Iterator[bytes]:
    while part := source.read(2**20):
        yield part


def _manifest(content: bytes) -> dict[str, str]:
    """File to SHA-256."""
    listed = {}
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), 1):
        found = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if not found:
            raise _altered(f"line {number}, which is no SHA-256 with a file: {quoted(line)}", MANIFEST)
        listed[found[2]] = found[1]
    return listed


def _document(content: bytes, where: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as fault:
        raise _altered(f"no JSON: {escaped(str(fault))[:100]}", where) from None
