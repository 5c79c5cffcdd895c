"""Public files by name: fetched once, resumed where a line broke, and proved by their sha256.

`datasets/registry.toml` names them with source, commit or DOI, licence and digest. A classroom without internet sets
TWINKIT_MIRROR to a folder or a URL that holds the same files under the same names.
"""

from __future__ import annotations

import importlib.resources
import os
import re
import shutil
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from twinkit.error import TwinError, close_to

__all__ = ["Entry", "Registry", "fetch", "registry"]

ATTEMPTS = 4
"""A broken download is resumed so many times before it is left for the next call."""
WAIT = 0.5
"""Seconds before the first new attempt; doubled at each."""
CHUNK = 1 << 16


@dataclass(frozen=True)
class Entry:
    """One registered file: what it is, whose, under which licence, and the proof of it."""

    name: str
    what: str
    source: str
    licence: str
    url: str
    bytes: int
    sha256: str
    commit: str = ""
    doi: str = ""


class Registry(dict[str, Entry]):
    """Registered files by name; prints as a table."""

    def __repr__(self) -> str:
        rows = [("name", "size", "licence", "what")]
        rows += [(e.name, _size(e.bytes), e.licence.split(";")[0], e.what) for e in self.values()]
        widths = [max(len(r[i]) for r in rows) for i in range(3)]
        return "\n".join(
            f"{r[0]:<{widths[0]}}  {r[1]:>{widths[1]}}  {r[2]:<{widths[2]}}  {r[3]}".rstrip() for r in rows
        )

    __str__ = __repr__


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(round(count / 1e3), 1)} kB"


def registry(path: str | Path | None = None) -> Registry:
    """The registered files; printed, a table of names, sizes and licences.

    Parameters
    ----------
    path : path, optional
        Another registry.toml than twinkit's own.

    Returns
    -------
    Registry
        A dict of name to `Entry`.

    Errors
    ------
    TwinError
        The file is no registry: not TOML, a key missing, a digest that is none, a name that leaves its folder.

    Examples
    --------
    >>> registry()["srtm3/N46E008.tif"].licence
    'public domain (US Government); repository Apache-2.0'
    """
    file = Path(path) if path is not None else _own()
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TwinError("a registry.toml", found="no such file", hint="check the path", where=str(file)) from None
    except OSError as error:
        said = "a folder" if file.is_dir() else error.strerror or str(error)
        raise TwinError(
            "a readable registry.toml", found=said, hint="give the path of the file itself", where=str(file)
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TwinError("a registry in TOML", found=str(error), hint="correct that line", where=str(file)) from None
    out = Registry()
    for name, row in table.items():
        where = f"{file.name}: [{name}]"
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", name) or ".." in name.split("/"):
            raise TwinError("a name like 'srtm3/N46E008.tif'", found=f"'{name}'", hint="use / and no ..", where=where)
        known = set(Entry.__dataclass_fields__) - {"name"}
        needed = known - {"commit", "doi"}
        if not isinstance(row, dict):
            raise TwinError("a table of keys", found=f"{row!r}", hint=f'write ["{name}"], and keys below', where=where)
        missing, strange = sorted(needed - set(row)), sorted(set(row) - known)
        if missing or strange:
            remedies = {"add": missing, "remove": strange}
            raise TwinError(
                f"the keys {', '.join(sorted(needed))} (and commit, doi where there are)",
                found=f"wrong: {', '.join(missing + strange)}",
                hint=" and ".join(f"{do} {', '.join(keys)}" for do, keys in remedies.items() if keys),
                where=where,
            )
        for key, value in row.items():
            whole = key == "bytes"
            fits = (
                isinstance(value, int) and not isinstance(value, bool) and value >= 0
                if whole
                else isinstance(value, str)
            )
            if not fits:
                raise TwinError(
                    f"{key} as {'a whole number from 0' if whole else 'text'}",
                    found=repr(value),
                    hint=f"write {key} = {'12345, without quotes' if whole else 'text in quotes'}",
                    where=where,
                )
        if not re.fullmatch("[0-9a-f]{64}", str(row["sha256"])):
            raise TwinError("a sha256 of 64 hex digits", found=repr(row["sha256"]), hint="sha256sum FILE", where=where)
        out[name] = Entry(name=name, **row)
    return out


def _own() -> Path:
    shipped = importlib.resources.files("twinkit.datasets") / "registry.toml"
    if shipped.is_file():
        return Path(str(shipped))
    return Path(__file__).resolve().parents[2] / "datasets" / "registry.toml"  # a checkout


def fetch(name: str, *, folder: str | Path | None = None, progress: bool = True, files: Registry | None = None) -> Path:
    """The local path of a registered file, after getting it where needed and proving it.

    Parameters
    ----------
    name : str
        A name of `registry()`.
    folder : path, optional
        Where files are kept; by default the user's cache folder.
    progress : bool
        Show a progress bar.
    files : Registry, optional
        Another registry than twinkit's own.

    Returns
    -------
    Path

    Errors
    ------
    TwinError
        Unknown name (close ones are offered), file missing at its source or mirror, no connection (what came is
        kept, and the next call goes on from there), or another content than registered (it is thrown away).

    Examples
    --------
    >>> fetch("srtm3/N46E008")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: expected a registered file; found 'srtm3/N46E008'. Try: ...
    """
    import pooch

    known = registry() if files is None else files
    if name not in known:
        near = close_to(name, known)
        raise TwinError(
            "a registered file",
            found=f"'{name}'",
            hint=f"did you mean {near}?" if near else "print(tk.datasets.registry()) lists them",
        )
    entry = known[name]
    keep = (Path(folder) if folder is not None else Path(pooch.os_cache("twinkit"))) / name
    source = _source(entry)
    pooch.get_logger().setLevel("WARNING")
    download = _Download(entry, keep.with_name(keep.name + ".part"), progress=progress)

    def retrieved() -> str:
        proof = f"sha256:{entry.sha256}"
        return str(pooch.retrieve(source, known_hash=proof, fname=keep.name, path=keep.parent, downloader=download))

    try:
        try:
            path = retrieved()
        except TwinError:
            raise
        except ValueError:
            if not download.resumed:
                raise
            # what an earlier call kept may have been no part of this file: the page of a network's log-in, say
            path = retrieved()
    except TwinError:
        raise
    except ValueError:  # pooch's word for another digest; the download is gone, and what was there before stays
        raise TwinError(
            f"the file with sha256 {entry.sha256[:12]}...",
            found="another content",
            hint="the source or mirror has changed the file or a proxy answers for it; tell whoever runs it",
            where=source,
        ) from None
    except OSError as error:
        raise TwinError(
            "a folder to keep files in", found=str(error), hint="give folder=...", where=str(keep.parent)
        ) from None
    return Path(path)


def _source(entry: Entry) -> str:
    """Where to take a file from; the mirror is asked for at each call, so that a notebook can set it."""
    mirror = os.environ.get("TWINKIT_MIRROR", "").strip()
    if not mirror:
        return entry.url
    if re.match(r"https?://", mirror):
        return f"{mirror.rstrip('/')}/{entry.name}"
    path = Path(mirror.removeprefix("file://")).expanduser() / entry.name
    return path.resolve().as_uri()


class _Download:
    """What pooch calls to get a file: a copy from a folder, or HTTP that goes on where it stopped."""

    def __init__(self, entry: Entry, part: Path, *, progress: bool) -> None:
        self.entry, self.part, self.progress = entry, part, progress
        self.resumed = False
        """Whether the last file was put together from what an earlier call had left."""

    def __call__(self, url: str, output: str, _: Any = None) -> None:
        if url.startswith("file://"):
            self._copy(Path(url.removeprefix("file://")) if os.name != "nt" else _windows(url), output)
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn(self.entry.name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console(stderr=True), disable=not self.progress) as bar:
            task = bar.add_task("", total=self.entry.bytes)
            self._get(url, lambda done: bar.update(task, completed=done))
        # pooch checks the digest of `output`; a part that fails it must not be resumed again
        Path(self.part).replace(output)

    def _copy(self, source: Path, output: str) -> None:
        from urllib.parse import unquote

        source = Path(unquote(str(source)))
        try:
            shutil.copyfile(source, output)
        except OSError:
            raise TwinError(
                f"{self.entry.name} in the mirror",
                found="no such file",
                hint="copy it there, or unset TWINKIT_MIRROR to take it from its source",
                where=str(source),
            ) from None

    def _get(self, url: str, show: Any) -> None:
        import requests

        problem = "nothing"
        self.resumed = self.part.exists()
        for attempt in range(ATTEMPTS):
            have = self.part.stat().st_size if self.part.exists() else 0
            if have > self.entry.bytes:
                self.part.unlink()
                have = 0
            if have == self.entry.bytes:
                return
            if attempt:
                time.sleep(WAIT * 2 ** (attempt - 1))
            # identity: a compressed answer could not be resumed by position
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
            try:
                with requests.get(url, headers=headers, stream=True, timeout=(10, 60)) as answer:
                    if answer.status_code == 416:
                        self.part.unlink(missing_ok=True)
                        continue
                    if 400 <= answer.status_code < 500 and answer.status_code not in (408, 429):
                        raise TwinError(
                            f"{self.entry.name} at its source",
                            found=f"HTTP {answer.status_code}",
                            hint="set TWINKIT_MIRROR to a folder or URL that has it, or check that URL in a browser",
                            where=url,
                        )
                    if answer.status_code not in (200, 206):
                        problem = f"HTTP {answer.status_code}"
                        continue
                    resumed = answer.status_code == 206 and _starts_at(answer.headers.get("Content-Range", "")) == have
                    self.resumed = resumed
                    with self.part.open("ab" if resumed else "wb") as out:
                        self._pour(answer, out, show)
            except requests.RequestException as error:  # a full disk is an OSError too, and fetch names the folder
                problem = _short(error)
        have = self.part.stat().st_size if self.part.exists() else 0
        if have == self.entry.bytes:
            return
        raise TwinError(
            f"{self.entry.name}, {self.entry.bytes} bytes",
            found=f"{have} bytes, then {problem}",
            hint="call it again: it goes on where it stopped; without internet set TWINKIT_MIRROR to a folder",
            where=url,
        )

    def _pour(self, answer: Any, out: IO[bytes], show: Any) -> None:
        for chunk in answer.iter_content(CHUNK):
            out.write(chunk)
            show(out.tell())
            if out.tell() > self.entry.bytes:  # an endless answer must not fill the disk
                out.close()
                self.part.unlink(missing_ok=True)
                raise TwinError(
                    f"{self.entry.bytes} bytes",
                    found="more than that",
                    hint="the source has another file under this name; tell whoever runs it",
                    where=answer.url,
                )


def _starts_at(header: str) -> int:
    match = re.match(r"bytes (\d+)-", header)
    return int(match[1]) if match else -1


def _short(error: Exception) -> str:
    """The cause at the bottom of requests' nest of errors, in a line."""
    text = str(error)
    for said, means in (
        ("Name or service", "no such host"),
        ("refused", "connection refused"),
        ("timed out", "no answer"),
    ):
        if said in text:
            return means
    return "a broken connection"


def _windows(url: str) -> Path:
    return Path(url.removeprefix("file:///"))
