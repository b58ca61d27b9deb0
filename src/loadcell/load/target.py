"""Where requests go: the URL taken apart, names resolved once, proxies of the environment, TLS settings."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import urllib.request
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

import msgspec

from loadcell import __version__
from loadcell.errors import EndpointError, UsageError
from loadcell.protocol import PATHS
from loadcell.secrets import of_headers
from loadcell.spec import Endpoint, Spec, secrets_of

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x20-\x7e\t]*")
_FRAMING = ("content-length", "transfer-encoding")
_URL_SAFE = "/?%:@!$&'()*+,;=~"
Address = tuple[int, tuple[Any, ...]]
"""Address family and socket address."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a socket needs to reach the endpoint. Holds secrets: it travels through pipes, never into files."""

    host: str
    port: int
    tls: bool
    prefix: str
    """Path in front of "/chat/completions" and "/models", as in "/v1"."""
    query: str = ""
    """What stands after every path, as in "?api-version=1"."""
    origin: str
    """Scheme, host and port, for people and for proxies."""
    headers: dict[str, str]
    proxy: str | None = None
    """Proxy as host:port."""
    proxy_auth: str | None = None
    ca_file: str | None = None
    verify_tls: bool = True

    @property
    def dial(self) -> tuple[str, int]:
        """Host and port to connect to: the proxy's, if there is one."""
        if self.proxy is None:
            return self.host, self.port
        host, _, port = self.proxy.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def tunnel(self) -> bool:
        """Whether the proxy is asked for a tunnel (for TLS) rather than to forward requests."""
        return self.proxy is not None and self.tls

    def request_target(self, path: str) -> str:
        """What stands in the request line: a path, or the whole URL for a forwarding proxy."""
        here = self.prefix + path + self.query
        return here if self.proxy is None or self.tls else self.origin + here

    def secrets(self) -> set[str]:
        """What is sent to prove who asks, to the endpoint and to a proxy."""
        return of_headers(self.headers) | of_headers({"Proxy-Authorization": self.proxy_auth or ""})

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

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"

    def connect_request(self) -> bytes:
        """The request that asks a proxy for a tunnel."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        auth = f"Proxy-Authorization: {self.proxy_auth}\r\n" if self.proxy_auth else ""
        return f"CONNECT {host}:{self.port} HTTP/1.1\r\nHost: {host}:{self.port}\r\n{auth}\r\n".encode("latin-1")

    def tls_context(self) -> ssl.SSLContext:
        """The TLS settings; UsageError if the CA file is no CA file."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except FileNotFoundError:
            raise UsageError(f"no CA file at {self.ca_file}") from None
        except ssl.SSLError as error:
            raise UsageError(f"{self.ca_file} is not a PEM file of certificates: {error.reason or error}") from None
        if not self.verify_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["http/1.1"])
        return context


def make_target(endpoint: Endpoint, api_key: str | None) -> Target:
    """The target of an endpoint, with the proxy that the environment names for it."""
    url = urlsplit(endpoint.url)
    host, tls = url.hostname or "", url.scheme == "https"
    port = url.port or _PORTS[url.scheme]
    shown = f"[{host}]" if ":" in host else host
    headers: dict[str, str] = {}
    if api_key and (api_key := api_key.strip()):  # keys that come from files often end in a line feed
        if not _VALUE.fullmatch(api_key):
            raise UsageError(f"the key in {endpoint.api_key_env} cannot be sent: it is not ASCII on one line")
        headers["Authorization"] = f"Bearer {api_key}"
    elif url.username:
        headers["Authorization"] = _basic(url)
    for name, value in endpoint.headers.items():
        if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            raise UsageError(f"header {name!r} cannot be sent: names and values are ASCII on one line")
        if name.lower() in _FRAMING:
            raise UsageError(f"header {name!r} cannot be set: it frames the request, and every body has its own length")
        headers = {k: v for k, v in headers.items() if k.lower() != name.lower()} | {name: value}
    proxy, auth = _proxy(url.scheme, host, port)
    return Target(
        host=host,
        port=port,
        tls=tls,
        prefix=_prefix(quote(url.path, safe=_URL_SAFE)),
        query=f"?{quote(url.query, safe=_URL_SAFE)}" if url.query else "",
        origin=f"{url.scheme}://{shown}:{port}",
        headers=headers,
        proxy=proxy,
        proxy_auth=auth,
        ca_file=endpoint.ca_file,
        verify_tls=endpoint.verify_tls,
    )


def secrets_for(spec: Spec, target: Target, api_key: str | None) -> list[str]:
    """Every string of a run that must not be written, the longest first."""
    return sorted(secrets_of(spec, api_key) | target.secrets(), key=len, reverse=True)


def _prefix(path: str) -> str:
    """The base path of the API: what is given, without a method's own path; "/v1" where nothing is given."""
    path = path.rstrip("/")
    for known in PATHS.values():
        path = path.removesuffix(known)
    return path or "/v1"


def _basic(url: SplitResult) -> str:
    pair = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _proxy(scheme: str, host: str, port: int) -> tuple[str | None, str | None]:
    """host:port and Proxy-Authorization of the proxy that the environment sets (http_proxy, https_proxy, no_proxy)."""
    value = urllib.request.getproxies_environment().get(scheme)
    exempt = urllib.request.proxy_bypass
    if not value or exempt(host) or exempt(f"{host}:{port}"):
        return None, None
    url = urlsplit(value if "//" in value else f"http://{value}")
    if url.scheme != "http" or not url.hostname:
        raise UsageError(
            f"the environment sets {scheme}_proxy to a {url.scheme} proxy; only http:// proxies are supported"
        )
    shown = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{shown}:{url.port or 80}", _basic(url) if url.username else None


def resolve(target: Target) -> list[Address]:
    """Addresses of the host to dial, in the resolver's order; EndpointError if there is none."""
    host, port = target.dial
    what = f"proxy {host}" if target.proxy else host
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a host name"
        raise EndpointError(f"cannot resolve {what}: {why}; check the URL's host name") from None
    return [(family, address) for family, _, _, _, address in found]
