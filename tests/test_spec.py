from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.errors import LoadcellError, UsageError, nearest
from loadcell.secrets import REDACTED
from loadcell.spec import (
    Arrivals,
    Lengths,
    Slo,
    Spec,
    build_spec,
    checked,
    default_ramp_s,
    parse_arrivals,
    parse_duration_s,
    parse_lengths,
    parse_slo,
    redact,
    secrets_of,
    spec_fields,
    with_defaults,
    with_fields,
)

URL = {"endpoint": {"url": "http://127.0.0.1:8000"}}


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("10s", 10), ("2m", 120), ("1h", 3600), ("1.5", 1.5), (" 3s ", 3), ("0", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "10 s", "-1s", "1d", "1e3", "nan", "inf", "1s2m", "10S"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("text", "lengths", "mean"),
    [
        ("512", Lengths("constant", 512), 512),
        ("normal:100,20", Lengths("normal", 100, 20), 100),
        ("uniform:10,30", Lengths("uniform", 10, 30), 20),
        ("lognormal:100,0", Lengths("lognormal", 100, 0), 100),
        ("lognormal:100,1", Lengths("lognormal", 100, 1), 164.8721),
    ],
)
def test_lengths(text: str, lengths: Lengths, mean: float) -> None:
    assert parse_lengths(text) == lengths
    assert parse_lengths(text).mean == pytest.approx(mean)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-5",
        "1.5",
        "nan",
        "inf",
        "many",
        "1,2",
        "normal:5",
        "normal:5,-1",
        "normal:0,1",
        "normal:1,2,3",
        "normal:a,b",
        "gamma:1,2",
        "uniform:9,3",
        "uniform:1,inf",
        "lognormal:nan,1",
    ],
)
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(UsageError, match="is not a token length"):
        parse_lengths(text)


def test_arrivals() -> None:
    assert parse_arrivals("poisson") == Arrivals("poisson", 1)
    assert parse_arrivals("constant") == Arrivals("constant", 0)
    assert parse_arrivals("gamma:2.5") == Arrivals("gamma", 2.5)


@pytest.mark.parametrize(
    "text", ["", "poisson:2", "constant:1", "gamma", "gamma:", "gamma:0", "gamma:-1", "gamma:x", "gamma:nan"]
)
def test_what_is_no_arrival_process(text: str) -> None:
    with pytest.raises(UsageError, match=r"not an arrival process|coefficient of variation"):
        parse_arrivals(text)


def test_slo() -> None:
    assert parse_slo("ttft=500ms,tpot=30ms,e2e=10s") == Slo(ttft_ms=500, tpot_ms=30, e2e_ms=10_000)
    assert parse_slo(" E2E=2m ,") == Slo(e2e_ms=120_000)
    assert parse_slo("") == Slo()
    assert [parse_slo(f"tpot={n}ms").tpot_ms for n in range(1, 100)] == list(range(1, 100))  # exactly


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ttft=500", "has no unit: write ttft=500ms or ttft=500s"),
        ("ttft=", "has no unit"),
        ("tttf=1s", "did you mean ttft"),
        ("ttft=fasts", "--slo ttft=fasts: 'fasts' is not a duration"),
        ("itl=5ms", "is not an SLO"),
    ],
)
def test_what_is_no_slo(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_slo(text)


# --- building ---------------------------------------------------------------------------------------------------------


def test_a_url_is_enough() -> None:
    spec = build_spec(URL)
    assert spec == Spec(endpoint=spec.endpoint)
    assert (spec.load.rate, spec.load.concurrency, spec.load.requests, spec.run.seed) == (None, None, None, 0)


def test_times_may_be_written_with_units_and_lengths_as_numbers() -> None:
    load = {"duration_s": "2m", "ramp_s": "500ms", "timeout_s": 5, "requests": 7}
    spec = build_spec(
        URL | {"load": load, "workload": {"input_tokens": 64}, "slo": {"ttft_ms": "1s", "tpot_ms": "30", "e2e_ms": 9}}
    )
    assert (spec.load.duration_s, spec.load.ramp_s, spec.load.timeout_s) == (120, 0.5, 5)
    assert spec.workload.input_tokens == "64"
    assert (spec.slo.ttft_ms, spec.slo.tpot_ms, spec.slo.e2e_ms) == pytest.approx((1000, 30, 9))


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "no endpoint"),
        ({"endpoint": {}}, "no endpoint"),
        ({"endpoint": {"url": ""}}, "no endpoint"),
        ({"endpoint": {"url": "ftp://host"}}, "is not an endpoint"),
        ({"endpoint": {"url": "http://"}}, "is not an endpoint"),
        ({"endpoint": {"url": "http://host:99999"}}, "port"),
        ({"endpont": {"url": "http://h"}}, "unknown section 'endpont'.*did you mean endpoint"),
        (URL | {"load": {"concurency": 3}}, "unknown key load.concurency.*did you mean concurrency"),
        (URL | {"load": {3: 3}}, "unknown key load.3"),
        (URL | {"load": [1]}, "must hold keys and values"),
        (URL | {"load": None}, "must hold keys and values"),
        (URL | {"load": {"concurrency": "many"}}, "load.concurrency"),
        (URL | {"load": {"concurrency": 2.5}}, "load.concurrency"),
        (URL | {"load": {"concurrency": True}}, "load.concurrency"),
        (URL | {"load": {"concurrency": 0}}, "load.concurrency is 0: it must be more than 0"),
        (URL | {"load": {"rate": float("nan")}}, "load.rate is nan"),
        (URL | {"load": {"rate": float("inf")}}, "load.rate is inf"),
        (URL | {"load": {"rate": -1}}, "load.rate is -1"),
        (URL | {"load": {"warmup_s": -1}}, "load.warmup_s is -1"),
        (URL | {"load": {"duration_s": "soon"}}, "load.duration_s: 'soon' is not a duration"),
        (URL | {"load": {"arrivals": "posson"}}, "did you mean poisson"),
        (URL | {"workload": {"input_tokens": "norml:5,1"}}, "did you mean normal"),
        (URL | {"workload": {"output_tokens": 0}}, "is not a token length"),
        (URL | {"run": {"seed": -1}}, "run.seed is -1"),
        (URL | {"run": {"workers": 0}}, "run.workers is 0"),
        (URL | {"slo": {"ttft_ms": 0}}, "slo.ttft_ms is 0"),
        (URL | {"load": {"duration_s": 5, "warmup_s": 5}}, "leaves nothing of the duration"),
        (URL | {"load": {"requests": 5, "warmup_requests": 5}}, "leaves nothing of 5 requests"),
        (URL | {"load": {"warmup_s": 1, "warmup_requests": 5}}, "not both"),
        ({"endpoint": {"url": "http://h", "api": "grpc"}}, "endpoint.api"),
    ],
)
def test_what_cannot_be_is_named(tree: dict[Any, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace(".", r"\.").replace(r"\.*", ".*")) as caught:
        build_spec(tree)
    assert caught.value.exit_code == 2 and isinstance(caught.value, LoadcellError)


@given(
    rate=st.none() | st.floats(1e-3, 1e5),
    users=st.none() | st.integers(1, 10_000),
    duration=st.none() | st.floats(1, 1e5),
    seed=st.integers(0, 2**63),
    header=st.text(max_size=20),
)
def test_a_spec_written_down_and_read_again_is_the_same(
    rate: float | None, users: int | None, duration: float | None, seed: int, header: str
) -> None:
    load = {"rate": rate, "concurrency": users, "duration_s": duration}
    endpoint: dict[str, Any] = URL["endpoint"] | {"headers": {"x-note": header}}
    spec = build_spec({"endpoint": endpoint, "load": load, "run": {"seed": seed}})
    assert build_spec(msgspec.to_builtins(spec)) == spec


def test_a_spec_that_another_version_recorded_is_read() -> None:
    tree: dict[str, Any] = {
        "endpoint": URL["endpoint"] | {"unheard": [1]}, "load": {"rate": 5.0, "novel": {"a": 1}}, "new": {"b": 2},
    }  # fmt: skip
    known = build_spec({"endpoint": URL["endpoint"], "load": {"rate": 5.0}})
    assert msgspec.convert(tree, Spec) == msgspec.json.decode(msgspec.json.encode(tree), type=Spec) == known
    with pytest.raises(UsageError, match="unknown"):  # what a person writes is another matter
        build_spec(tree)
    with pytest.raises(msgspec.ValidationError, match=r"load\.rate"):
        msgspec.convert(tree | {"load": {"rate": "fast"}}, Spec)


def test_fields_are_changed_by_their_path() -> None:
    spec = build_spec(URL)
    other = with_fields(spec, {"load.rate": 5.0, "load.requests": 7, "run.salt": "x"})
    assert (other.load.rate, other.load.requests, other.run.salt) == (5.0, 7, "x") and spec.load.rate is None
    assert msgspec.structs.replace(other, load=spec.load, run=spec.run) == spec
    assert checked(other) == other
    with pytest.raises(UsageError, match=r"load\.rate is -1"):
        checked(with_fields(spec, {"load.rate": -1.0}))


def test_limits_are_those_that_were_given() -> None:
    assert Slo(ttft_ms=2000.0, e2e_ms=1.5).limits == {"ttft_ms": 2000.0, "e2e_ms": 1.5} and Slo().limits == {}


def test_every_field_says_what_it_is() -> None:
    fields = spec_fields()
    assert {"endpoint.url", "load.rate", "workload.input_tokens", "slo.ttft_ms", "run.seed"} <= fields.keys()
    for name, field in fields.items():
        described = field.type
        assert isinstance(described, msgspec.inspect.Metadata), name
        assert (described.extra_json_schema or {}).get("description"), name


def test_nearest() -> None:
    assert nearest("raet", ["rate", "requests"]) == " (did you mean rate?)"
    assert nearest("xyz", ["rate"]) == ""


# --- secrets ----------------------------------------------------------------------------------------------------------


def spec_with(url: str, **headers: str) -> Spec:
    return build_spec({"endpoint": {"url": url, "headers": headers}})


def test_secrets_are_all_that_must_not_be_written() -> None:
    spec = spec_with("https://me:pass-word@host/v1?key=query-secret", Authorization="Bearer tok-en-1", short="abc")
    found = secrets_of(spec, "api-key-0")
    assert found == {"pass-word", "tok-en-1", "Bearer tok-en-1", "api-key-0", "query-secret", "key=query-secret", "abc"}
    assert secrets_of(build_spec(URL), None) == set()


@pytest.fixture
def written() -> Callable[[Spec], str]:
    return lambda spec: msgspec.json.encode(redact(spec)).decode()


def test_a_redacted_spec_holds_no_secret(written: Callable[[Spec], str]) -> None:
    text = written(spec_with("https://user-1:pass-word@host:1/v1?key=query-secret#frag-ment", **{"x-key": "header-1"}))
    for secret in ("user-1", "pass-word", "query-secret", "frag-ment", "header-1"):
        assert secret not in text
    for kept in ("https://", "host:1/v1", "x-key", REDACTED):
        assert kept in text


def test_a_spec_without_secrets_stays_as_it_is_and_can_run_again() -> None:
    spec = build_spec(URL | {"load": {"rate": 3}})
    assert redact(spec) == spec
    twice = redact(redact(spec_with("http://a:bcde@host/?q=1", h="value")))
    assert twice == redact(spec_with("http://a:bcde@host/?q=1", h="value"))


@pytest.mark.parametrize(
    ("load", "e2e_s", "ramp_s"),
    [
        ({}, None, 0.16),  # the probe told nothing: 10 ms a user
        ({}, 0.1, 0.16),
        ({}, 1.7, 1.7),
        ({}, 9.0, 3.6),  # a tenth of the run, of four times the E2E
        ({"duration_s": 20.0}, 9.0, 2.0),
        ({"duration_s": 1.0}, 9.0, 0.16),
        ({"requests": 160}, 2.0, 2.0),  # ten rounds
        ({"requests": 32}, 2.0, 0.4),
        ({"requests": 160, "duration_s": 5.0}, 2.0, 0.5),
        ({"concurrency": 1000}, None, 5.0),
        ({"concurrency": 1000, "duration_s": 300.0}, 20.0, 20.0),
    ],
)
def test_users_start_over_one_e2e_within_a_tenth_of_the_run(
    load: dict[str, float], e2e_s: float | None, ramp_s: float
) -> None:
    asked = build_spec({"endpoint": {"url": "http://h:1"}, "load": {"concurrency": 16} | load}).load
    assert default_ramp_s(asked, e2e_s) == pytest.approx(ramp_s)


@pytest.mark.parametrize(
    ("load", "most_s"),
    [
        ({}, 300),
        ({"rate": 5.0}, 300),
        ({"rate": 100.0}, 100),  # 10,000 requests
        ({"rate": 1000.0}, 30),
        ({"rate": 1000.0, "ramp_s": 10.0}, 40),
        ({"duration_s": 7.0}, None),
        ({"requests": 7}, None),
        ({"duration_most_s": 60.0}, 60),
    ],
)
def test_a_load_without_an_end_gets_a_bound(load: dict[str, float], most_s: float | None) -> None:
    found = with_defaults(build_spec({"endpoint": {"url": "http://h:1"}, "load": load})).load
    assert found.duration_most_s == most_s
    assert found.duration_s == load.get("duration_s")


def test_output_lengths_vary_by_default() -> None:
    lengths = parse_lengths(build_spec({"endpoint": {"url": "http://h:1"}}).workload.output_tokens)
    assert (lengths.kind, lengths.mean) == ("uniform", 128)


def test_a_duration_beyond_the_bound_is_refused() -> None:
    with pytest.raises(UsageError, match="leave the latter out"):
        build_spec({"endpoint": {"url": "http://h:1"}, "load": {"duration_s": 9, "duration_most_s": 8}})
    with pytest.raises(UsageError, match="leaves nothing of the time of sending"):
        build_spec({"endpoint": {"url": "http://h:1"}, "load": {"duration_most_s": 8, "warmup_s": 9}})
