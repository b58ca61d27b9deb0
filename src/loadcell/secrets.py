"""What must not be written down: which values of a run are secrets, and how they are taken out of what a server said.

A server may echo a secret whole or in part, and in another form than it was sent. What is looked for:

- of every value: as it is, decoded, and as URLs, JSON, HTML, Python and base64 (of a longer text too) write it;
- of long values: every piece of eight characters that no word holds by chance; of all: four at an end where a text was
  cut or masked (`sk-ab***yz`);
- values that are a word or a number ("EMPTY", "test", "1234"), or of up to three characters, only where they stand
  alone, and words of up to three letters only where a value is named (`key=ab`, `"ab"`): else every "a" of a text would
  be hidden, which protects nothing and tells the value.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_plus, urlsplit, urlunsplit

from loadcell.phrases import scrubbed

REDACTED = "<redacted>"
_PIECE, _CUT = 8, 4
_TINY = 3
"""Letters up to which a word is only looked for where a value is named."""
_MANY = 4096
"""Texts that are known: errors come by the thousand and are alike."""
_MASK = re.compile(r"[*\u2022\u2026]+|\.{2,}|x{3,}")
_RANDOM = re.compile(r"(?=.*[A-Za-z])(?:(?=.*[0-9]|.*[a-z].*[A-Z]|.*[!#$&*@^|~?{}<>\[\]])\S+|\S+ [ -~]*\S)", re.ASCII)
"""A piece that no word holds by chance: letters with digits, in both cases or with signs; or ends of two words."""
_ESCAPED = re.compile(
    r"(?:\\+u00|\\+x|%(?:25)*|&#x0*)([2-7][0-9a-f]);?|&#0*(3[3-9]|[4-9][0-9]|1[01][0-9]|12[0-6]);|\\+([^\w\s\\])"
    r"|(?:\\+(?:u0{0,2}|x)?[2-7]?|%(?:25)*[2-7]?|&#?x?[0-9a-f]{0,3})(?=$|[\u2026*]|\.\.)",
    re.ASCII,
)
"""A character as JSON, URLs, HTML and code may write it, each of them other ones; last, one that was cut."""
_NAMED = r"""(?:(?<=["'`=(\[<])%s|(?<=[=:] )%s(?=\s*(?:$|[,;.)\]}"'\n]))|(?<=[Bb]earer )%s|(?<=[Bb]asic )%s|^%s$)"""
_SIGNATURE = re.compile(r"(?<=signature=)[0-9a-f]{64}")
"""Of a request by SigV4: each has another one."""
_ALONE = r"(?<![^\W_])%s(?![^\W_])"


# --- which values are secrets ----------------------------------------------------------------------------------------

_PLAIN_HEADERS = {
    "accept", "accept-charset", "accept-encoding", "accept-language", "anthropic-beta", "anthropic-version",
    "cache-control", "connection", "content-type", "host", "pragma", "user-agent",
}  # fmt: skip
"""Headers whose values tell nothing of who asks."""
_PLAIN_QUERY = re.compile(r"api-version=(v\d+|preview|latest|\d{4}-\d\d-\d\d(-preview)?)")
"""A query that tells nothing of who asks."""
_NAMES = {
    "apikey", "auth", "authorization", "bearer", "cookie", "cookies", "credential", "credentials", "jwt", "key",
    "passphrase", "passwd", "password", "pwd", "secret", "signature",
}  # fmt: skip
_OF_TOKEN = {"access", "api", "auth", "bearer", "csrf", "hf", "id", "oauth", "refresh", "secret", "session", "user"}
"""Words before "token" that make it a key: `stop_token` and `max_tokens` are none."""
_KEY_LIKE = re.compile(
    r"(sk|pk|rk|hf|gsk|xai|nvapi|ghp|gho|glpat|r8|xox[abp]|AKIA|AIza|eyJ|Bearer |Basic )[-_]?[\w. ~+/=-]{12,}", re.ASCII
)


def of_headers(headers: Mapping[str, str]) -> set[str]:
    """The secrets in request headers: values, and what they consist of."""
    found: set[str] = set()
    for name, value in headers.items():
        if name.lower() in _PLAIN_HEADERS:
            continue
        scheme, _, rest = value.strip().partition(" ")
        found |= {value, value.strip(), rest.strip()}
        if scheme.lower() == "basic":
            found |= _of_pair(_decoded(rest.strip()))
        if name.lower() == "cookie":
            found |= {pair.partition("=")[2].strip() for pair in value.split(";")}
    return found - {""}


def of_url(text: str) -> set[str]:
    """The secrets in a URL: its credentials and its query."""
    url = urlsplit(text)
    pair = url.netloc.rpartition("@")[0]
    found = {url.query, *(value for _, value in parse_qsl(url.query))} if _hides_query(url.query) else set()
    return (found | _of_pair(pair) | _of_pair(unquote(pair))) - {""}


def of_body(value: Any, name: str = "") -> Iterator[str]:
    """The secrets in further fields of a request body: by their names, or because they look like keys."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from of_body(inner, str(key) if not is_secret(name) else name)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from of_body(inner, name)
    elif _hides(value, name):
        yield str(value)


def bare_body(value: Any, name: str = "") -> Any:
    """The fields without their secrets."""
    if isinstance(value, Mapping):
        return {key: bare_body(inner, str(key) if not is_secret(name) else name) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [bare_body(inner, name) for inner in value]
    return REDACTED if _hides(value, name) else value


def is_secret(name: str) -> bool:
    """Whether a field of this name holds a secret."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+", name)]
    if "cache" in words:
        return False
    pairs = zip(["", *words], words, strict=False)
    return any(
        word in _NAMES or (word == "token" and (before in _OF_TOKEN or len(words) == 1)) for before, word in pairs
    )


def bare_url(text: str) -> str:
    """A URL without credentials and query, but for a version of the API."""
    url = urlsplit(text)
    host = url.netloc.rpartition("@")[2]
    query = REDACTED if _hides_query(url.query) else url.query
    return urlunsplit((url.scheme, f"{REDACTED}@{host}" if "@" in url.netloc else host, url.path, query, ""))


def _hides_query(query: str) -> bool:
    """Whether a query may hold a secret: all but a version of the API, as Azure wants it."""
    return bool(query) and not _PLAIN_QUERY.fullmatch(query)


_A_RATE = r"(?!(?:[\d.]+%?|RATE|FROM\.\.TO|SHARE)@(?:\d+(?:\.\d+)?[a-zA-Z]{0,3}|TIME|WHEN|RATE)(?![\w.]|:\d))"
"""No credentials: steps of a series, as 10@60s, and shares, as 5%@2s."""
_NO_HOST = r"(?!\d{1,3}(?![\w.:\[-]))"
"""Nor is what stands before a version, as in chat@1."""
_CREDENTIALS = re.compile(rf"((?:\w+:/+)|(?<![^\s='\"(]){_A_RATE})[^\s/?#@'\"=]+@(?=[\w\[]){_NO_HOST}")
_QUERY = re.compile(r"((?:\w+:/+|[\w.-]+:\d)[^\s?#'\"]*)\?[^\s'\"]+")


def bare_urls(text: str) -> str:
    """A text without the credentials and queries of URLs in it, written with a scheme or without."""
    return _QUERY.sub(rf"\1?{REDACTED}", _CREDENTIALS.sub(rf"\1{REDACTED}@", text))


_HELD = re.compile(
    r"(?i:(?<=\bbearer )|(?<=api[-_]key[=:])|(?<=api[-_]key[=:] )|(?<=api[-_]key\W{3})|(?<=api[-_]key\W{4})"
    r"|(?<=password[=:])|(?<=password[=:] )|(?<=password\W{3})|(?<=password\W{4})|(?<=secret[=:])|(?<=secret[=:] ))"
    r"[^\s'\",;&)}\]]+"
    r"|(?i:(?<=\bbasic ))(?=\S*[A-Z0-9=])[\w+/=]+"
    r"|(?<![A-Za-z0-9])(?:(?:sk|pk|rk|hf|gsk|xai|nvapi|ghp|gho|glpat|r8|xox[abp])[-_]|AKIA|AIza|eyJ)[\w.~+/=-]{12,}",
)
"""What stands behind the name of a secret, or looks like a key."""


def bare_words(text: str) -> str:
    """A text of others, whose secrets nobody knows: without those of URLs, behind the names of some, and like keys."""
    return _HELD.sub(REDACTED, bare_urls(text))


def of_words(words: Sequence[str]) -> set[str]:
    """The secrets in the flags of a command, for what is said before there is a Spec."""
    found: set[str] = set()
    for before, word in pairwise(["", *words]):
        flag, _, value = word.partition("=") if word.startswith("--") else (before, "", word)
        if flag == "--header":
            name, mark, held = value.partition("=" if "=" in value.split(":")[0] else ":")
            found |= of_headers({name: held.strip()}) if mark else {value}
        elif flag == "--set" and value.startswith("endpoint."):
            path, _, held = value.partition("=")
            told = _json_of(held)
            if path == "endpoint.headers":
                found |= of_headers({k: str(v) for k, v in told.items()}) if isinstance(told, dict) else {held}
            elif path == "endpoint.extra_body":
                found |= {held} if told is None else set(of_body(told))
    return found - {""}


def _json_of(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def holds_redacted(value: Any) -> bool:
    """Whether a secret was taken out of a value, at any depth."""
    if isinstance(value, Mapping):
        return any(map(holds_redacted, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds_redacted, value))
    return isinstance(value, str) and REDACTED in value


def _hides(value: Any, name: str) -> bool:
    if isinstance(value, str):
        return bool(value) and (is_secret(name) or _KEY_LIKE.match(value) is not None)
    return isinstance(value, int | float) and not isinstance(value, bool) and is_secret(name)


def _of_pair(pair: str) -> set[str]:
    """The secrets of USER:PASSWORD: a user's name is one too, unless it is a plain word beside a password."""
    user, _, password = pair.partition(":")
    return {password, *([] if password and user.isalpha() else [user])} - {""}


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


# --- taking them out -------------------------------------------------------------------------------------------------


def scrub(text: str, secrets: Sequence[str]) -> str:
    """The text without the secrets, which a server may have echoed; nor with pieces of one, or its cut beginning."""
    return _scrubbed(text, tuple(secrets)) if len(text) < _MANY else _finder(tuple(secrets)).scrub(text)


def scrub_sentence(text: str, secrets: Sequence[str]) -> str:
    """As `scrub`, of a sentence of ours: it stays one (`loadcell.phrases`)."""
    return scrubbed(text, lambda part: scrub(part, secrets))


def scrub_tree(value: Any, secrets: Sequence[str]) -> Any:
    """Plain data with every text scrubbed, names of fields too."""
    if isinstance(value, str):
        return scrub(value, secrets)
    if isinstance(value, Mapping):
        return {scrub_tree(key, secrets): scrub_tree(inner, secrets) for key, inner in value.items()}
    return [scrub_tree(inner, secrets) for inner in value] if isinstance(value, list | tuple) else value


@lru_cache(_MANY)
def _scrubbed(text: str, secrets: tuple[str, ...]) -> str:
    return _finder(secrets).scrub(text)


@lru_cache(16)
def _finder(secrets: tuple[str, ...]) -> _Finder:
    return _Finder(secrets)


class _Finder:
    """Finds some secrets in texts. Upper and lower case are alike to it, but for words."""

    def __init__(self, secrets: Sequence[str]) -> None:
        words = [value for value in secrets if value and _is_word(value)]
        forms = {form for value in secrets if not _is_word(value) for form in _forms(value)}
        forms |= {form for value in words for form in _base64(value)}
        pieces = [(at, form[at : at + _PIECE]) for form in forms for at in range(len(form) - _PIECE + 1)]
        self._forms = sorted({form.lower() for form in forms}, key=len, reverse=True)
        self._pieces = {piece.lower() for _, piece in pieces if _RANDOM.fullmatch(piece)}
        self._probes = {piece.lower() for at, piece in pieces if at % _PIECE == 0} & self._pieces
        self._words = re.compile("|".join(map(_pattern, words))) if words else None
        self._longest = max(map(len, self._forms), default=0)

    def scrub(self, text: str) -> str:
        """The text without what is found."""
        lower = text.lower()
        low = lower if len(lower) == len(text) else text  # some letters become two
        spans = [*self._found(low)]
        if _ESCAPED.search(low):
            plain, places = _unescaped(low)
            spans += [(places[start], places[stop]) for start, stop in self._found(plain)]
        if self._words is not None:
            spans += [found.span() for found in self._words.finditer(text)]
        return _without(text, spans) if spans else text

    def _found(self, low: str) -> Iterator[tuple[int, int]]:
        yield from (signature.span() for signature in _SIGNATURE.finditer(low))
        yield from self._whole(low)
        yield from self._some(low)
        yield from self._masked(low)

    def _whole(self, low: str) -> Iterator[tuple[int, int]]:
        for form in self._forms:
            at = low.find(form)
            while at >= 0:
                yield at, at + len(form)
                at = low.find(form, at + 1)

    def _some(self, low: str) -> Iterator[tuple[int, int]]:
        """Pieces out of the middle of forms."""
        # In a long text it is quicker to ask for few first; a run of 15 characters of a form holds one of these.
        if self._pieces and (len(low) < _MANY or any(piece in low for piece in self._probes)):
            for at in range(len(low) - _PIECE + 1):
                if low[at : at + _PIECE] in self._pieces:
                    yield at, at + _PIECE

    def _masked(self, low: str) -> Iterator[tuple[int, int]]:
        """The first part of a form where a mask or the end of the text follows, and the last one behind a mask."""
        for start, after in (*(mask.span() for mask in _MASK.finditer(low)), (len(low), len(low))):
            at = len(low[:start].rstrip("\"' "))
            head, tail = low[max(0, at - self._longest) : at], low[after : after + self._longest]
            for form in self._forms:
                if form[:_CUT] in head:
                    yield from ((at - n, at) for n in _lengths(form, head) if head.endswith(form[:n]))
                if form[-_CUT:] in tail:
                    yield from ((after, after + n) for n in _lengths(form, tail) if tail.startswith(form[-n:]))


def _unescaped(low: str) -> tuple[str, list[int]]:
    """A text with its escapes decoded, and where in the text each of its characters begins; last, where that ends."""
    parts: list[str] = []
    places: list[int] = []
    done = 0
    for escape in _ESCAPED.finditer(low):
        start, stop = escape.span()
        code, decimal, mark = escape.groups()
        number = int(code, 16) if code else int(decimal or 0)
        letter = mark or (chr(number).lower() if number else "")  # nothing for one that was cut
        parts += [low[done:start], letter]
        places += [*range(done, start), *([start] if letter else [])]
        done = stop
    return "".join([*parts, low[done:]]), [*places, *range(done, len(low) + 1)]


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    done = 0
    for start, stop in sorted(spans):
        if start > done or not parts:
            parts += [text[done:start], REDACTED]
        elif start == done and start == 0:
            parts.append(REDACTED)
        done = max(done, stop)
    return "".join([*parts, text[done:]])


def _is_word(value: str) -> bool:
    """Whether a value is looked for only where it stands alone."""
    return len(value) <= _TINY or value.isalpha() or value.isdecimal()


def _pattern(value: str) -> str:
    pattern = _ALONE % re.escape(value)
    return _NAMED.replace("%s", pattern) if len(value) <= _TINY and value.isalpha() else pattern


def _lengths(form: str, text: str) -> range:
    """How much of a form may stand there, the most first."""
    return range(min(len(form) - 1, len(text)), _CUT - 1, -1)


def _forms(value: str) -> set[str]:
    """A value in every form in which a server may write it."""
    plain = {value, value.strip(), unquote(value), unquote_plus(value)}
    once = plain | {form for text in plain for form in _written(text)}
    twice = once | {form for text in once for form in _written(text)}  # JSON in a URL, and the like
    return {form for form in twice | {code for text in plain for code in _base64(text)} if len(form) > _TINY}


def _written(text: str) -> Iterator[str]:
    yield from (quote(text, safe=""), quote(text), quote_plus(text))
    yield from (_json(text), json.dumps(text, ensure_ascii=False)[1:-1], _json(text).replace("/", "\\/"))
    yield from (html.escape(text), html.escape(text, quote=False), repr(text)[1:-1], text.encode().hex())


def _json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _base64(text: str) -> Iterator[str]:
    """What every base64 of a longer text that holds this one has in common, for each of the three places in it."""
    data = text.encode()
    for lead in range(3):
        code = base64.b64encode(b"\0" * lead + data).decode().rstrip("=")
        sure = code[-(-lead * 8 // 6) : (lead + len(data)) * 8 // 6]  # only bits of the text itself
        if len(sure) > _CUT:
            yield from {sure, sure.replace("+", "-").replace("/", "_")}
