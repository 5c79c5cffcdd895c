"""The ledger: what is spent, by whichever sum is right, under races, kills and tampering."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit import TwinError, privacy
from twinkit.privacy import Bound, Cost, composed
from twinkit.privacy.mechanism import prelude

PAIR = ("origin", "destination")


def counts():
    zones = ["a", "b"]
    return xr.DataArray([[7, 20], [3, 500]], {"origin": zones, "destination": zones}, PAIR, name="trips")


def pay(path, epsilon=0.4, **choices):
    known = {"protects": "subscriber-day", "bound": 2, "message": "trips between wards"}
    return privacy.release(counts(), epsilon=epsilon, store=path, **known | choices)


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "a.twin"
    tk.save(tk.assemble({}, title="one mast", crs="EPSG:32643"), place, message="the beginning")
    return place


@pytest.fixture
def rich(path):
    privacy.budget(path, epsilon=1.0, protects="subscriber-day", message="letter of 3 March", author="Asha")
    return path


def acts(path):
    return privacy.ledger(path).act.values.tolist()


# ---------------------------------------------------------------- lines


def test_a_release_is_written_down_with_all_that_it_cost(rich):
    safe = pay(rich, author="Ravi", days=("2026-03-02", "2026-03-08"))
    held = privacy.ledger(rich)
    assert held.act.values.tolist() == ["budget", "reserved", "released"]
    last = held.isel(entry=-1)
    said = {n: last[n].item() for n in ("epsilon", "delta", "rho", "bound", "each", "scale")}
    assert said == {"epsilon": 0.4, "delta": 0, "rho": pytest.approx(0.08), "bound": 2, "each": 2, "scale": 5}
    texts = [last[n].item() for n in ("mechanism", "protects", "message", "author", "first_day", "last_day")]
    assert texts == ["geometric", "subscriber-day", "trips between wards", "Ravi", "2026-03-02", "2026-03-08"]
    assert last.release.item() == safe.attrs["release"]
    assert abs(np.datetime64("now") - last.when.values) < np.timedelta64(5, "m")
    assert len(last.content.item()) == 64
    assert privacy.spent(rich, protects="subscriber-day") == 0.4
    assert tk.verify(rich)


def test_whoever_saves_the_twin_leaves_the_ledger_alone(rich):
    pay(rich)
    tk.save(tk.assemble({}, title="two masts", crs="EPSG:32643"), rich, message="one more")
    assert "privacy" not in tk.open(rich).children
    assert privacy.spent(rich, protects="subscriber-day") == 0.4
    assert list(tk.open(rich, branch="privacy").children) == ["privacy"]


def test_a_release_over_the_budget_raises_and_is_logged(rich):
    pay(rich), pay(rich)
    with pytest.raises(TwinError, match=r"budget of epsilon 1 .*found 0.8 spent, 1.2 with this one"):
        pay(rich, author="Ravi")
    assert acts(rich) == ["budget", *["reserved", "released"] * 2, "refused"]
    assert privacy.ledger(rich).author.values[-1] == "Ravi"
    assert privacy.spent(rich, protects="subscriber-day") == 0.8
    pay(rich, epsilon=0.2)  # what is left may be spent to the last
    with pytest.raises(TwinError, match="within the budget"):
        pay(rich, epsilon=1e-3)


def test_without_a_budget_nothing_is_released(path):
    with pytest.raises(TwinError, match="a budget for each subscriber-day in this store; found none"):
        pay(path)
    assert acts(path) == ["refused"]


def test_a_budget_of_zero_forbids_all(path):
    privacy.budget(path, epsilon=0.0, protects="subscriber-day", message="closed")
    with pytest.raises(TwinError, match="budget of epsilon 0"):
        pay(path, epsilon=1e-6)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"epsilon": -1.0}, "epsilon: expected a finite number of 0 or more"),
        ({"epsilon": np.inf}, "epsilon: expected a finite number of 0 or more"),
        ({"epsilon": np.nan}, "epsilon: expected a finite number of 0 or more"),
        ({"delta": 1.0}, "delta: expected"),
        ({"protects": "person"}, "a unit of protection"),
        ({"message": " "}, "a message in words"),
    ],
)
def test_budgets_that_are_refused(path, choices, said):
    with pytest.raises(TwinError, match=re.escape(said)):
        privacy.budget(path, **{"epsilon": 1.0, "protects": "subscriber", "message": "why"} | choices)
    assert privacy.ledger(path).sizes["entry"] == 0


def test_no_store_no_release(tmp_path):
    with pytest.raises(TwinError, match="a stored twin"):
        pay(tmp_path / "none.twin")


def test_what_is_refused_for_other_reasons_costs_nothing(rich):
    for wrong in ({"bound": 0}, {"delta": 0.5}, {"margins": ["nowhere"]}, {"protects": "person"}, {"threshold": -1}):
        with pytest.raises(TwinError):
            pay(rich, **wrong)
    assert acts(rich) == ["budget"]


# ---------------------------------------------------------------- units and days


def test_different_days_do_not_add_up_for_a_day(rich):
    pay(rich, epsilon=0.9, days=("2026-03-02", "2026-03-02"))
    pay(rich, epsilon=0.9, days=("2026-03-03", "2026-03-09"))
    assert privacy.spent(rich, protects="subscriber-day") == 0.9
    with pytest.raises(TwinError, match=r"1\.8 with this one"):
        pay(rich, epsilon=0.9, days=("2026-03-09", "2026-03-15"))
    with pytest.raises(TwinError, match=r"1\.1 with this one"):
        pay(rich, epsilon=0.2)  # whatever says no days touches each of them
    pay(rich, epsilon=0.1)
    assert privacy.spent(rich, protects="subscriber-day") == 1.0


def test_a_subscriber_pays_for_each_day(path):
    privacy.budget(path, epsilon=5.0, protects="subscriber", message="why")
    privacy.budget(path, epsilon=9.0, protects="subscriber-day", message="why")
    pay(path, epsilon=0.5, days=("2026-03-02", "2026-03-08"))
    assert privacy.spent(path, protects="subscriber") == 3.5
    pay(path, epsilon=1.0, protects="subscriber")
    # what protects the subscriber protects each day, and is paid for by each
    assert privacy.spent(path, protects="subscriber-day") == 1.5
    assert privacy.spent(path, protects="subscriber") == 4.5
    with pytest.raises(TwinError, match="epsilon 5 for each subscriber"):
        pay(path, epsilon=0.1, days=("2026-03-02", "2026-03-08"))
    with pytest.raises(TwinError, match="say which days it covers"):
        pay(path, epsilon=0.1)


def test_a_group_of_days_by_opendp():
    dp = prelude()
    made = dp.m.make_geometric(dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64"), 8.0)
    one = Cost.pure(made.map(4))
    # seven days of one subscriber are seven times as far apart
    assert one.for_group(7).epsilon == pytest.approx(made.map(28), rel=1e-12)
    noise = privacy.gaussian(Bound(4, 4), epsilon=1.0, delta=1e-6)
    normal = dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float), noise.scale)
    assert noise.cost.for_group(7).rho == pytest.approx(normal.map(28.0), rel=1e-9)


# ---------------------------------------------------------------- OpenDP's own accountant


def whole(metric):
    dp = prelude()
    return dp.vector_domain(dp.atom_domain(T="i64")), metric


def test_pure_releases_add_up_as_opendp_says(path):
    dp = prelude()
    privacy.budget(path, epsilon=10.0, protects="subscriber-day", message="why")
    epsilons = (0.1, 0.7, 1 / 3)
    for e in epsilons:
        pay(path, epsilon=e)
    scales = list(privacy.ledger(path).scale.values[2::2])
    parts = [dp.m.make_geometric(*whole(dp.l1_distance(T="i64")), s) for s in scales]
    assert privacy.spent(path, protects="subscriber-day") == pytest.approx(
        dp.c.make_composition(parts).map(2), rel=1e-12
    )


def test_gaussian_releases_compose_as_opendp_says(path):
    dp = prelude()
    privacy.budget(path, epsilon=3.0, protects="subscriber-day", delta=1e-5, message="why")
    for _ in range(4):
        pay(path, epsilon=0.5, delta=1e-6, mechanism=privacy.gaussian)
    scales = list(privacy.ledger(path).scale.values[2::2])
    parts = [dp.m.make_gaussian(*whole(dp.l2_distance(T=float)), s) for s in scales]
    together = dp.c.make_zCDP_to_approxDP(dp.c.make_composition(parts)).map(2.0).epsilon(1e-5)
    found = privacy.spent(path, protects="subscriber-day")
    assert found == pytest.approx(together, rel=1e-6)
    assert found < 4 * 0.5  # and it is less than the sum


def test_many_small_pure_releases_compose_as_opendp_says():
    dp = prelude()
    one = dp.c.make_pureDP_to_zCDP(dp.m.make_geometric(*whole(dp.l1_distance(T="i64")), 10.0))
    together = dp.c.make_zCDP_to_approxDP(dp.c.make_composition([one] * 100)).map(1).epsilon(1e-6)
    found = composed([Cost.pure(0.1)] * 100, delta=1e-6)
    assert found == pytest.approx(together, rel=1e-6)
    assert found < 10 == pytest.approx(composed([Cost.pure(0.1)] * 100))


@pytest.mark.parametrize("rho", [1e-6, 1e-3, 0.1, 2.0, 60.0])
@pytest.mark.parametrize("delta", [1e-12, 1e-6, 1e-2])
def test_rho_becomes_epsilon_as_opendp_says(rho, delta):
    dp = prelude()
    made = dp.m.make_gaussian(*whole(dp.l2_distance(T=float)), 1 / np.sqrt(2 * rho))
    expected = dp.c.make_zCDP_to_approxDP(made).map(1.0).epsilon(delta)
    assert privacy.concentrated_epsilon(rho, delta) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_failures_use_delta_up():
    risky = Cost.pure(0.1, delta=6e-7)
    assert composed([risky], delta=1e-6) == pytest.approx(0.1)
    assert composed([risky, risky], delta=1e-6) == np.inf
    assert composed([risky, risky]) == np.inf


def test_margins_are_paid_for(path):
    privacy.budget(path, epsilon=1.0, protects="subscriber-day", message="why")
    pay(path, epsilon=1.0, margins=["origin", ()], margin_share=0.4)
    assert privacy.spent(path, protects="subscriber-day") == pytest.approx(1.0)
    with pytest.raises(TwinError, match="within the budget"):
        pay(path, epsilon=0.01)


def test_what_people_write_down_adds_up_and_nothing_hides_in_rounding(path):
    privacy.budget(path, epsilon=0.3, protects="subscriber-day", message="why")
    for _ in range(3):
        pay(path, epsilon=0.1)
    assert privacy.spent(path, protects="subscriber-day") == 0.3
    with pytest.raises(TwinError, match=r"0\.3 spent, 0\.300001 with this one"):
        pay(path, epsilon=1e-6)
    # floating-point sums would take any number of these
    for little in (1e-10, 1e-17, 5e-324):
        with pytest.raises(TwinError, match="an epsilon from 1e-06"):
            pay(path, epsilon=little)
    assert composed([Cost.pure(1.0), *[Cost.pure(1e-17)] * 3]) > 1
    assert composed([Cost.pure(1.0, delta=1e-6), Cost.pure(0.5, delta=1e-22)], delta=1e-6) == np.inf


def test_a_mechanism_of_ones_own_cannot_pay_a_negative_price(rich):
    def generous(bound, *, epsilon, delta):
        return privacy.Noise("generous", 1.0, 1.0, Cost(-5.0), lambda values, generator: values)

    pay(rich, epsilon=0.9)
    with pytest.raises(TwinError, match="a cost of 0 or more"):
        pay(rich, mechanism=generous)
    assert privacy.spent(rich, protects="subscriber-day") == 0.9


def test_a_branch_or_another_way_to_the_folder_is_no_way_around_the_budget(rich):
    pay(rich, epsilon=0.9)
    tk.branch(rich, "what-if")
    link = rich.with_name("link.twin")
    link.symlink_to(rich)
    for way in (rich, link, rich / ".." / rich.name, str(rich) + "/"):
        with pytest.raises(TwinError, match=r"0\.9 spent"):
            pay(way)
    assert acts(rich).count("refused") == 4


# ---------------------------------------------------------------- races, kills, tampering

RACE = """
import sys
import twinkit as tk
from test_privacy_ledger import pay
got = 0
for _ in range(2):
    try:
        pay(sys.argv[1], epsilon=0.4)
        got += 1
    except tk.TwinError as fault:
        assert "within the budget" in fault.expected, fault
print(got)
"""


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_releases_in_a_race_never_exceed_the_budget(rich, processes):
    here = os.path.dirname(__file__)  # noqa: PTH120
    run = [sys.executable, "-W", "ignore", "-c", RACE, str(rich)]
    start = {
        "env": {**os.environ, "PYTHONPATH": here},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    racing = [subprocess.Popen(run, **start) for _ in range(processes)]
    told = [p.communicate() for p in racing]
    assert all(p.returncode == 0 for p in racing), told
    assert sum(int(out) for out, _ in told) == 2
    held = acts(rich)
    assert (held.count("reserved"), held.count("released"), held.count("refused")) == (2, 2, 2 * processes - 2)
    assert privacy.spent(rich, protects="subscriber-day") == pytest.approx(0.8)
    assert tk.verify(rich, thorough=True)


def test_threads_in_a_race_never_exceed_the_budget(rich):
    got, fell = [], []

    def work():
        try:
            got.append(pay(rich, epsilon=0.4))
        except TwinError as fault:
            fell.append(fault.expected)

    racing = [threading.Thread(target=work) for _ in range(4)]
    for t in racing:
        t.start()
    for t in racing:
        t.join()
    assert (len(got), len(fell)) == (2, 2)
    assert all("within the budget" in f for f in fell)
    assert privacy.spent(rich, protects="subscriber-day") == 0.8


def test_what_was_reserved_and_never_released_is_spent(rich, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["twinkit.privacy.release"], "_fitted", stopped)
    with pytest.raises(KeyboardInterrupt):
        pay(rich, epsilon=0.7)
    monkeypatch.undo()
    assert acts(rich) == ["budget", "reserved"]
    assert privacy.spent(rich, protects="subscriber-day") == 0.7
    with pytest.raises(TwinError, match="within the budget"):
        pay(rich)


KILL = """
import os, sys
from test_privacy_ledger import pay
print("ready", flush=True)
while True:
    pay(sys.argv[1], epsilon=0.001)
    os.write(1, b".")
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9 needs signals")
@pytest.mark.parametrize("trials", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_the_ledger_survives_kill_9(path, trials):
    privacy.budget(path, epsilon=100.0, protects="subscriber-day", message="why")
    here = os.path.dirname(__file__)  # noqa: PTH120
    run = [sys.executable, "-W", "ignore", "-c", KILL, str(path)]
    rng = np.random.default_rng(1)
    out = 0
    for trial in range(trials):
        killed = subprocess.Popen(run, env={**os.environ, "PYTHONPATH": here}, stdout=subprocess.PIPE)
        assert killed.stdout.readline() == b"ready\n"
        seen = killed.stdout.read((trial + 1) % 2)  # some have released nothing yet
        time.sleep(rng.uniform(0.0, 1.5))
        killed.send_signal(signal.SIGKILL)
        out += (seen + killed.communicate()[0]).count(b".")
        held = privacy.ledger(path)
        paid = held.act.values.tolist().count("reserved")
        # whatever anybody got to see was paid for before; what was paid for may never have been seen
        assert paid >= held.act.values.tolist().count("released") >= out
        assert privacy.spent(path, protects="subscriber-day") == pytest.approx(0.001 * paid)
    assert out > 0
    pay(path, epsilon=0.001)
    assert tk.verify(path, thorough=True)


def test_a_flipped_byte_in_the_ledger_is_found(rich):
    pay(rich)
    before = set(rich.rglob("*"))
    pay(rich, epsilon=0.2)
    new = {p for p in set(rich.rglob("*")) - before if p.parent.name in ("chunks", "manifests", "snapshots")}
    assert len(new) > 2
    for number, file in enumerate(sorted(new)[:6]):
        whole = file.read_bytes()
        spot = len(whole) * (number % 7 + 1) // 9
        file.write_bytes(whole[:spot] + bytes([whole[spot] ^ 4]) + whole[spot + 1 :])
        found = tk.verify(rich)
        assert any(file.name in f for f in found.faults)
        file.write_bytes(whole)
    assert tk.verify(rich)


def test_numbers_altered_on_the_disk_make_no_room(rich):
    pay(rich)
    for file in (rich / "manifests").iterdir():
        # the numbers are so few that the engine keeps them inside its lists of blocks
        data = file.read_bytes()
        middle = len(data) // 2
        file.write_bytes(data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :])
    for act in (lambda: pay(rich, epsilon=0.1), lambda: privacy.spent(rich, protects="subscriber-day")):
        with pytest.raises(TwinError):
            act()


def test_a_line_edited_by_hand_is_refused_by_whoever_reads_it(rich):
    """Somebody with the engine's own tools writes a smaller epsilon, and keeps all of twinkit's words about it."""
    import icechunk
    import zarr

    pay(rich, epsilon=0.9)
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(str(rich)))
    session = repo.writable_session("privacy")
    group = zarr.open_group(session.store, mode="a")
    said = repo.lookup_snapshot(repo.lookup_branch("privacy"))
    group["privacy/epsilon"][:] = 0.0
    session.commit(said.message, metadata=dict(said.metadata))
    for act in (lambda: pay(rich), lambda: privacy.ledger(rich), lambda: privacy.spent(rich, protects="subscriber")):
        with pytest.raises(TwinError, match="the branch 'privacy' was sealed"):
            act()
    assert not tk.verify(rich)


@pytest.mark.parametrize("how", ["taken away", "turned back"])
def test_a_branch_that_was_turned_back_is_refused_and_never_read_as_empty(rich, how):
    file = rich / "refs" / "branch.privacy" / "ref.json"
    before = file.read_bytes()
    pay(rich, epsilon=0.9)
    file.write_bytes(before) if how == "turned back" else file.unlink()
    for act in (lambda: pay(rich), lambda: privacy.ledger(rich), lambda: privacy.spent(rich, protects="subscriber")):
        with pytest.raises(TwinError, match="the branch 'privacy' was sealed"):
            act()


def test_an_older_copy_of_the_store_is_found_by_whoever_holds_a_published_table(rich, tmp_path):
    """The store alone cannot know: the copy is whole. A published table knows the head of the ledger."""
    older = tmp_path / "older"
    shutil.copytree(rich, older)
    safe = pay(rich, epsilon=0.9)
    assert tk.verify(rich, head=safe.attrs["ledger"])
    shutil.rmtree(rich)
    shutil.copytree(older, rich)
    assert privacy.spent(rich, protects="subscriber-day") == 0  # said in the docs: it cannot be held
    found = tk.verify(rich, head=safe.attrs["ledger"])
    assert not found
    assert "is in no branch: newest commits were dropped" in str(found)


def test_old_commits_may_expire_and_the_ledger_goes_on(rich):
    pay(rich, epsilon=0.5)
    tk.store.expire(rich, before="2100-01-01")
    assert len(tk.history(rich, branch="privacy")) == 1
    assert privacy.spent(rich, protects="subscriber-day") == 0.5
    pay(rich, epsilon=0.25)
    with pytest.raises(TwinError, match=r"0\.75 spent"):
        pay(rich)
    # and whoever writes over it is found still
    shorter = tk.extend(tk.open(rich, branch="privacy"), privacy=privacy.ledger(rich).isel(entry=[0]))
    tk.save(shorter, rich, branch="privacy", message="ledger of privacy: tidied up")
    with pytest.raises(TwinError, match=r"twinkit\.privacy alone wrote"):
        pay(rich)


def test_a_ledger_that_somebody_else_saved_is_refused(rich):
    pay(rich)
    doctored = tk.open(rich, branch="privacy")
    shorter = tk.extend(doctored, privacy=doctored["privacy"].to_dataset().isel(entry=[0]))
    tk.save(shorter, rich, branch="privacy", message="ledger of privacy: tidied up")
    for act in (lambda: pay(rich), lambda: privacy.ledger(rich), lambda: privacy.spent(rich, protects="subscriber")):
        with pytest.raises(TwinError, match=r"twinkit\.privacy alone wrote .*1 lines and 4 commits"):
            act()


def test_a_branch_of_that_name_that_holds_something_else(path):
    tk.branch(path, "privacy")
    assert privacy.ledger(path).sizes["entry"] == 0
    privacy.budget(path, epsilon=1.0, protects="subscriber-day", message="why")
    assert acts(path) == ["budget"]
