"""The seam for APIs: what a `Dialect` must say, and what is heard of a reply whichever API it is in.

HTTP, event streams and JSON lines are the business of `reply` and `cutting`; an API says what stands in them. Its
functions are pure: bytes and plain values in and out, no sockets, no clocks, and no state but what they are handed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import msgspec

from loadcell.apis import Api, find_api
from loadcell.kinds import KIND_ERROR
from loadcell.media import Attachment
from loadcell.phrases import phrase
from loadcell.protocol.models import listed_models
from loadcell.protocol.refusal import error_message
from loadcell.protocol.values import MOST_TOKENS, NOT_JSON

Prompt = str | bytes | list[str] | Attachment
"""A text; or the fields of a body that are a request's own, its prompt among them, as a JSON object; or, where the API
generates nothing, the texts of its inputs, after that of the query if it has one; or,
where it takes audio alone, that."""
Count = Annotated[int, msgspec.Meta(ge=0, lt=MOST_TOKENS)]
"""A token count that a server may claim; anything else is none."""


class Form(NamedTuple):
    """What of the optional is in the bodies of a run: servers refuse some of it."""

    ignore_eos: bool
    usage: bool = True
    """Whether the server is asked for its usage."""
    max_tokens_field: str = "max_tokens"


class Usage(msgspec.Struct, gc=False):
    """Tokens of a reply, by its server; None where it does not tell."""

    prompt_tokens: Count | None = None
    output_tokens: Count | None = None
    cached_tokens: Count | None = None
    reasoning_tokens: Count | None = None


class ServerTimes(NamedTuple):
    """Parts of a request's time by the server's own word; None where it does not tell."""

    queue_ns: int | None = None
    prefill_ns: int | None = None
    """From the end of the queue to the first token."""
    decode_ns: int | None = None
    """From the first token to the last."""


class Drafted(NamedTuple):
    """What speculative decoding guessed for a reply, by its server; None where it does not tell."""

    steps: int | None = None
    """Decode steps that had a guess to verify."""
    tokens: int | None = None
    accepted: int | None = None


class Running(NamedTuple):
    """What a server tells along with its output; likewise."""

    times: ServerTimes = ServerTimes()
    output_tokens: int | None = None
    """So far."""
    cached_tokens: int | None = None
    drafted: Drafted | None = None


AS_BEFORE = Running()
"""Of an event that has a place for it with nothing there."""


class Told(NamedTuple):
    """The last that a reply told of its server's times and counts."""

    whole: ServerTimes | None = None
    running: Running | None = None
    at_end: Drafted | None = None

    @property
    def times(self) -> ServerTimes:
        """Those of the whole request or, without them, the running ones."""
        return self.whole or (self.running or Running()).times

    @property
    def cached_tokens(self) -> int | None:
        """Prompt tokens from the server's cache."""
        return self.running.cached_tokens if self.running else None

    @property
    def drafted(self) -> Drafted:
        """What was guessed for the whole request or, without that, what ran along."""
        return self.at_end or (self.running and self.running.drafted) or Drafted()

    def then(self, later: Told) -> Told:
        """What is known after more was told."""
        running = self.running if later.running is None or later.running is AS_BEFORE else later.running
        return Told(later.whole or self.whole, running, later.at_end or self.at_end)


class Heard(msgspec.Struct, gc=False):
    """What one event of a stream says, or a whole reply that was not streamed."""

    kind: int = 0
    """KIND_* of its output; the other bits follow from the rest."""
    answer: str | None = None
    thought: str | None = None
    finish: Any = None
    """Why the output ends, as the server writes it (`endings`)."""
    index: int | None = None
    """Of several outputs, the one that is measured."""
    usage: Usage | None = None
    """What it tells of the reply so far; a part that it does not tell stands as it was told before."""
    tokens: int | None = None
    """Output tokens of this event, by what it lists of each."""
    ids: list[int] | None = None
    """Ids of these, where the server tells them."""
    so_far: bool = False
    """Whether its answer and its ids are all so far, where the dialect is `cumulative`."""
    told: Told | None = None
    tools: list[msgspec.Raw] | None = None
    """Tool calls as they came, for their text."""
    others: Mapping[str, str] | None = None
    """Text in fields that are not known to hold output, by path."""
    beside: tuple[int, ...] = ()
    """Of several outputs, others that this event brings."""
    done: bool = False
    """Whether it is the end mark."""
    failure: tuple[str, str] | None = None
    """(kind, words) of what it says went wrong."""
    known: bool = True
    """Whether it holds anything that the API knows."""
    results: list[int | None] | None = None
    """Where the API generates nothing: the index of each result in the reply, None where it tells none."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One API. `docs/architecture.md` tells where a new one goes."""

    path: str
    """Below the base of the URL; {model} in it is the model's name."""
    whole_path: str | None = None
    """Likewise, where a reply that is not streamed is asked for; None: at the same."""
    paths: tuple[str, ...]
    """What people name in place of the base: cut off the end of their URL."""
    base: str = "/v1"
    """Where a URL names none."""
    talks: bool
    """Whether prompts are messages, else one text."""
    takes_ids: bool = True
    """Whether what is else one text may be token ids too."""
    form: Form
    """What bodies have at first."""
    nest: str = ""
    """The object in which a body has its settings; empty where they stand at its top."""
    prefix: Callable[[str, bool, Form, Mapping[str, Any]], bytes]
    """(model, "" where the path alone chooses it, whether to stream, form, further fields) to what all bodies of a run
    begin with."""
    body: Callable[[bytes, Prompt, int, str], bytes]
    """(prefix, prompt, most output tokens, `Form.max_tokens_field`) to one body."""
    content_type: str = "application/json"
    """Of a body, as its header says it."""
    without: Callable[[Form, str, bool], tuple[Form, str | None] | None] = lambda *_: None
    """(form, a refusal in the server's words, whether `ignore_eos` must stay) to a form without what it names, and a
    note on what that means; None if nothing of it may go."""
    hear: Callable[[list[bytes], int | None], Iterator[Heard]]
    """(JSON objects of events in order, index of the output that is measured) to what each says; see `hear_each`."""
    whole: Callable[[bytes], Heard]
    """The same of a reply that was not streamed; one of NOT_JSON if it is none."""
    is_end: Callable[[bytes], bool] = lambda _: False
    """Whether the data of an event, which is no JSON object, is the end mark."""
    mark: bytes = b""
    """What stands in the last event of a stream and in no other; empty where there is no such thing: then the end is
    known only once the last reads are parsed."""
    ends: str
    """What ends a stream, in words."""
    strict: bool = False
    """Whether every stream ends so: then one that only told why its output ends was cut."""
    cumulative: bool = False
    """Whether events may hold all output so far (`Heard.so_far`), of which what is new counts."""
    ends_with_body: bool = False
    """Whether nothing that is streamed tells of the end, but the end of the HTTP body; with `strict`."""
    differs: tuple[tuple[bytes, bytes], ...] = ()
    """Fields that differ from event to event and mean nothing, or (TOLD) count the output so far, with what stands in
    them: `core.tape.WHOLE` and the others."""
    harmless: frozenset[str] = frozenset()
    """Names of events (`event:`) that sound like an error of the reply and tell of none."""
    alike: bool = True
    """Whether events that differ in their text alone mean the same but for it, whatever the text is."""
    costs: int = 1
    """What it takes to read an event, in events of chat, about: so many fewer are read at a time."""
    holds: str
    """What a reply must have, in words."""
    missed: Callable[[list[bytes], bool, bool | None], tuple[list[str], list[str]]] = lambda *_: ([], [])
    """(JSON of a reply, whether it is of events, whether these told their end; None: they were not awaited) to what of
    the API is not in it, in words: without which no load can be measured, and what is only to be noted."""
    refused: Callable[[Mapping[str, Any]], str | None] = lambda _: None
    """What makes further fields of a body ones that no load can have, in words; None if nothing does."""
    headers: Callable[[str | None], dict[str, str]] = lambda key: {"Authorization": f"Bearer {key}"} if key else {}
    """Of every request, with the key if there is one."""
    models: str = "/models"
    """Where the models are listed, below the base; empty: nowhere."""
    asks_models: bytes | None = None
    """What is posted there for the list; None: it is got."""
    listed: Callable[[bytes], list[str] | None] = listed_models
    inputs: str = ""
    """The field of a body that holds its inputs, where the API generates nothing and its reply holds a result for each
    of them; empty where it generates."""
    query: str = ""
    """The field of the text that inputs are held against; empty where there is none."""
    top: str = ""
    """The field by which a body asks for the best results alone, so many; empty where there is none."""
    each: str = ""
    """The field by which a body asks for so many results of its input, 1 without it; empty where there is none."""
    one: bool = False
    """Whether a body holds one input, as a text."""
    audio: bool = False
    """Whether a reply that is good is audio, in bytes or in events (`audio.AudioReply`)."""

    @property
    def generates(self) -> bool:
        """Whether a reply is an output, made token by token; else it is results, and comes whole."""
        return not self.inputs

    def wanted(self, fields: Mapping[str, Any]) -> tuple[int, int]:
        """(inputs, results in the reply) that a body with these fields asks for; of an API that generates nothing."""
        given = fields.get(self.inputs)
        many = isinstance(given, list) and not all(type(token) is int for token in given)
        inputs = len(given) if isinstance(given, list) and many else 1
        return inputs, self.results(inputs, fields)

    def results(self, inputs: int, fields: Mapping[str, Any]) -> int:
        """Results that a body with so many inputs and these further fields asks for."""
        asked = fields.get(self.top or self.each)
        if type(asked) is not int or asked < 1:
            return inputs
        return inputs * asked if self.each else min(inputs, asked)


def dialect_of(api: Api) -> Dialect:
    """The dialect of an API that the Spec may name."""
    found: Dialect = find_api(api)
    return found


def hear_each(one: Callable[[bytes], Heard]) -> Callable[[list[bytes], int | None], Iterator[Heard]]:
    """`Dialect.hear` of a function of one event, which raises one of NOT_JSON for what is none of the API's."""

    def hear(payloads: list[bytes], _: int | None) -> Iterator[Heard]:
        for payload in payloads:
            try:
                yield one(payload)
            except NOT_JSON as error:
                yield not_heard(payload, error)

    return hear


def not_heard(payload: bytes, error: Exception) -> Heard:
    """What is heard of an event that cannot be read."""
    words = phrase("an event is not as the API says ({}): {}", error, error_message(payload[:200]))
    return Heard(KIND_ERROR, failure=("invalid_json", words))
