"""Where prompts are: a file, a folder of files, or a data set of the Hugging Face hub; and which files that means."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from loadcell.errors import UsageError, nearest
from loadcell.phrases import phrase

_HF = ("hf://datasets/", "hf:")
_HUB = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+?))?", re.ASCII)
_PART = re.compile(r"(?P<place>.+?)[#:](?P<part>[\w.-]+(?:/[\w.-]+)?)")
"""What names a split, or a configuration and its split, after a place."""
_PACKED = r"(?:\.(?:gz|bz2|xz|zst))?"
_DATA = re.compile(rf"\.(?:parquet|jsonl|ndjson|json|csv|tsv|arrow){_PACKED}$", re.IGNORECASE)
_TEXT = re.compile(r"\.(?:txt|md|text)$", re.IGNORECASE)
_NO_DATA = re.compile(
    r"(?:^|/)(?:dataset_infos?|dataset_dict|state|config|metadata)\.json$|(?:^|/)\.|(?:^|/)cache-[^/]*$"
)
"""What describes a data set, and hidden or cached files."""
_SPLITS = ("train", "validation", "valid", "val", "dev", "test", "eval")
_SPLIT = re.compile(rf"(?:^|[-_./])({'|'.join(_SPLITS)})(?=[-_./\d]|$)", re.IGNORECASE)
_OF = re.compile(r"-\d{5}-of-(\d{5})(?=[-.])")
_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_CONVERTED = "refs/convert/parquet"
"""Where the hub keeps what it made of a data set whose own files need a program."""
_TIMEOUT_S = 10.0


class Source(NamedTuple):
    """The files that hold the prompts of a run."""

    files: tuple[Path, ...]
    texts: bool = False
    """Whether each is a prompt, as it is; else they hold rows."""
    notes: tuple[str, ...] = ()


class _Part(NamedTuple):
    """A configuration of a data set, and a split of it; "" where it has but one."""

    config: str
    split: str

    def __str__(self) -> str:
        return "/".join(filter(None, self)) or "all"


def find_source(prompts: str) -> Source:
    """The files that `prompts` names: a file, a folder or ORG/NAME at the hub; with #SPLIT or #CONFIG/SPLIT after the
    last two. UsageError says what there is instead."""
    at_hub = prompts.startswith(_HF)
    place, part = prompts.removeprefix(_HF[0]).removeprefix(_HF[1]) if at_hub else prompts, ""
    path = Path(prompts).expanduser()
    if not path.exists() and (named := _PART.fullmatch(place)):
        place, part = named["place"], named["part"]
        path = path if at_hub else Path(place).expanduser()
    if path.is_dir():
        return _of_folder(path, part, prompts)
    if path.exists():
        if part:
            raise UsageError(f"--prompts {prompts}: {place} is a file, which has no splits: name it alone")
        return Source((path,))
    found = _HUB.fullmatch(place)
    like_a_file = _DATA.search(place) or _TEXT.search(place) or place.startswith((".", "/", "~"))
    if found is None or (like_a_file and not at_hub):
        return Source((Path(prompts).expanduser(),))  # who reads it says that it is not there
    return _of_hub(found["id"], found["revision"], part)


# --- which files ------------------------------------------------------------------------------------------------------


def parts_of(names: Sequence[str], readme: str) -> dict[_Part, list[str]]:
    """The files of a data set by what they are part of: as its card says, else by their names."""
    data = sorted(name for name in names if _DATA.search(name) and not _NO_DATA.search(name))
    found: dict[_Part, list[str]] = {}
    for config, split, patterns in _configs(readme):
        files = [name for name in data if any(fnmatchcase(name, pattern) for pattern in patterns)]
        if files:
            found.setdefault(_Part(config, split), []).extend(files)
    if found:
        return found
    for name in data:
        split = next(iter(_SPLIT.findall(name)[-1:]), "").lower()
        folders = [one for one in PurePosixPath(name).parts[:-1] if one != "data" and one.lower() not in _SPLITS]
        found.setdefault(_Part("/".join(folders), split), []).append(name)
    return found


def _configs(readme: str) -> list[tuple[str, str, list[str]]]:
    """What the card of a data set says of its files: configuration, split and patterns of names."""
    import yaml

    front = _FRONT.match(readme)
    try:
        card = yaml.safe_load(front[1]) if front else None
    except yaml.YAMLError:  # a card for people: names tell as much
        return []
    listed = card.get("configs") if isinstance(card, dict) else None
    found = []
    for one in listed if isinstance(listed, list) else []:
        if not isinstance(one, dict):
            continue
        config = str(one.get("config_name", ""))
        for split, paths in _paths(one.get("data_files")):
            found.append(("" if config == "default" else config, split, paths))
    return found


def _paths(told: Any) -> list[tuple[str, list[str]]]:
    """Splits and their patterns: one pattern, several, or some for each split."""
    if isinstance(told, Mapping):
        return [(str(split), _texts(paths)) for split, paths in told.items()]
    if isinstance(told, list) and any(isinstance(one, Mapping) for one in told):
        return [(str(one.get("split", "")), _texts(one.get("path"))) for one in told if isinstance(one, Mapping)]
    return [("", _texts(told))] if told else []


def _texts(told: Any) -> list[str]:
    return [one for one in (told if isinstance(told, list) else [told]) if isinstance(one, str)]


def chosen(parts: dict[_Part, list[str]], asked: str, where: str) -> tuple[_Part, list[str]]:
    """The part that is `asked` for as SPLIT or CONFIG/SPLIT; the only one where none is. UsageError lists them."""
    fits = [part for part in parts if not asked or asked in (str(part), part.split, part.config)]
    if len(fits) == 1:
        _check_whole(parts[fits[0]], where)
        return fits[0], parts[fits[0]]
    names = [str(part) for part in fits or parts]
    say = f"{', '.join(names[:12])}{', …' if len(names) > 12 else ''}"
    if not fits:
        raise UsageError(f"--prompts: {where} has no {asked!r}{nearest(asked, names)}; it has: {say}")
    raise UsageError(f"--prompts: {where} has several parts ({say}): name one, as in {where}#{names[0]}")


def _check_whole(files: list[str], where: str) -> None:
    """UsageError where shards are missing that the names of others tell of."""
    told: dict[tuple[str, int], int] = {}
    for name in files:
        if found := _OF.search(name):
            series = name[: found.start()], int(found[1])
            told[series] = told.get(series, 0) + 1
    for (name, total), there in told.items():
        if there != total:
            raise UsageError(f"--prompts: {where} holds {there:,} of {total:,} files of {name}: fetch the others")


def _natural(name: str) -> list[Any]:
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", name)]


# --- a folder ---------------------------------------------------------------------------------------------------------


def _of_folder(folder: Path, part: str, prompts: str) -> Source:
    """The files of a folder: a data set (a snapshot, or as `save_to_disk` leaves it), shards, or texts."""
    names = sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())
    card = folder / "README.md"
    parts = parts_of(names, card.read_text("utf-8", "replace") if card.is_file() else "")
    if parts:
        found, files = chosen(parts, part, str(folder))
        notes = [_said(str(folder), found, len(files))] if len(files) > 1 or str(found) != "all" else []
        return Source(tuple(folder / name for name in sorted(files, key=_natural)), notes=tuple(notes))
    texts = [name for name in names if _TEXT.search(name) and not _NO_DATA.search(name) and name != "README.md"]
    if not texts:
        raise UsageError(
            f"--prompts {prompts}: the folder holds no data (.parquet, .jsonl, .json, .csv, .arrow) and no texts "
            "(.txt, .md); images and audio go with --image-dir and --audio-dir"
        )
    if part:
        raise UsageError(f"--prompts {prompts}: a folder of texts has no splits: name it alone")
    note = phrase("the prompts are the {} texts in {}, a file each, by their names", len(texts), str(folder))
    return Source(tuple(folder / name for name in sorted(texts, key=_natural)), texts=True, notes=(note,))


def _said(where: str, part: _Part, files: int) -> str:
    return phrase("the prompts are the part {} of {}: {} files", str(part), where, files)


# --- the hub ----------------------------------------------------------------------------------------------------------


def _of_hub(name: str, revision: str | None, part: str) -> Source:
    """The files of a data set at the hub, from its cache where there is no network."""
    try:
        import huggingface_hub as hub
    except ImportError:
        raise UsageError(
            f"--prompts {name}: there is no such file, and a data set of the Hugging Face hub needs a library: "
            "pip install 'loadcell[datasets]'"
        ) from None
    try:
        info = hub.HfApi().dataset_info(name, revision=revision, timeout=_TIMEOUT_S)
        names = [one.rfilename for one in info.siblings or []]
        parts, commit = _listed(hub, name, names, info.sha or revision), info.sha
        if not parts:
            info = hub.HfApi().dataset_info(name, revision=_CONVERTED, timeout=_TIMEOUT_S)
            parts, commit = parts_of([one.rfilename for one in info.siblings or []], ""), info.sha
        found, files = chosen(parts, part, name)
        fetch: Callable[[str], Path] = lambda file: Path(  # noqa: E731
            hub.hf_hub_download(name, file, repo_type="dataset", revision=commit)
        )
        paths = tuple(fetch(file) for file in sorted(files, key=_natural))
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - network, hub and file errors of several libraries without a common base
        return _of_cache(hub, name, revision, part, error)
    note = phrase(
        "the prompts are the part {} of {} at the hub, commit {}: {} files", str(found), name, commit, len(files)
    )
    return Source(paths, notes=(note,))


def _listed(hub: Any, name: str, names: list[str], revision: str | None) -> dict[_Part, list[str]]:
    """The parts of a data set by its files and its card."""
    readme = ""
    if "README.md" in names:
        card = hub.hf_hub_download(name, "README.md", repo_type="dataset", revision=revision)
        readme = Path(card).read_text("utf-8", "replace")
    return parts_of(names, readme)


def _of_cache(hub: Any, name: str, revision: str | None, part: str, error: Exception) -> Source:
    """What an earlier download left; UsageError says how to have it without a network."""
    try:
        folder = Path(hub.snapshot_download(name, repo_type="dataset", revision=revision, local_files_only=True))
    except (OSError, ValueError):  # LocalEntryNotFoundError is one or both of them, by version
        folder = None
    if folder is not None:
        source = _of_folder(folder, part, name)
        note = phrase("the hub was not reached: the prompts are of its cache, commit {}", folder.name)
        return source._replace(notes=(*source.notes, note))
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    raise UsageError(
        f"--prompts {name}: there is no such file or folder, and the Hugging Face hub did not give the data set "
        f"({reason}): where there is a network, run `hf download {name} --repo-type dataset --local-dir DIR` and give "
        "--prompts DIR, or copy its cache to $HF_HOME (~/.cache/huggingface) here"
    )
