"""Replies that were made elsewhere: a JSONL file, or LoadGen's accuracy log."""

from __future__ import annotations

from pathlib import Path

import msgspec

from loadcell.errors import UsageError
from loadcell.mlperf.accuracy.replies import Reply
from loadcell.mlperf.files.accuracy_log import read_accuracy_log
from loadcell.mlperf.model import Finding
from loadcell.workload.tokenizer import Tokenizer, load_tokenizer

_REPLY_FORM = '{"sample": 0, "text": "...", "tokens": 128}'


def written_replies(path: Path, tokenizer: str | None) -> tuple[list[Reply], list[Finding]]:
    """The replies of a JSONL file or of an mlperf_log_accuracy.json, in its order, and what is wrong with the file.

    `tokenizer` names the model's: it decodes LoadGen's token ids, and counts tokens where a line of JSONL does not say
    how many there were. UsageError or RecordingError says what cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise UsageError(f"the replies {path} cannot be read: {error.strerror}") from None
    if head.lstrip()[:1] == b"[":
        return _logged(path, tokenizer)
    return _lines(path, None if tokenizer is None else load_tokenizer(tokenizer)), []


def _lines(path: Path, tokenizer: Tokenizer | None) -> list[Reply]:
    replies = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            reply = msgspec.json.decode(line, type=Reply)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}:{number}: {error}; a line of replies is {_REPLY_FORM}") from None
        if reply.tokens is None and tokenizer is not None:
            reply = msgspec.structs.replace(reply, tokens=tokenizer.count(reply.text))
        replies.append(reply)
    if not replies:
        raise UsageError(f"{path} holds no replies: write one a line, as in {_REPLY_FORM}")
    return replies


def _logged(path: Path, tokenizer: str | None) -> tuple[list[Reply], list[Finding]]:
    if tokenizer is None:
        raise UsageError(f"{path} holds token ids: name the model's tokenizer, as in --tokenizer tokenizer.json")
    backend = load_tokenizer(tokenizer).backend
    log = read_accuracy_log(path)
    replies = []
    for entry in log.replies:
        try:
            ids = entry.token_ids()
            text = backend.decode(ids, skip_special_tokens=True)
        except (ValueError, OverflowError) as error:
            raise UsageError(f"{path}: the reply to sample {entry.sample} is no token ids: {error}") from None
        replies.append(Reply(entry.sample, text, len(ids) if entry.tokens is None else entry.tokens))
    if not replies:
        raise UsageError(f"{path} holds no replies: take the log of an accuracy run")
    return replies, log.problems
