"""One commit as plain files, and a store made from such files: how a state leaves a store and comes back whole.

The files are those of a Zarr hierarchy as the engine holds them, byte for byte, so that the digests of nodes and
values that the commit carries hold for them too, and plain xarray reads the folder without twinkit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from twinkit import store
from twinkit.error import TwinError
from twinkit.store import array, blocks, commit, digest, index, repository, tree

if TYPE_CHECKING:
    import os
    import pathlib
    from collections.abc import Iterable

    import xarray as xr

__all__ = ["State", "faults", "restored", "state", "told"]

SAID = ("author", "changed", "content", "format", "head", "nodes", "parent", "values", "when")
"""What a commit says of itself beside its message."""

CODECS = {"bytes", "blosc", "crc32c", "vlen-utf8", "zstd"}
"""What the store writes with. Files from elsewhere that name others are refused before anything is decoded."""

LARGEST = 8 * array.BLOCK
"""Most bytes in one block, decoded: the store cuts its own far smaller."""


class State:
    """One commit of a store, ready to be copied out.

    Attributes
    ----------
    said : dict
        All that the commit says, its message with it: JSON.
    line : list of Row
        The commit and those before it, newest first.
    """

    def __init__(self, root: pathlib.Path, said: dict[str, Any], line: list[index.Row], group: Any) -> None:
        self.root, self.said, self.line, self.group = root, said, line, group

    @property
    def twin(self) -> xr.DataTree:
        """The state as `open` gives it, lazy."""
        return tree.read(self.group, self.said, commit=self.said["head"])

    @property
    def names(self) -> list[str]:
        """Of every file of the hierarchy, in their order."""
        from zarr.core.sync import sync

        async def found() -> list[str]:
            return sorted([name async for name in self.group.store.list()])

        with repository.engine(self.root):
            return sync(found())

    def content(self, name: str) -> bytes:
        """Of one file."""
        from zarr.core.buffer import default_buffer_prototype
        from zarr.core.sync import sync

        with repository.engine(self.root):
            content = sync(self.group.store.get(name, default_buffer_prototype()))
        if content is None:
            raise TwinError("a file of the commit", found="none", hint="tk.verify(path)", where=name)
        return content.to_bytes()


def state(path: str | os.PathLike[str], **which: Any) -> State:
    """One commit of a store, as `open` finds it: what is committed, without readings that only the journal holds.

    Parameters
    ----------
    path : str or Path
    **which
        ``branch``, ``tag``, ``commit``, ``as_of`` as `open` takes them.

    Errors
    ------
    TwinError
        As `open`.
    """
    import zarr

    root = repository.located(path, anywhere=True)
    repo = repository.reader(root)
    found = repository.resolve(repo, root, **which)
    with repository.engine(root):
        info = repo.lookup_snapshot(found)
        row = repository.row(info)
        if row is None or not set(SAID) <= set(info.metadata):
            raise TwinError(
                "a commit that twinkit made",
                found=f"commit {found} without twinkit's digests",
                hint="tk.history(path) lists those that it made",
                where=str(root),
            )
        said = {"message": row.message, **{k: info.metadata[k] for k in SAID}}
        group = zarr.open_group(repo.readonly_session(snapshot_id=found).store, mode="r")
    return State(root, said, repository.commits(repo, root, found), group)


def told(said: Any) -> list[str]:
    """What is wrong with what a commit says of itself: its parts, and the digests that tie them to its head."""
    shape: dict[str, type] = {"message": str, "author": str, "when": str, "parent": str, "content": str, "head": str}
    shape |= {"changed": list, "nodes": dict, "values": dict, "format": int}
    if not isinstance(said, dict):
        return ["it is no table of words"]
    wrong = [name for name, kind in shape.items() if not isinstance(said.get(name), kind)]
    if wrong:
        return [f"it does not say its {', '.join(wrong)}"]
    if said["format"] > repository.FORMAT:
        return [f"it is of format {said['format']}: a newer twinkit made it"]
    if not all(isinstance(v, list) and v and all(isinstance(d, str) for d in v) for v in said["values"].values()):
        return ["its digests of values are no texts"]
    found = []
    if digest.of(said["nodes"]) != said["content"]:
        found.append("the digests of the nodes do not add up to that of the content")
    ties = {k: said[k] for k in ("author", "changed", "content", "message", "parent", "when")}
    if digest.head(**ties) != said["head"]:
        found.append("its message, author, time or content was rewritten: they do not give its head")
    return found


def faults(group: Any, said: dict[str, Any]) -> list[str]:
    """What a hierarchy holds that the commit does not say, or the other way round, read from the values themselves."""
    return commit.group_faults(group, said)


def restored(
    folder: pathlib.Path, said: dict[str, Any], path: str | os.PathLike[str], *, message: str, author: str, most: float
) -> store.Commit:
    """A new store whose first commit holds the files of a folder.

    Parameters
    ----------
    folder : Path
        A Zarr hierarchy with the files of a `State`. It is not trusted.
    said : dict
        What the commit said from which the files came.
    path : str or Path
        Where there is nothing yet.
    message, author : str
    most : float [byte]
        More than this, decoded, is refused before anything is decoded.

    Errors
    ------
    TwinError
        Something that the store does not write, values that are not those of the commit, a store that exists.
    """
    import zarr

    root = repository.local(path)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise TwinError("a new folder", found="one that holds something", hint="choose another path", where=str(root))
    try:
        group = zarr.open_group(str(folder), mode="r", zarr_format=3)
        known = _decoded(group, most=most)
        found = faults(group, said)
    except TwinError:
        raise
    except Exception as fault:  # noqa: BLE001 - Zarr, its codecs and JSON each raise their own at what is malformed
        found = [f"the arrays cannot be read: {str(fault).strip().partition(chr(10))[0][:200]}"]
        known = set()
    strangers = sorted({p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - known)
    found += [] if found else [f"{name} belongs to no array" for name in strangers]
    if found:
        raise TwinError(
            "the values that were committed",
            found=found[0] + (f", and {len(found) - 1} more faults" if len(found) > 1 else ""),
            hint="take another copy of it",
            where=str(folder.name),
        )

    def change(new: Any, _: dict[str, Any]) -> Any:
        # the engine takes no block of an array that it does not know yet
        _copy(folder, sorted(known, key=lambda name: (not name.endswith("zarr.json"), name)), new.store)
        return set(said["nodes"]), dict(said["nodes"]), dict(said["values"])

    with blocks.given_back():
        return store._first(root, "main", message, author, change)


def _copy(folder: pathlib.Path, names: Iterable[str], target: Any) -> None:
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    make = default_buffer_prototype().buffer.from_bytes
    for name in names:
        sync(target.set(name, make((folder / name).read_bytes())))


def _decoded(group: Any, *, most: float) -> set[str]:
    """The files that the arrays of a hierarchy consist of; refuses what would not fit, before it is decoded."""
    names, whole = {"zarr.json"}, 0
    for path, member in dict(group.members(max_depth=None)).items():
        names.add(f"{path}/zarr.json")
        if not hasattr(member, "shape"):
            continue
        codecs = {c.get("name") for c in member.metadata.to_dict()["codecs"]}
        chunks = tuple(map(int, member.chunks))
        size = getattr(member.dtype, "itemsize", 16) or 16
        block = math.prod(chunks) * size
        counts = array.grid(tuple(member.shape), chunks)
        blocks_ = math.prod(counts)
        whole += blocks_ * block
        if not codecs <= CODECS or block > LARGEST or whole > most or 0 in chunks:
            raise TwinError(
                f"arrays as twinkit stores them, of {most / 1e9:g} GB in all",
                found=f"{', '.join(sorted(map(str, codecs - CODECS)))} in it"
                if not codecs <= CODECS
                else f"a block of {block / 1e6:,.0f} MB"
                if block > LARGEST
                else f"{whole / 1e9:,.1f} GB",
                hint="raise most, if you know where it comes from" if whole > most else "take another copy of it",
                where=path,
            )
        names |= _checked_blocks(group.store, path, member, counts, size * math.prod(chunks))
    return names


def _checked_blocks(held: Any, path: str, member: Any, counts: tuple[int, ...], block: int) -> set[str]:
    """The names of an array's blocks, each there, and none that says of itself that it is larger than a block."""
    import itertools

    text = member.metadata.to_dict()["data_type"] == "string"
    names = set()
    for at in itertools.product(*map(range, counts)):
        name = f"{path}/c/{'/'.join(map(str, at))}" if at else f"{path}/c"
        try:
            with (held.root / name).open("rb") as file:
                start = file.read(18)
        except OSError:
            raise TwinError(
                "every block of every array", found="none under this name", hint="take another copy of it", where=name
            ) from None
        size = _announced(start, text=text)
        if size is None or size > (LARGEST if text else block):
            raise TwinError(
                "a block of the size that its array says",
                found="one that does not say its size" if size is None else f"one of {size / 1e6:,.1f} MB",
                hint="take another copy of it",
                where=name,
            )
        names.add(name)
    return names


def _announced(start: bytes, *, text: bool) -> int | None:
    """How many bytes a compressed block says that it will be; its decoder makes room for so many and no more.

    Blosc says it in bytes 4 to 8; a Zstandard frame in a field whose length its descriptor gives (RFC 8878, 3.1.1.1).
    """
    if not text:
        return int.from_bytes(start[4:8], "little") if len(start) >= 16 else None
    if start[:4] != b"\x28\xb5\x2f\xfd" or len(start) < 6:
        return None
    descriptor = start[4]
    single = descriptor >> 5 & 1
    width = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    at = 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3]
    return int.from_bytes(start[at : at + width], "little") + (256 if width == 2 else 0) if width else None
