"""Images and clips of audio that requests carry: how many and how large, made from the seed or taken from a folder.

Each is made while its request's body is: what a run holds of them is a number or two each, however large they are.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.lengths import parse_lengths
from loadcell.media import AUDIO_SECONDS, IMAGE_SIZE, STEPS_A_SECOND, Attachment, Media, parse_seconds, parse_size
from loadcell.phrases import phrase
from loadcell.workload.lengths import sample_lengths
from loadcell.workload.schedule import MOST_TEXTS
from loadcell.workload.streams import stream

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
CLIPS = (".wav", ".mp3", ".flac", ".m4a", ".ogg")
_MOST_SIDE, _MOST_MS = 16_384, 24 * 3_600_000
MOST_FILE_BYTES = 64 * 1024 * 1024
_FORM = {"jpg": "jpeg"}
_CELL, _QUALITY, _PACKING = 16, 85, 1
"""A made image is noise of a point in so many pixels, drawn smooth: about as many bytes as a photograph of its size."""
RATE_HZ = 16_000
_SYLLABLE, _PITCH_HZ = RATE_HZ // 5, (90.0, 250.0)
_LOUD, _BREATH = 20_000.0, 600
_SWELL = np.hanning(_SYLLABLE).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Made:
    """Attachments that are made: those of row i end before `ends[i]`, each of other content."""

    kind: Literal["image", "audio"]
    form: str
    ends: NDArray[np.int64]
    sizes: NDArray[np.int32]
    """Of each: width and height in pixels, or its length in ms."""
    seed: int

    def get(self, number: int) -> Attachment:
        """The attachment of this number."""
        size = self.sizes[number].tolist()
        if self.kind == "image":
            return Attachment(
                "image", self.form, picture(size[0], size[1], self.form, stream(self.seed, "pixels", number))
            )
        return Attachment("audio", "wav", clip(size[0], stream(self.seed, "sound", number)))

    def weight(self) -> NDArray[np.int64]:
        """Pixels, or milliseconds, of each attachment."""
        found: NDArray[np.int64] = np.prod(self.sizes, axis=1, dtype=np.int64)
        return found

    def facts(self, last: int) -> Iterator[bytes]:
        """What the first `last` attachments follow from."""
        yield f"{self.kind} {self.form} {self.seed}".encode()
        yield np.ascontiguousarray(self.sizes[:last], "<i4").tobytes()


@dataclass(frozen=True, eq=False)
class Files:
    """Attachments that are files of a folder, each by its place in `paths`."""

    kind: Literal["image", "audio"]
    paths: tuple[str, ...]
    sha256: tuple[bytes, ...]
    weights: NDArray[np.int64]
    """Of each file: pixels, or milliseconds."""
    ends: NDArray[np.int64]
    which: NDArray[np.int32]

    def get(self, number: int) -> Attachment:
        """The attachment of this number; UsageError if its file is not what it was before the load."""
        place = int(self.which[number])
        path = Path(self.paths[place])
        form = path.suffix[1:].lower()
        data = _bytes_of(path)
        if hashlib.sha256(data).digest() != self.sha256[place]:
            raise UsageError(f"{path} has changed since the run began")
        return Attachment(self.kind, _FORM.get(form, form), data)

    def weight(self) -> NDArray[np.int64]:
        """Pixels, or milliseconds, of each attachment."""
        return self.weights[self.which]

    def facts(self, last: int) -> Iterator[bytes]:
        """What the first `last` attachments follow from."""
        used, places = np.unique(self.which[:last], return_inverse=True)
        yield f"{self.kind} files".encode()
        yield from (self.sha256[place] for place in used.tolist())
        yield places.astype("<i8").tobytes()


Attached = Made | Files


def attachments_of(attached: Attached, row: int) -> list[Attachment]:
    """Those of one row."""
    first = int(attached.ends[row - 1]) if row else 0
    return [attached.get(number) for number in range(first, int(attached.ends[row]))]


def weights_of_rows(attached: Attached) -> NDArray[np.int64]:
    """Pixels, or milliseconds, of all attachments of each row."""
    sums = np.concatenate(([0], np.cumsum(attached.weight(), dtype=np.int64)))
    return np.diff(sums[attached.ends], prepend=0)


def plan_images(media: Media, rows: int, seed: int, content_seed: int, notes: list[str]) -> Attached | None:
    """The images of so many requests; None if there are none. `notes` takes what must be known; UsageError says what
    cannot be."""
    if not media.shown:
        return None
    counts = sample_lengths(
        parse_lengths(media.images or "1", "a number of images"), rows, stream(seed, "images"), 10_000, "images"
    )
    ends = np.cumsum(counts, dtype=np.int64)
    total = int(ends[-1])
    if total > MOST_TEXTS:
        raise UsageError(
            f"{rows:,} requests with {media.images} images are {total:,} images, and a run may plan {MOST_TEXTS:,}: "
            "give fewer --images, or a shorter run"
        )
    if media.image_dir is not None:
        return _of_folder("image", media.image_dir, ends, stream(seed, "image order"), notes)
    _pillow()
    asked, rng = parse_size(media.image_size or IMAGE_SIZE), stream(seed, "image sizes")
    if isinstance(asked, list):
        sizes = np.array(asked, np.int64)[rng.integers(len(asked), size=total)]
    else:
        sizes = sample_lengths(asked, 2 * total, rng, _MOST_SIDE, "pixels").reshape(total, 2).astype(np.int64)
    if sizes.max() > _MOST_SIDE:
        raise UsageError(f"an image of {sizes.max():,} pixels on a side is asked for; the most is {_MOST_SIDE:,}")
    return Made("image", media.image_format or "jpeg", ends, sizes.astype(np.int32), content_seed)


def plan_clips(media: Media, rows: int, seed: int, content_seed: int, notes: list[str]) -> Attached | None:
    """The clips of so many requests, one each; likewise."""
    if not media.heard:
        return None
    ends = np.arange(1, rows + 1)
    if media.audio_dir is not None:
        return _of_folder("audio", media.audio_dir, ends, stream(seed, "clip order"), notes)
    lengths = parse_seconds(media.audio_seconds or AUDIO_SECONDS)
    sizes = sample_lengths(lengths, rows, stream(seed, "clips"), _MOST_MS, "ms")
    return Made("audio", "wav", ends, sizes.reshape(rows, 1), content_seed)


# --- made ones --------------------------------------------------------------------------------------------------------


def picture(width: int, height: int, form: str, rng: np.random.Generator) -> bytes:
    """An image that no other random stream gives; its bytes are those of one version of Pillow."""
    image = _pillow()
    points = rng.integers(0, 256, (max(2, -(-height // _CELL)), max(2, -(-width // _CELL)), 3), np.uint8)
    smooth = image.fromarray(points).resize((width, height), image.Resampling.BICUBIC)
    into = io.BytesIO()
    smooth.save(into, form.upper(), **({"quality": _QUALITY} if form == "jpeg" else {"compress_level": _PACKING}))
    return into.getvalue()


def clip(length_ms: int, rng: np.random.Generator) -> bytes:
    """A WAV file, 16 bit, mono: syllables of a voice at changing pitch, and breath. It says no words."""
    import wave

    samples = length_ms * (RATE_HZ // STEPS_A_SECOND)
    syllables = -(-samples // _SYLLABLE)
    # The phase of a saw-tooth is the sample's place times a step that wraps around in 32 bits.
    steps = (rng.uniform(*_PITCH_HZ, (syllables, 1)) / RATE_HZ * 2**32).astype(np.uint32)
    tooth = (steps * np.arange(_SYLLABLE, dtype=np.uint32)).view(np.int32)
    loud = rng.uniform(0.2, 1.0, (syllables, 1)).astype(np.float32) * (_LOUD / 2**31)
    sound = (tooth * (loud * _SWELL)).astype("<i2").reshape(-1)[:samples]
    sound += rng.integers(-_BREATH, _BREATH, samples, np.int16)
    into = io.BytesIO()
    with wave.open(into, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(sound.tobytes())
    return into.getvalue()


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise UsageError("images need Pillow, which is not installed: pip install 'loadcell[media]'") from None
    return Image


# --- files of a folder ------------------------------------------------------------------------------------------------


def _of_folder(
    kind: Literal["image", "audio"], folder: str, ends: NDArray[np.int64], rng: np.random.Generator, notes: list[str]
) -> Files:
    """The files of a folder that are of this kind, each as often as another, in a random order of each pass."""
    endings, what = (IMAGES, "images") if kind == "image" else (CLIPS, "clips of audio")
    try:
        found = sorted(p for p in Path(folder).expanduser().iterdir() if p.suffix.lower() in endings and p.is_file())
    except OSError as error:
        raise UsageError(f"the folder of {what} {folder} cannot be read: {error.strerror}") from None
    if not found:
        raise UsageError(f"{folder} holds no {what}: they end in {', '.join(endings)}")
    total = int(ends[-1])
    passes = np.tile(np.arange(len(found), dtype=np.int32), (-(-total // len(found)), 1))
    which = rng.permuted(passes, axis=1).reshape(-1)[:total]
    used = np.unique(which)
    weights = np.zeros(len(found), np.int64)
    digests = [b""] * len(found)
    for place in used.tolist():  # those that are sent, for a folder may hold many more
        digests[place], weights[place] = _looked_at(kind, found[place])
    if total > used.size and kind == "image":
        notes.append(phrase("images repeat: {} files for {} of them; a cache can answer repeats", len(found), total))
    elif total > used.size:
        notes.append(phrase("clips repeat: {} files for {} of them; a cache can answer repeats", len(found), total))
    return Files(kind, tuple(map(str, found)), tuple(digests), weights, ends, which)


def _bytes_of(path: Path) -> bytes:
    """What a file holds; UsageError if that is more than a request may carry."""
    with path.open("rb") as file:
        data = file.read(MOST_FILE_BYTES + 1)
    if len(data) > MOST_FILE_BYTES:
        raise UsageError(f"{path} holds more than {MOST_FILE_BYTES >> 20} MiB, the most that a file may: take it out")
    return data


def _looked_at(kind: str, path: Path) -> tuple[bytes, int]:
    """(SHA-256, pixels or milliseconds) of a file; UsageError if it is not of its kind."""
    try:
        digest = hashlib.sha256(_bytes_of(path)).digest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    size = _pixels(path) if kind == "image" else _length_ms(path)
    if not size:
        raise UsageError(f"{path} is no {'image' if kind == 'image' else 'audio'} that can be read: take it out")
    return digest, size


def _pixels(path: Path) -> int:
    image = _pillow()
    try:
        with image.open(path) as found:
            width, height = found.size
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError):
        return 0
    return int(width * height)


def _length_ms(path: Path) -> int:
    try:
        import tinytag
    except ImportError:
        raise UsageError("files of audio need tinytag, which is not installed: pip install 'loadcell[media]'") from None
    try:
        found = tinytag.TinyTag.get(path, tags=False)
    except (tinytag.TinyTagException, OSError, ValueError):
        return 0
    seconds, bytes_per_s = found.duration or 0, (found.bitrate or 0) * 125
    if path.suffix.lower() == ".wav" and seconds * bytes_per_s > (held := path.stat().st_size):
        raise UsageError(
            f"{path}: its WAV header names {seconds:,.1f} s of audio, and its {held:,} bytes hold at most "
            f"{held / bytes_per_s:,.1f} s: write it anew (ffmpeg -i IN.wav OUT.wav), or take it out"
        )
    return round(seconds * STEPS_A_SECOND)
