"""SGLang's own /generate, whose events hold all text so far unless its server is told otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from loadcell.kinds import KIND_ANSWER
from loadcell.protocol.asking import without_ignore_eos
from loadcell.protocol.dialect import Dialect, Drafted, Form, Heard, Prompt, ServerTimes, Told, Usage, hear_each
from loadcell.protocol.nested import begun_nested, ended_nested, own_nested, refused_nested
from loadcell.protocol.refusal import error_message
from loadcell.protocol.values import ABSENT, as_count, as_ns, is_done, present, read_as

_SETTINGS = "sampling_params"
_PROMPTS = {"text", "input_ids", "input_embeds"}
_BESIDE = frozenset(
    [
        "image_data", "video_data", "audio_data", "rid", "return_logprob", "logprob_start_len", "top_logprobs_num",
        "token_ids_logprob", "return_text_in_logprobs", "lora_path", "custom_logit_processor", "return_hidden_states",
        "priority",
    ]
)  # fmt: skip
"""Fields of a request that are no settings."""
_S = 1e9


class _Meta(msgspec.Struct, gc=False):
    """Counts of the reply so far, `spec_…` those of speculative decoding. Times come with the last event, of a server
    that runs with --enable-metrics: spans in s, moments in s since the epoch, and output tokens after the first for
    each s since it."""

    finish_reason: Any = None
    prompt_tokens: Any = None
    completion_tokens: Any = None
    cached_tokens: Any = None
    queue_time: Any = None
    forward_entry_time: Any = None
    prefill_finished_time: Any = None
    decode_throughput: Any = None
    spec_verify_ct: Any = None
    spec_draft_token_num: Any = None
    spec_accept_token_num: Any = None


class _Event(msgspec.Struct, gc=False):
    """An event of a stream, or a reply that was not streamed. A server without a tokenizer tells ids alone."""

    index: int | None = None
    text: str | None = None
    output_ids: list[int] | None = None
    meta_info: _Meta | None = None
    error: msgspec.Raw = ABSENT


_EVENT = msgspec.json.Decoder(_Event)


def read(payload: bytes) -> Heard:
    """What an event says, or a reply that was not streamed; one of NOT_JSON if it is none."""
    event = read_as(_EVENT, payload)
    if event.index:
        return Heard(beside=(event.index,))
    text, ids, meta = event.text, event.output_ids, event.meta_info
    holds = bool(text) or (text is None and bool(ids))
    heard = Heard(KIND_ANSWER if holds else 0, text, ids=ids, so_far=True)
    heard.known = text is not None or ids is not None or meta is not None
    if meta is not None:
        made = as_count(meta.completion_tokens)
        # With --incremental-streaming-output an event has what is new alone: fewer ids than tokens were made.
        heard.so_far = ids is None or made is None or len(ids) >= made
        prompt = as_count(meta.prompt_tokens)
        if made is not None or prompt is not None:
            heard.usage = Usage(prompt, made, as_count(meta.cached_tokens))
        heard.finish = meta.finish_reason
        if meta.finish_reason is not None:
            heard.told = _told(meta, made)
    if present(event.error):
        heard.failure = ("stream_error", error_message(payload))
    return heard


def _told(meta: _Meta, made: int | None) -> Told | None:
    """What the server tells of its times and of what it guessed; None if nothing."""
    prefill = decode = None
    begun, ended, pace = meta.forward_entry_time, meta.prefill_finished_time, meta.decode_throughput
    if isinstance(begun, float) and isinstance(ended, float):
        prefill = as_ns(ended - begun, _S)
    if isinstance(pace, float) and pace > 0 and made:
        decode = as_ns((made - 1) / pace, _S)
    times = ServerTimes(as_ns(meta.queue_time, _S), prefill, decode)
    drafted = Drafted(*map(as_count, (meta.spec_verify_ct, meta.spec_draft_token_num, meta.spec_accept_token_num)))
    if times == ServerTimes() and drafted == Drafted():
        return None
    return Told(None if times == ServerTimes() else times, None, None if drafted == Drafted() else drafted)


# --- requests out -----------------------------------------------------------------------------------------------------


def _prefix(_: str, stream: bool, form: Form, extra: Mapping[str, Any]) -> bytes:
    return begun_nested({"stream": stream}, _SETTINGS, form, extra, _PROMPTS)


def _body(prefix: bytes, prompt: Prompt, most: int, field: str) -> bytes:
    if not isinstance(prompt, bytes):
        return ended_nested(prefix, b'"text":' + msgspec.json.encode(prompt), most, field)
    own: dict[str, Any] = msgspec.json.decode(prompt, type=dict[str, msgspec.Raw])  # values stay as they are written
    asked = own.pop("prompt")
    name = "text" if bytes(asked).startswith(b'"') else "input_ids"
    return own_nested(prefix, {name: asked, **own}, most, field, _SETTINGS, _BESIDE | {name})


SGLANG = Dialect(
    path="/generate",
    paths=("/generate", "/v1"),
    base="",
    talks=False,
    form=Form(ignore_eos=True, max_tokens_field="max_new_tokens"),
    prefix=_prefix,
    nest=_SETTINGS,
    body=_body,
    without=without_ignore_eos,
    hear=hear_each(read),
    whole=read,
    is_end=is_done,
    mark=b"[DONE]",
    ends="[DONE]",
    strict=True,
    cumulative=True,
    alike=False,
    refused=refused_nested(_SETTINGS, ("n",)),
    holds="text or output_ids",
    models="/v1/models",
)
