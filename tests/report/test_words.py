"""Each language says all that English says, and nothing else."""

import itertools
import re
import string
import time
from pathlib import Path

import msgspec
import pytest
from english import SRC, formatted, keys, labels, literals, words_in
from hypothesis import example, given
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.metrics.fingerprint import FIELDS
from loadcell.metrics.glossary import GLOSSARY
from loadcell.metrics.limits import figure_name
from loadcell.phrases import Phrase, joined, learn, made_of, phrase, phrases, reworded, scrubbed
from loadcell.report.words import words_for
from loadcell.report.words.catalogue import catalogue, catalogues

ES, EN = words_for("es"), words_for("en")
THIN = "\N{NARROW NO-BREAK SPACE}"
MODULES = sorted(SRC.rglob("*.py"))
NAMES = {"loadcell", "{}: {}"}
"""Keys that are the same in every language."""


def pages() -> list[Path]:
    found = [*(SRC / "report").rglob("*"), *(SRC / "browse").rglob("*")]
    return [path for path in found if path.suffix in (".py", ".html")]


def said_of_fields() -> set[str]:
    """What differences between runs are told by."""
    values = [f"{{}} is {a}, {{}} {b}" for f in FIELDS for a, b in itertools.permutations(f.words.values(), 2)]
    return {*(field.title for field in FIELDS), *values}


@pytest.mark.parametrize("lang", catalogues())
def test_every_sentence_is_known(lang):
    said = set().union(*map(keys, MODULES)) | said_of_fields()
    assert not sorted(said - set(catalogue(lang).words) - NAMES)


ERRORS = {"glossary", "peer_names", "preflight", "offers", "run", "fit", "rows", "fields", "shards"}
"""Modules whose other sentences are errors of the command line, or names."""


def test_no_sentence_of_a_result_is_made_but_by_phrase():
    modules = [path for room in ("metrics", "compare", "search", "load", "protocol", "workload")
               for path in sorted((SRC / room).rglob("*.py")) if path.stem not in ERRORS]  # fmt: skip
    made = {f"{path.relative_to(SRC)}: {text}" for path in modules for text in formatted(path) if words_in(text) >= 3}
    assert not made


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(SRC)))
def test_every_label_of_the_pages_is_known(path):
    unknown = {lang: labels(path) - set(catalogue(lang).words) for lang in catalogues()}
    assert not any(unknown.values()), unknown


@pytest.mark.parametrize("lang", catalogues())
def test_nothing_is_translated_that_nobody_says(lang):
    said = set().union(*map(keys, MODULES), *map(literals, MODULES), *map(labels, pages()), said_of_fields())
    said |= {text for metric in GLOSSARY.values() for text in msgspec.structs.astuple(metric) if text is not None}
    assert not sorted(set(catalogue(lang).words) - said - NAMES)


@pytest.mark.parametrize("lang", catalogues())
def test_both_sides_have_the_same_places(lang):
    for english, other in catalogue(lang).words.items():
        assert _names(english) == _names(re.sub(r"\{\d*=?\}", "", other)), english
        assert english.count("{}") == len(re.findall(r"\{\d*=?\}", other)), english


def _names(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def test_every_metric_has_its_spanish():
    for name, metric in GLOSSARY.items():
        other = ES.metric(name)
        assert other.name == metric.name and EN.metric(name) == metric
        assert other.meaning != metric.meaning and other.blind != metric.blind
        assert " Response time starts" not in other.meaning


LATE = phrase("sends late by {} at {}", "1,234.5 ms", "p99")
STOOD = phrase("{} (limit {})", phrase("the client stood still for {}", "28 ms"), "5 ms")


@pytest.mark.parametrize(
    ("english", "spanish"),
    [
        (
            phrase("{}: {}", phrase("{} (limit {})", LATE, "1 ms"), "keep other work off this machine and run again"),
            f"envíos con 1{THIN}234,5 ms de retraso (p99) (límite 1 ms): quitar otros trabajos de esta máquina y "
            "repetir",
        ),
        (phrase("{}: {} {}, {} {}", "loadcell", "A", "0.4", "B", "1.5"), "loadcell: A 0,4, B 1,5"),
        (phrase("{}: {} {}, {} {}", "tokenizer", "A", "words:0.5", "B", "none"), "tokenizador: A words:0.5, B ninguno"),
        (joined("; ", ["run again", "see the errors"]), "repetir la ejecución; véanse los errores"),
        (
            phrase("{} (and {} more)", phrase("{}: {}", phrase("{} is {}", "B", "SUSPECT"), STOOD), 5),
            "B es DUDOSO: el cliente se detuvo 28 ms (límite 5 ms) (y 5 más)",
        ),
        (figure_name("TTFT", "", "mean"), "TTFT medio"),
        (figure_name("TTFT", "response", "mean"), "TTFT de respuesta medio"),
        (figure_name("TTFT", "response", "p99"), "TTFT de respuesta p99"),
        ("Run again.", "Repetir la ejecución."),
        ("words from outside: {} of them", "words from outside: {} of them"),
    ],
)
def test_a_sentence_is_said_by_what_it_was_made_of(english, spanish):
    assert ES.say(english) == spanish
    assert EN.say(english) == english


def test_numbers_have_the_marks_of_the_language():
    assert ES.figure(1_234_567.0, 7) == f"1{THIN}234{THIN}567"
    assert ES.count(10_094) == f"10{THIN}094" and EN.count(10_094) == "10,094"
    assert ES.figure(0.1234) == "0,1234" and ES.percent(0.123) == "12,3 %"
    assert ES.figure(None) == "n/d" and EN.figure(None) == "n/a"
    assert ES.percent(1e-9) == "< 0,0001 %"
    assert ES.vega_locale()["decimal"] == "," and EN.vega_locale()["decimal"] == "."


@given(st.text(max_size=200))
def test_foreign_words_stay(text):
    foreign = f"\x01{text}\x01"
    said = phrase("the same server as {}: counted once", foreign)
    assert ES.say(said) == f"el mismo servidor que {foreign}: se cuenta una vez"
    assert EN.say(text) == text


@given(st.text(max_size=20), st.lists(st.text(max_size=20), min_size=1, max_size=4))
@example("{0}", [""])
@example("}{", ["{}", "}"])
def test_a_sentence_keeps_what_it_was_made_of_and_takes_it_along(fixed, values):
    key = "{}".join(fixed.replace("{", "{{").replace("}", "}}") + "." for _ in range(len(values) + 1))
    text = phrase(key, *values)
    made = made_of(text)
    assert made is not None and made.key == key and len(made.values) == len(values)
    taken = msgspec.json.decode(msgspec.json.encode(phrases({"says": [text]})), type=dict[str, Phrase])
    assert taken[text] == made
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loadcell.phrases._made", {})
        learn(taken)
        assert made_of(text) == made


def test_another_value_takes_the_place_of_the_first_one_that_is_it():
    inner = phrase("the client stood still for {}", "5 ms")
    assert reworded(phrase("{} (limit {})", inner, "5 ms"), "5 ms", "5.01 ms") == (
        "the client stood still for 5.01 ms (limit 5 ms)"
    )
    assert reworded("5 ms of outside", "5 ms", "5.01 ms") == "5.01 ms of outside"


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("round", "{} and {}", ("about", "about")),
        ("{}", "{}", ("{}",)),
        ("round", "{}{}", ("round", "")),
        ("3 times", "{} times", ()),
        ("3 times", "{} times", ("3", "4")),
        ("str times", "{0.__class__.__name__} times", ("3",)),
        ("3 times", "{:1} times", ("3",)),
        ("all is well", "{} times", ("3",)),
    ],
)
def test_a_document_is_not_believed_that_makes_its_sentences_of_something_else(text, key, values):
    learn({text: Phrase(key, values)})
    assert made_of(text) is None and ES.say(text) in (text, "3 veces")


def test_what_is_known_here_is_not_told_otherwise_by_a_document():
    text = phrase("the client stood still for {}", "77 ms")
    learn({text: Phrase("{} times", ("77",))})
    assert ES.say(text) == "el cliente se detuvo 77 ms"


@pytest.mark.parametrize("text", ["a: b, c and d. ", "a; b", "server ", "unstable: ", "x", "see the errors; "])
def test_foreign_words_without_end_are_left_in_time(text):
    began = time.process_time()
    for length in (50, 3_900, 1_000_000):
        ES.say((text * length)[:length])
    assert time.process_time() - began < 2


def test_an_unknown_language_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="en, es"):
        words_for("sp")


def test_a_sentence_without_its_secrets_is_one_still():
    told = phrase("{}; its last words: {}", phrase("{} times", 3), "the key sk-secret is bad")
    left = scrubbed(told, lambda text: text.replace("sk-secret", "***"))
    assert left == "3 times; its last words: the key *** is bad"
    assert ES.say(left) == "3 veces; sus últimas palabras: the key *** is bad"
    assert "sk-secret" not in str(phrases([left]))


def test_what_lies_across_two_values_is_no_sentence_any_more():
    told = phrase("{}{}", "sk-sec", "ret")
    assert scrubbed(told, lambda text: text.replace("sk-secret", "***")) == "***"
    assert made_of("***") is None


def test_what_is_forgotten_is_the_oldest(monkeypatch):
    monkeypatch.setattr("loadcell.phrases._made", {})
    monkeypatch.setattr("loadcell.phrases._MOST", 100)
    texts = [phrase("{} times", n) for n in range(2, 300)]
    kept = [text for text in texts if made_of(text) is not None]
    assert kept == texts[-len(kept) :] and 90 <= len(kept) <= 100
