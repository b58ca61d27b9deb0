"""The embedded engine as a process of its own, and what it tells of the requests that it saw."""

from __future__ import annotations

import http.client
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from loadcell.errors import LoadcellError, UsageError
from loadcell.load.host import allowed_cores
from loadcell.selftest.truth import Truth

_ANSWER_S = 120.0
_END_S = 30.0
_SERVE = """
import ctypes, os, runpy, sys
parent = int(sys.argv.pop(1))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
runpy.run_module("loadcell", run_name="__main__", alter_sys=True)
"""
"""The engine, ended (SIGTERM) with the process that started it, whatever ends that: PR_SET_PDEATHSIG (prctl(2))."""


@dataclass(frozen=True)
class Certificate:
    """PEM files of a certificate for 127.0.0.1, which is its own authority, and of its key."""

    cert: str
    key: str


@dataclass(frozen=True)
class Engine:
    """A running engine. `ca_file` is what a client must trust, if it speaks TLS."""

    url: str
    ca_file: str | None = None

    @property
    def port(self) -> int:
        """Port on 127.0.0.1."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def truth(self) -> dict[str, Truth]:
        """Every finished request by its X-Request-Id."""
        return {record.id: record for record in self.records() if record.id}

    def records(self) -> list[Truth]:
        """Every finished request, in the order of their ends."""
        return [msgspec.json.decode(line, type=Truth) for line in self._ask("GET").splitlines()]

    def forget(self) -> None:
        """Empty the truth."""
        self._ask("DELETE")

    def _ask(self, method: str) -> bytes:
        client = (
            http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=_ANSWER_S, context=ssl.create_default_context(cafile=self.ca_file)
            )
            if self.ca_file
            else http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ANSWER_S)
        )
        try:
            client.request(method, "/truth")
            answer = client.getresponse()
            payload = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise LoadcellError(f"the engine does not tell its truth: {error or type(error).__name__}") from None
        finally:
            client.close()
        if answer.status >= 300:
            raise LoadcellError(f"{method} /truth answers HTTP {answer.status}: {payload[:200]!r}")
        return payload


@contextmanager
def engine(*flags: str, certificate: Certificate | None = None) -> Iterator[Engine]:
    """An engine on the first core that may be used, gone afterwards; LoadcellError if it does not start or last."""
    cores = allowed_cores()
    if cores:
        flags = ("--cpu", str(cores[0]), *flags)
    if certificate:
        flags = (*flags, "--tls-cert", certificate.cert, "--tls-key", certificate.key)
    # A process group of its own: Ctrl-C is for the load, and the engine is ended here.
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(os.getpid()), "serve", "--port", "0", *flags],
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise LoadcellError(f"the engine did not start with {' '.join(flags)}: its error stands above")
        yield Engine(line.split()[2], certificate.cert if certificate else None)
        if process.poll() is not None:
            raise LoadcellError(f"the engine ended before its time, with status {process.returncode}")
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def make_certificate(folder: Path) -> Certificate:
    """A throw-away certificate in `folder`, by the `openssl` command; UsageError without one."""
    made = Certificate(str(folder / "cert.pem"), str(folder / "key.pem"))
    extensions = ("subjectAltName=IP:127.0.0.1", "keyUsage=critical,digitalSignature,keyCertSign")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-days", "2", "-subj", "/CN=loadcell self-test", "-out", made.cert, "-keyout", made.key]  # fmt: skip
    for extension in extensions:
        command += ["-addext", extension]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        raise UsageError(
            "TLS needs a certificate, which the openssl command makes: install openssl, or leave --tls out"
        ) from None
    if done.returncode:
        raise UsageError(f"openssl makes no certificate for TLS: {' '.join(done.stderr.split())[-200:]}")
    return made
