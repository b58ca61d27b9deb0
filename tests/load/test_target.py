"""URLs, headers and proxies, taken apart."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.errors import EndpointError, UsageError
from loadcell.load.target import Target, make_target, resolve
from loadcell.spec import Endpoint


@pytest.fixture(autouse=True)
def no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def target(url: str, key: str | None = None, **fields: object) -> Target:
    return make_target(Endpoint(url=url, **fields), key)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "host", "port", "origin", "host_header", "path"),
    [
        ("http://h", "h", 80, "http://h:80", "h", "/v1/models"),
        ("https://h", "h", 443, "https://h:443", "h", "/v1/models"),
        ("http://h:8000", "h", 8000, "http://h:8000", "h:8000", "/v1/models"),
        ("https://h:80/", "h", 80, "https://h:80", "h:80", "/v1/models"),
        ("http://H.Example/v1/", "h.example", 80, "http://h.example:80", "h.example", "/v1/models"),
        ("http://h/openai/v1", "h", 80, "http://h:80", "h", "/openai/v1/models"),
        ("http://h/v1/chat/completions", "h", 80, "http://h:80", "h", "/v1/models"),
        ("http://h/v1/completions/", "h", 80, "http://h:80", "h", "/v1/models"),
        ("http://[::1]:8000/v1", "::1", 8000, "http://[::1]:8000", "[::1]:8000", "/v1/models"),
        ("http://[fe80::1]", "fe80::1", 80, "http://[fe80::1]:80", "[fe80::1]", "/v1/models"),
        ("http://u:p@h:1/v1?k=v", "h", 1, "http://h:1", "h:1", "/v1/models?k=v"),
        ("http://h/a b/ü?q=ü ", "h", 80, "http://h:80", "h", "/a%20b/%C3%BC/models?q=%C3%BC"),
        ("http://h/%7Euser/v1", "h", 80, "http://h:80", "h", "/%7Euser/v1/models"),
    ],
)
def test_urls(url: str, host: str, port: int, origin: str, host_header: str, path: str) -> None:
    made = target(url)
    assert (made.host, made.port, made.origin, made.host_header) == (host, port, origin, host_header)
    assert made.request_target("/models").rstrip("%20") == path.rstrip("%20")
    assert made.dial == (host, port)
    assert made.tls is url.startswith("https")


def lines(made: Target) -> list[str]:
    return made.head("POST", "/models", {"Content-Type": "application/json"}).decode("latin-1").split("\r\n")


def test_a_head() -> None:
    first, *rest = lines(target("http://h:1", "sk-1", headers={"X-A": "b"}))
    assert first == "POST /v1/models HTTP/1.1"
    assert rest[0] == "Host: h:1"
    assert {"Content-Type: application/json", "Authorization: Bearer sk-1", "X-A: b", ""} < set(rest)


def test_headers_that_are_given_take_the_place_of_ours() -> None:
    made = target("http://h", "sk-1", headers={"AUTHORIZATION": "mine", "host": "other", "user-agent": "me"})
    rest = [line for line in lines(made)[1:] if line]
    assert sorted(rest) == [
        "AUTHORIZATION: mine",
        "Accept-Encoding: identity",
        "Content-Type: application/json",
        "host: other",
        "user-agent: me",
    ]


def test_credentials_of_the_url_are_basic_authorization() -> None:
    made = target("http://us%40er:p%3Aw@h")
    assert made.headers == {"Authorization": "Basic " + base64.b64encode(b"us@er:p:w").decode()}
    assert "us" not in made.origin
    # As in curl: who asks is named for this host alone, the key for any.
    assert target("http://u:p@h", "sk-1").headers == {"Authorization": "Basic " + base64.b64encode(b"u:p").decode()}


def test_what_is_secret() -> None:
    made = target("http://user:password@h", headers={"X-Key": "Token abcdef", "X-N": "1"})
    basic = base64.b64encode(b"user:password").decode()
    assert made.secrets() == {f"Basic {basic}", basic, "password", "Token abcdef", "abcdef", "1"}


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_header_can_add_a_line(name: str, value: str) -> None:
    try:
        head = target("http://h", headers={name: value}).head("POST", "/models").decode("latin-1")
    except UsageError:
        return
    ours = name.lower() in ("host", "user-agent", "accept-encoding")
    assert head.count("\r\n") == head.count("\n") == head.count("\r") == 5 - ours


def test_a_forwarding_proxy_is_asked_for_whole_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://u:p@proxy:3128")
    made = target("http://h:1/v1?k=v")
    assert (made.dial, made.tunnel) == (("proxy", 3128), False)
    assert made.request_target("/models") == "http://h:1/v1/models?k=v"
    assert any(line.startswith("Proxy-Authorization: Basic ") for line in lines(made))


def test_a_tunnel_keeps_the_proxys_credentials_from_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "u:p@[::1]:3128")
    made = target("https://[::2]")
    assert (made.dial, made.tunnel) == (("::1", 3128), True)
    assert made.request_target("/models") == "/v1/models"
    assert not any("Proxy" in line for line in lines(made))
    assert made.connect_request().startswith(
        b"CONNECT [::2]:443 HTTP/1.1\r\nHost: [::2]:443\r\nProxy-Authorization: Basic "
    )


@pytest.mark.parametrize(
    ("exempt", "url", "through"),
    [
        ("", "http://h:1", True),
        ("h", "http://h:1", False),
        ("h:1", "http://h:1", False),
        ("h:2", "http://h:1", True),
        (".example.com", "http://a.example.com", False),
        ("example.com", "http://notexample.com", True),
        ("*", "http://h", False),
    ],
)
def test_no_proxy(monkeypatch: pytest.MonkeyPatch, exempt: str, url: str, through: bool) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", exempt)
    assert (target(url).proxy is not None) is through


def test_the_proxy_of_the_other_scheme_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    assert target("http://h").proxy is None


@pytest.mark.parametrize("host", ["no.such.host.invalid", "x" * 70, "a..b"])
def test_hosts_that_cannot_be(host: str) -> None:
    with pytest.raises(EndpointError, match="cannot resolve"):
        resolve(target(f"http://{host}"))


def test_addresses_of_this_machine() -> None:
    assert ("127.0.0.1", 8000) in [where[:2] for _, where in resolve(target("http://localhost:8000"))]


@pytest.mark.parametrize("given", ["generate", "generate_stream"])
@pytest.mark.parametrize(
    ("api", "base"), [("triton", "/v2/models/a/"), ("triton", "/v2/models/a/versions/1/"), ("tgi", "/")]
)
@pytest.mark.parametrize(("stream", "asked"), [(True, "generate_stream"), (False, "generate")])
def test_a_whole_url_is_that_of_the_model_whichever_replies_are_wanted(
    api: str, base: str, given: str, stream: bool, asked: str
) -> None:
    target = make_target(Endpoint(url=f"http://h{base}{given}?a=1", api=api, stream=stream), None)
    assert (target.path, target.path_query) == (base + asked, "?a=1")


def test_a_models_own_address_is_asked_as_it_is() -> None:
    target = make_target(Endpoint(url="http://h/endpoints/a/invocations", api="triton", stream=False), None)
    assert target.path == "/endpoints/a/invocations"
