"""Replies as LoadGen wants them: how many tokens, and which."""

from __future__ import annotations

from array import array

from loadcell.protocol import Dialect, Reply, Text, count, evidence
from loadcell.protocol.dialect import Heard
from loadcell.workload import Tokenizer


class IdReply(Reply):
    """A reply that keeps the token ids which some servers send on request (vLLM: return_token_ids)."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self.ids = array("i")

    def _hear(self, number: int, heard: Heard, payload: bytes, lead: bytes) -> None:
        self.ids.extend(heard.ids or ())
        super()._hear(number, heard, payload, lead)


def count_tokens(reply: Reply, tokenizer: Tokenizer | None) -> tuple[int, str]:
    """Output tokens of a whole reply and where the count comes from.

    "usage", "stream" (running counts), "ids", "events" or "tokenizer" (over the text); without a tokenizer "chunks".
    """
    told, _ = evidence(reply, None)
    found = count(told)
    if not found.sure and tokenizer is not None:
        text = reply.text()
        found = count(told, Text(tokenizer.count(text), len(text.split())))
    if found.tokens is None or found.source is None:
        return reply.outputs().count(1), "chunks"
    return found.tokens, found.source


def token_ids(reply: IdReply, tokenizer: Tokenizer | None) -> tuple[array[int], str]:
    """Token ids of what came of a reply, and whose they are: the server's, else the tokenizer's over the text."""
    if reply.ids:
        return reply.ids, "server"
    if tokenizer is None:
        return array("i"), "none"
    return array("i", tokenizer.backend.encode(reply.text(), add_special_tokens=False).ids), "tokenizer"
