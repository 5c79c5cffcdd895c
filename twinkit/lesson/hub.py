"""Thirty learners and one laptop: a JupyterHub on a local network without internet.

`prepared` writes a folder: learners' copies, ready-made twins, names with passphrases to cut out and hand round, and
a configuration that `jupyterhub` reads. Names are seats ("learner-07"), not people.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import secrets
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.lesson.build import copies
from twinkit.lesson.notebook import card
from twinkit.lesson.pack import ready_made

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Hub", "configure", "matches", "prepared"]

MOST_LEARNERS = 200
MARK = "hub.json"
DATABASE = "jupyterhub.sqlite"
LONGEST_HANDOUT = 120
"""A few small files; more than this [s] is a folder that does not answer."""

# Short words that a beginner can type; three of them and two digits are 28 bits.
WORDS = """
apple arrow autumn bamboo banana basket bean bell bird boat bottle bread bridge bucket button camel candle carpet
cedar chair cherry circle city clay cliff cloud coast coffee copper cotton cousin crane dance date desert dinner
door drum eagle earth east evening fabric farm feather field fig finger fire flag flower flute forest garden gate
ginger glass gold grape grass green hammer harbor harvest hill honey horse house island jacket jasmine kettle kite
ladder lake lamp leaf lemon letter lion lotus mango map maple market meadow melon milk mirror moon morning
mountain music needle nest night north ocean olive onion orange owl paper path pearl pencil pepper pillow pine
plum pond potter rain river road rope salt sand school seed shadow silk silver sister sky smile snow song south
""".split()  # noqa: SIM905 - a list would take a page

CONFIG = '''"""JupyterHub for lessons, written by `twinkit lesson hub`. Start it here:  jupyterhub"""

from pathlib import Path

from twinkit.lesson.hub import configure

configure(get_config(), Path(__file__).resolve().parent)  # noqa: F821 - jupyterhub gives it
'''


@dataclass(frozen=True)
class Hub:
    """A prepared hub: its folder, its address, and how it keeps learners apart."""

    folder: Path
    address: str
    port: int
    learners: int
    shared_account: bool

    def __repr__(self) -> str:
        who = "all learners share your account" if self.shared_account else "each learner has a system account"
        start = "jupyterhub" if self.shared_account else "sudo env PATH=$PATH jupyterhub"
        return "\n".join(
            [
                f"{self.folder}: {self.learners} learners, {who}",
                f"  to hand round: {self.folder / 'learners.csv'}",
                f"  start: cd {self.folder} && {start}",
                f"  learners open: http://{'ADDRESS' if self.address == '0.0.0.0' else self.address}:{self.port}",  # noqa: S104 - shown
            ]
        )


def prepared(
    folder: Path,
    lessons: Iterable[Path],
    *,
    learners: int = 30,
    address: str = "127.0.0.1",
    port: int = 8000,
    shared_account: bool = False,
    language: str = "en",
) -> Hub:
    """Write all that the hub needs into a folder.

    Parameters
    ----------
    folder : Path
        New or empty. Only its owner can list it and read its secrets (passphrases, cookies, database). Learners' system
        accounts can pass through to the copies and the twins; with `shared_account` nobody else can enter.
    lessons : folders
    learners : int
        Seats.
    address : str
        "0.0.0.0" serves the local network, "127.0.0.1" this machine alone.
    port : int
        The two ports above it serve the hub itself, on this machine alone.
    shared_account : bool
        True runs every learner's code in the trainer's account: needs no administrator, but each can then read what
        the others and the trainer can. False makes a system account for each seat, and the hub must be started by
        root.
    language : str

    Returns
    -------
    Hub

    Errors
    ------
    TwinError
        A folder in use or closed to learners' accounts, a number of learners or a port out of range, no
        configurable-http-proxy.
    """
    if not 1 <= learners <= MOST_LEARNERS:
        raise TwinError(f"1 to {MOST_LEARNERS} learners", found=str(learners), hint="one seat a laptop")
    if not 1024 <= port <= 65_000:
        raise TwinError("a port from 1024 to 65000", found=str(port), hint="leave it out: 8000")
    if folder.exists() and any(p.name != "node_modules" and not p.name.startswith("package") for p in folder.iterdir()):
        raise TwinError("a new or empty folder", found=str(folder), hint="name another, or move the old one away")
    if not shared_account:
        _open_to_learners(folder)
    proxy = _proxy(folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700 if shared_account else 0o711)
    folders = list(lessons)
    copies(folders, folder / "lessons", language=language)
    ready_made({r for f in folders for r in card(f).regions}, folder / "data")
    for part in ("lessons", "data"):
        _readable(folder / part)
    seats = [f"learner-{n:02}" for n in range(1, learners + 1)]
    phrases = {seat: _phrase() for seat in seats}
    _secret(folder / "learners.csv").write_text(_table(phrases), encoding="utf-8")
    about = {
        "address": address,
        "port": port,
        "shared_account": shared_account,
        "proxy": proxy,
        "learners": {seat: _kept(phrase) for seat, phrase in phrases.items()},
    }
    _secret(folder / MARK).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    (folder / "jupyterhub_config.py").write_text(CONFIG, encoding="utf-8")
    return Hub(folder, address, port, learners, shared_account)


def _open_to_learners(folder: Path) -> None:
    """Learners' accounts must reach the hub's folder and this Python; a home folder is closed to them."""
    for path in (folder.resolve(), Path(sys.prefix), Path(sys.executable).resolve()):
        for parent in path.parents:
            if parent.exists() and not parent.stat().st_mode & stat.S_IXOTH:
                raise TwinError(
                    "a place that other accounts of this machine may enter",
                    found=f"{parent}, closed to them",
                    hint="clone twinkit into /opt and work there, with a Python of the system",
                    where=str(path),
                )


def _proxy(folder: Path) -> str:
    """The path of npm's configurable-http-proxy: in the folder, or on the PATH."""
    name = "configurable-http-proxy"
    own = folder / "node_modules" / ".bin" / name
    found = str(own.resolve()) if own.exists() else shutil.which(name)
    if not found:
        raise TwinError(
            "configurable-http-proxy, which JupyterHub needs",
            found="none in the folder or on the PATH",
            hint=f"once, with internet: npm install --prefix {folder} {name}",
        )
    return found


def _phrase() -> str:
    return "-".join([*(secrets.choice(WORDS) for _ in range(3)), f"{secrets.randbelow(100):02}"])


def _table(phrases: dict[str, str]) -> str:
    import io

    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["name", "passphrase"])
    writer.writerows(phrases.items())
    return stream.getvalue()


def _secret(path: Path) -> Path:
    path.touch(mode=0o600)
    path.chmod(0o600)
    return path


def _readable(folder: Path) -> None:
    """What every learner copies or reads, whatever the umask of the one who prepared it."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _scrambled(phrase: str, salt: bytes) -> bytes:
    return hashlib.scrypt(phrase.encode(), salt=salt, n=2**14, r=8, p=1)


def _kept(phrase: str) -> str:
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}:{_scrambled(phrase, salt).hex()}"


def matches(phrase: str, kept: str) -> bool:
    """Whether a passphrase is the one that was scrambled.

    >>> matches("lotus-river-kite-07", _kept("lotus-river-kite-07")), matches("guess", _kept("lotus"))
    (True, False)
    """
    salt, _, scrambled = kept.partition(":")
    return secrets.compare_digest(_scrambled(phrase.strip(), bytes.fromhex(salt)).hex(), scrambled)


# ---------------------------------------------------------------- what jupyterhub reads


def configure(c: Any, folder: Path, *, share_root: bool = False) -> None:
    """Fill JupyterHub's configuration from a prepared folder.

    Parameters
    ----------
    c : traitlets' configuration
    folder : Path
    share_root : bool
        Let a shared account be root's: for a throwaway machine only.

    Errors
    ------
    TwinError
        The account that all learners would share is root's.
    """
    from jupyterhub.auth import Authenticator, LocalAuthenticator
    from jupyterhub.spawner import LocalProcessSpawner, SimpleLocalProcessSpawner

    about = json.loads((folder / MARK).read_text(encoding="utf-8"))
    known: dict[str, str] = about["learners"]
    shared = about["shared_account"]
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if shared and root and not share_root:
        raise TwinError(
            "an ordinary account for learners to share",
            found="root",
            hint="start jupyterhub without sudo, or prepare the hub without --shared-account",
        )
    base: Any = Authenticator if shared else LocalAuthenticator

    class Classroom(base):
        """Seats and passphrases of `learners.csv`."""

        async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
            """The seat, if the passphrase is its own."""
            del handler
            name = data["username"].strip().lower()
            return name if name in known and matches(data["password"], known[name]) else None

    port = about["port"]
    c.JupyterHub.bind_url = f"http://{about['address']}:{port}"
    # the hub and the proxy's own door stay on this machine, whatever the address
    c.JupyterHub.hub_ip, c.JupyterHub.hub_port = "127.0.0.1", port + 1
    c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{port + 2}"
    c.ConfigurableHTTPProxy.command = [about["proxy"]]
    # it holds tokens; SQLite would make it readable for all
    c.JupyterHub.db_url = f"sqlite:///{_secret(folder / DATABASE)}"
    c.JupyterHub.cookie_secret_file = str(folder / "cookie_secret")
    c.ConfigurableHTTPProxy.pid_file = str(folder / "proxy.pid")
    c.JupyterHub.authenticator_class = Classroom
    c.Authenticator.allowed_users = set(known)
    c.JupyterHub.active_server_limit = len(known)
    # thirty start at once when the lesson begins; four at a time keep the laptop alive
    c.JupyterHub.concurrent_spawn_limit = 4
    c.Spawner.start_timeout = c.Spawner.http_timeout = 180
    c.Spawner.default_url = "/lab/tree/00-welcome/lesson.ipynb"
    c.Spawner.environment = {"TWINKIT_LESSON_DATA": str(folder / "data")}
    c.Spawner.args = [
        # what lies idle gives its memory back: half a gigabyte a kernel
        "--MappingKernelManager.cull_idle_timeout=1800",
        "--MappingKernelManager.cull_connected=True",
        "--ServerApp.terminals_enabled=False",
    ]
    if shared:
        c.Spawner.args += ["--allow-root"] if root else []
        c.JupyterHub.spawner_class = SimpleLocalProcessSpawner
        c.SimpleLocalProcessSpawner.home_dir_template = str(folder / "learners" / "{username}")
        c.Spawner.notebook_dir = str(folder / "learners" / "{username}")
    else:
        c.JupyterHub.spawner_class = LocalProcessSpawner
        c.LocalAuthenticator.create_system_users = True
        # nobody else may look into a learner's home
        shut = ["--shell", "/usr/sbin/nologin", "-K", "HOME_MODE=0700"]
        c.LocalAuthenticator.add_user_cmd = ["useradd", "--create-home", *shut]
        c.Spawner.notebook_dir = "~/lessons"

    def hand_out(spawner: Any) -> None:
        """Copies of the lessons into a learner's folder, before the learner's server starts."""
        name = spawner.user.name
        if shared:
            _handed_out(folder / "lessons", folder / "learners" / name)
        else:
            _handed_out_as(name, folder / "lessons")

    c.Spawner.pre_spawn_hook = hand_out


def _handed_out_as(name: str, lessons: Path) -> None:
    """Lessons into the home of a system account, copied by that account: root touches nothing in a learner's folder."""
    import pwd

    account = pwd.getpwnam(name)
    if account.pw_uid == 0:
        raise TwinError("a learner's own account", found=f"'{name}', which is root's", hint="remove it")
    _handed_out(lessons, Path(account.pw_dir) / "lessons", user=account.pw_uid, group=account.pw_gid, extra_groups=[])


def _handed_out(lessons: Path, target: Path, **rights: Any) -> None:
    """Run `handout` in a process with these rights, out of reach of what stands in anybody's environment."""
    run = [sys.executable, "-I", str(Path(__file__).with_name("handout.py")), str(lessons), str(target)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and file, no shell
            run,
            cwd="/" if rights else None,
            env={"PATH": os.defpath} if rights else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=LONGEST_HANDOUT,
            **({"umask": 0o077} | rights if rights else {}),
        )
        said = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"code {done.returncode}"])[-1]
    except (OSError, subprocess.SubprocessError) as fault:
        said = str(fault)
    if said:
        raise TwinError(
            "a folder in which the lessons can be laid",
            found=said[:300],
            hint="remove what stands in the way, then start the server again",
            where=str(target),
        )
