"""The data set of a benchmark: found by path, place or public name; or invented samples for trying things out.

Our own form is JSONL, one sample a line: {"prompt": TEXT} or {"messages": [...]}, with "reference" (the expected
answer; needed for accuracy), "subset", "max_tokens", and for graders that need them "choices", "tests", "entry_point",
"language". JSON, CSV and Parquet with the same columns, or with those of the published files, are read too.
"""

from __future__ import annotations

import hashlib
import os
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from loadcell.errors import UsageError
from loadcell.mlperf.dataset_forms import ENDINGS, Api, Form, Hub, Sample, form_of, read_samples, tables, templated
from loadcell.mlperf.model import Rules

__all__ = ["Dataset", "Sample", "data_folders", "find_dataset", "write_prompts"]

Doc = msgspec.Meta
ENV = "LOADCELL_MLPERF_DATA"
_HUB_TIMEOUT_S = 10.0


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """The samples of a benchmark, in the order of their index."""

    benchmark: str
    name: Annotated[str, Doc(description="public name and file, or that its samples are invented")]
    path: Annotated[str | None, Doc(description="file that was read; null: part of Loadcell")]
    sha256: Annotated[str, Doc(description="of the file")]
    look_alike: Annotated[bool, Doc(description="invented samples, good for trying out alone")]
    samples: list[Sample]
    whole: Annotated[int, Doc(description="samples that the rules ask for")]
    max_tokens: Annotated[int | None, Doc(description="output tokens that the rules allow")]
    api: Annotated[Api | None, Doc(description="the API that sends the samples as the benchmark does")] = None
    notes: Annotated[list[str], Doc(description="what one must know of it, in words")] = []

    @property
    def complete(self) -> bool:
        """Whether it has every sample of the benchmark's own data set."""
        return not self.look_alike and len(self.samples) == self.whole


def find_dataset(
    rules: Rules,
    path: str | None,
    *,
    look_alike: bool,
    samples: int | None,
    accuracy: bool,
    send: bool = True,
) -> Dataset:
    """The data set of a benchmark for its performance or its accuracy pass.

    `path` is a file or a folder; without it the folders of `data_folders` are looked through, then the Hugging Face
    hub, where the data set has a public name there. `samples`: the first so many alone. `send` False: for grading
    replies from elsewhere, so that audio or images need not be sent. UsageError says what file, of what form, from
    where, goes where.
    """
    if samples is not None and samples < 1:
        raise UsageError(f"{samples} samples of a data set cannot be used: give 1 or more")
    if look_alike and path is not None:
        raise UsageError("give either a data set or --look-alike, not both")
    form = form_of(rules.benchmark)
    if send and form.unsendable:
        raise UsageError(
            f"the samples of {rules.benchmark} need {form.unsendable}, which Loadcell cannot send: "
            "it sends text to chat and completions APIs"
        )
    if look_alike:
        return _look_alike(rules, form, samples, accuracy)
    file = _given(Path(path).expanduser(), form, accuracy) if path else _found(rules, form, accuracy)
    read = read_samples(file, form, send=send, grade=accuracy)
    whole = rules.accuracy_sample_count if accuracy else rules.dataset_size
    if samples is None and len(read) != whole:
        raise UsageError(
            f"{file} holds {len(read):,} samples, but {rules.benchmark} has {whole:,} for its "
            f"{'accuracy' if accuracy else 'performance'} pass: give the whole data set, or say by --samples N how "
            "many of them to use (such a run is comparable with no other)"
        )
    return _dataset(rules, form, read[:samples], accuracy, f"{form.public_name} ({file.name})", file, False)


def write_prompts(dataset: Dataset, file: Path, *, max_tokens: int | None = None) -> None:
    """Write the JSONL that `Spec.workload.prompts` names: a line a sample, in the order of their index.

    Each asks for its own output tokens, else for those of the rules; `max_tokens` takes the place of both.
    """
    encoder = msgspec.json.Encoder()
    lines = []
    for sample in dataset.samples:
        line = {"prompt": sample.prompt, "messages": sample.messages}
        line["max_tokens"] = max_tokens or sample.max_tokens or dataset.max_tokens  # type: ignore[assignment]
        lines.append(encoder.encode({key: value for key, value in line.items() if value is not None}))
    file.write_bytes(b"\n".join([*lines, b""]))


def data_folders(benchmark: str) -> list[Path]:
    """Where it is looked for: $LOADCELL_MLPERF_DATA/BENCHMARK, then $XDG_DATA_HOME/loadcell/mlperf/BENCHMARK."""
    home = Path(os.environ.get("XDG_DATA_HOME") or "")
    shared = (home if home.is_absolute() else Path.home() / ".local" / "share") / "loadcell" / "mlperf"
    given = os.environ.get(ENV)
    return [*([Path(given).expanduser() / benchmark] if given else []), shared / benchmark]


# --- where it is -----------------------------------------------------------------------------------------------------


def _given(path: Path, form: Form, accuracy: bool) -> Path:
    """The file at a path, or the one in the folder there."""
    if not path.exists():
        raise UsageError(f"no data set at {path}: there is no such file or folder")
    if not path.is_dir():
        return path
    if file := _in_folder(path, form, accuracy):
        return file
    raise UsageError(
        f"no data set in {path}: it needs {' or '.join(form.patterns(accuracy=accuracy))}, or one file that ends in "
        f"{', '.join(ENDINGS)}; found {', '.join(sorted(entry.name for entry in path.iterdir())) or 'nothing'}"
    )


def _in_folder(folder: Path, form: Form, accuracy: bool) -> Path | None:
    """The file of a folder that has a known name, else the only one of a known form; None if there is none."""
    for pattern in form.patterns(accuracy=accuracy):
        for file in sorted(folder.glob(pattern), key=lambda file: file.suffix not in ENDINGS):  # pickles last
            return file
    readable = [file for file in sorted(folder.iterdir()) if file.suffix in ENDINGS]
    return readable[0] if len(readable) == 1 else None


def _found(rules: Rules, form: Form, accuracy: bool) -> Path:
    """The file in the usual places, else from the hub; UsageError says how to get it."""
    folders = data_folders(rules.benchmark)
    for folder in folders:
        if folder.is_dir() and (file := _in_folder(folder, form, accuracy)):
            return file
    file, tried = _from_hub(rules.benchmark, form)
    if file:
        return file
    whole = rules.accuracy_sample_count if accuracy else rules.dataset_size
    raise UsageError(
        f"the data set of {rules.benchmark} is not here: {form.public_name}, {whole:,} samples{tried}.\n"
        f"Get {form.fetch}\n({tables()['download_page']}), as Parquet, JSON, JSONL or CSV with the columns "
        f"{_wanted(form, accuracy)},\nand give it by --dataset PATH or put it into {folders[0]}.\n"
        f"To try the command out without it: --look-alike (invented samples, comparable with nothing)."
    )


def _wanted(form: Form, accuracy: bool) -> str:
    names = form.alternatives()
    texts = " or ".join(names["prompt"] + names["messages"] + names["text"] + names["formatted"])
    return texts + (f", and {' or '.join(names['reference'])}" if accuracy else "")


def _from_hub(benchmark: str, form: Form) -> tuple[Path | None, str]:
    """The file from the Hugging Face hub or its cache; else why there is none, in words."""
    hub = form.hub
    if hub is None or benchmark not in hub.benchmarks:
        return None, ""
    from fnmatch import fnmatch

    import huggingface_hub

    if file := _in_cache(hub):
        return file, ""
    try:
        # asked first: a download tries a network that is not there for half a minute
        info = huggingface_hub.HfApi().dataset_info(hub.repo, timeout=_HUB_TIMEOUT_S)
        (name,) = (each.rfilename for each in info.siblings or [] if fnmatch(each.rfilename, hub.files))
        return Path(huggingface_hub.hf_hub_download(hub.repo, name, repo_type="dataset")), ""
    except Exception as error:  # noqa: BLE001 - network, hub and file errors of several libraries without a common base
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return None, f"; {hub.repo} could not be had from the Hugging Face hub ({reason})"


def _in_cache(hub: Hub) -> Path | None:
    """The file that an earlier download left."""
    import huggingface_hub

    try:
        folder = huggingface_hub.snapshot_download(
            hub.repo, repo_type="dataset", allow_patterns=[hub.files], local_files_only=True
        )
    except (OSError, ValueError):  # LocalEntryNotFoundError is one or both of them, by version
        return None
    return next(Path(folder).glob(hub.files), None)


# --- what it holds ---------------------------------------------------------------------------------------------------


def _look_alike(rules: Rules, form: Form, samples: int | None, accuracy: bool) -> Dataset:
    """The invented samples of the benchmark's kind."""
    place = resources.files(__package__).joinpath("samples", f"{form.family}.jsonl")
    with resources.as_file(place) as file:
        if not file.exists():
            raise UsageError(
                f"there are no look-alike samples for {rules.benchmark}: give its data set by --dataset PATH"
            )
        read = read_samples(file, form, send=True, grade=accuracy)[:samples]
        return _dataset(rules, form, read, accuracy, f"look-alike {form.family}: invented samples", file, True)


def _dataset(
    rules: Rules, form: Form, samples: list[Sample], accuracy: bool, name: str, file: Path, look_alike: bool
) -> Dataset:
    texts = [sample.prompt for sample in samples if sample.prompt is not None]
    carried = bool(texts) and all(map(templated, texts))
    whole = rules.accuracy_sample_count if accuracy else rules.dataset_size
    notes = [f"{len(samples):,} of {whole:,} samples: comparable with no other run"] if len(samples) < whole else []
    if look_alike:
        notes = ["look-alike samples, invented for trying things out: comparable with nothing"]
    if carried:
        notes.append("the prompts carry the model's own template: they are for the completions API")
    longest = rules.max_output_tokens_accuracy if accuracy else None
    return Dataset(
        benchmark=rules.benchmark,
        name=name,
        path=None if look_alike else str(file),
        sha256=_sha256(file),
        look_alike=look_alike,
        samples=samples,
        whole=whole,
        max_tokens=longest or rules.max_output_tokens,
        api="completions" if carried else form.api,
        notes=notes,
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
