"""Participation: the register on SQLite and on a real PostgreSQL, and Decidim's CSV."""

from __future__ import annotations

import csv
import datetime as dt
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, assemble
from twinkit.participate import export, register, take_in, wished
from twinkit.participate.officials import appoint, known

NOW = dt.datetime(2026, 3, 1, 23, 30, tzinfo=dt.UTC)


class Clock:
    """Time that stands until it is moved."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now

    def on(self, **by):
        self.now += dt.timedelta(**by)


@pytest.fixture
def twin():
    axis = np.arange(40) * 250.0 + 125.0
    people = xr.DataArray(
        np.ones((40, 40)), {"y": 3440e3 + axis, "x": 700e3 + axis}, ("y", "x"), attrs={"provenance": "modelled: evenly"}
    )
    return assemble(
        {"surface": people.to_dataset(name="people")}, title="a valley", crs="EPSG:32643", place="IN:Valley"
    )


@pytest.fixture(scope="session")
def postgres(program):
    """A PostgreSQL of our own, on a socket in a folder of its own."""
    initdb, server = program("initdb"), program("postgres")
    # not below pytest's folder, which each run closes to others anew: the server runs as somebody else
    folder = Path(tempfile.mkdtemp(prefix="twinkit-postgres-"))
    owner = []
    if os.geteuid() == 0:  # it refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
        owner = ["runuser", "-u", "postgres", "--"]
    data = folder / "data"
    said = {"check": True, "capture_output": True, "cwd": folder}
    subprocess.run([*owner, initdb, "-D", data, "-U", "twinkit", "-A", "trust", "--no-sync"], **said)
    run = subprocess.Popen(
        [*owner, server, "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip
    try:
        import psycopg

        for _ in range(1200):
            try:
                psycopg.connect(host=str(folder), user="twinkit", dbname="postgres").close()
                break
            except psycopg.OperationalError:
                time.sleep(0.05)
        yield folder
    finally:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGINT)
        run.wait(timeout=20)
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request, tmp_path):
    """Where a register may be made: a file, or a database of its own on the server."""
    if request.param == "sqlite":
        return str(tmp_path / "pins.db")
    import psycopg

    folder = request.getfixturevalue("postgres")
    name = f"t{time.time_ns()}"
    with psycopg.connect(host=str(folder), user="twinkit", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://twinkit@/{name}?host={folder}"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pins(where, twin, clock):
    with register(where, twin=twin, fewest=3, hourly=4, moderated=False, clock=clock) as made:
        yield made


def put(pins, number, subject="no signal", words=None, x=704.2e3, y=3444.2e3, source=None):
    words = words or f"None at house {number}."
    return pins.receive(subject, words, x=x, y=y, source=source or f"from {number}", key=f"form {number}")


# ---------------------------------------------------------------- a citizen


def test_a_pin_is_kept_followed_and_taken_back(pins):
    receipt = put(pins, 1, "proposal", "A mast on the school, please.")
    pin = pins.follow(f" {receipt.code[:6]}-{receipt.code[6:]} ".upper())  # as people type what they read
    assert (pin.id, pin.subject, pin.words, pin.state) == (
        receipt.pin,
        "proposal",
        "A mast on the school, please.",
        "received",
    )
    assert pin.square == (4, 4)
    assert [(h.state, h.by) for h in pin.happenings] == [("received", "citizen")]
    pins.support(pin.id, person="cookie", source="x")
    pins.withdraw(receipt.code)
    for gone in (lambda: pins.follow(receipt.code), lambda: pins.withdraw(receipt.code)):
        with pytest.raises(TwinError, match="the code of a receipt"):
            gone()
    assert pins.proposals() == []


def test_a_form_sent_twice_is_one_pin_with_one_code(pins):
    first, second = put(pins, 1), put(pins, 1)
    assert first == second
    assert int(pins.squares(fewest=1).pins.sum()) == 1
    assert put(pins, 2).code != first.code


def test_places_are_kept_as_squares_alone(pins, where, tmp_path):
    put(pins, 1, x=704_123.456, y=3_444_987.654, source="203.0.113.77")
    if "://" not in where:
        pins.close()
        held = b"".join(p.read_bytes() for p in tmp_path.iterdir())
        for secret in (b"704123", b"3444987", b"203.0.113.77", b"form 1"):
            assert secret not in held
    squares = register(where).squares(fewest=1) if "://" not in where else pins.squares(fewest=1)
    assert (float(squares.x[0]), float(squares.y[0])) == (704.5e3, 3444.5e3)


def test_what_is_withdrawn_leaves_the_file(twin, tmp_path):
    with register(tmp_path / "pins.db", twin=twin) as pins:
        receipt = put(pins, 1, words="Zanzibarzanzibar at the well")
        assert b"Zanzibar" in b"".join(p.read_bytes() for p in tmp_path.iterdir())
        pins.withdraw(receipt.code)
    assert b"Zanzibar" not in b"".join(p.read_bytes() for p in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("  two\n\nlines\t", "two lines"),
        ("bell\x07 and \x1b[31mred", "bell and [31mred"),
        ("pay \u202egnp.exe", "pay gnp.exe"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),  # words are words; pages escape them
        ("नमस्ते", "नमस्ते"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # Persian is not written without it
        ("x" * 600, "x" * 600),
    ],
)
def test_words_are_kept_without_what_a_screen_obeys(twin, tmp_path, words, kept):
    with register(tmp_path / "pins.db", twin=twin) as pins:
        assert pins.follow(put(pins, 1, words=words).code).words == kept


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"subject": "signal"}, "one of no signal"),
        ({"words": ""}, "say what is wrong"),
        ({"words": "\u202e\x00"}, "say what is wrong"),
        ({"words": "x" * 601}, "say it shorter"),
        ({"words": "x" * 10_000_000}, "say it shorter"),
        ({"words": 7}, "say it shorter"),
        ({"x": 0.0}, "a place in the region"),
        ({"y": float("nan")}, "a place in the region"),
        ({"x": float("inf")}, "a place in the region"),
        ({"x": "704000"}, "a place in the region"),
        ({"key": ""}, "the key of a form"),
        ({"key": "k" * 10_000}, "the key of a form"),
        ({"source": ""}, "where it came from"),
    ],
)
def test_an_unfit_pin_is_one_message_and_leaves_nothing(twin, tmp_path, change, word):
    fit = {"subject": "slow", "words": "slow here", "x": 704e3, "y": 3444e3, "source": "a", "key": "k"}
    with register(tmp_path / "pins.db", twin=twin, moderated=False) as pins:
        sent = fit | change
        with pytest.raises(TwinError, match=word):
            pins.receive(sent.pop("subject"), sent.pop("words"), **sent)
        assert pins.squares(fewest=1).sizes["square"] == 0


# ---------------------------------------------------------------- floods


def test_one_source_is_limited_by_the_hour_across_midnight(pins, clock):
    for number in range(4):
        put(pins, number, source="one")
        clock.on(minutes=5)
    clock.on(minutes=15)  # 00:05, half an hour after the first
    with pytest.raises(TwinError, match=r"at most 4 in an hour.*come back in 25 min"):
        put(pins, 9, source="one")
    put(pins, 9, source="another")
    clock.on(minutes=25, seconds=1)
    put(pins, 10, source="one")
    assert int(pins.squares(fewest=1).pins.sum()) == 6


def test_a_form_sent_again_does_not_count_against_its_source(pins):
    for _ in range(9):
        put(pins, 1, source="one")
    for number in (2, 3, 4):
        put(pins, number, source="one")


def test_the_same_words_again_wait_for_a_moderator(pins, clock):
    assert put(pins, 1, words="Slow at night!").state == "received"
    assert put(pins, 2, words="slow, at NIGHT").state == "waiting"
    for number in range(3, 8):
        put(pins, number, words="Slow at night!", x=701.5e3, y=(3440 + number) * 1e3)
    flags = [p.flag for p in pins.waiting()]
    assert flags == ["repeated", "flood", "flood"]
    clock.on(days=1, seconds=1)
    assert put(pins, 20, words="Slow at night!").state == "received"


def test_writers_at_once_do_not_pass_the_limit_together(pins):
    def one(number):
        try:
            put(pins, number, source="one")
        except TwinError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(24))) == 4


def _submit(where, done, first):
    with register(where) as pins, Path(done).open("a", buffering=1) as log:
        for number in range(first, first + 10_000):
            receipt = put(pins, number)
            log.write(f"{number} {receipt.code}\n")


def test_killed_while_many_submit_every_confirmed_pin_is_there_once(twin, tmp_path):
    where = str(tmp_path / "pins.db")
    register(where, twin=twin, moderated=False).close()
    fork = multiprocessing.get_context("spawn")
    logs = [tmp_path / f"log{i}" for i in range(3)]
    workers = [fork.Process(target=_submit, args=(where, str(log), 100_000 * i)) for i, log in enumerate(logs)]
    for worker in workers:
        worker.start()
    while any(not log.exists() or log.stat().st_size < 300 for log in logs):
        time.sleep(0.01)
    for worker in workers:
        worker.kill()
        worker.join()
    confirmed = [line.split() for log in logs for line in log.read_text().splitlines() if line.count(" ") == 1]
    assert len(confirmed) > 20
    with register(where) as pins:
        numbers = {pins.follow(code).id for _, code in confirmed if len(code) == 24}
        assert len(numbers) == sum(len(code) == 24 for _, code in confirmed)
        again = put(pins, int(confirmed[0][0]))  # its browser asks again
        assert again.code == confirmed[0][1]
        held = pins._engine.raw_connection().execute("SELECT count(*), count(DISTINCT words) FROM pin").fetchone()
        assert held[0] == held[1]


# ---------------------------------------------------------------- what everybody sees


def test_a_square_is_shown_from_enough_pins_on(pins):
    for number in range(2):
        put(pins, number)
    put(pins, 5, "slow", x=708e3)
    assert pins.squares().sizes["square"] == 0
    put(pins, 6, "worry")
    shown = pins.squares()
    assert shown.square.values.tolist() == ["4,4"]
    assert shown.pins.sel(square="4,4").to_series().to_dict() == {
        "no signal": 2.0, "slow": 0.0, "proposal": 0.0, "worry": 1.0
    }  # fmt: skip


def test_supports_count_persons_once(pins):
    proposal = put(pins, 1, "proposal").pin
    other = put(pins, 2, "proposal").pin
    assert [pins.support(other, person=p, source=p) for p in ("a", "b", "a")] == [1, 2, 2]
    assert [p.id for p in pins.proposals()] == [other, proposal]
    for unknown in (999, -1):
        with pytest.raises(TwinError, match="the number of a pin"):
            pins.support(unknown, person="a", source="a")


def test_supports_from_one_source_are_limited(pins):
    proposal = put(pins, 1, "proposal").pin
    for person in range(40):
        pins.support(proposal, person=str(person), source="farm")
    with pytest.raises(TwinError, match="at most 40 in an hour"):
        pins.support(proposal, person="41", source="farm")
    assert pins.proposals()[0].supports == 40


# ---------------------------------------------------------------- moderator and planner


def test_nothing_is_shown_before_a_moderator_saw_it(where, twin, clock):
    with register(where, twin=twin, clock=clock) as pins:
        first, second = put(pins, 1, "proposal"), put(pins, 2, "proposal")
        assert first.state == "waiting"
        assert pins.proposals() == []
        pins.moderate(first.pin, show=True, by="Asha")
        pins.moderate(second.pin, show=False, by="Asha", reason="names a neighbour")
        assert [p.id for p in pins.proposals()] == [first.pin]
        assert pins.waiting() == []
        hidden = pins.follow(second.code)
        assert (hidden.state, hidden.happenings[-1].reason) == ("hidden", "names a neighbour")
        with pytest.raises(TwinError, match="moderate it first"):
            pins.advance(second.pin, "studied", by="Ravi", figures={"people": 1})


def test_a_proposal_goes_its_way_with_figures_and_reason(pins):
    receipt = put(pins, 1, "proposal")
    pins.advance(receipt.pin, "studied", by="Ravi", figures={"people gained": 1200})
    pins.advance(receipt.pin, "accepted", by="Ravi", reason="cheapest of twelve")
    pin = pins.follow(receipt.code)
    assert [h.state for h in pin.happenings] == ["received", "studied", "accepted"]
    assert pin.happenings[1].figures == {"people gained": 1200.0}
    assert pin.happenings[2].reason == "cheapest of twelve"


@pytest.mark.parametrize(
    ("step", "word"),
    [
        ({"state": "accepted", "reason": "fine"}, "one of studied, rejected"),
        ({"state": "hidden"}, "one of studied, rejected"),
        ({"state": "studied"}, "the figures of the study"),
        ({"state": "studied", "figures": {"people": float("nan")}}, "the figures of the study"),
        ({"state": "rejected"}, "the reason of the decision"),
        ({"state": "rejected", "reason": "no", "by": " "}, "a name of 1 to 80"),
    ],
)
def test_a_step_that_does_not_follow_changes_nothing(twin, tmp_path, step, word):
    with register(tmp_path / "pins.db", twin=twin, moderated=False) as pins:
        receipt = put(pins, 1, "proposal")
        with pytest.raises(TwinError, match=word):
            pins.advance(receipt.pin, step.pop("state"), **{"by": "Ravi", **step})
        assert len(pins.follow(receipt.code).happenings) == 1


def test_old_pins_go_and_accepted_proposals_stay(where, twin, clock):
    with register(where, twin=twin, keep=30, moderated=False, clock=clock) as pins:
        old, kept = put(pins, 1), put(pins, 2, "proposal")
        pins.advance(kept.pin, "studied", by="Ravi", figures={"people": 1})
        pins.advance(kept.pin, "accepted", by="Ravi", reason="yes")
        clock.on(days=29)
        young = put(pins, 3)
        assert pins.expire() == 0
        clock.on(days=2)
        assert pins.expire() == 1
        assert pins.follow(kept.code).state == "accepted"
        assert pins.follow(young.code).state == "received"
        with pytest.raises(TwinError, match="the code of a receipt"):
            pins.follow(old.code)


def test_what_was_deleted_does_not_come_back(pins):
    """A request that is replayed, by a reload or by an enemy, brings nothing back; neither does another import."""
    receipt, other = put(pins, 1, "proposal"), put(pins, 2, "proposal")
    pins.withdraw(receipt.code)
    pins.delete(other.pin, by="Asha", reason="on request of somebody named in it")
    for number in (1, 2):
        with pytest.raises(TwinError, match="a form that was not sent before"):
            put(pins, number, "proposal")
    with pytest.raises(TwinError, match="the number of a pin"):
        pins.delete(other.pin, by="Asha", reason="again")
    with pytest.raises(TwinError, match="a reason"):
        pins.delete(put(pins, 3).pin, by="Asha", reason=" ")
    counts = pins.counts()
    assert (counts["taken back"], counts["deleted"], counts["received"]) == (1, 1, 1)


def test_numbers_are_given_once(pins):
    """A page that was open when a proposal was taken back does not support another's that came after it."""
    first = put(pins, 1, "proposal")
    pins.withdraw(first.code)
    second = put(pins, 2, "proposal")
    assert second.pin > first.pin
    with pytest.raises(TwinError, match="the number of a pin"):
        pins.support(first.pin, person="a", source="a")
    assert pins.proposals()[0].supports == 0


def test_a_support_is_taken_back(pins):
    number = put(pins, 1, "proposal").pin
    pins.support(number, person="a", source="a")
    assert pins.supported("a") == {number}
    assert pins.supported("b") == set()
    assert [pins.support(number, person="a", source="a", on=False) for _ in range(2)] == [0, 0]
    assert pins.supported("a") == set()


def test_reports_stand_in_the_order_of_their_squares(pins):
    alone = put(pins, 1, "worry", x=701.5e3).pin
    many = [put(pins, n, "slow").pin for n in (2, 3)]
    put(pins, 4, "proposal")
    assert [p.id for p in pins.reports()] == [*many, alone]
    assert [p.id for p in pins.reports(most=1, skip=2)] == [alone]
    pins.advance(many[0], "rejected", by="Ravi", reason="the line behind it is full")
    assert [p.id for p in pins.reports()] == [many[1], alone]
    assert pins.pin(many[0]).state == "rejected"


def test_traces_of_sources_and_of_deletions_go_too(pins, clock):
    def held(table):
        with pins._look() as connection:
            return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()

    pins.withdraw(put(pins, 1).code)
    assert (held("visit"), held("spent")) == (1, 1)
    clock.on(days=2)
    pins.expire()
    assert (held("visit"), held("spent")) == (0, 1)
    clock.on(days=800)
    pins.expire()
    assert held("spent") == 0


def test_too_often_comes_home_from_another_process():
    import pickle

    from twinkit.participate.limits import TooOften

    home = pickle.loads(pickle.dumps(TooOften(4, 25)))
    assert (home.most, home.minutes, str(home)) == (4, 25, str(TooOften(4, 25)))


# ---------------------------------------------------------------- a plan's weight


def test_wishes_lie_on_the_pixels_of_their_squares(pins, twin):
    for number in range(4):
        put(pins, number)
    put(pins, 5, "slow", x=709.9e3, y=3449.9e3)
    layer = wished(pins.squares(fewest=1).pins, twin["surface/people"], square=1000)
    assert float(layer.sum()) == 5.0
    inside = layer.sel(x=slice(704e3, 705e3), y=slice(3444e3, 3445e3))
    assert inside.shape == (4, 4)
    np.testing.assert_allclose(inside, 0.25)
    with pytest.raises(TwinError, match="squares with their places"):
        wished(pins.squares().pins.drop_vars(["x", "y"]), twin["surface/people"], square=1000)


# ---------------------------------------------------------------- Decidim


def test_proposals_go_through_decidims_csv_and_back(pins, twin, tmp_path):
    for number, words in enumerate(("=HYPERLINK(evil)", 'A mast; with "quotes"\nand lines', "स्कूल पर टावर")):
        put(pins, number, "proposal", words)
    alone = put(pins, 9, "proposal", "far away from all", x=709e3)
    pins.advance(alone.pin, "studied", by="Ravi", figures={"people": 3})
    pins.advance(alone.pin, "rejected", by="Ravi", reason="one house")
    path = export(pins, tmp_path / "proposals.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = {r["body/en"]: r for r in csv.DictReader(file, delimiter=";")}
    assert set(rows) == {"'=HYPERLINK(evil)", 'A mast; with "quotes" and lines', "स्कूल पर टावर", "far away from all"}
    assert rows["far away from all"]["state"] == "rejected"
    assert rows["far away from all"]["latitude"] == ""  # alone in its square
    assert abs(float(rows["स्कूल पर टावर"]["latitude"]) - 31.1) < 0.1
    with register(tmp_path / "second.db", twin=twin) as second:
        assert take_in(second, path, by="Ravi") == {
            "new": 3, "known": 0, "deleted": 0, "outside": 1, "unfit": 0
        }  # fmt: skip
        assert take_in(second, path, by="Ravi") == {
            "new": 0, "known": 3, "deleted": 0, "outside": 1, "unfit": 0
        }  # fmt: skip
        assert {p.words for p in second.proposals()} == {
            "=HYPERLINK(evil)", 'A mast; with "quotes" and lines', "स्कूल पर टावर"
        }  # fmt: skip
        assert {p.square for p in second.proposals()} == {(4, 4)}


def test_a_file_as_decidim_writes_it_is_taken_in(twin, tmp_path):
    # the columns that a site of version 0.27 exports, in its order
    text = (
        "id;category/id;category/name/en;scope/id;scope/name/en;participatory_space/id;participatory_space/url;"
        "component/id;title/en;title/fr;body/en;body/fr;address;latitude;longitude;state;reference;answer/en;supports;"
        "endorsements/total_count;comments;attachments;followers;published_at;url;is_amend\n"
        "7;;;;;3;https://x.example/p/3;9;;Antenne;;Il faut une antenne;;31.08;77.12;accepted;d-PROP-7;Oui;4;1;0;0;2;"
        "2026-01-01 10:00:00 UTC;https://x.example/p/7;false\n"
        "8;;;;;3;;9;Far;;Elsewhere;;;0.0;0.0;;d-PROP-8;;0;0;0;0;0;;;false\n"
        "9;;;;;3;;9;Gone;;Gone;;;31.08;77.12;withdrawn;d-PROP-9;;0;0;0;0;0;;;false\n"
        "10;;;;;3;;9;Nowhere;;No place;;;;;;d-PROP-10;;0;0;0;0;0;;;false\n"
    )
    (tmp_path / "in.csv").write_text(text, encoding="utf-8")
    with register(tmp_path / "pins.db", twin=twin) as pins:
        pins.choices["bounds"] = [690e3, 720e3, 3430e3, 3450e3]
        assert take_in(pins, tmp_path / "in.csv", by="Ravi") == {
            "new": 1, "known": 0, "deleted": 0, "outside": 2, "unfit": 1
        }  # fmt: skip
        (pin,) = pins.proposals()
        assert (pin.words, pin.state, pin.reference) == ("Antenne. Il faut une antenne", "accepted", "decidim d-PROP-7")
        assert pin.happenings[-1].reason == "Oui"


@pytest.mark.parametrize(
    ("bytes_", "word"),
    [
        (b"a;b\n1;2\n", "Decidim's proposals as CSV"),
        (b"\xff\xfe\x00", "other bytes than UTF-8"),
        (b"id;title/en;latitude;longitude\n1;x;0;0;9;9\n", "more fields"),
        (b"", "Decidim's proposals as CSV"),
        (b'id;title/en;latitude;longitude\n"' + b"x" * 200_000 + b'";b;0;0\n', "field larger"),
    ],
)
def test_other_files_are_one_message(twin, tmp_path, bytes_, word):
    (tmp_path / "in.csv").write_bytes(bytes_)
    with register(tmp_path / "pins.db", twin=twin) as pins:
        with pytest.raises(TwinError, match=word):
            take_in(pins, tmp_path / "in.csv", by="Ravi")
        with pytest.raises(TwinError, match="a file"):
            take_in(pins, tmp_path / "none.csv", by="Ravi")


# ---------------------------------------------------------------- the database


def test_the_choices_stay_as_they_were_made(where, twin, clock):
    with register(where, twin=twin, square=500, fewest=7, clock=clock) as pins:
        made = pins.choices
    with register(where, square=2000, fewest=2) as pins:
        assert pins.choices == made
        assert pins.choices["square"] == 500


def test_two_that_open_a_new_register_at_once_make_it_once(where, twin):
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: register(where, twin=twin), range(6)))
    assert len({m._secret for m in made}) == 1
    for one in made:
        one.close()


def test_a_register_of_the_future_is_not_touched(twin, tmp_path):
    register(tmp_path / "pins.db", twin=twin).close()
    with sqlite3.connect(tmp_path / "pins.db") as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(TwinError, match=r"that this version of twinkit knows.*'9999'"):
        register(tmp_path / "pins.db")


def test_a_register_of_before_is_brought_up_to_date_with_all_that_is_in_it(where, twin, clock):
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    with register(where, twin=twin, moderated=False, clock=clock) as pins:
        receipt = put(pins, 1, "proposal")
        appoint(pins, "Asha", "planner", password="three odd words")
        config = Config()
        config.set_main_option("script_location", "twinkit:participate/migrations")
        script = ScriptDirectory.from_config(config)
        steps = EnvironmentContext(config, script, fn=lambda now, _: script._downgrade_revs("0001", now))
        with pins._engine.begin() as connection:
            steps.configure(connection=connection)
            with steps.begin_transaction():
                steps.run_migrations()
            with pytest.raises(Exception, match="turn"), connection.begin_nested():
                connection.exec_driver_sql("SELECT turn FROM official")
    with register(where, clock=clock) as pins:
        assert pins.follow(receipt.code).words == "None at house 1."
        assert known(pins, "Asha", "three odd words", source="a")
        pins.withdraw(receipt.code)


def test_the_migrations_make_what_the_tables_say(where, twin):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from twinkit.participate.tables import metadata

    with register(where, twin=twin) as pins, pins._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("mysql://a@b/c", "a mysql database"),
        ("ftp://x", "SQLite"),
        ("sqlite://", "a database in memory"),
        ("nowhere/at/all/pins.db", "a folder that is there"),
        ("postgresql://user:hunter2@127.0.0.1:1/pins?connect_timeout=2", "a database that answers"),
    ],
)
def test_other_databases_are_one_message_without_the_password(twin, url, word):
    with pytest.raises(TwinError, match=word) as caught:
        register(url, twin=twin)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_left_alone(twin, tmp_path):
    (tmp_path / "pins.db").write_bytes(b"a letter to the minister" * 100)
    with pytest.raises(TwinError, match="a database that answers"):
        register(tmp_path / "pins.db", twin=twin)
    assert (tmp_path / "pins.db").read_bytes() == b"a letter to the minister" * 100


def test_a_new_register_needs_a_region(tmp_path):
    with pytest.raises(TwinError, match="the twin whose surface"):
        register(tmp_path / "pins.db")
    with pytest.raises(TwinError, match="a twin without a surface"):
        register(tmp_path / "pins.db", twin=assemble({}, title="none", crs="EPSG:32643"))
