"""The APIs that the engine speaks, by path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from loadcell.engine import http
from loadcell.engine.api import ApiError, Asked, OpenAIVoice, Phrases, Voice, error_body, read_request
from loadcell.engine.hearing import HearingVoice, TranslatingVoice, read_heard
from loadcell.engine.media import paint, read_images, read_speech, speak
from loadcell.engine.messages import MessagesVoice, messages_error, read_messages
from loadcell.engine.pooling import (
    Answer,
    embed,
    pool,
    read_embeddings,
    read_rerank,
    read_score,
    read_tei_rerank,
    rerank,
    score,
    tei_rerank,
)
from loadcell.engine.responses import ResponsesVoice, read_responses


class Api(NamedTuple):
    """The server's half of one."""

    read: Callable[[bytes, Mapping[str, str], str], Asked]
    """(body, headers, the engine's model) to what is asked for; ApiError if it cannot be served."""
    voice: Callable[[Phrases, Asked, str, int, int], Voice] | None
    """(phrases, what is asked for, name of the response, time in s, its place in the table of words) to its words; None
    where nothing is generated."""
    error: Callable[[int, str, str, str | None], bytes] = error_body
    answer: Callable[[Phrases, Asked, str, int, int], Answer] | None = None
    """The same to its whole reply, where nothing is generated."""
    media: str = "application/json"
    """Of that reply."""

    def response(self, error: ApiError, *, close: bool = False, extra: str = "") -> bytes:
        """The whole response of a refusal."""
        body = self.error(error.status, error.message, error.kind, error.param)
        return http.response(error.status, body, close=close, extra=extra)


OPENAI = Api(lambda body, _, model: read_request(body, True, model), OpenAIVoice)
RERANK = Api(read_rerank, None, answer=rerank)
APIS = {
    "/v1/chat/completions": OPENAI,
    "/v1/completions": Api(lambda body, _, model: read_request(body, False, model), OpenAIVoice),
    "/v1/messages": Api(read_messages, MessagesVoice, messages_error),
    "/v1/responses": Api(read_responses, ResponsesVoice),
    "/v1/embeddings": Api(read_embeddings, None, answer=embed),
    "/v1/rerank": RERANK,
    "/v2/rerank": RERANK,
    "/rerank": Api(read_tei_rerank, None, answer=tei_rerank),
    "/score": Api(read_score, None, answer=score),
    "/pooling": Api(read_embeddings, None, answer=pool),
    "/v1/audio/transcriptions": Api(read_heard, HearingVoice),
    "/v1/audio/translations": Api(read_heard, TranslatingVoice),
    "/v1/audio/speech": Api(read_speech, None, answer=speak, media="audio/wav"),
    "/v1/images/generations": Api(read_images, None, answer=paint),
}
