"""A key goes through every way into a run and comes back in every form: nothing that is written or shown holds it."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import string
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest import mock
from urllib.parse import quote, unquote

import duckdb
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from scripted import DONE, Received, Step, clean, delta, event, json_reply, serve, stream, token, usage_event

from loadcell.cli.main import main
from loadcell.secrets import REDACTED, bare_body, bare_urls, bare_words, is_secret, of_body, of_words, scrub

# --- what is taken out of a text -------------------------------------------------------------------------------------

LETTERS = string.ascii_letters + string.digits
KEYS = st.one_of(
    st.from_regex(r"sk-[A-Za-z0-9]{16,40}", fullmatch=True),
    st.text(LETTERS + "-_.~+/=%&?#@:;'\"<>!$*()", min_size=6, max_size=40),
).filter(lambda key: re.search("[0-9]", key) and re.search("[A-Za-z]", key) and not key.endswith((".", " ", "…")))
AROUND = st.text(" ,;:()[]{}\n" + string.ascii_lowercase, max_size=30)

WAYS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a URL": lambda key: quote(key, safe=""),
    "in a path": quote,
    "in lower case": lambda key: quote(key, safe="").lower(),
    "in JSON": lambda key: json.dumps({"key": key}),
    "in JSON in JSON": lambda key: json.dumps(json.dumps(key)),
    "in HTML": html.escape,
    "by Python": repr,
    "for Basic": lambda key: base64.b64encode(f"user:{key}".encode()).decode(),
    "as a Bearer in base64": lambda key: base64.urlsafe_b64encode(f"Bearer {key} and more".encode()).decode(),
    "in JSON, each character": lambda key: "".join(f"\\u{ord(one):04X}" for one in key),
    "in JSON as .NET has it": lambda key: re.sub("[^A-Za-z0-9 =-]", lambda one: f"\\u{ord(one[0]):04X}", key),
    "in JSON in JSON as Gson has it": lambda key: re.sub("['=&<>]", lambda one: f"\\\\u{ord(one[0]):04x}", key),
    "in a URL, each character": lambda key: "".join(f"%{ord(one):02x}" for one in key),
    "in HTML by numbers": lambda key: "".join(f"&#{ord(one)};" for one in key),
    "in HTML, marks by hex": lambda key: re.sub("[^A-Za-z0-9]", lambda one: f"&#x{ord(one[0]):X};", key),
    "in hex": lambda key: key.encode().hex(),
}


def bare_base64(key: str) -> set[str]:
    """What is in every base64 of a longer text with the key: the middle of each of the three."""
    codes = [base64.b64encode(b"x" * lead + key.encode() + b"xxx").decode() for lead in range(3)]
    return {code[2 + lead : -6] for lead, code in enumerate(codes)}


def shows(text: str, key: str) -> str | None:
    """The form of a key that a text holds; None if it holds none."""
    by_code = re.sub(r"\\+[uU]00([0-9A-Fa-f]{2})", lambda code: chr(int(code[1], 16)), text)
    plain = {text, by_code, html.unescape(text), unquote(text), text.replace("\\/", "/"), text.replace('\\"', '"')}
    for form in {key, quote(key, safe=""), json.dumps(key)[1:-1], html.escape(key), *bare_base64(key)}:
        if len(form) >= 6 and any(form.lower() in one.lower() for one in plain):
            return form
    return None


@given(KEYS, AROUND, AROUND, st.sampled_from(sorted(WAYS)))
def test_a_key_is_found_in_every_form(key: str, before: str, after: str, way: str) -> None:
    said = scrub(before + WAYS[way](key) + after, [key])
    assert shows(said, key) is None
    assert REDACTED in said


@given(st.from_regex(r"sk-[A-Za-z0-9]{20,40}", fullmatch=True), AROUND, AROUND, st.data())
def test_no_part_of_a_long_key_is_left(key: str, before: str, after: str, data: st.DataObject) -> None:
    """A text that holds some of it: no eight characters that look random stay."""
    start = data.draw(st.integers(0, len(key) - 10))
    piece = key[start : data.draw(st.integers(start + 9, len(key)))]
    said = scrub(f"{before} {piece} {after}", [key])
    looks_random = re.compile(r"(?=.*[0-9]|.*[a-z].*[A-Z])(?=.*[A-Za-z])")
    parts = [piece[i : i + 8] for i in range(len(piece) - 7)]
    assert [part for part in parts if looks_random.match(part) and part.lower() in said.lower()] == []


@given(
    KEYS.filter(lambda key: len(key) >= 12 and not re.search("[*x.\"' ]", key)), st.integers(4, 8), st.integers(4, 8)
)
@example("sk-proj-abcdefghijklmnop1", 8, 4)
def test_a_masked_key_shows_nothing(key: str, first: int, last: int) -> None:
    for mask in ("***", "…", "...", "****************"):
        said = scrub(f"Incorrect API key provided: {key[:first]}{mask}{key[-last:]}. You can find", [key])
        assert key[:first] not in said and f"{key[-last:]}. You" not in said
        assert said.startswith("Incorrect API key provided: ") and said.endswith(". You can find")


@given(KEYS, st.integers(4, 40), st.sampled_from(sorted(WAYS)))
def test_a_text_that_was_cut_ends_in_nothing_of_a_key(key: str, length: int, way: str) -> None:
    whole = "x" * 30 + " " + WAYS[way](key)
    said = scrub(whole[: 31 + length] + "…", [key])
    assert shows(said, key) is None
    if way == "as it is":
        assert not said.rstrip("…").endswith(key[: min(length, len(key))])


@pytest.mark.parametrize(
    ("key", "text", "left"),
    [
        ("a", "a key a='a' or key=a: a bad key: a, a Bearer a", "a key a='#' or key=#: a bad key: #, a Bearer #"),
        ("x1", 'max1 {"key": "x1"} x1 (x1)', 'max1 {"key": "#"} # (#)'),
        ("test", "the latest test: test_1 and Test", "the latest #: #_1 and Test"),
        ("EMPTY", "the queue is empty, key EMPTY", "the queue is empty, key #"),
        ("1234", "12345 ms, 1234 ms, id=1234", "12345 ms, # ms, id=#"),
        ("k3y4", "monk3y45 K3Y4", "mon#5 #"),
    ],
)
def test_short_keys_and_words_are_taken_out_without_the_words_around(key: str, text: str, left: str) -> None:
    assert scrub(text, [key]).replace(REDACTED, "#") == left


@given(st.text(max_size=200))
def test_a_text_without_a_key_stays(text: str) -> None:
    assert scrub(text, ["sk-Qq7Zz9Jj3Xx5Vv1W", "Q7"]) == text


@given(st.lists(KEYS, min_size=1, max_size=4), AROUND)
def test_many_keys_at_once(keys: list[str], between: str) -> None:
    said = scrub(between.join(["", *keys, ""]), keys)
    assert [key for key in keys if shows(said, key)] == []


# --- where keys stand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "api_key",
        "apiKey",
        "API_KEY",
        "x-api-key",
        "token",
        "access_token",
        "accessToken",
        "password",
        "user_password",
        "secret",
        "clientSecret",
        "authorization",
        "auth",
        "cookie",
        "hf_token",
        "session_token",
        "credentials",
        "signature",
        "jwt",
        "passphrase",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)
    assert list(of_body({"metadata": {name: ["v1", {"inner": "v2"}], "n": 3}})) == ["v1", "v2"]
    assert bare_body({name: "v1", "n": 3}) == {name: REDACTED, "n": 3}


@pytest.mark.parametrize(
    "name",
    [
        "max_tokens",
        "min_tokens",
        "stop_token",
        "eos_token",
        "stop_token_ids",
        "skip_special_tokens",
        "prompt_cache_key",
        "temperature",
        "reasoning_effort",
        "tokenizer",
        "keyword",
        "author",
        "monkey",
        "logit_bias",
    ],
)
def test_names_of_what_is_no_secret(name: str) -> None:
    body = {name: "value", "nested": {name: ["value"]}}
    assert not is_secret(name) and bare_body(body) == body and list(of_body(body)) == []


def test_a_value_that_looks_like_a_key_is_one_by_whatever_name() -> None:
    keys = ["sk-proj-Abc123Def456", "Bearer abcdefghijkl", "hf_AbcdefghijklmnopQ", "eyJhbGciOiJIUzI1NiJ9.e30.abc"]
    assert list(of_body({"custom": keys, "effort": "low", "model": "meta-llama/Llama-3.1-8B-Instruct"})) == keys


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("http://u:p@h:1/v1?k=v", "http://<redacted>@h:1/v1?<redacted>"),
        ("u:p@h:8000/v1?k=v", "<redacted>@h:8000/v1?<redacted>"),
        ("--metrics-url=https://u@h/m?t=1", "--metrics-url=https://<redacted>@h/m?<redacted>"),
        ("cannot reach http://h:1: did you mean http://h:2?", "cannot reach http://h:1: did you mean http://h:2?"),
        ("a@b runs/x?y --rate 2", "<redacted>@b runs/x?y --rate 2"),
        ("12345:p@h:1", "<redacted>@h:1"),
        *[
            (words, words)
            for words in (
                "'5@2s' names no share of requests: write 5%@2s or 10%@20t",
                "chat has no version 2: write chat@1",
                'write RATE@TIME or FROM..TO@TIME, as in "10@60s,50@60s,50..10@30s"',
                "--slow-readers 0.5%@2KiB/s",
            )
        ],
        ("'10@0s' lasts no time; RATE@TIME, FROM..TO@TIME", "'10@0s' lasts no time; RATE@TIME, FROM..TO@TIME"),
        ("as in 50..10@30s, 10@1d: and", "as in 50..10@30s, 10@1d: and"),
        ("12:34@10s 12@10.0.0.1 12@10:80", "<redacted>@10s <redacted>@10.0.0.1 <redacted>@10:80"),
    ],
)
def test_urls_in_a_text_are_bare(text: str, bare: str) -> None:
    assert bare_urls(text) == bare


@pytest.mark.parametrize(
    "words",
    [
        ["run", "http://h", "--header", "Authorization KEY"],
        ["run", "http://h", "--set", "endpoint.headers={KEY"],
        ["run", "http://h", "--set", 'endpoint.extra_body={"api_key": KEY}'],
        ["run", "ftp://me:KEY@h"],
        ["run", "me:KEY@h:99999"],
        ["run", "http://h?key=KEY", "--rate", "x"],
        ["run", "http://h", "--metrics-url", "ftp://h?key=KEY"],
        ["run", "http://127.0.0.1:9", "--header", "X-Key: KEY", "--rate", "0"],
    ],
)
def test_what_is_typed_wrong_is_not_repeated_with_its_key(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    key = "Hu7gT5fRe3dWq1"
    assert main([word.replace("KEY", key) for word in words]) in (1, 2)
    said = capsys.readouterr()
    assert shows(said.out + said.err, key) is None and said.err.startswith("loadcell: ")


def test_secrets_of_flags() -> None:
    words = ["run", "--header", "A: x", "--header=B=y", "--set", 'endpoint.headers={"C": "z"}', "--header", "broken"]
    assert of_words([*words, "--set", 'endpoint.extra_body={"api_key": "q", "n": 1}']) == {"x", "y", "z", "broken", "q"}


# --- a whole run -----------------------------------------------------------------------------------------------------

_URL = ("user", "password")
PLACES = ("env", "header", "cookie", "user", "password", "query", "proxy", "metrics", "body", "custom")


def said_of(request: Received) -> str:
    """Everything that was sent, and what a server may decode of it."""
    head = {name: value for name, value in request.headers.items() if name not in ("host", "user-agent")}
    decoded = []
    for value in head.values():
        scheme, _, rest = value.partition(" ")
        if scheme == "Basic":
            decoded.append(base64.b64decode(rest).decode())
    return " ".join(
        [request.path, unquote(request.path), json.dumps(head), *head.values(), *decoded, request.body.decode()]
    )


def echo(request: Received) -> list[Step]:
    """A server that tells all it was sent, in another way with each request."""
    said = said_of(request)
    plain = re.sub(r"[\r\n]", " ", said)
    way = list(WAYS.values())[request.number % len(WAYS)]
    told = way(plain)
    masked = re.sub(r"(\S{6})\S+(\S{4})", r"\1***\2", plain)
    cut = plain[request.number % 7 : -(request.number % 40) or None]
    replies: list[list[Step]] = [
        [json_reply({"error": {"message": plain}}, 500)],
        [json_reply({"error": {"message": told, "type": masked}}, 400)],
        [json_reply(("x" * 470 + cut).encode(), 503)],
        [json_reply(masked.encode(), 401)],
        stream(event(token()), event({"error": {"message": cut}})),
        stream(event(token()), b"data: {" + told.encode() + b"\n\n"),
        stream(event(token(plain)), event(delta(finish=told)), event(usage_event(1)), DONE),
        stream(event(delta(reasoning_content=told)), event(token(cut)), event(delta(finish=plain)), DONE),
        [json_reply({"choices": [{"message": {"content": plain}, "finish_reason": told}]})],
        [
            b"HTTP/1.1 307 "
            + plain.encode()
            + b"\r\nLocation: /"
            + quote(plain).encode()
            + b"\r\nContent-Length: 0\r\n\r\n"
        ],
        clean(2),
    ]
    return replies[(request.number // 2) % len(replies)]


def page(request: Received) -> list[Step]:
    """The Prometheus page and the list of models, which echo too."""
    said = said_of(request)
    if "metrics" in request.path:
        labels = said.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        text = f'# HELP seen {unquote(request.path)}\nseen{{by="{labels}"}} 1\nvllm:num_requests_running 1\n'.encode()
        return [b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(text) + text]
    return [json_reply({"data": [{"id": f"model-of {said}"[:300]}]})]


def texts_of(folder: Path) -> Iterator[tuple[str, str]]:
    """(file, text) of everything below a folder: every byte, and every string of every table."""
    for file in folder.rglob("*"):
        if file.is_file():
            yield file.name, file.read_bytes().decode("utf-8", "replace")
            if file.suffix == ".parquet":
                with duckdb.connect() as database:
                    rows = database.sql(f"select * from read_parquet('{file}')").fetchall()
                yield file.name, "\n".join(str(cell) for row in rows for cell in row)


def run_with(
    keys: dict[str, str], folder: Path, *flags: str, in_url: bool = True
) -> tuple[set[str], list[tuple[str, str]]]:
    """Run a load with a key in each place. (places whose key the server saw, (where, text) of all that was written)."""
    with serve(echo, probe=lambda _: clean(2), models=page) as server:
        pair = ":".join(quote(keys[place], safe="") for place in ("user", "password"))
        where = f"http://{pair}@scripted.example:{server.port}" if in_url else f"http://scripted.example:{server.port}"
        body = {"api_key": keys["body"], "custom": {"note": keys["custom"]}, "temperature": 0.5}
        words = [
            "run", f"{where}/v1?token={quote(keys['query'], safe='')}", "--requests", "44", "--concurrency", "4",
            "--input-tokens", "8", "--output-tokens", "4", "--workers", "1", "--html", "--observe-every", "100ms",
            "--header", f"X-Team-Key: {keys['header']}", "--header", f"Cookie: a=b; s={keys['cookie']}",
            "--metrics-url", f"http://scripted.example:{server.port}/metrics?key={quote(keys['metrics'], safe='')}",
            "--set", f"endpoint.extra_body={json.dumps(body)}", "--output", str(folder / "run"), *flags,
        ]  # fmt: skip
        proxy = f"http://proxy-user:{quote(keys['proxy'], safe='')}@127.0.0.1:{server.port}"
        env = {"http_proxy": proxy, "MY_KEY": keys["env"], "no_proxy": ""}
        out, err = StringIO(), StringIO()
        said = []
        with mock.patch.dict(os.environ, env), mock.patch("sys.argv", ["loadcell", *words]):
            for asked in (words, ["report", str(folder / "run"), "--full"], ["report", str(folder / "run"), "--json"]):
                with redirect_stdout(out), redirect_stderr(err):
                    main(asked)
                said += [(f"{asked[0]} out", out.getvalue()), (f"{asked[0]} err", err.getvalue())]
    sent = " ".join(said_of(request) for request in server.received)
    seen = {place for place, key in keys.items() if key in sent or json.dumps(key)[1:-1] in sent}
    return seen, [*said, *texts_of(folder)]


RUN_KEYS = st.one_of(
    st.from_regex(r"sk-[A-Za-z0-9]{16,40}", fullmatch=True),
    st.text(LETTERS + "-_.~+/=%&?#@:'\"<>!$*()", min_size=6, max_size=30),
).filter(lambda key: re.search("[0-9]", key) and re.search("[a-zA-Z].*[a-zA-Z]", key))
SHORT_KEYS = dict(zip(PLACES, ("k3y0", "q7", "zz9", "u8", "p9w", "tk4", "px5", "m6t", "b0d", "cus7om1"), strict=True))
LONG_KEYS = {place: f"sk-{place}-Ab3dEf9hIjKlMn+/=%{n}" for n, place in enumerate(PLACES)}


@pytest.mark.timeout(300)  # six runs
@settings(max_examples=4, deadline=None, database=None, phases=[Phase.explicit, Phase.generate])
@given(st.lists(RUN_KEYS, min_size=len(PLACES), max_size=len(PLACES), unique=True), st.booleans())
@example(list(LONG_KEYS.values()), True)
@example(list(LONG_KEYS.values()), False)
def test_no_key_is_in_anything_that_a_run_leaves(drawn: list[str], in_url: bool) -> None:
    keys = dict(zip(PLACES, drawn, strict=True))
    with tempfile.TemporaryDirectory() as home:
        flags = ["--api-key-env", "MY_KEY", *(["--keep-text"] if in_url else [])]
        seen, written = run_with(keys, Path(home), *flags, in_url=in_url)
    # Credentials of the URL go before a key of the environment, and a field that looks like none is no secret.
    assert {"header", "cookie", "query", "proxy", "metrics", "body"} <= seen
    assert {"user", "password"} <= seen if in_url else "env" in seen
    hidden = {place: key for place, key in keys.items() if place != "custom" and (in_url or place not in _URL)}
    found = {
        (place, where, form) for where, text in written for place, key in hidden.items() if (form := shows(text, key))
    }
    assert found == set()
    assert sum(REDACTED in text for _, text in written) > 5


def test_short_keys_are_hidden_where_they_are_named() -> None:
    """Of so few characters that they may stand anywhere by chance: no field and no quoted value holds one."""
    keys = SHORT_KEYS
    with tempfile.TemporaryDirectory() as home:
        _, written = run_with(keys, Path(home), "--api-key-env", "MY_KEY")
    named = {
        (where, place)
        for where, text in written
        for place, key in keys.items()
        if place not in ("custom", "user")
        for form in (f'"{key}"', f"={key} ", f"Bearer {key}", f"'{key}'", f": {key}\n", f": {key},")
        if form in text
    }
    assert named == set()


@pytest.mark.parametrize(
    "secret",
    [
        "aB3$xY7!kL9#pQ2@mN5&", "correct horse battery staple", "Tr0ub4dor&3-horse!battery",
        'sk-proj-A1b2C3d4"E5f6/G7h8', "cl4v3-ñandú!12$años", "horse!battery@staple#one",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("first", "last"), [(0, 18), (3, None), (6, 17), (0, 9), (5, 14)])
def test_no_piece_of_eight_of_a_key_of_any_signs_is_left(secret: str, first: int, last: int | None) -> None:
    piece = secret[first:last]
    left = scrub(f"the server says that the key {piece}, of user 7, was refused", [secret])
    assert not [piece[at : at + 8] for at in range(len(piece) - 7) if piece[at : at + 8] in left]
    assert left.startswith("the server says that the key ") and left.endswith("was refused")
    broken = scrub(f"the key {secret[:10]}\n{secret[10:]} was refused", [secret])
    assert not [secret[at : at + 8] for at in range(len(secret) - 7) if secret[at : at + 8] in broken]


def test_words_of_a_sentence_stay_beside_a_key_of_words() -> None:
    text = "the model was not found: name one of the models that this server lists"
    assert scrub(text, ["correct horse battery staple", "aB3$xY7!kL9#pQ2@mN5&"]) == text


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("{'Authorization': 'Bearer abc', 'x-api-key': 'zzz'}",
         "{'Authorization': 'Bearer <redacted>', 'x-api-key': '<redacted>'}"),
        ("Incorrect API key provided: sk-abcdefgh12345678", "Incorrect API key provided: <redacted>"),
        ("api_key=abc&x=1, password: pw", "api_key=<redacted>&x=1, password: <redacted>"),
        ("Basic bWU6cHc= at http://me:pw@h/v1", "Basic <redacted> at http://<redacted>@h/v1"),
        ("401: Basic auth required; unexpected token: foo, max_tokens: 100",
         "401: Basic auth required; unexpected token: foo, max_tokens: 100"),
    ],
)  # fmt: skip
def test_words_of_others_lose_what_looks_like_a_secret(text: str, bare: str) -> None:
    assert bare_words(text) == bare
