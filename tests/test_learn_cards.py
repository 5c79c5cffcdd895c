"""Every card's numbers are computed again, and every card says where its model fails and who could be harmed."""

import os
from pathlib import Path

import pytest

import twinkit
from twinkit import TwinError
from twinkit.learn.card import TEXTS, Card, _main, card, cards, differences, read, recomputed, rendered
from twinkit.learn.score import Estimate

DOCS = Path(twinkit.__file__).parents[1] / "docs" / "cards"
NAMES = cards()
SHORT = 20.0  # [s]: what takes longer on real data is for the slow suite


def measured(name):
    """Real data, in the fast suite where it is quick."""
    return pytest.param(name, marks=[pytest.mark.slow] if card(name).seconds > SHORT else [])


def test_there_are_cards():
    assert "schools" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_whole(name):
    one = card(name)
    for text in TEXTS:
        assert len(getattr(one, text)) >= 10, f"{name} says nothing of {text}"
    assert one.numbers.get("generated"), f"write its numbers: python -m twinkit.learn {name}"
    assert one.numbers.get("measured") or not one.files
    assert one.baselines, "a score without a baseline beside it says nothing"
    known = {k for source in one.numbers.values() for k in source}
    assert set(one.baselines) <= known
    assert set(one.units) <= known
    assert any(isinstance(v, Estimate) for v in one.numbers["generated"].values()), "no score has an interval"
    for source in one.numbers.values():
        for key, value in source.items():
            if isinstance(value, Estimate):
                assert value.low <= value.value <= value.high, key


@pytest.mark.parametrize("name", NAMES)
def test_its_page_in_the_docs_is_the_card(name):
    assert (DOCS / f"{name}.md").read_text(encoding="utf-8") == rendered(card(name)), f"python -m twinkit.learn {name}"


@pytest.mark.parametrize("name", NAMES)
def test_the_generated_numbers_are_computed_again(name):
    one = card(name)
    assert not differences(one, recomputed(one), source="generated")


@pytest.mark.parametrize("name", [measured(n) for n in NAMES if card(n).files])
def test_the_measured_numbers_are_computed_again(name, testdata):
    one = card(name)
    for file in one.files:
        testdata(file)
    found = recomputed(one, folder=os.environ["TWINKIT_TESTDATA"])
    assert not differences(one, found, source="measured")


# ---------------------------------------------------------------- the check itself


def made(**other):
    words = dict.fromkeys(TEXTS, "something that is long enough") | {"name": "made"} | other
    return Card(**words)


def fair(folder):
    return {"rmse": Estimate(1.0, 0.9, 1.1), "bias": 0.5}


def test_a_number_that_changed_is_seen():
    kept = made(numbers={"generated": {"rmse": Estimate(1.0, 0.9, 1.1), "bias": 0.55, "gone": 1.0}})
    told = differences(kept, fair(None), source="generated")
    assert told == ["gone: on the card alone", "bias: 0.55 on the card, 0.5 now"]


def test_an_interval_that_changed_is_seen():
    kept = made(numbers={"generated": {"rmse": Estimate(1.0, 0.5, 1.1), "bias": 0.5}})
    assert differences(kept, fair(None), source="generated")[0].startswith("rmse: 1 [0.5, 1.1] on the card")


def test_a_number_that_is_new_is_seen():
    assert differences(made(), fair(None), source="generated") == ["rmse: not on the card", "bias: not on the card"]


def test_a_card_recomputes_through_its_dotted_name():
    assert recomputed(made(recompute=f"{__name__}.fair"))["bias"] == 0.5


def test_a_number_that_is_none_is_refused(monkeypatch):
    monkeypatch.setitem(globals(), "fair", lambda folder: {"rmse": float("nan")})
    with pytest.raises(TwinError, match="finite numbers"):
        recomputed(made(recompute=f"{__name__}.fair"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = ", "a card in TOML"),
        ('title = "t"', "no use, data"),
        ("".join(f'{t} = "x"\n' for t in TEXTS) + "colour = 1", "'colour'"),
        ("".join(f'{t} = "{"" if t == "harm" else "x"}"\n' for t in TEXTS), "no harm"),
    ],
)
def test_a_card_that_leaves_something_out_is_refused(tmp_path, text, said):
    (tmp_path / "made.toml").write_text(text)
    with pytest.raises(TwinError, match=said):
        read(tmp_path / "made.toml")


def test_absent_files_are_named(tmp_path):
    with pytest.raises(TwinError, match=r"no a/b\.csv"):
        recomputed(made(files=("a/b.csv",)), folder=tmp_path)


def test_a_card_prints_its_words_and_numbers():
    text = str(made(numbers={"generated": fair(None)}, units={"rmse": "cycle"}, baselines=("bias",)))
    assert "| rmse [cycle] | 1 [0.9, 1.1] |" in text
    assert "| bias (baseline) | 0.5 |" in text
    assert "**Who could be harmed.**" in text


def test_the_command_without_a_name_says_what_it_takes(capsys):
    _main([])
    assert "schools" in capsys.readouterr().out
    with pytest.raises(TwinError, match="measured or generated"):
        _main(["schools", "guessed"])
    with pytest.raises(TwinError, match="the name of a card"):
        _main(["school"])
