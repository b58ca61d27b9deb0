"""What to do about a failed request, by its kind and by the server's own words: one advice, the most fitting."""

from __future__ import annotations

import re

from loadcell.phrases import phrase

_LOADING = (
    r"\b(?:is|still|being|currently|server|model)\s+(?:\w+\s+)?(?:load|warm|start|boot|initiali[sz])(?:ing|ed\s+up)\b"
    r"|\b(?:service|application|engine|backend|worker|instance)\s+(?:load|warm|start|boot|initiali[sz])ing\b"
    r"|\bmodel\b.{0,60}\bbeing\s+(?:\w+\s+)?(?:loaded|downloaded|pulled)|\bloading\s+(?:\w+\s+)?weights"
    r"|\b(?:start-?\s?up|warm-?\s?up|cold\s+start)\s+(?:is\s+)?in\s+progress"
    r"|\bloading\s+(?:the\s+)?model|\bwarming\s+up|\bstarting\s+up|\bnot\s+(?:yet\s+)?(?:ready|loaded|initiali[sz]ed)\b"
)
_CONTEXT = (
    r"context\s+(?:length|window|size)|maximum\s+context|max(?:imum)?[_\s]model[_\s]len|n_ctx"
    r"|(?:prompt|input|token).{0,60}(?:too\s+(?:long|large)|exceed)|exceed.{0,60}(?:context|token|length)"
    r"|tokens?\b.{0,80}(?:<=|less\s+than|at\s+most|no\s+more\s+than)"
)
_MODEL = (
    r"model.{0,120}(?:not\s+(?:found|exist|support|available|a\s+valid)|unknown|does\s?n[o']t\s+exist|no\s+such)"
    r"|(?:unknown|invalid|no\s+such|unsupported)\s+model|not\s+found.{0,40}model"
)
_FEW_TOKENS = (
    r"(?:max_(?:completion_|output_|new_)?tokens|output\s+tokens?).{0,80}(?:at\s+least|minimum|below|greater|>=|small)"
)
_STREAM = (
    r"\bstream(?:s|ed|ing)?\b.{0,60}(?:not\s+(?:\w+\s+)?(?:support|allow|permit|available|implement|enabled)|unsupported|disabled"
    r"|must\s+be\s+false|unavailable)|(?:not\s+support|n[o']t\s+support|unsupported|disable).{0,40}\bstream(?:s|ed|ing)?\b"
)
_TLS = r"plain\s+HTTP\s+request.{0,40}HTTPS|HTTP\s+request\s+to\s+an?\s+(?:HTTPS|TLS|SSL)"
_KEY = r"\bapi[\s_-]?key|authenticat|unauthori[sz]ed"
_QUOTA = r"quota|credit|billing|balance|payment|insufficient\s+funds"

_TABLE: tuple[tuple[str, str, str], ...] = (
    ("http_401", "", "set the API key in the environment variable that --api-key-env names"),
    ("http_400", _TLS, "the server speaks TLS there: write https://"),
    ("http_400|http_422", _KEY, "set the API key in the environment variable that --api-key-env names"),
    ("http_402|http_403|http_429", _QUOTA, "the account has no quota left: raise it, or use another key"),
    ("http_403", "", "the key may not use this model or endpoint"),
    ("http_4|http_5|stream_error", _LOADING,
     "the server is still loading: wait with --wait-ready 10m, or read its log"),
    ("http_4|http_5|stream_error", _CONTEXT, "prompt and output are longer than the server's context: give fewer "
     "--input-tokens or --output-tokens, or start the server with a longer context"),
    ("http_400|http_422", _FEW_TOKENS, "the server wants to be asked for more output tokens: raise --output-tokens"),
    ("http_400|http_405|http_422|http_500|http_501", _STREAM, "ask for whole replies: --no-stream"),
    ("http_400|http_403|http_404|http_422", _MODEL, "name one of the server's models with --model"),
    ("http_404", "", "check the URL's path, --api and the model's name"),
    ("http_405|http_410|http_501", "", "check the URL's path and --api"),
    ("http_407", "", "the proxy wants a name and a password: put them into the URL of http_proxy or https_proxy"),
    ("http_408|http_504", "", "the server or a proxy gave up waiting: raise its time limit, or lower the load"),
    ("http_413", "", "the request is too large for the server or a proxy in front of it: give fewer --input-tokens, or "
     "raise its limit (nginx: client_max_body_size)"),
    ("http_429", "", "the server limits the rate: lower the load, or lift its limit"),
    ("http_400|http_422", "", "the server refused the request: check --model, the lengths and extra body fields"),
    ("http_4", "", "the server refused the request: its words say why"),
    ("http_502", "", "a proxy in front does not reach the server: see that it is up"),
    ("http_503|http_529", "", "the server takes no more requests now: lower the load, or read its log"),
    ("http_5", "", "the server failed: read its log at that time"),
    ("http_3", "", "the server redirects: give the URL of the API that it names, for the key goes to no other host "
     "unasked"),
    ("connect", "", "check the URL and that the server listens; raise --connect-timeout, or lower the load if it "
     "refuses"),
    ("timeout", "", "raise --timeout, or lower the load: the server did not finish in time"),
    ("stream_error", "", "the server reported an error inside the stream: read its log"),
    ("gave_up", "", "the server ended its output for a reason that is none of a whole one: read its log at that time"),
    ("reset|cut", "GOAWAY", "the server ends a connection after so many requests, or after some time: raise that limit "
     "in it (nginx: keepalive_requests), for the streams that it meets are lost"),
    ("reset", "", "the server hung up without a reply: look for a crash, a proxy or a limit on connections"),
    ("cut", "", "the connection closed before the end of the stream: look for a crash, a proxy or its time limit"),
    ("protocol", "", "the reply is not HTTP or SSE as it should be: check what stands between here and the server"),
    ("invalid_json", "", "the reply is not the JSON of this API: check --api"),
    ("html", "", "a page for people came back: check the URL, and whether a login or a proxy stands before the API"),
    ("encoding", "", "the server packs replies though nobody asked for it: switch that off in it, or in the proxy "
     "before it"),
    ("too_large", "", "the reply is larger than the client accepts: check --api and the output length"),
    ("empty", "", "the reply ended without output: check the chat template, stop tokens and output length"),
    ("results", "", "the reply does not hold one result for each input, or as many images as were asked for: check "
     "--model, and the server's limit on inputs, or images, a request"),
    ("lost", "", "the worker died before it wrote these: see the notes and this machine's log (memory?)"),
)  # fmt: skip
"""Beginnings of kinds, what the server's words hold (a pattern), and what to do: the first that fits counts."""


_OF_CALLABLES = {
    "timeout": "raise timeout_s, or lower the load: the callable did not come to its end in time",
    "empty": "the answer ended without output: check stop tokens and output length",
    "gave_up": None,
    "protocol": None,
    "too_large": None,
}
"""What is other where a Python callable stands for the server; None where its words say all."""


def advice_for(kind: str, said: str | None = None, *, called: bool = False) -> str | None:
    """What to do about a kind of failure ("http_401", "timeout"), `said` being the server's words, or those of a
    Python callable that was `called` in its place; None for an unknown kind."""
    if called and kind in _OF_CALLABLES:
        return _OF_CALLABLES[kind]
    for kinds, words, advice in _TABLE:
        if kind.startswith(tuple(kinds.split("|"))) and re.search(words, said or "", re.IGNORECASE | re.DOTALL):
            return advice
    return None


def says_loading(said: str) -> bool:
    """Whether a server's words mean that it is not up yet, and will be."""
    return re.search(_LOADING, said, re.IGNORECASE) is not None


def failure_words(kind: str, said: str | None) -> str:
    """A kind of failure and the server's words, as in "HTTP 429: slow down"."""
    name = f"HTTP {kind.removeprefix('http_')}" if kind.startswith("http_") else kind.replace("_", " ")
    if kind.startswith("http_") or kind == "stream_error":  # theirs, whatever ours are
        return f"{name}: {said}" if said else name
    return phrase("{}: {}", name, said) if said else name
