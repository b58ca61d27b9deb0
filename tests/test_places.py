"""Several endpoints and models in one spec: which classes there are, their shares and limits, and what cannot be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from loadcell.errors import UsageError
from loadcell.places import Slo, parse_also, parse_models
from loadcell.spec import Spec, build_spec, checked, field_from_text, redact, secrets_of

A, B = "http://a:8000", "http://b:8000"


def spec_of(classes: dict[str, Any], **endpoint: Any) -> Spec:
    return build_spec({"endpoint": {"url": A, **endpoint}, "classes": classes})


def test_a_run_without_any_of_this_has_one_class() -> None:
    (one,) = spec_of({}, model="m").dealt
    assert (one.name, one.url, one.place, one.model, one.share) == ("a:8000", A, 0, "m", 1.0)


def test_endpoints_have_the_shares_of_their_weights() -> None:
    spec = spec_of({"also": [f"{B}=2", {"url": "https://c/api/v1", "weight": 1}, {"url": f"{B}/x", "name": "spare"}]})
    assert [(one.name, one.share) for one in spec.dealt] == [
        ("a:8000", 0.2), ("b:8000", 0.4), ("c/api/v1", 0.2), ("spare", 0.2)
    ]  # fmt: skip


def test_models_and_endpoints_make_a_class_each_and_shares_add_up() -> None:
    spec = spec_of({"also": [f"{B}=3", {"url": "http://c", "model": "own"}], "models": "base=7,lora=3", "weight": 1})
    found = {one.name: (one.place, one.model, round(one.share, 9)) for one in spec.dealt}
    assert found == {
        "base@a:8000": (0, "base", 0.14), "lora@a:8000": (0, "lora", 0.06), "base@b:8000": (1, "base", 0.42),
        "lora@b:8000": (1, "lora", 0.18), "c": (2, "own", 0.2),
    }  # fmt: skip
    assert sum(one.share for one in spec.dealt) == pytest.approx(1)


def test_limits_of_a_class_go_before_those_of_its_model_and_its_endpoint() -> None:
    slos = {"base@b:8000": "e2e=3s", "base": "ttft=1s", "b:8000": "ttft=2s"}
    spec = spec_of({"also": [B], "models": ["base", "lora"], "slo_of": slos})
    limits = {one.name: one.slo.limits for one in spec.dealt}
    assert limits == {
        "base@a:8000": {"ttft_ms": 1000}, "lora@a:8000": {}, "base@b:8000": {"e2e_ms": 3000},
        "lora@b:8000": {"ttft_ms": 2000},
    }  # fmt: skip


def test_it_is_read_again_as_it_was_written() -> None:
    assert spec_of({"also": f"{B}=2,c"}) == spec_of({"also": [f"{B}=2", "http://c"]})
    spec = spec_of({"also": [f"{B}=2"], "models": "m=0.7,n=0.3", "slo_of": {"m": "ttft=500ms"}, "deal": "round-robin"})
    assert build_spec(msgspec.to_builtins(spec)) == spec
    assert msgspec.json.decode(msgspec.json.encode(spec), type=Spec) == spec


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        ({"also": [A]}, "two endpoints are called a:8000"),
        ({"also": [f"{B}=0"]}, "must be more than 0"),
        ({"also": [f"{B}=-1"]}, "must be more than 0"),
        ({"also": [f"{B}=nan"]}, "must be more than 0"),
        ({"also": [f"{B}=much"]}, "URL=WEIGHT"),
        ({"also": [{"url": B, "api": "messages"}]}, "speak one API"),
        ({"also": [{"url": B, "wait": 1}]}, "wait"),
        ({"weight": 0}, "must be more than 0"),
        ({"models": "a=1,b=0"}, "b has the weight 0"),
        ({"models": "a=1,a=2"}, "twice"),
        ({"models": "a=x"}, "a=0.7,b=0.3"),
        ({"slo_of": {"a:8000": "ttft=1s"}}, "wants several"),
        ({"also": [B], "slo_of": {"b:800": "ttft=1s"}}, "did you mean b:8000"),
        ({"also": [B], "deal": "random"}, "deal"),
    ],
)
def test_what_cannot_be_is_said(classes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        spec_of(classes)


def test_loads_of_one_endpoint_say_so() -> None:
    spec = spec_of({"also": [B]})
    traffic = msgspec.structs.replace(spec.loadgen, scenario="offline")
    prompts = msgspec.structs.replace(spec.workload, prompts="p.jsonl")
    with pytest.raises(UsageError, match="one endpoint and one model"):
        checked(msgspec.structs.replace(spec, loadgen=traffic, workload=prompts))
    with pytest.raises(UsageError, match="either a model or"):
        spec_of({"models": "a,b"}, model="m")


def test_secrets_of_further_endpoints_are_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", "sk-0123456789abcdef")
    spec = spec_of(
        {"also": [{"url": "http://user:hunter2secret@b:8000/v1?token=abcdefgh12345", "api_key_env": "OTHER_KEY"}]},
        extra_body={"note": "sk-0123456789abcdef"},
    )
    assert {"hunter2secret", "abcdefgh12345"} <= secrets_of(spec, None)
    written = msgspec.json.encode(redact(spec)).decode()
    assert not any(secret in written for secret in ("hunter2", "abcdefgh12345", "sk-0123456789abcdef"))
    assert [one.name for one in redact(spec).dealt] == [one.name for one in spec.dealt] == ["a:8000", "b:8000"]


def test_short_forms_of_the_command_line() -> None:
    assert (parse_also("b:8000=0.5").url, parse_also("b:8000=0.5").weight) == (B, 0.5)
    assert parse_also("https://b/x?api-version=1").weight == 1.0  # that is a query, and no weight
    assert parse_also("https://b/x?a=1&api-version=2=3").weight == 3.0
    assert parse_also("https://b/x?a=1&api-version=2=3").url.endswith("api-version=2")
    assert parse_models("org/m:1=0.7, n=0.3") == {"org/m:1": 0.7, "n": 0.3}
    assert field_from_text("classes.share_key", "true", "--set") is True
    assert Slo().limits == {}


@pytest.mark.parametrize("classes", [{"deal": "round-robin"}, {"share_key": True}])
def test_what_is_for_several_is_refused_of_one(classes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--also URL"):
        spec_of(classes)
