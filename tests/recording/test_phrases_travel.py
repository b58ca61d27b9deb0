"""What sentences were made of goes with the documents that hold them: another process says them in another language."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import build, events_of, failed_request, ok_request

from loadcell import phrases
from loadcell.compare.sides import read_result
from loadcell.metrics import Result, build_result
from loadcell.phrases import phrase
from loadcell.recording.read import open_recording, read_manifest
from loadcell.recording.schema import Source
from loadcell.recording.seal import altered, seal
from loadcell.recording.write import end, write_audit, write_sources
from loadcell.report.tables import to_json
from loadcell.report.words import words_for

FAILURE = "incompleta tras 5 s, después de 3 eventos"
NOTE = "el servidor tiene 2 direcciones; las conexiones fueron a cada una por turno: a, b"


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording whose notes, failures and sources say something, for a process that has made no sentence yet."""
    monkeypatch.setattr(phrases, "_made", {})
    folder = tmp_path / "run"
    failure = phrase("not complete after {:g} s, {}", 5, phrase("after {} events", 3))
    rows = [ok_request(i, start_ms=20 * i) for i in range(8)]
    failed = failed_request(8, "timeout", start_ms=90, error=failure)
    build(folder, [*rows, failed], events=[event for row in rows for event in events_of(row)])
    write_audit(folder, 0, {"worker": 0, "phrases": phrases.phrases([failure])})
    note = phrase("the host has {} addresses; connections went to each in turn: {}", 2, "a, b")
    write_sources(folder, [Source(kind="host", name="this machine", notes=[], phrases=phrases.phrases([note]))])
    manifest = read_manifest(folder)
    manifest.notes = [note]
    end(folder, manifest)
    seal(folder, manifest)
    phrases._made.clear()
    return folder


def said(result: Result) -> set[str]:
    words = words_for("es")
    return {words.say(text) for text in (*result.notes, *(failure.sample or "" for failure in result.errors))}


def test_a_recording_takes_along_what_its_sentences_were_made_of(recorded: Path) -> None:
    recording = open_recording(recorded)
    assert altered(recorded) == [] and "phrases" not in recording.audits[0]
    assert said(build_result(recording)) >= {FAILURE, NOTE}


def test_what_was_watched_does_too(recorded: Path) -> None:
    manifest = read_manifest(recorded)
    phrases._made.clear()
    open_recording(recorded)
    assert phrases.made_of(manifest.notes[0]) is not None


def test_a_saved_result_does_too(recorded: Path, tmp_path: Path) -> None:
    saved = tmp_path / "result.json"
    saved.write_bytes(to_json(build_result(open_recording(recorded))))
    phrases._made.clear()
    assert said(read_result(saved)) >= {FAILURE, NOTE}


def test_an_older_recording_has_none_and_stays_in_english(recorded: Path) -> None:
    manifest = read_manifest(recorded)
    phrases._made.clear()
    manifest.phrases = {}
    seal(recorded, manifest)
    (recorded / "audit-0.json").write_text('{"worker": 0}')
    (recorded / "sources.json").unlink()
    result = build_result(open_recording(recorded))
    assert "not complete after 5 s, after 3 events" in said(result)
