"""A store on an object store: ``s3://bucket/key``, where many may write at once.

The engine's files and the side records are the same as on a disk, each an object. There is no lock and no seal: a
commit is made on the head that its writer saw, and the branch moves only if it still stands there. Else everything is
done again on the new head, with its digest as the parent, so that the chain of heads never forks.

Nothing that is younger than `SETTLED` is ever let go of, by the object store's own clock: what a writer has under way
is younger, and no expiry needs to know of it. See `remote_expiry`.

Where and as whom stands in the environment, as for every S3 program: ``AWS_ACCESS_KEY_ID``,
``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, and ``AWS_ENDPOINT_URL`` for a store that is not Amazon's.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import functools
import hashlib
import json
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.store import digest, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twinkit.store.index import Row

__all__ = [
    "SETTLED",
    "Overtaken",
    "Remote",
    "address",
    "committed",
    "first",
    "intact",
    "named",
    "sealed",
    "unclaimed",
]

TRIES = 100
"""How often a commit is made anew because another writer was faster."""

SETTLED = dt.timedelta(days=1)
"""Commits and objects that are younger stay: some writer may be about to stand on them."""

LIMIT = SETTLED / 2
"""A commit that took longer looks whether an expiry began meanwhile, and is made anew if so."""


class Overtaken(Exception):  # noqa: N818 - tells a writer that it lost, never raised at a user
    """An object is no more what it was when it was read."""


class Remote:
    """Where a store stands on an object store.

    Parameters
    ----------
    bucket, prefix : str
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket, self.prefix = bucket, prefix
        self.name = prefix.rpartition("/")[2]
        self._records: dict[str, dict[str, Any]] = {}
        self._date = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    @functools.cached_property
    def client(self) -> Any:
        """What puts, gets and lists the side records."""
        try:
            import boto3
        except ImportError:
            raise TwinError(
                "boto3, which speaks to object stores",
                found="none installed",
                hint="pip install 'twinkit[live]'",
                where=str(self),
            ) from None
        return boto3.client("s3", endpoint_url=os.environ.get("AWS_ENDPOINT_URL") or None, region_name=_region())

    def storage(self) -> Any:
        """The engine's own way to the same place."""
        import icechunk

        endpoint = os.environ.get("AWS_ENDPOINT_URL") or None
        return icechunk.s3_storage(
            bucket=self.bucket,
            prefix=self.prefix,
            region=_region(),
            endpoint_url=endpoint,
            allow_http=bool(endpoint and endpoint.startswith("http://")),
            force_path_style=bool(endpoint),
            from_env=True,
        )

    # ------------------------------------------------------------ objects

    def get(self, name: str) -> bytes:
        """One object.

        Errors
        ------
        FileNotFoundError
            There is none.
        """
        return self.tagged(name)[0]

    def tagged(self, name: str) -> tuple[bytes, str]:
        """One object, and the tag that it has until it is written again.

        Errors
        ------
        FileNotFoundError
            There is none.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            found = self.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}")
            return bytes(found["Body"].read()), str(found["ETag"])
        except ClientError as fault:
            if fault.response["Error"]["Code"] in ("NoSuchKey", "404"):
                raise FileNotFoundError(name) from None
            raise _unreachable(self, fault) from None
        except BotoCoreError as fault:
            raise _unreachable(self, fault) from None

    def put(self, name: str, data: bytes, *, over: str | None = None) -> str:
        """Write one object, whole or not at all, and give its tag; `over` is the tag that it must have, "" for none.

        Errors
        ------
        Overtaken
            It has another tag: somebody else wrote it meanwhile.
        """
        only = {} if over is None else {"IfMatch": over} if over else {"IfNoneMatch": "*"}
        return str(self._ask("put_object", Key=f"{self.prefix}/{name}", Body=data, **only)["ETag"])

    def remove(self, name: str) -> None:
        """Take one object away."""
        self._ask("delete_object", Key=f"{self.prefix}/{name}")

    def names(self, folder: str = "") -> set[str]:
        """Every object below a folder, as a path below the root."""
        return set(self.listed(folder))

    def listed(self, folder: str = "") -> dict[str, dt.datetime]:
        """Every object below a folder, and when it was written, by the object store's clock."""
        found: dict[str, dt.datetime] = {}
        token: dict[str, str] = {}
        while True:
            page = self._ask("list_objects_v2", Prefix=f"{self.prefix}/{folder}", **token)
            found |= {c["Key"][len(self.prefix) + 1 :]: c["LastModified"] for c in page.get("Contents", ())}
            self._date = page["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "")
            if not page.get("IsTruncated"):
                return found
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def now(self) -> dt.datetime:
        """What the object store's clock showed when it was last asked for a list."""
        if not self._date:
            self.listed(record.IDENTITY)
        return email.utils.parsedate_to_datetime(self._date) if self._date else dt.datetime.now(dt.UTC)

    def _ask(self, act: str, **what: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        try:
            return getattr(self.client, act)(Bucket=self.bucket, **what)
        except ParamValidationError as fault:
            raise TwinError(
                "boto3 1.36 or newer, which writes on a condition",
                found=str(fault).strip().rpartition("\n")[2][:200],
                hint="pip install --upgrade boto3",
                where=str(self),
            ) from None
        except (BotoCoreError, ClientError) as fault:
            code = fault.response["Error"]["Code"] if isinstance(fault, ClientError) else ""
            if {"IfMatch", "IfNoneMatch"} & set(what) and code in (
                "PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey",
            ):  # fmt: skip
                raise Overtaken from None
            raise _unreachable(self, fault) from None

    def contents(self, names: Iterable[str]) -> dict[str, bytes]:
        """Some small objects; nothing for one that is not there."""
        found = {}
        for name in names:
            try:
                found[name] = self.get(name)
            except FileNotFoundError:
                found[name] = b""
        return found

    def digests(self, names: Iterable[str]) -> dict[str, str]:
        """SHA-256 of objects; "" for one that is not there."""
        wanted = sorted(names)

        def one(name: str) -> str:
            try:
                return hashlib.sha256(self.get(name)).hexdigest()
            except FileNotFoundError:
                return ""

        with ThreadPoolExecutor(8) as pool:
            return dict(zip(wanted, pool.map(one, wanted), strict=True))

    # ------------------------------------------------------------ side records

    def is_store(self) -> bool:
        """Whether a stored twin stands here."""
        return record.IDENTITY in self.names(record.IDENTITY)

    def records(self, *, anew: bool = False) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """All side records, and the names of those that were altered; those that were read once are kept."""
        found: dict[str, dict[str, Any]] = {}
        altered = []
        for name in sorted(self.names(f"{record.RECORDS}/")):
            commit = name.rpartition("/")[2].removesuffix(".json")
            if anew or commit not in self._records:
                try:
                    content = intact(self.get(name))
                except FileNotFoundError:
                    continue  # its commit expired a moment ago
                if content is None:
                    altered.append(name)
                    continue
                self._records[commit] = content
            found[commit] = self._records[commit]
        return found, altered

    def keep(self, commit: str, *, head: str, parent: str, took: float = 0.0) -> None:
        """Write the side record of a commit: of every file that no record knows yet.

        One that another writer has just put there is vouched for twice, which is harmless: it never changes. What is
        old was left behind by a writer that was stopped, and may be taken away any time; `took` is how long this one
        has been at work [s].
        """
        known = {name for content in self.records()[0].values() for name in content["files"]}
        known |= set(self.told()[0]["files"])
        listed = self.listed()
        oldest = self.now() - max(LIMIT, _ago(took))
        folders = tuple(f"{f}/" for f in record.FOLDERS)
        new = {n for n, at in listed.items() if n.startswith(folders) and at >= oldest} - known
        if parent == "":
            new |= {"config.yaml"} & set(listed)
        files = {name: d for name, d in self.digests(new).items() if d}
        content = {"commit": commit, "files": files, "head": head, "parent": parent}
        self.put(f"{record.RECORDS}/{commit}.json", sealed(content))
        self._records[commit] = content

    def horizon(self) -> tuple[dict[str, Any], str]:
        """What expired, as `record.horizon` has it, and the tag of the object, "" where there is none yet.

        It says when the last expiry began, too. While one is under way, or after one that was stopped, ``under_way``
        names the commits that go.

        Errors
        ------
        Damaged
            It was altered.
        """
        try:
            data, tag = self.tagged(record.HORIZON)
        except FileNotFoundError:
            return {"commits": {}, "files": {}}, ""
        content = intact(data)
        if content is None:
            raise record.Damaged(f"{record.HORIZON} was altered")
        return content, tag

    def told(self) -> tuple[dict[str, Any], str]:
        """The same for who changes the store.

        Errors
        ------
        TwinError
            It was altered.
        """
        try:
            return self.horizon()
        except record.Damaged as fault:
            raise TwinError(
                "a store that is as its last change left it",
                found=str(fault),
                hint="tk.verify(path) names all that is wrong; restore it from a copy of the store",
                where=str(self),
            ) from None


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _unreachable(root: Remote, fault: Exception) -> TwinError:
    return TwinError(
        "an object store that answers",
        found=str(fault)[:200],
        hint="check the bucket, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        where=str(root),
    )


def sealed(content: dict[str, Any]) -> bytes:
    """A JSON object with the digest of its own content."""
    return digest.canonical({**content, "sha256": digest.of(content)})


def intact(data: bytes) -> dict[str, Any] | None:
    """The content of an object that `sealed` made; None where it is not byte for byte that."""
    try:
        content: dict[str, Any] = json.loads(data)
        said = content.pop("sha256")
        return content if data == digest.canonical({**content, "sha256": said}) and said == digest.of(content) else None
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def address(text: str) -> Remote | None:
    """Where an address points; None for the path of a folder.

    Errors
    ------
    TwinError
        An address without a bucket or a key.

    >>> str(address("s3://twins/shimla.twin"))
    's3://twins/shimla.twin'
    """
    if not text.startswith("s3://"):
        return None
    bucket, _, prefix = text.removeprefix("s3://").strip("/").partition("/")
    if not bucket or not prefix:
        raise TwinError(
            "an address with bucket and key", found=f"'{text}'", hint="write it like 's3://twins/shimla.twin'"
        )
    return Remote(bucket, prefix)


# ---------------------------------------------------------------- writing


def first(root: Remote, message: str, author: str, change: Callable[..., Any]) -> Row:
    """A new store, and its first commit."""
    import icechunk

    from twinkit.store import repository

    if root.names():
        raise TwinError("a new key", found="one that holds something", hint="choose another key", where=str(root))
    repository.quiet()
    with repository.engine(root):
        icechunk.Repository.create(root.storage(), config=repository.configuration())
    root.keep(repository.ROOT, head="", parent="")
    made = committed(root, "main", message, author, change)[0]
    root.put(record.IDENTITY, sealed({"engine": "icechunk 1", "format": repository.FORMAT}))
    return made


def committed(
    root: Remote, branch: str, message: str, author: str, change: Callable[..., Any], *, begins: str = ""
) -> tuple[Row, bool]:
    """Commit what `change` does to the stored tree; done again from the new head where another writer was faster.

    Where a new branch `begins` upon a commit, it is there when its first commit is, and goes to one of those who race.

    Returns
    -------
    Row, bool
        The commit, and whether it is a new one.
    """
    import zarr

    from twinkit.store import commit, repository
    from twinkit.store.index import Row

    for attempt in range(TRIES):
        begun = time.time()
        repo = repository.reader(root)
        at = begins or repository.snapshot(repo, root, branch=branch)
        with repository.engine(root):
            info = repo.lookup_snapshot(at)
            if begins:
                session = commit.upon(repo, repository.heads(repo, root), at, branch)
            else:
                session = repo.writable_session(branch)
            if session.snapshot_id != at:
                continue
            group = zarr.open_group(session.store, mode="a", zarr_format=3)
            changed, nodes, values = change(group, info.metadata)
            parent = repository.row(info) if at != repository.ROOT else None
            if parent is not None and not changed:
                if begins:
                    named(repo, root, "branch", branch, at, upon=at)
                return parent, False
            when = dt.datetime.now(dt.UTC)
            if parent is not None and when <= parent.when:
                when = parent.when + dt.timedelta(microseconds=1)
            said: dict[str, Any] = {
                "author": author,
                "changed": sorted(changed),
                "content": digest.of(nodes),
                "parent": parent.head if parent else "",
                "when": when.isoformat(),
            }
            head = digest.head(message=message, **said)
            kept = {**said, "format": repository.FORMAT, "head": head, "nodes": nodes, "values": values}
            new = session.flush(message, kept)
        root.keep(new, head=head, parent=at, took=time.time() - begun)
        done = False
        try:
            if not _aged(root, time.time() - begun):
                if begins:
                    named(repo, root, "branch", branch, new, upon=at)
                done = bool(begins) or _moved(repo, root, branch, new, at)
        finally:
            if not done:
                root.remove(f"{record.RECORDS}/{new}.json")
                root._records.pop(new, None)
        if done:
            return Row(new, "" if parent is None else at, head, when, message, author, said["changed"]), True
        time.sleep(random.uniform(0, 0.02 * min(attempt + 1, 10)))  # noqa: S311 - so that two do not meet again
    raise TwinError(
        "a branch that stands still for a moment",
        found=f"{TRIES} others that were faster",
        hint="try again, or let fewer ingesters write at once",
        where=str(root),
    )


def _aged(root: Remote, seconds: float) -> bool:
    """Whether an expiry may have taken what a commit wrote: it took very long, and one began meanwhile."""
    if dt.timedelta(seconds=seconds) <= LIMIT:
        return False
    told, tag = root.told()
    root.names(record.IDENTITY)
    return bool(tag) and dt.datetime.fromisoformat(told["begun"]) > root.now() - _ago(seconds)


def _ago(seconds: float) -> dt.timedelta:
    """So long by our clock is at most so long by that of the object store, which shows whole seconds."""
    return dt.timedelta(seconds=seconds * 1.001 + 2)


def unclaimed(root: Remote, commit: str) -> bool:
    """Whether a commit stays: no expiry lets go of it, and none has."""
    told, _ = root.told()
    return commit not in told.get("under_way", ()) and bool(root.names(f"{record.RECORDS}/{commit}.json"))


def named(repo: Any, root: Remote, word: str, name: str, commit: str, *, upon: str) -> None:
    """Give a commit the name of a new branch or tag (`word`), while the one that it stands `upon` stays.

    Errors
    ------
    TwinError
        The name is taken: of two that race for it the object store itself refuses one. An expiry lets go of the commit.
    """
    from twinkit.store import name as fit
    from twinkit.store import repository

    if unclaimed(root, upon):
        try:
            with repository.engine(root):
                (repo.create_tag if word == "tag" else repo.create_branch)(name, commit)
        except TwinError:
            fit.free(name, word, repository.heads(repo, root), where=str(root))
            if unclaimed(root, upon):
                raise
        else:
            if unclaimed(root, upon):
                return
            # An expiry that began in between may not have seen the name, and lets go of what it names.
            root.remove(f"refs/{word}.{name}/ref.json")
    raise TwinError(
        "a commit that stays",
        found="one that an expiry lets go of",
        hint="name a newer one; tk.store.expire, called again, ends one that was stopped",
        where=str(root),
    )


def _moved(repo: Any, root: Remote, branch: str, new: str, at: str) -> bool:
    """Move a branch if it still stands where the commit was made."""
    import icechunk

    try:
        repo.reset_branch(branch, new, from_snapshot_id=at)
    except (icechunk.IcechunkError, icechunk.ConflictError) as fault:
        with_conflict = any(w in str(fault).lower() for w in ("conflict", "expected", "parent", "tip", "precondition"))
        if not with_conflict:
            from twinkit.store import repository

            with repository.engine(root):
                raise
        return False
    return True
