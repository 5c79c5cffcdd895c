"""A Python that cannot reach beyond loopback: how a lesson is shown to need no internet.

An audit hook cannot be taken out again and holds for child processes too, because it comes from a ``sitecustomize``
on their path.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SITE", "offline"]

SITE = '''"""Refuses every connection beyond loopback."""
import sys


def _local(host):
    if not isinstance(host, str):
        return True
    return host in ("", "localhost", "::1", "0.0.0.0", "::") or host.startswith("127.")


def _guard(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.bind"):
        address = arguments[-1]
        host = address[0] if isinstance(address, tuple) and address else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0]
    else:
        return
    if host is not None and not _local(host):
        raise ConnectionRefusedError(f"this run is offline: it reached for {host}")


sys.addaudithook(_guard)
'''


def offline(folder: Path) -> dict[str, str]:
    """The environment in which Python processes are offline; `folder` holds what makes them so.

    Returns
    -------
    dict of str to str
        To be laid over a process's environment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    before = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(folder), *([before] if before else [])])
    # a proxy on loopback would be a way out
    return {"PYTHONPATH": path, "http_proxy": "", "https_proxy": "", "HTTP_PROXY": "", "HTTPS_PROXY": ""}
