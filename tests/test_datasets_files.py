"""Registered files: fetched over real HTTP on loopback, resumed, proved, and taken from mirrors."""

from __future__ import annotations

import hashlib
import http.server
import os
import re
import threading
from typing import TYPE_CHECKING

import pytest

import twinkit as tk
from twinkit import TwinError
from twinkit.datasets import files
from twinkit.datasets.files import Entry, Registry, fetch, registry

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = bytes(range(256)) * 4096  # 1 MiB
NAME = "folder/one.bin"


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder with byte ranges; `breaks` is after how many bytes each of the next answers breaks off."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.breaks: list[int] = []
        self.status: list[int] = []
        self.ranges_understood = True
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is part of the tests


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server: Server = self.server
        server.asked.append((self.path, self.headers.get("Range", "")))
        file = server.folder / self.path.lstrip("/")
        if server.status:
            return self._say(server.status.pop(0))
        if not file.is_file():
            return self._say(404)
        body, start = file.read_bytes(), 0
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match and server.ranges_understood:
            start = int(match[1])
            if start >= len(body):
                return self._say(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        rest = body[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if server.breaks:
            self.wfile.write(rest[: server.breaks.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            return None
        self.wfile.write(rest)
        return None

    def _say(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    (tmp_path / "served" / "folder").mkdir(parents=True)
    (tmp_path / "served" / NAME).write_bytes(CONTENT)
    monkeypatch.delenv("TWINKIT_MIRROR", raising=False)
    monkeypatch.setattr(files, "WAIT", 0.001)
    made = Server(tmp_path / "served")
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def known(url: str, *, content: bytes = CONTENT, name: str = NAME) -> Registry:
    digest = hashlib.sha256(content).hexdigest()
    return Registry({name: Entry(name, "bytes", "a test", "CC0", f"{url}/{name}", len(content), digest)})


def test_a_file_is_fetched_once_and_proved(server, tmp_path):
    path = fetch(NAME, folder=tmp_path / "kept", files=known(server.url), progress=False)
    assert path.read_bytes() == CONTENT
    again = fetch(NAME, folder=tmp_path / "kept", files=known(server.url), progress=False)
    assert again == path
    assert len(server.asked) == 1
    assert [p.name for p in path.parent.iterdir()] == ["one.bin"]


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.breaks = [300_000, 200_000]
    path = fetch(NAME, folder=tmp_path / "kept", files=known(server.url), progress=False)
    assert path.read_bytes() == CONTENT
    ranges = [r for _, r in server.asked]
    assert ranges[0] == ""
    starts = [int(r.removeprefix("bytes=").removesuffix("-")) for r in ranges[1:]]
    assert starts == sorted(starts)
    assert 0 < starts[0] <= 300_000 < starts[1] <= 500_000


def test_what_came_is_kept_for_the_next_call(server, tmp_path):
    server.breaks = [100_000] * files.ATTEMPTS
    with pytest.raises(TwinError) as caught:
        fetch(NAME, folder=tmp_path / "kept", files=known(server.url), progress=False)
    assert "goes on where it stopped" in caught.value.hint
    part = tmp_path / "kept" / (NAME + ".part")
    came = part.stat().st_size
    assert came > 200_000
    assert not (tmp_path / "kept" / NAME).exists()
    server.asked.clear()
    path = fetch(NAME, folder=tmp_path / "kept", files=known(server.url), progress=False)
    assert path.read_bytes() == CONTENT
    assert server.asked == [(f"/{NAME}", f"bytes={came}-")]
    assert not part.exists()


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.breaks = [300_000]
    server.ranges_understood = False
    path = fetch(NAME, folder=tmp_path / "kept", files=known(server.url), progress=False)
    assert path.read_bytes() == CONTENT


def test_a_part_of_another_file_is_thrown_away(server, tmp_path):
    part = tmp_path / "kept" / (NAME + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"<html>please log in</html>\n")  # of a network's log-in page: resumed, then the digest is wrong
    assert fetch(NAME, folder=tmp_path / "kept", files=known(server.url), progress=False).read_bytes() == CONTENT
    assert [r for _, r in server.asked] == ["bytes=27-", ""]
    assert not part.exists()
    (tmp_path / "kept" / NAME).unlink()
    part.write_bytes(b"x" * len(CONTENT))  # as long as the file
    assert fetch(NAME, folder=tmp_path / "kept", files=known(server.url), progress=False).read_bytes() == CONTENT
    (tmp_path / "kept" / NAME).unlink()
    server.asked.clear()
    part.write_bytes(b"x" * 1000)  # and where the source too has another content, once is enough
    with pytest.raises(TwinError, match="another content"):
        fetch(NAME, folder=tmp_path / "kept", files=known(server.url, content=CONTENT[::-1]), progress=False)
    assert len(server.asked) == 2
    assert not part.exists()
    assert fetch(NAME, folder=tmp_path / "kept", files=known(server.url), progress=False).read_bytes() == CONTENT
    part.write_bytes(b"x" * (len(CONTENT) + 5))  # longer than the file can be
    (tmp_path / "kept" / NAME).unlink()
    assert fetch(NAME, folder=tmp_path / "kept", files=known(server.url), progress=False).read_bytes() == CONTENT


def test_another_content_is_refused_and_not_kept(server, tmp_path):
    with pytest.raises(TwinError) as caught:
        fetch(NAME, folder=tmp_path / "kept", files=known(server.url, content=CONTENT[::-1]), progress=False)
    assert "sha256" in caught.value.expected
    assert server.url in caught.value.where
    assert list((tmp_path / "kept" / "folder").iterdir()) == []


def test_a_damaged_kept_file_is_fetched_again(server, tmp_path):
    path = fetch(NAME, folder=tmp_path / "kept", files=known(server.url), progress=False)
    path.write_bytes(CONTENT[:-1] + b"\x00")
    assert fetch(NAME, folder=tmp_path / "kept", files=known(server.url), progress=False).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_more_bytes_than_registered_are_not_taken(server, tmp_path):
    with pytest.raises(TwinError, match="more than that"):
        fetch(NAME, folder=tmp_path / "kept", files=known(server.url, content=CONTENT[:5000]), progress=False)
    assert list((tmp_path / "kept" / "folder").iterdir()) == []


def test_a_file_that_is_missing_at_its_source(server, tmp_path):
    with pytest.raises(TwinError) as caught:
        fetch("folder/two.bin", folder=tmp_path, files=known(server.url, name="folder/two.bin"), progress=False)
    assert caught.value.found == "HTTP 404"
    assert "TWINKIT_MIRROR" in caught.value.hint
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.status = [503, 429]
    assert fetch(NAME, folder=tmp_path, files=known(server.url), progress=False).read_bytes() == CONTENT


def test_nobody_answers(server, tmp_path):
    nowhere = "http://127.0.0.1:9"  # the discard port: refused
    with pytest.raises(TwinError) as caught:
        fetch(NAME, folder=tmp_path, files=known(nowhere), progress=False)
    assert "connection refused" in caught.value.found


def test_a_mirror_folder_and_a_mirror_url_are_read_at_call_time(server, tmp_path, monkeypatch):
    nowhere = known("http://127.0.0.1:9")
    monkeypatch.setenv("TWINKIT_MIRROR", str(server.folder))
    assert fetch(NAME, folder=tmp_path / "a", files=nowhere, progress=False).read_bytes() == CONTENT
    monkeypatch.setenv("TWINKIT_MIRROR", server.url + "/")
    assert fetch(NAME, folder=tmp_path / "b", files=nowhere, progress=False).read_bytes() == CONTENT
    assert server.asked == [(f"/{NAME}", "")]
    spaced = tmp_path / "a folder with spaces %41"
    (spaced / "folder").mkdir(parents=True)
    (spaced / NAME).write_bytes(CONTENT)
    monkeypatch.setenv("TWINKIT_MIRROR", str(spaced))
    assert fetch(NAME, folder=tmp_path / "c", files=nowhere, progress=False).read_bytes() == CONTENT


def test_a_mirror_that_lacks_the_file_or_changed_it(server, tmp_path, monkeypatch):
    monkeypatch.setenv("TWINKIT_MIRROR", str(tmp_path / "empty"))
    with pytest.raises(TwinError, match="copy it there"):
        fetch(NAME, folder=tmp_path / "a", files=known(server.url), progress=False)
    (tmp_path / "changed" / "folder").mkdir(parents=True)
    (tmp_path / "changed" / NAME).write_bytes(CONTENT[:-1])
    monkeypatch.setenv("TWINKIT_MIRROR", str(tmp_path / "changed"))
    with pytest.raises(TwinError, match="another content"):
        fetch(NAME, folder=tmp_path / "a", files=known(server.url), progress=False)
    assert server.asked == []


def test_the_progress_bar_names_the_file(server, tmp_path, capfd):
    fetch(NAME, folder=tmp_path, files=known(server.url))
    said = capfd.readouterr()
    assert NAME in said.err
    assert said.out == ""


def test_an_unknown_name_is_offered_its_neighbours():
    with pytest.raises(TwinError, match=r"srtm3/N46E008\.tif"):
        fetch("srtm3/N46E008.tiff")


# ---------------------------------------------------------------- the registry itself


def test_the_registry_prints_as_a_table_and_names_source_and_licence():
    made = tk.datasets.registry()
    lines = str(made).splitlines()
    assert len(lines) == len(made) + 1
    assert all(e.licence and e.source and e.what and (e.commit or e.doi) for e in made.values())
    assert all(e.commit in e.url for e in made.values() if e.commit)
    assert lines[1].split()[0] == next(iter(made))


@pytest.mark.parametrize("name", list(registry()))
def test_the_registered_digest_is_that_of_the_real_file(name, testdata, tmp_path, monkeypatch):
    entry, file = registry()[name], testdata(name)
    assert file.stat().st_size == entry.bytes
    assert hashlib.sha256(file.read_bytes()).hexdigest() == entry.sha256
    monkeypatch.setenv("TWINKIT_MIRROR", os.environ["TWINKIT_TESTDATA"])
    assert fetch(name, folder=tmp_path, progress=False).read_bytes() == file.read_bytes()


GOOD = 'what = "w"\nsource = "s"\nlicence = "l"\nurl = "u"\nbytes = 1\n'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[a", "Expected ']'"),
        ('["a"]\nwhat = "w"\n', "wrong"),
        ("a = 1\n", "1"),
        (f'["../a"]\n{GOOD}sha256 = "{"0" * 64}"\n', "../a"),
        (f'["/etc/passwd"]\n{GOOD}sha256 = "{"0" * 64}"\n', "/etc/passwd"),
        (f'["a"]\n{GOOD}sha256 = "{"0" * 63}"\n', "000"),
        (f'["a"]\n{GOOD}sha256 = "{"0" * 64}"\ncolour = "red"\n', "colour"),
        (f'["a"]\n{GOOD.replace("1", chr(34) + "many" + chr(34))}sha256 = "{"0" * 64}"\n', "'many'"),
        (f'["a"]\n{GOOD.replace("1", "true")}sha256 = "{"0" * 64}"\n', "True"),
        (f'["a"]\n{GOOD.replace("1", "-1")}sha256 = "{"0" * 64}"\n', "-1"),
        (f'["a"]\n{GOOD.replace(chr(34) + "u" + chr(34), "7")}sha256 = "{"0" * 64}"\n', "7"),
    ],
)
def test_a_registry_that_is_none(text, found, tmp_path):
    file = tmp_path / "registry.toml"
    file.write_text(text)
    with pytest.raises(TwinError) as caught:
        registry(file)
    assert found in caught.value.found
    assert "registry.toml" in caught.value.where


def test_a_registry_that_does_not_exist(tmp_path):
    with pytest.raises(TwinError, match="no such file"):
        registry(tmp_path / "registry.toml")
    with pytest.raises(TwinError, match="found a folder"):
        registry(tmp_path)


def test_a_registry_with_other_keys_says_what_to_do(tmp_path):
    file = tmp_path / "registry.toml"
    file.write_text('["a"]\nwhat = "w"\ncolour = "red"\n')
    with pytest.raises(TwinError) as caught:
        registry(file)
    assert caught.value.hint == "add bytes, licence, sha256, source, url and remove colour"
