"""What every test may ask for: real files, system programs, and a network that ends at loopback."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The one place that knows where real files lie; they are never copied into the repository.
os.environ.setdefault("TWINKIT_TESTDATA", str(ROOT.parent / "shared" / "data"))
# A window would block a headless run. Set before any test imports matplotlib, and inherited by kernels.
os.environ.setdefault("MPLBACKEND", "Agg")

# Where Debian puts a program that is not on everybody's PATH.
ELSEWHERE = ("/usr/sbin", "/usr/local/sbin", "/usr/lib/postgresql/*/bin")
ALIASES = {"chromium": ("chromium", "chromium-browser", "google-chrome")}


@pytest.fixture(scope="session")
def testdata():
    """The path of a real file, `testdata("srtm3/N00E010.hgt")`; the test skips by its name where it is absent."""

    def path(name: str) -> Path:
        found = Path(os.environ["TWINKIT_TESTDATA"]) / name
        if not found.exists():
            pytest.skip(f"no {name} in TWINKIT_TESTDATA ({os.environ['TWINKIT_TESTDATA']})")
        return found

    return path


@pytest.fixture(scope="session")
def program():
    """The path of a system program, `program("chromium")`; without it the test skips, and under CI=true it fails."""

    def path(name: str) -> str:
        folders = [str(p) for pattern in ELSEWHERE for p in sorted(Path("/").glob(pattern.lstrip("/")))]
        search = os.pathsep.join([os.environ.get("PATH", os.defpath), *folders])
        for alias in ALIASES.get(name, (name,)):
            found = shutil.which(alias, path=search)
            if found:
                return found
        said = f"no program '{name}' on this machine: make system installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)

    return path


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch):
    """Nothing outside loopback: a test that reaches for the internet fails on every machine, not only offline."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            try:
                local = ipaddress.ip_address(host.partition("%")[0]).is_loopback
            except ValueError:
                local = host == "localhost"
            if not local:
                pytest.fail(f"a test reached for {host}: tests use nothing outside loopback")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
