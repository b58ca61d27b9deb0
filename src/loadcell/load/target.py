"""Where requests go: the URL taken apart, names resolved once, proxies of the environment, TLS settings."""

from __future__ import annotations

import base64
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from loadcell import __version__
from loadcell.errors import EndpointError, UsageError
from loadcell.load.names import parse_pin, pinned, proxy_of
from loadcell.load.route import route_to, with_model
from loadcell.load.sigv4 import Aws, find_aws, sign
from loadcell.protocol import dialect_of
from loadcell.protocol.head import FRAMING, can_be_sent
from loadcell.secrets import of_headers
from loadcell.spec import Endpoint, Spec, secrets_of
from loadcell.urls import is_azure, socket_of

_PORTS = {"http": 80, "https": 443}
_PROXY_PORT = 1080
"""Of a proxy that is named without one, as in curl."""
_AZURE_HEADER = "api-key"
_TOKEN = "eyJ"  # how a token of Azure's directory begins: base64 of {"
Address = tuple[int, tuple[Any, ...]]
"""Address family and socket address."""


def host_of(address: Address) -> str:
    """The host's part of an address, or the path of a unix socket."""
    return str(address[1][0])


def place_of(address: Address) -> Any:
    """What a socket of its family connects to."""
    family, where = address
    return where[0] if family == socket.AF_UNIX else where


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a socket needs to reach the endpoint. Holds secrets: it travels through pipes, never into files."""

    host: str
    port: int
    tls: bool
    prefix: str
    """Path in front of those of the API, as in "/v1"."""
    query: str = ""
    """What stands after every path, as in "?api-version=1"."""
    path: str = ""
    """Where a load's requests go, whole; it may hold {model} until the model is known (`of_model`)."""
    path_query: str = ""
    """And what stands after it."""
    by_hand: bool = False
    """Whether that path was given, and is not the API's own."""
    socket_path: str | None = None
    """The unix socket on which the server listens, in place of a host and a port."""
    origin: str
    """Scheme, host and port, for people and for proxies."""
    headers: dict[str, str]
    proxy: str | None = None
    """Proxy as host:port."""
    proxy_auth: str | None = None
    ca_file: str | None = None
    verify_tls: bool = True
    cert_file: str | None = None
    """PEM file of the client's own certificate, and that of its key; None: in the same file."""
    key_file: str | None = None
    http: str = "1.1"
    """Version of HTTP that is spoken; "2" is agreed on by ALPN over TLS, else by prior knowledge."""
    aws: Aws | None = None
    """Whose signature each request bears."""
    addresses: list[str] = []
    """Addresses of the host to dial that were given by hand; empty: ask the resolver."""

    @property
    def dial(self) -> tuple[str, int]:
        """Host and port to connect to: the proxy's, if there is one. Of a unix socket its path, and 0."""
        if self.socket_path is not None:
            return self.socket_path, 0
        if self.proxy is None:
            return self.host, self.port
        host, _, port = self.proxy.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def server_name(self) -> str:
        """Whom a certificate must name: without the zone of an address, or the dot that ends a full name."""
        return self.host.partition("%")[0].rstrip(".")

    @property
    def tunnel(self) -> bool:
        """Whether the proxy is asked for a tunnel (for TLS) rather than to forward requests."""
        return self.proxy is not None and self.tls

    def of_model(self, model: str) -> Target:
        """The same with the model's name in its path; UsageError if it wants one and there is none."""
        path = with_model(self.path, model)
        if path != self.path and not model:
            raise UsageError(f"the path {self.path} names a model: name it with --model")
        return msgspec.structs.replace(self, path=path)

    def asking(self) -> Target:
        """Where a load's requests go, as the base: nothing is added to it but an empty path."""
        return msgspec.structs.replace(self, prefix=self.path, query=self.path_query)

    @property
    def url(self) -> str:
        """Of a load's requests, for people: without its query."""
        return self.origin + self.path

    def request_target(self, path: str) -> str:
        """What stands in the request line: a path, or the whole URL for a forwarding proxy."""
        here = self._here(path)
        return here if self.proxy is None or self.tls else self.origin + here

    def _here(self, path: str) -> str:
        return self.prefix + path + (self.query.replace("?", "&", 1) if "?" in path else self.query)

    def secrets(self) -> set[str]:
        """What is sent to prove who asks, to the endpoint and to a proxy."""
        keys = self.aws.secrets() if self.aws is not None else set()
        return of_headers(self.headers) | of_headers({"Proxy-Authorization": self.proxy_auth or ""}) | keys

    def signature(self, method: str, path: str, payload: bytes) -> bytes:
        """The header lines that sign a request to `path`, as of now; b"" where none is signed."""
        if self.aws is None:
            return b""
        given = {name.lower(): value for name, value in self.headers.items()}
        host = given.get("host", self.host_header)
        signed = {"Host": host, "Content-Type": given.get("content-type", "application/json")}
        return sign(self.aws, method, f"{self.origin.partition(':')[0]}://{host}{self._here(path)}", signed, payload)

    def head(self, method: str, path: str, headers: dict[str, str] | None = None) -> bytes:
        """Request line and headers, without the blank line."""
        fields = {
            "Host": self.host_header,
            "User-Agent": f"loadcell/{__version__}",
            "Accept-Encoding": "identity",
            **(headers or {}),
        }
        given = {name.lower() for name in self.headers}
        fields = {name: value for name, value in fields.items() if name.lower() not in given} | self.headers
        if self.proxy_auth and not self.tls:
            fields["Proxy-Authorization"] = self.proxy_auth
        lines = [f"{method} {self.request_target(path)} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
        return ("\r\n".join(lines) + "\r\n").encode("latin-1")

    def post_head(self, *, stream: bool, content_type: str = "application/json", audio: bool = False) -> bytes:
        """Head of the requests of a load but for their lengths."""
        accept = "*/*" if audio else "text/event-stream" if stream else "application/json"
        return self.asking().head("POST", "", {"Content-Type": content_type, "Accept": accept})

    @property
    def host_header(self) -> str:
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"

    def connect_request(self) -> bytes:
        """The request that asks a proxy for a tunnel."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        auth = f"Proxy-Authorization: {self.proxy_auth}\r\n" if self.proxy_auth else ""
        return f"CONNECT {host}:{self.port} HTTP/1.1\r\nHost: {host}:{self.port}\r\n{auth}\r\n".encode("latin-1")

    def tls_context(self) -> ssl.SSLContext:
        """The TLS settings; UsageError if a file of certificates or keys is none."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except FileNotFoundError:
            raise UsageError(f"no CA file at {self.ca_file}") from None
        except ssl.SSLError as error:
            raise UsageError(f"{self.ca_file} is not a PEM file of certificates: {error.reason or error}") from None
        if not self.verify_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols([*(["h2"] if self.http == "2" else []), "http/1.1"])
        if self.cert_file is not None:
            _load_certificate(context, self.cert_file, self.key_file)
        return context


def _load_certificate(context: ssl.SSLContext, cert_file: str, key_file: str | None) -> None:
    for file in filter(None, (cert_file, key_file)):
        if not Path(file).is_file():
            raise UsageError(f"no file at {file}: --cert and --key name PEM files")
    try:
        context.load_cert_chain(cert_file, key_file, password=_no_password)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        if "KEY_VALUES_MISMATCH" in str(reason):
            raise UsageError(
                f"the key in {key_file or cert_file} is not that of the certificate in {cert_file}"
            ) from None
        raise UsageError(
            f"{cert_file} and {key_file or 'no --key'} are not a certificate and its key as PEM ({reason})"
        ) from None


def _no_password() -> str:
    raise UsageError("the key of the client certificate is encrypted: decrypt it first, as in `openssl pkey -in KEY`")


def make_target(endpoint: Endpoint, api_key: str | None) -> Target:
    """The target of an endpoint, with the proxy that the environment names for it."""
    url, local = urlsplit(endpoint.url), socket_of(endpoint.url)
    if local is None and url.scheme not in _PORTS:
        raise UsageError(f"{endpoint.url} is a Python callable: it is loaded by loadcell.run(fn, ...) in Python")
    host, tls = "localhost" if local else _ascii(unquote(url.hostname or "")), url.scheme == "https"
    port = _PORTS["http"] if local else url.port or _PORTS[url.scheme]
    shown = f"[{host}]" if ":" in host else host
    dialect = dialect_of(endpoint.api)
    route = route_to(endpoint.url, endpoint.path, dialect, stream=endpoint.stream)
    if (why := dialect.refused(endpoint.extra_body)) is not None:
        raise UsageError(f"endpoint.extra_body {why}")
    asked = endpoint.extra_body.get("stream")
    if dialect.generates and asked in (True, False) and asked != endpoint.stream:
        form, flag = ("in events", "--no-stream") if endpoint.stream else ("whole", "--stream")
        raise UsageError(
            f"endpoint.extra_body asks for stream: {str(asked).lower()}, and replies are expected {form}: "
            f"leave it out, or give {flag}"
        )
    if endpoint.ignore_eos and not dialect.form.ignore_eos:
        raise UsageError(
            f"the {endpoint.api} API cannot be asked for every output token: leave --ignore-eos out; outputs end where "
            "the model ends them"
        )
    if endpoint.auth == "sigv4":
        if url.username is not None or any(name.lower() == "authorization" for name in endpoint.headers):
            raise UsageError("--auth sigv4 writes the header Authorization: leave out the other credentials")
        headers = dialect.headers(None)
    elif url.username is not None:  # who asks, named for this host alone, goes before a key that is for any
        headers = dialect.headers(None) | {"Authorization": _basic(url)}
    else:
        key = (api_key or "").strip()  # keys that come from files often end in a line feed
        if not can_be_sent("Authorization", key):
            raise UsageError(f"the key in {endpoint.api_key_env} cannot be sent: it is not ASCII on one line")
        headers = _with_key(dialect.headers, key or None, host, endpoint.headers)
    for name, value in endpoint.headers.items():
        if not can_be_sent(name, value):
            raise UsageError(f"header {name!r} cannot be sent: names and values are ASCII on one line")
        if name.lower() in FRAMING:
            raise UsageError(f"header {name!r} cannot be set: it frames the request, and every body has its own length")
        headers = {k: v for k, v in headers.items() if k.lower() != name.lower()} | {name: value}
    proxy, auth = (None, None) if local else _proxy(url.scheme, host, port)
    if endpoint.key_file and not endpoint.cert_file:
        raise UsageError("--key is the key of a client certificate: name that with --cert")
    target = Target(
        host=host,
        port=port,
        tls=tls,
        **route._asdict(),
        socket_path=local,
        origin=f"{url.scheme}://{url.netloc}" if local else f"{url.scheme}://{shown}:{port}",
        headers=headers,
        proxy=proxy,
        proxy_auth=auth,
        ca_file=endpoint.ca_file,
        verify_tls=endpoint.verify_tls,
        cert_file=endpoint.cert_file,
        key_file=endpoint.key_file,
        http=endpoint.http,
        aws=find_aws(host) if endpoint.auth == "sigv4" else None,
    )
    if endpoint.http == "2":
        from loadcell.protocol.http2 import need_http2  # most runs do without

        need_http2()
        if proxy is not None and not tls:
            raise UsageError(
                f"HTTP/2 without TLS does not pass through the proxy {proxy}: leave --http 2 out, or set NO_PROXY"
            )
    for pin in endpoint.resolve:
        parse_pin(pin)
    return msgspec.structs.replace(target, addresses=pinned(endpoint.resolve, *target.dial))


def _ascii(host: str) -> str:
    """A host's name as it goes over the wire."""
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise UsageError(f"{host!r} is not a host name") from None


def secrets_for(spec: Spec, target: Target, api_key: str | None) -> list[str]:
    """Every string of a run that must not be written, the longest first."""
    return sorted(secrets_of(spec, api_key) | target.secrets(), key=len, reverse=True)


def _with_key(
    headers: Callable[[str | None], dict[str, str]], key: str | None, host: str, given: Mapping[str, str]
) -> dict[str, str]:
    """An API's headers with the key; Azure takes one as `api-key`, and as a bearer only a token of its directory.

    Where a header of that name is given by hand, that is how the key goes.
    """
    if any(name.lower() == _AZURE_HEADER for name in given):
        return headers(None)
    found = headers(key)
    if key and is_azure(host) and not key.startswith(_TOKEN) and found.pop("Authorization", None):
        found[_AZURE_HEADER] = key
    return found


def _basic(url: SplitResult) -> str:
    pair = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _proxy(scheme: str, host: str, port: int) -> tuple[str | None, str | None]:
    """host:port and Proxy-Authorization of the proxy that the environment sets."""
    found = proxy_of(scheme, host, port, os.environ)
    if found is None:
        return None, None
    name, value = found
    try:
        url = urlsplit(value if "//" in value else f"http://{value}")
        proxy_port = url.port or _PROXY_PORT
    except ValueError:
        raise UsageError(f"the environment sets {name} to what is no proxy: write http://HOST:PORT") from None
    if url.scheme != "http" or not url.hostname:
        raise UsageError(f"the environment sets {name} to a {url.scheme} proxy; only http:// proxies are supported")
    shown = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{shown}:{proxy_port}", _basic(url) if url.username is not None else None


def resolve(target: Target) -> list[Address]:
    """Addresses of the host to dial, each once, in the resolver's order; EndpointError if there is none."""
    host, port = target.dial
    if target.socket_path is not None:
        return [(socket.AF_UNIX, (target.socket_path,))]
    what = f"proxy {host}" if target.proxy else host
    found = []
    try:
        for name in target.addresses or [host]:
            found += socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a host name"
        raise EndpointError(f"cannot resolve {what}: {why}; check the URL's host name") from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))
