"""OpenAI's responses API by its reference of 2025, which vLLM and llama.cpp speak too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from loadcell.core.tape import WHOLE
from loadcell.kinds import KIND_ANSWER, KIND_REASONING, KIND_TOOL
from loadcell.phrases import phrase
from loadcell.protocol.asking import begun, ended, ended_own, without_ignore_eos
from loadcell.protocol.dialect import Dialect, Form, Heard, Prompt, Told, Usage, hear_each
from loadcell.protocol.openai.told import timings_of
from loadcell.protocol.refusal import error_message
from loadcell.protocol.values import ABSENT, as_count, is_done, present, read_as

_ANSWERS = frozenset(["response.output_text.delta", "response.refusal.delta"])
_THOUGHTS = frozenset(["response.reasoning_text.delta", "response.reasoning.delta"])
_SUMMARIES = frozenset(["response.reasoning_summary_text.delta", "response.reasoning_summary.delta"])
"""What somebody wrote of the reasoning: output, and none of its tokens."""
_WRITTEN = frozenset(
    f"response.{name}.delta"
    for name in (
        "function_call_arguments",
        "custom_tool_call_input",
        "mcp_call_arguments",
        "code_interpreter_call_code",
    )
)
"""What a model writes for a tool."""
_ENDS = frozenset(["response.completed", "response.incomplete", "response.cancelled"])
_FAILED = frozenset(["error", "response.failed", "response.error"])
_TOOLS = ("function_call", "custom_tool_call", "mcp_call")
_HARMLESS = frozenset(["response.mcp_call.failed", "response.mcp_list_tools.failed"])
"""A tool of the server failed: the model is told, and goes on."""


class _Details(msgspec.Struct, gc=False):
    cached_tokens: Any = None
    reasoning_tokens: Any = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: Any = None
    output_tokens: Any = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Part(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct, gc=False):
    """One output of a response: a message, reasoning, or the call of a tool."""

    type: str | None = None
    content: list[_Part] | None = None
    name: str | None = None
    arguments: Any = None
    input: Any = None


class _Why(msgspec.Struct, gc=False):
    reason: Any = None


class _Response(msgspec.Struct, gc=False):
    status: Any = None
    output: list[_Item] | None = None
    usage: _Usage | None = None
    incomplete_details: _Why | None = None
    error: msgspec.Raw = ABSENT


class _Event(_Response, gc=False):
    """An event of a stream, or a response that was not streamed. `timings` are llama.cpp's."""

    type: str | None = None
    delta: Any = None
    logprobs: Any = None
    item: _Item | None = None
    response: _Response | None = None
    timings: msgspec.Raw = ABSENT


_EVENT = msgspec.json.Decoder(_Event)


def read(payload: bytes) -> Heard:
    """What an event says, or a response that was not streamed; one of NOT_JSON if it is none."""
    event = read_as(_EVENT, payload)
    kind = event.type or ""
    if kind.endswith(".delta"):
        return _of_delta(kind, event)
    heard = Heard(known=kind.startswith("response."))
    if kind == "response.output_item.added" and event.item is not None and event.item.type in _TOOLS:
        heard.kind, heard.tools = KIND_TOOL, [_written(event.item)]
    elif kind in _ENDS and event.response is not None:
        _put_end(heard, event.response)
        heard.done = True
    elif not kind and event.output is not None:
        heard.known = True
        _put_output(heard, event.output)
        _put_end(heard, event)
    if event.timings is not ABSENT:
        heard.told = Told(None, timings_of(event.timings))
    if kind in _FAILED or present(event.error) or event.status == "failed":
        heard.failure = ("stream_error", error_message(payload))
    return heard


def _of_delta(kind: str, event: _Event) -> Heard:
    text = event.delta
    if not isinstance(text, str) or not text:
        return Heard()
    if kind in _ANSWERS:
        tokens = len(event.logprobs) if isinstance(event.logprobs, list) else 0
        return Heard(KIND_ANSWER, text, tokens=tokens or None)
    if kind in _THOUGHTS:
        return Heard(KIND_REASONING, None, text)
    if kind in _SUMMARIES:
        return Heard(KIND_REASONING)
    if kind in _WRITTEN:
        return Heard(KIND_TOOL, tools=[_encoded({"arguments": text})])
    # A kind that this reference has not, or sound: output of some kind.
    sound = "audio" in kind and "transcript" not in kind
    return Heard(KIND_REASONING, others={f"{kind}.data" if sound else kind: text})


def _written(item: _Item) -> msgspec.Raw:
    """What a model wrote of a tool's call, as far as it is there."""
    written = item.arguments if isinstance(item.arguments, str) else item.input
    return _encoded({"name": item.name or "", "arguments": written if isinstance(written, str) else ""})


def _encoded(call: dict[str, str]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(call))


def _put_output(heard: Heard, output: list[_Item]) -> None:
    """Put what a whole response holds into what is heard of it."""
    parts = [(item.type == "reasoning", part) for item in output for part in item.content or ()]
    heard.answer = "".join(part.text or part.refusal or "" for thought, part in parts if not thought) or None
    heard.thought = "".join(part.text or "" for thought, part in parts if thought) or None
    heard.tools = [_written(item) for item in output if item.type in _TOOLS] or None
    heard.kind = (KIND_ANSWER if heard.answer else 0) | (KIND_REASONING if heard.thought else 0)
    heard.kind |= KIND_TOOL if heard.tools else 0


def _put_end(heard: Heard, response: _Response) -> None:
    """Put the usage and the reason of a response that has ended into what is heard of it."""
    why = response.incomplete_details.reason if response.incomplete_details is not None else None
    heard.finish = why or response.status or "completed"
    if (told := response.usage) is not None:
        prompt, output = told.input_tokens_details or _Details(), told.output_tokens_details or _Details()
        counts = (told.input_tokens, told.output_tokens, prompt.cached_tokens, output.reasoning_tokens)
        heard.usage = Usage(*map(as_count, counts))


# --- requests out -----------------------------------------------------------------------------------------------------


def _prefix(model: str, stream: bool, form: Form, extra: Mapping[str, Any]) -> bytes:
    return begun({"model": model, "stream": stream}, form, extra, {"input", "messages"})


def _body(prefix: bytes, prompt: Prompt, most: int, field: str) -> bytes:
    if isinstance(prompt, bytes):
        return ended_own(prefix, _as_items(prompt), most, field)
    return ended(prefix, b'"input":' + msgspec.json.encode(prompt), most, field)


def _as_items(own: bytes) -> bytes:
    """A request's own fields with its messages and tools in the form of this API."""
    fields: dict[str, Any] = msgspec.json.decode(own, type=dict[str, msgspec.Raw])  # values stay as they are written
    if "messages" not in fields:  # a body of this API, as it is
        return own
    items = [item for message in msgspec.json.decode(fields.pop("messages")) for item in _items(message)]
    tools = msgspec.json.decode(fields.get("tools", b"null"))
    if isinstance(tools, list):
        fields["tools"] = [
            {"type": "function", **tool["function"]} if isinstance(tool.get("function"), dict) else tool
            for tool in tools
        ]
    return msgspec.json.encode({"input": items, **fields})


def _items(message: dict[str, Any]) -> list[dict[str, Any]]:
    """A message of a chat as items: what it says, what it calls, or what a tool gave back."""
    role, content = message.get("role"), message.get("content")
    if role == "tool":
        return [{"type": "function_call_output", "call_id": message.get("tool_call_id"), "output": content}]
    if isinstance(content, list):
        content = [_part(part, "output_text" if role == "assistant" else "input_text") for part in content]
    said = [{"role": role, "content": content}] if content else []
    calls = [
        {"type": "function_call", "call_id": call.get("id"), **(call.get("function") or {})}
        for call in message.get("tool_calls") or ()
    ]
    return [*said, *calls]


def _part(part: Any, text: str) -> Any:
    if isinstance(part, str):
        return {"type": text, "text": part}
    if part["type"] == "text":
        return {**part, "type": text}
    if part["type"] == "image_url" and isinstance(part.get("image_url"), dict):
        return {"type": "input_image", "image_url": part["image_url"].get("url")}
    return part


def _refused(extra: Mapping[str, Any]) -> str | None:
    """Of what is kept or made elsewhere nothing can be measured here."""
    if extra.get("background"):
        return phrase("asks for background: true: such a response is made after its reply; leave it out")
    for name in ("previous_response_id", "conversation"):
        if extra.get(name):
            return phrase(
                "names a conversation that the server keeps ({}): no two requests would be alike; send the whole talk "
                "as messages, in a file of prompts",
                name,
            )
    return None


RESPONSES = Dialect(
    path="/responses",
    paths=("/responses",),
    talks=True,
    form=Form(ignore_eos=True, max_tokens_field="max_output_tokens"),
    prefix=_prefix,
    body=_body,
    without=without_ignore_eos,
    hear=hear_each(read),
    whole=read,
    is_end=is_done,
    mark=b'"output_tokens"',  # of the usage, which the last event alone has, whatever its name
    ends="response.completed or response.incomplete",
    strict=True,
    differs=((b"sequence_number", WHOLE),),
    harmless=_HARMLESS,
    refused=_refused,
    holds="output",
)
