"""Spanish says all that English says, and nothing else."""

import re
import string
import time
from pathlib import Path

import msgspec
import pytest
from english import SRC, labels, sentences
from hypothesis import given
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.metrics.fingerprint import FIELDS
from loadcell.metrics.glossary import GLOSSARY
from loadcell.report.words import words_for
from loadcell.report.words.es import SENTENCES
from loadcell.report.words.es.labels import LABELS
from loadcell.report.words.es.numbers import THIN
from loadcell.report.words.matching import match

ES, EN = words_for("es"), words_for("en")
TELLING = {
    ".": "advice",
    "metrics": "checks checks_budget checks_load checks_server checks_symptoms checks_window bottleneck "
    "checks_counters counters step "
    "limits steady window accounting goodput interval energy observed choice server "
    "stream sharing prometheus replies checks_replies result fingerprint repeats vocabulary",
    "load": "fleet crew feeder calibrate preflight prepare sources observe gpu scrape neighbours pool wire "
    "worker landing flight host failing tls_words addresses",
    "protocol": "reply said dialect endings refusal coding cutting",
    "protocol/openai": "dialect hear",
    "recording": "exposition",
    "workload": "files planning schedule",
    "search": "soundness answer build curves grid ranges idle saturation stages trial",
    "report/detail": "build dots",
    "compare": "build effect figures gates judge measures noise model pairing pairs duel",
}
"""Modules whose sentences reach a Result, a Sweep or a Comparison."""
INSIDE = (
    "{}: known to {}",
    ", a garbage collection of {}", ": {} planned requests were left", "at {} tokens/s", "no success",
    "self-test {}: no bias beyond the budgets", "self-test {}: {} was off by {}, more than its budget here allows",
    "{} is {}, {} {}", "--duration {}s", "--requests {}", "a closed loop", "an open loop",
    "given up", "; {} of them from {} s on", "no request succeeded{}", "{}; {} of them from {} s on{}",
    " (undecided: {})", "about {} in all would do (--max-time)",
    "{} at {}", ", stage {} because", "; --resume runs it again", ", beyond the {} that were measured: a guess",
    "saturated: {}", "less than {} %", "more than {} %", "not clear whether more or less than {} %", " (and {} more)",
    "{} is {}", "{} is {}: {}",
    "{} is {}: {} (and {} more)", "where the server runs", "the difference keeps to the bound{}",
    "the queue grew by {} requests/s (95 % interval {} to {})", "{} of {} requests kept to the SLO, {} will",
    ", a side with fewer takes the other's spread",
    ", but the data do not exclude one beyond it", ", run {}", "all failures", "{} of {} failures", "after {} events",
    "without any output",
    "every connection is a file: raise the hard limit with `ulimit -n`, or ask for less concurrency",
    "no local port is free: widen `sysctl net.ipv4.ip_local_port_range`, open fewer new connections, or wait a minute "
    "for the ports of closed ones", "nothing listens there: is the server running, and is the port right?",
    "this machine's limit of open files: raise it with `sysctl fs.file-max`, or lower the load",
    "client's CPU", "client's cores", "client's system", "connections reused", "definition of a percentile",
    "column of the prompts",
    "definition of an interval", "end of sequence ignored", "extra body fields", "input lengths", "output lengths",
    "ramp asked for (s)", "load kept on to the last reply", "source of the token counts", "prompts counted by",
    "prompt tokens", "prompt rounding", ", which received {}",
)  # fmt: skip
"""Parts that stand in sentences which the catalogue has whole."""
NOT_SHOWN = (
    " (--prompt-column NAME names another)",
    "SUSPECT where the recording does not bound its times (no stamps of the kernel, before format 5)",
    "SUSPECT where this machine's self-test, at the nearest load, was off by more than the budgets allow",
    "INVALID where no request succeeded",
    "INVALID where the load was ended because more than `load.max_failures` of its requests failed",
    "SUSPECT where a load process left no counters",
    "INVALID where planned = ok + failed + cancelled + unsent does not hold, or data were lost",
    "SUSPECT where requests went through a proxy",
    "SUSPECT where TTFT by the client and by the server itself are apart by more than 10 % and 5 ms",
    "SUSPECT where the server started anew, or the size of its KV cache changed, while the run lasted",
    "SUSPECT where a closed loop had more requests in flight than the server ever ran, and the rest waited",
    "KV cache size",
    "SUSPECT where the median of TTFT or TPOT rose or fell by 5 % or more through the window, beyond noise",
    "SUSPECT where the queue grows through the window; percentiles above p90 are withheld",
    "Loadcell repeats", "Loadcell comparison",  # titles of JSON schemas
    "GPU memory free", "GPU memory in all", "GPU memory used", "KV blocks", "KV blocks used", "Memory in all",
    "Memory used",  # quantities from which others are made
    "Say yes.", "no address", "Bearer {}",
    "check the URL (its path is the API's base, often ending in /v1)",
    "check the URL (its path is the API's base, often ending in /v1), --api and --model",
    "proxy {}:{} (set by the environment; NO_PROXY exempts hosts)",
    "set {} to one of this server's, or give --header Authorization=VALUE",
    "name its URL, and the key in OPENAI_API_KEY is sent; or give --api-key-env",
    "the key may not do this: {}", "the server wants a key: {}",
    "the server lists no models there: name the model with --model, or {}", "{}, --api and --model",
    "{} {} gave {}", " (waited {} s for it: --wait-ready sets how long)",
    "it refuses the key in {}: {}", "matrix: {} or stages: [{}, {}]", " nor by ",
    "write 1,8,64 or 1,2,4..256, or 1..40 with --steps 8",
    "write it as in ttft.p99>+5%, itl.p50>+2ms or output_tokens_per_s.mean<-3%",  # errors of the command line
    "a duel", "a turn", "loadcell duel",  # nouns of a refusal
    "no answer", "a bare number", "NVIDIA driver {}", "loadcell schedule 2 {} {}\n", "GET {}{}{}",  # names
)  # fmt: skip
JOINED = (
    "{} (limit {})",
    "{} of {} is {} to {} by the client's clock readings: known to {}",
    "{} (limit {}): {}",
    "{} (limit {}): {} (and {} more)",
    "{} per s",
    "{} power",
    "{} energy counter",
    "holds at {}",
    "fails at {}",
)
"""Keys that the code puts together of two sentences, or of words alone."""


def telling() -> list[Path]:
    return [SRC / room / f"{name}.py" for room, names in TELLING.items() for name in names.split()]


def pages() -> list[Path]:
    found = [*(SRC / "report").rglob("*"), *(SRC / "browse").rglob("*")]
    return [path for path in found if path.suffix in (".py", ".html") and "words" not in path.parts]


@pytest.mark.parametrize("path", telling(), ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_every_sentence_of_the_results_is_known(path):
    said = {text for text in sentences(path) if " " in text.strip() and re.search("[a-z]{2}", text)}
    assert not sorted(text for text in said - set(INSIDE) - set(NOT_SHOWN) if not ES.knows(text.replace("{}", "7")))


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(SRC)))
def test_every_label_of_the_pages_is_known(path):
    known = {*LABELS, *(key for key in SENTENCES if "{" not in key)}
    unknown = sorted(labels(path) - known)
    assert not unknown


def test_no_sentence_is_translated_that_nobody_says():
    said = set().union(*(sentences(path, errors=True) for path in telling()))
    said |= {text for metric in GLOSSARY.values() for text in msgspec.structs.astuple(metric) if text is not None}
    said |= {f"{field.title}: {{}} {{}}, {{}} {{}}" for field in FIELDS}
    shapes = [tuple(text.split("{}")) for text in said if "{}" in text and re.search("[a-z]{2}", text)]
    said |= {f"{{}} ({text})" for text in said}
    meanings = " ".join(metric.meaning for metric in GLOSSARY.values())

    def sourced(key: str) -> bool:
        made = any(match(shape, key) is not None for shape in shapes)
        holds = "{}" in key and any(match(tuple(key.split("{}")), text) is not None for text in said)
        return key in said or made or holds or key in JOINED or key.removeprefix("{} ") in meanings

    assert not sorted(key for key in SENTENCES if not sourced(key))


def test_no_label_is_translated_that_nobody_says():
    said = set().union(*map(labels, pages()))
    texts = " ".join(path.read_text(encoding="utf-8") for path in pages())
    assert not sorted(key for key in LABELS if key not in said and f'"{key}"' not in texts and key not in _WORDS)


_WORDS = {"VALID", "SUSPECT", "INVALID"}


def test_both_sides_have_the_same_places():
    for english, spanish in LABELS.items():
        assert _names(english) == _names(spanish), english
    for english, spanish in SENTENCES.items():
        assert english.count("{}") == len(re.findall(r"\{\d*=?\}", spanish)), english


def _names(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def test_every_metric_has_its_spanish():
    for name, metric in GLOSSARY.items():
        other = ES.metric(name)
        assert other.name == metric.name and EN.metric(name) == metric
        assert other.meaning != metric.meaning and other.blind != metric.blind
        assert " Response time starts" not in other.meaning


@pytest.mark.parametrize(
    ("english", "spanish"),
    [
        (
            "sends late by 1,234.5 ms at p99 (limit 1 ms): keep other work off this machine and run again",
            f"envíos con 1{THIN}234,5 ms de retraso (p99) (límite 1 ms): quitar otros trabajos de esta máquina y "
            "repetir",
        ),
        ("loadcell: A 0.4, B 1.5", "loadcell: A 0.4, B 1.5"),
        ("tokenizer: A words:0.5, B none", "tokenizador: A words:0.5, B ninguno"),
        ("TPOT shows no warm-up", "TPOT no muestra calentamiento"),
        (
            "12 of 12 users in flight; the first 0.943 s are left out: 12 users start one after the other; TPOT shows "
            "no warm-up",
            "12 de 12 usuarios en curso; se excluyen los primeros 0,943 s: 12 usuarios arrancan uno tras otro; TPOT no "
            "muestra calentamiento",
        ),
        (
            "B is SUSPECT: the client stood still for 28 ms (limit 5 ms): run again (and 5 more)",
            "B es DUDOSO: el cliente se detuvo 28 ms (límite 5 ms): repetir la ejecución (y 5 más)",
        ),
        (
            "stages 1 to 6: the client was put aside 7 times a second: run again",
            "etapas 1 a 6: el cliente fue desalojado 7 veces por segundo: repetir la ejecución",
        ),
        (
            "stage 7 unstable: latencies there grow with the length of the stage. They are in the table, and in no "
            "Pareto front and no fit",
            "etapa 7 inestable: allí las latencias crecen con la duración de la etapa. Está en la tabla, pero no en el "
            "frente de Pareto ni en el ajuste",
        ),
        ("the server took 12% of the prompt tokens from its cache", None),
        (
            "stages 1 to 3, 7: the server took prompts from its prefix cache, and is faster there than for new ones",
            None,
        ),
    ],
)
def test_a_finished_sentence_is_found_by_its_pattern(english, spanish):
    found = ES.say(english)
    assert found == spanish if spanish else found != english
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
    assert (
        ES.say(f"the same server as {foreign}: counted once") == f"el mismo servidor que {foreign}: se cuenta una vez"
    )
    assert EN.say(text) == text


@given(st.lists(st.text("ab ", max_size=5), min_size=2, max_size=5), st.lists(st.text("ab ", max_size=5), min_size=4))
def test_a_sentence_made_of_a_key_matches_it(fixed, values):
    text = fixed[0] + "".join(value + words for value, words in zip(values, fixed[1:], strict=False))
    if len(values) < len(fixed) - 1:
        return
    found = match(tuple(fixed), text)
    assert found is not None
    assert fixed[0] + "".join(value + words for value, words in zip(found, fixed[1:], strict=True)) == text


@pytest.mark.parametrize("text", ["a: b, c and d. ", "a; b", "server ", "unstable: ", "x", "see the errors; "])
def test_foreign_words_without_end_are_left_in_time(text):
    began = time.process_time()
    for length in (50, 3_900, 1_000_000):
        ES.say((text * length)[:length])
    assert time.process_time() - began < 2


def test_an_unknown_language_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="en, es"):
        words_for("sp")
