"""Images and audio of a run: how many, how large, unlike one another, the same again; and what cannot be."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loadcell.errors import UsageError
from loadcell.load.bodies import Source
from loadcell.media import Attachment, parse_seconds, parse_size
from loadcell.protocol import dialect_of
from loadcell.spec import build_spec, field_from_text, with_defaults
from loadcell.workload import Plan, plan
from loadcell.workload.media import clip


def planned(api: str = "chat", requests: int = 6, seed: int = 0, salt: str = "x", **media: Any) -> Plan:
    text = {} if api.startswith("trans") else {"input_tokens": "12", "output_tokens": "4"}
    prompts = {"prompts": media.pop("prompts")} if "prompts" in media else {}
    tree = {
        "endpoint": {"url": "http://x", "api": api},
        "load": {"requests": requests, "concurrency": 2},
        "workload": {**text, **prompts},
        "media": media,
        "run": {"seed": seed, "salt": salt},
    }
    return plan(with_defaults(build_spec(tree)))


def source(found: Plan, api: str = "chat") -> Source:
    forms = [(b"{" if api == "x" else b'{"model":"m"', "max_tokens")]
    return Source(api, forms, found.prompts, found.schedule.output_tokens)


def parts(body: bytes | str | int) -> list[dict[str, Any]]:
    assert isinstance(body, bytes)
    content: list[dict[str, Any]] = json.loads(body)["messages"][-1]["content"]
    return content


def image_of(part: dict[str, Any]) -> tuple[str | None, tuple[int, int], bytes]:
    kind, _, data = part["image_url"]["url"].partition(";base64,")
    raw = base64.b64decode(data, validate=True)
    found = Image.open(io.BytesIO(raw))
    assert kind == f"data:image/{str(found.format).lower()}"
    return found.format, found.size, raw


def test_images_are_as_many_and_as_large_as_the_columns_say_and_all_unlike() -> None:
    found = planned(requests=40, images="uniform:1,3", image_size="64x32,100x50,30x40")
    media, seen = found.schedule.media, set()
    assert media.images is not None and media.pixels is not None and media.audio_ms is None
    assert set(media.images.tolist()) == {1, 2, 3}
    sizes = set()
    for row, body in enumerate(source(found).bodies(0)):
        *images, text = parts(body)
        assert text["type"] == "text" and text["text"]
        told = [image_of(part) for part in images]
        assert len(told) == media.images[row]
        assert sum(width * height for _, (width, height), _ in told) == media.pixels[row]
        assert {form for form, _, _ in told} == {"JPEG"}
        sizes |= {size for _, size, _ in told}
        seen |= {raw for _, _, raw in told}
    assert sizes == {(64, 32), (100, 50), (30, 40)}
    assert len(seen) == media.images.sum(), "no cache knows one of them"


def test_each_side_follows_a_distribution_and_png_is_png() -> None:
    found = planned(requests=50, images=1, image_size="uniform:16,64", image_format="png")
    told = [image_of(parts(body)[0]) for body in source(found).bodies(0)]
    assert {form for form, _, _ in told} == {"PNG"}
    sides = np.array([size for _, size, _ in told])
    assert sides.min() >= 16 and sides.max() <= 64
    assert len(set(map(tuple, sides.tolist()))) > 40 and (sides[:, 0] != sides[:, 1]).any()


def test_bodies_are_a_function_of_seed_and_row() -> None:
    one, again, other, salted = (
        source(planned(images=2, image_size="32x32", audio_seconds="uniform:0.1,0.3", **more))
        for more in ({}, {}, {"seed": 1}, {"salt": "y"})
    )
    bodies = list(one.bodies(0))
    assert bodies == list(again.bodies(0))
    assert bodies[3:] == list(one.bodies(3)), "whoever begins, and wherever"
    assert one.hash(6) == again.hash(6)
    assert len({one.hash(6), other.hash(6), salted.hash(6), one.hash(5)}) == 4
    first = planned(images=2, image_size="32x32")
    assert first.schedule.hash == planned(images=2, image_size="32x32", salt="y").schedule.hash
    assert first.schedule.hash != planned(images=2, image_size="32x31").schedule.hash
    assert first.schedule.hash != planned(images=1, image_size="32x32").schedule.hash


def test_clips_are_wav_of_the_length_that_was_asked_for() -> None:
    found = planned("transcriptions", requests=30, audio_seconds="uniform:0.25,0.75")
    lengths, seen = found.schedule.media.audio_ms, set()
    assert lengths is not None and 250 <= lengths.min() < lengths.max() <= 750
    for length_ms, one in zip(lengths.tolist(), found.prompts, strict=True):
        assert isinstance(one, Attachment) and one.mime == "audio/wav"
        with wave.open(io.BytesIO(one.data)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
            assert file.getnframes() == 16 * length_ms
            assert np.abs(np.frombuffer(file.readframes(10**6), "<i2")).max() > 2_000, "it is heard"
        seen.add(one.data)
    assert len(seen) == 30


def test_a_clip_is_never_too_loud_for_its_samples() -> None:
    rng = np.random.default_rng(0)
    with wave.open(io.BytesIO(clip(60_000, rng))) as file:
        sound = np.frombuffer(file.readframes(10**6), "<i2").astype(int)
    assert np.abs(np.diff(sound)).max() < 2**16 - 10_000, "nothing wrapped around"


def test_audio_in_a_chat_is_a_part_of_its_message() -> None:
    *_, heard, text = parts(next(source(planned(images=1, image_size="8x8", audio_seconds=0.5)).bodies(0)))
    assert heard["type"] == "input_audio" and heard["input_audio"]["format"] == "wav"
    assert base64.b64decode(heard["input_audio"]["data"]).startswith(b"RIFF")
    assert text["type"] == "text"


@pytest.mark.parametrize(
    ("api", "part"),
    [
        ("messages", lambda body: (body["messages"][0]["content"][0]["source"]["media_type"], "image/jpeg")),
        ("responses", lambda body: (body["input"][0]["content"][0]["image_url"][:23], "data:image/jpeg;base64,")),
        ("ollama", lambda body: (base64.b64decode(body["messages"][0]["images"][0])[:2], b"\xff\xd8")),
    ],
)
def test_each_api_has_images_in_its_own_form(api: str, part: Callable[[Any], tuple[Any, Any]]) -> None:
    found, dialect = planned(api, images=1, image_size="16x16"), dialect_of(api)
    prefix = dialect.prefix("m", True, dialect.form, {})
    (prompt,) = found.prompts.select(np.arange(1))
    found_part, wanted = part(json.loads(dialect.body(prefix, prompt, 4, dialect.form.max_tokens_field)))
    assert found_part == wanted


def test_images_go_to_the_last_question_of_a_file(tmp_path: Path) -> None:
    lines = [
        {"prompt": "what is it?"},
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                      {"role": "user", "content": [{"type": "text", "text": "c"}]}]},
        {"messages": [{"role": "system", "content": "look"}]},
    ]  # fmt: skip
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = planned(requests=6, prompts=str(tmp_path / "p.jsonl"), images=1, image_size="8x8")
    bodies = [json.loads(body) for body in source(found).bodies(0) if isinstance(body, bytes)]
    assert len(bodies) == 6 == len({json.dumps(body) for body in bodies}), "lines repeat, images do not"
    for body, says in zip(bodies, ["what is it?", "c", None] * 2, strict=True):
        last = body["messages"][-1]
        assert last["role"] == "user" and last["content"][0]["type"] == "image_url"
        assert [part["text"] for part in last["content"][1:]] == ([says] if says else [])
    assert all(one["content"] == "a" for body in bodies for one in body["messages"][:1] if len(body["messages"]) == 3)


# --- folders ----------------------------------------------------------------------------------------------------------


def a_folder(folder: Path, count: int = 3) -> Path:
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (10 + number, 20), (number, 9, 9)).save(
            folder / f"{number}.{('jpg', 'png', 'webp')[number % 3]}"
        )
    (folder / "notes.txt").write_text("not sent")
    return folder


def test_files_of_a_folder_come_in_an_order_from_the_seed(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "images")
    one, again, other = (planned(image_dir=str(folder), requests=9, images=2, **more) for more in ({}, {}, {"seed": 1}))
    raws = [image_of(part)[2] for body in source(one).bodies(0) for part in parts(body)[:-1]]
    assert raws == [image_of(part)[2] for body in source(again).bodies(0) for part in parts(body)[:-1]]
    assert raws != [image_of(part)[2] for body in source(other).bodies(0) for part in parts(body)[:-1]]
    files = [path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix != ".txt"]
    assert all(sorted(raws[at : at + 3]) == sorted(files) for at in range(0, 18, 3)), "each as often as another"
    pixels = {raw: 20 * (10 + number) for number, raw in enumerate(files)}
    assert one.schedule.media.pixels is not None
    assert one.schedule.media.pixels.tolist() == [
        pixels[a] + pixels[b] for a, b in zip(raws[::2], raws[1::2], strict=True)
    ]
    assert any("images repeat: 3 files for 18 of them" in note for note in one.notes)
    before = source(one).hash(9)
    Image.new("RGB", (10, 20)).save(folder / "0.jpg")
    with pytest.raises(UsageError, match=r"0\.jpg has changed since the run began"):
        list(source(one).bodies(0))
    assert source(planned(image_dir=str(folder), requests=9, images=2)).hash(9) != before


def test_clips_of_a_folder_have_the_lengths_of_their_files(tmp_path: Path) -> None:
    for number, length_ms in enumerate((300, 700)):
        (tmp_path / f"{number}.wav").write_bytes(clip(length_ms, np.random.default_rng(number)))
    found = planned("translations", requests=4, audio_dir=str(tmp_path))
    assert found.schedule.media.audio_ms is not None
    assert sorted(found.schedule.media.audio_ms.tolist()) == [300, 300, 700, 700]
    assert [len(one.data) // 32 for one in found.prompts if isinstance(one, Attachment)] == [
        length + 1 for length in found.schedule.media.audio_ms.tolist()
    ]


def test_a_file_that_is_not_what_its_name_says_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"a\.png is no image that can be read: take it out"):
        planned(image_dir=str(tmp_path))
    (tmp_path / "a.mp3").write_bytes(b"no sound")
    with pytest.raises(UsageError, match=r"a\.mp3 is no audio that can be read"):
        planned("transcriptions", audio_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("api", "media", "name"), [("chat", "image_dir", "a.png"), ("translations", "audio_dir", "a.wav")]
)
def test_a_file_that_is_too_large_is_refused(api: str, media: str, name: str, tmp_path: Path) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(UsageError, match=rf"{name} holds more than 64 MiB, the most that a file may: take it out"):
        planned(api, **{media: str(tmp_path)})


def test_a_wav_that_names_more_audio_than_it_holds_is_refused(tmp_path: Path) -> None:
    whole = clip(1_500, np.random.default_rng(0))
    for named in (3600 * 32_000, 0xFFFF_FFFF):
        (tmp_path / "a.wav").write_bytes(whole[:40] + named.to_bytes(4, "little") + whole[44:])
        with pytest.raises(UsageError, match=r"a\.wav: its WAV header names [\d,.]+ s of audio, .* at most 1\.5 s"):
            planned("transcriptions", audio_dir=str(tmp_path))
    (tmp_path / "a.wav").write_bytes(whole)
    lengths = planned("transcriptions", audio_dir=str(tmp_path)).schedule.media.audio_ms
    assert lengths is not None and set(lengths.tolist()) == {1500}


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "media", "words"),
    [
        ("chat", {"image_dir": "none"}, "the folder of images none cannot be read: No such file"),
        ("chat", {"image_dir": "."}, r"\. holds no images: they end in \.jpg"),
        ("chat", {"images": 0}, "'0' is not a number of images"),
        ("chat", {"images": 1, "image_size": "0x5"}, "'0x5' is not a size of images: write WxH"),
        ("chat", {"images": 1, "image_size": "99999x5"}, "an image of 99,999 pixels on a side"),
        ("chat", {"image_size": "5x5"}, "none are asked for: say how many with --images"),
        ("chat", {"image_dir": ".", "image_format": "png"}, "files of --image-dir are sent as they are"),
        ("chat", {"audio_seconds": 0}, "'0' is not a length of audio in seconds"),
        ("chat", {"audio_seconds": "0.0001"}, r"the least is 0\.001, and N is in steps of that"),
        ("chat", {"audio_seconds": 1, "audio_dir": "."}, "give one of them"),
        ("completions", {"images": 1}, "the completions API takes no images: .*give --api chat"),
        ("embeddings", {"audio_seconds": 1}, "the embeddings API takes no audio: .*audio alone: transcriptions"),
        ("messages", {"audio_seconds": 1}, "the messages API takes no audio"),
        ("transcriptions", {"images": 1}, "the transcriptions API takes no images"),
    ],
)
def test_what_cannot_be_is_said(
    api: str, media: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=words):
        if api == "embeddings":
            build_spec({"endpoint": {"url": "http://x", "api": api}, "media": media})
        planned(api, **media)


def test_a_format_that_there_is_not_names_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="--image-format: 'gif' is not one of jpeg, png"):
        field_from_text("media.image_format", "gif", "--image-format")


@pytest.mark.parametrize("key", ["input_tokens", "output_tokens", "prompts", "inputs"])
def test_audio_alone_has_no_text(key: str) -> None:
    tree = {"endpoint": {"url": "http://x", "api": "transcriptions"}, "workload": {key: "5"}}
    with pytest.raises(UsageError, match=rf"workload\.{key}: the transcriptions API takes audio alone"):
        build_spec(tree)


def test_without_pillow_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(UsageError, match=r"pip install 'loadcell\[media\]'"):
        planned(images=1)


def test_sizes_and_lengths_are_read_as_they_are_written() -> None:
    assert parse_size("64x32, 8X9") == [(64, 32), (8, 9)]
    assert parse_size("128") == parse_size("128").__class__("constant", 128.0)  # type: ignore[call-arg,arg-type]
    found = parse_seconds("lognormal:2.5,0.4")
    assert (found.kind, found.a, found.b) == ("lognormal", 2500.0, 0.4)
    assert (parse_seconds("0.007").a, parse_seconds("uniform:1.001,2").a) == (7.0, 1001.0)
