from __future__ import annotations

import re

import pytest

from loadcell.cli.main import main
from loadcell.errors import UsageError
from loadcell.mlperf.rules import all_rules, rounds
from loadcell.presets import describe_presets, find_preset, preset_attainment, presets
from loadcell.spec import Slo, build_spec, parse_slo

FIELDS = {"ttft_ms": "ttft_ms", "tpot_ms": "tpot_ms", "latency_ms": "e2e_ms"}
LIMITS = [
    (rules.round, rules.benchmark, rules.scenario, rules.percentile, limits)
    for round_ in rounds()
    for rules in all_rules(round_)
    if rules.scenario in ("server", "interactive")
    and (limits := {name: getattr(rules, name) for name in FIELDS if getattr(rules, name) is not None})
]
"""Round, benchmark, scenario, percentile and limits in ms of all Server and Interactive benchmarks of LLMs."""


def name_of(benchmark: str, scenario: str) -> str:
    """Our name of a benchmark: without its accuracy target; v5.0's interactive was a benchmark of its own."""
    model = re.sub(r"-99(\.9)?$", "", benchmark)
    return f"mlperf:{model.removesuffix('-interactive')}/{scenario}"


@pytest.mark.parametrize(("round_", "benchmark", "scenario", "percentile", "limits"), LIMITS)
def test_a_limit_of_mlperf(round_: str, benchmark: str, scenario: str, percentile: float, limits: dict) -> None:
    text = f"{name_of(benchmark, scenario)}@{round_}"
    assert parse_slo(text) == Slo(**{FIELDS[key]: ms for key, ms in limits.items()})
    assert preset_attainment(text) == percentile


def test_mlperf_has_no_limits_but_these() -> None:
    ours = {(p.name, round_) for p in presets() if p.name.startswith("mlperf:") for round_ in p.rounds}
    assert ours == {(name_of(benchmark, scenario), round_) for round_, benchmark, scenario, *_ in LIMITS}


def test_the_newest_round_comes_first_to_mind() -> None:
    newest: dict[str, dict] = {}
    for _, benchmark, scenario, _, limits in sorted(LIMITS, key=lambda row: row[0]):
        newest[name_of(benchmark, scenario)] = limits
    for name, limits in newest.items():
        assert parse_slo(name) == Slo(**{FIELDS[key]: ms for key, ms in limits.items()})


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_a_preset_is_what_it_says(preset) -> None:
    slo = parse_slo(preset.name)
    assert slo == parse_slo(preset.says()) != Slo()
    assert preset_attainment(f" {preset.name.upper()} ,e2e=1h") == preset.attainment
    assert 0.5 < preset.attainment < 1
    build_spec({"endpoint": {"url": "http://x"}, "slo": preset.limits()})


def test_names_that_stand_twice_differ_in_their_rounds() -> None:
    of_round = [(preset.name, round_) for preset in presets() for round_ in preset.rounds or ("",)]
    assert len(of_round) == len(set(of_round))
    assert all(preset.rounds for preset in presets() if sum(preset.name == other.name for other in presets()) > 1)


def test_the_presets_of_other_sources() -> None:
    assert parse_slo("chat") == Slo(ttft_ms=200, tpot_ms=50)  # GuideLLM's guide, "Chat Applications"
    assert parse_slo("api") == Slo(e2e_ms=5000)  # GuideLLM's guide, "Instruction Following / Agentic AI"
    assert parse_slo("distserve:summary/opt-66b") == Slo(ttft_ms=15_000, tpot_ms=150)
    assert preset_attainment("distserve:chat/opt-13b") == 0.9
    assert parse_slo("story").tpot_ms == 1000 / 10


def test_limits_go_over_a_preset() -> None:
    assert parse_slo("chat,e2e=20s") == Slo(ttft_ms=200, tpot_ms=50, e2e_ms=20_000)
    assert parse_slo(" Chat , TTFT=1s") == Slo(ttft_ms=1000, tpot_ms=50)
    assert parse_slo("mlperf:llama3.1-8b/server@v5.1,tpot=30ms") == Slo(ttft_ms=2000, tpot_ms=30)


@pytest.mark.parametrize("text", ["", " ", "ttft=1s", "e2e=2s,tpot=30ms"])
def test_limits_alone_ask_for_no_share(text: str) -> None:
    assert preset_attainment(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chatt", r"'chatt' is not an SLO \(did you mean chat\?\)"),
        ("llama2-70b/server", r"did you mean mlperf:llama2-70b/server\?"),
        ("fast", "a preset, as chat, rag, .*story; --slo list shows all"),
        ("e2e=2s,chat", "'chat' comes too late: one preset comes first"),
        ("chat,api", "'api' comes too late"),
        ("ttft", "has no unit: write ttft=500ms"),
        ("mlperf:deepseek-r1/interactive@v5.1", "is not of v5.1: write @v6.0 or @v6.1"),
        ("chat@v5.1", "chat is not of v5.1: write chat"),
        ("chat,itl=3ms", "'itl=3ms' is not an SLO"),
    ],
)
def test_what_is_no_preset(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_slo(text)


def test_an_unknown_name_asks_for_no_share() -> None:
    with pytest.raises(UsageError, match="did you mean story"):
        preset_attainment("storry,e2e=3s")


def test_the_list_names_all_with_their_limits() -> None:
    text = describe_presets()
    for preset in presets():
        (line,) = (line for line in text.splitlines() if line.split()[:1] == [preset.name])
        assert {preset.says(), f"{preset.attainment:.0%}"} <= set(line.split())
        assert f"\n{find_preset(preset.name).source}:\n" in text
    assert "No result of\nLoadcell is an MLPerf result" in text


@pytest.mark.parametrize("command", ["run", "report"])
def test_the_list_needs_nothing_else(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--slo", "list"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == describe_presets()
