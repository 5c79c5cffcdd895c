"""One word per thing: every row of vocabulary.csv is whole, and every name is found or corrected."""

import math

import pytest

from twinkit import TwinError, vocabulary

WORDS = vocabulary.words()


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_a_row_is_whole(word):
    assert word.name.isidentifier()
    assert word.name == word.name.lower()
    assert word.kind in vocabulary.KINDS
    assert word.unit, "a unit, '1' for none"
    assert word.low <= word.high
    assert math.isnan(word.period) or word.period > 0
    assert set(word.meaning) == set(vocabulary.LANGUAGES), "a meaning in every language"
    assert len(set(word.meaning.values())) == len(word.meaning), "a translation, no copy of the English"
    if word.kind != "number":
        assert word.unit == "1"


def test_no_name_stands_twice():
    import csv
    import importlib.resources

    text = importlib.resources.files("twinkit").joinpath("vocabulary.csv").read_text(encoding="utf-8")
    names = [row["name"] for row in csv.DictReader(text.splitlines())]
    assert sorted(set(names)) == sorted(names)


def test_units_are_si_or_decibels():
    allowed = {
        "1",
        "m",
        "s",
        "Hz",
        "W",
        "Wh",
        "J",
        "K",
        "degC",
        "degree",
        "bit/s",
        "people",
        "mm/h",
        "dB",
        "dBm",
        "dBi",
    }
    assert {w.unit for w in WORDS.values()} & {"km", "MHz", "GHz", "kHz", "ms", "min", "kW"} == set()
    assert {"m", "dBm", "people"} <= allowed & {w.unit for w in WORDS.values()}


def test_a_word_fits_its_dims_and_free_ones():
    rsrp = vocabulary.word("rsrp")
    assert rsrp.fits(("y", "x"))
    assert rsrp.fits(("draw", "y", "x"))
    assert not rsrp.fits(("y",))
    assert not rsrp.fits(("y", "x", "cell"))


def test_a_mistyped_word_is_corrected():
    with pytest.raises(TwinError, match="use 'transmit_power'"):
        vocabulary.word("transmit_powr")


def test_a_language_without_a_column_is_refused():
    with pytest.raises(TwinError, match="a language among en, hi, fr, fa"):
        vocabulary.label("rsrp", language="de")


@pytest.mark.parametrize("language", vocabulary.LANGUAGES)
def test_the_glossary_has_a_row_a_word(language):
    table = vocabulary.glossary(language=language).splitlines()
    assert len(table) == len(vocabulary.words()) + 2
    assert any(vocabulary.word("rsrp").meaning[language] in line for line in table)


def test_a_word_of_ones_own_is_known_until_the_end_of_the_session(monkeypatch):
    monkeypatch.setattr(vocabulary, "_table", lambda table=dict(WORDS): table)
    made = vocabulary.define("queue_length", dims="time cell", unit="1", meaning="waiting packets", low=0)
    assert vocabulary.word("queue_length") == made
    # saying the same again is no fault, saying something else is
    vocabulary.define("queue_length", dims="time cell", unit="1", meaning="waiting packets", low=0)
    with pytest.raises(TwinError, match="a name that is not taken"):
        vocabulary.define("queue_length", dims="time site", unit="1", meaning="waiting packets", low=0)


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [("Load", "number", "lower-case"), ("two words", "number", "lower-case"), ("ok", "int", "kind")],
)
def test_a_bad_definition_is_refused(name, kind, said):
    with pytest.raises(TwinError, match=said):
        vocabulary.define(name, dims="cell", unit="1", meaning="", kind=kind)
