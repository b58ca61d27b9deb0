"""Images and audio that requests carry: what a Spec asks of them, and which APIs take them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from loadcell.api_template import Template
from loadcell.apis import Api, find_api, is_ours
from loadcell.errors import UsageError
from loadcell.lengths import Lengths, parse_lengths

Doc = msgspec.Meta
HEARING = ("transcriptions", "translations")
"""APIs that take one piece of audio and nothing else, and write down what is said in it."""
_TAKES = {"chat": ("images", "audio"), "messages": ("images",), "responses": ("images",), "ollama": ("images",)}
"""What those of ours take beside the text; any other of ours takes none."""
IMAGE_SIZE, AUDIO_SECONDS = "512x512", "10"
"""By default."""
STEPS_A_SECOND = 1000
"""Lengths of audio are whole milliseconds."""
_SIZE = re.compile(r"([1-9]\d*)x([1-9]\d*)")
_OF_TEXT = (
    "input_tokens", "output_tokens", "inputs", "query_tokens", "prompts", "prompt_column", "output_column",
    "template_tokens", "token_ratio",
)  # fmt: skip


class Media(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Images and audio that a request carries beside its text, or instead of it."""

    images: Annotated[
        str | None, Doc(description="images a request, as a length: made anew for each (default with --image-dir: 1)")
    ] = None
    image_size: Annotated[
        str | None,
        Doc(
            description=f"of an image: WxH, several of these (256x256,1024x768), or a length for each side (default: "
            f"{IMAGE_SIZE})"
        ),
    ] = None
    image_format: Annotated[
        Literal["jpeg", "png"] | None, Doc(description="of an image: jpeg or png (default: jpeg)")
    ] = None
    image_dir: Annotated[
        str | None, Doc(description="folder of images to send instead of made ones, in an order from the seed")
    ] = None
    audio_seconds: Annotated[
        str | None,
        Doc(
            description="a clip of audio a request, of this length in seconds, in the same forms: WAV, 16 kHz, mono "
            f"(default of transcriptions and translations: {AUDIO_SECONDS})"
        ),
    ] = None
    audio_dir: Annotated[
        str | None, Doc(description="folder of clips (wav, mp3, flac, ...) to send instead of made ones, likewise")
    ] = None

    @property
    def shown(self) -> bool:
        """Whether requests carry images."""
        return (self.images, self.image_dir) != (None, None)

    @property
    def heard(self) -> bool:
        """Whether requests carry audio."""
        return (self.audio_seconds, self.audio_dir) != (None, None)

    @property
    def any(self) -> bool:
        """Whether requests carry either."""
        return self.shown or self.heard

    @property
    def made(self) -> bool:
        """Whether any of it is made here, and not from a folder."""
        return (self.shown and self.image_dir is None) or self.audio_seconds is not None


class Attachment(NamedTuple):
    """One image or one clip, as it is sent."""

    kind: Literal["image", "audio"]
    form: str
    """jpeg, png, webp, gif; wav, mp3, flac and their like."""
    data: bytes

    @property
    def mime(self) -> str:
        """Its type, as in image/jpeg."""
        return f"{self.kind}/{_MIME.get(self.form, self.form)}"


_MIME = {"mp3": "mpeg", "m4a": "mp4"}


def settle_media(tree: dict[str, dict[str, Any]]) -> None:
    """Fill in what the sections of a Spec leave to an API that takes audio alone; UsageError names what it has not."""
    api = tree.get("endpoint", {}).get("api", "chat")
    if api not in HEARING:
        return
    workload = tree.get("workload", {})
    if tree["endpoint"].get("ignore_eos"):
        raise UsageError(f"endpoint.ignore_eos: the {api} API writes down what it hears, no more: leave it out")
    for key in _OF_TEXT:
        if workload.get(key) is not None:
            raise UsageError(
                f"workload.{key}: the {api} API takes audio alone, and its output is as long as what is said: leave it "
                "out; --audio-seconds and --audio-dir say what is sent"
            )
    tree["workload"] = {**workload, "input_tokens": None, "output_tokens": None}
    media = tree.get("media", {})
    if media.get("audio_seconds") is None and media.get("audio_dir") is None:
        tree["media"] = {**media, "audio_seconds": AUDIO_SECONDS}


def check_media(media: Media, api: Api, input_tokens: str | None, output_tokens: str | None) -> bool:
    """Whether the API takes audio alone; UsageError if a load of it cannot be with these settings."""
    hears = api in HEARING
    if not hears and input_tokens is None:
        raise UsageError(f"the {_name(api)} API takes text: say how much with workload.input_tokens")
    if hears and not (media.heard and input_tokens is None is output_tokens):
        raise UsageError(f"the {api} API takes audio alone: leave lengths out, and give --audio-seconds or --audio-dir")
    for what, given, flags in (("images", media.shown, "--images and --image-dir"),
                               ("audio", media.heard, "--audio-seconds and --audio-dir")):  # fmt: skip
        if given and what not in taken_by(api):
            others = ", ".join(name for name, takes in _TAKES.items() if what in takes)
            also = f"; audio alone: {', '.join(HEARING)}" if what == "audio" else ""
            raise UsageError(f"the {_name(api)} API takes no {what}: leave {flags} out, or give --api {others}{also}")
    _check_images(media)
    if media.audio_seconds is not None:
        parse_seconds(media.audio_seconds)
        if media.audio_dir is not None:
            raise UsageError("--audio-seconds is of clips that are made, --audio-dir of files: give one of them")
    return hears


def _check_images(media: Media) -> None:
    if media.images is not None:
        parse_lengths(media.images, "a number of images")
    if media.image_size is not None:
        parse_size(media.image_size)
    for name, value in (("image_size", media.image_size), ("image_format", media.image_format)):
        if value is not None and media.image_dir is not None:
            raise UsageError(f"media.{name} is of images that are made; files of --image-dir are sent as they are")
        if value is not None and not media.shown:
            raise UsageError(f"media.{name} says how images are, and none are asked for: say how many with --images")


def _name(api: Api) -> str:
    return api if isinstance(api, str) else "template's"


def taken_by(api: Api) -> tuple[str, ...]:
    """What requests of an API that was checked may carry: images, audio."""
    if isinstance(api, Template):
        return _TAKES["chat"] if api.messages else ()
    if api in HEARING:
        return ("audio",)
    if api in _TAKES:
        return _TAKES[api]
    # One that a package brings has messages in the form of chat, or none.
    return _TAKES["chat"] if not is_ours(api) and find_api(api).talks else ()


def parse_size(text: str) -> list[tuple[int, int]] | Lengths:
    """The sizes in pixels that `text` names, or the distribution of each side; UsageError with the valid forms else."""
    sizes = [_SIZE.fullmatch(part.strip()) for part in text.lower().split(",")]
    if all(sizes):
        return [(int(size[1]), int(size[2])) for size in sizes if size]
    if "x" in text.lower():
        raise UsageError(
            f"{text!r} is not a size of images: write WxH in pixels, as in 512x512, several of these with commas "
            "between, or a length for each side, as in uniform:256,1024"
        )
    return parse_lengths(text, "a size of images (WxH, or a length for each side)")


def parse_seconds(text: str) -> Lengths:
    """The distribution of lengths of audio that `text` names in seconds, in ms; UsageError else."""
    return parse_lengths(text, "a length of audio in seconds", STEPS_A_SECOND)
