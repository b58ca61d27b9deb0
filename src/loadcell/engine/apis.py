"""The APIs that the engine speaks, by path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from loadcell.engine import http
from loadcell.engine.api import ApiError, Asked, OpenAIVoice, Phrases, Voice, error_body, read_request
from loadcell.engine.messages import MessagesVoice, messages_error, read_messages
from loadcell.engine.responses import ResponsesVoice, read_responses


class Api(NamedTuple):
    """The server's half of one."""

    read: Callable[[bytes, Mapping[str, str], str], Asked]
    """(body, headers, the engine's model) to what is asked for; ApiError if it cannot be served."""
    voice: Callable[[Phrases, Asked, str, int, int], Voice]
    """(phrases, what is asked for, name of the response, time in s, its place in the table of words) to its words."""
    error: Callable[[int, str, str, str | None], bytes] = error_body

    def response(self, error: ApiError, *, close: bool = False, extra: str = "") -> bytes:
        """The whole response of a refusal."""
        body = self.error(error.status, error.message, error.kind, error.param)
        return http.response(error.status, body, close=close, extra=extra)


OPENAI = Api(lambda body, _, model: read_request(body, True, model), OpenAIVoice)
APIS = {
    "/v1/chat/completions": OPENAI,
    "/v1/completions": Api(lambda body, _, model: read_request(body, False, model), OpenAIVoice),
    "/v1/messages": Api(read_messages, MessagesVoice, messages_error),
    "/v1/responses": Api(read_responses, ResponsesVoice),
}
