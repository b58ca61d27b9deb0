"""Amazon's signature once more, from its description alone: what a server does to see who asks."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from urllib.parse import quote

from scripted import Received

ACCESS, SECRET, TOKEN = "AKIDTESTKEY0123456", "s3cr3tS3CR3T/0123456789+abcdefghijklmnop", "tok3nTOK3N/" + "aB3+" * 40
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=([^,]+), Signature=(.+)"
)


def signature(
    secret: str,
    date: str,
    region: str,
    service: str,
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    body: bytes,
) -> str:
    """Of a request without a query; `date` as X-Amz-Date has it, headers in their order."""
    asked = "\n".join([
        method, quote(path), "", *(f"{name}:{value.strip()}" for name, value in headers), "",
        ";".join(name for name, _ in headers), hashlib.sha256(body).hexdigest(),
    ])  # fmt: skip
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(asked.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in (date[:8], region, service, "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def wrong(request: Received, region: str) -> str | None:
    """What is wrong with a request's signature, as of now; None if nothing is."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        return f"no signature: {request.headers}"
    access, day, there, service, names, told = found.groups()
    date = request.headers["x-amz-date"]
    age_s = (datetime.now(UTC) - datetime.strptime(date + "+0000", "%Y%m%dT%H%M%SZ%z")).total_seconds()
    if (access, day, there, service) != (ACCESS, date[:8], region, "bedrock") or not -1 <= age_s < 300:
        return f"signed by {access} for {there} at {date}"
    if not {"host", "x-amz-date", "x-amz-security-token"} <= set(names.split(";")):
        return f"{names} alone are signed"
    headers = [(name, request.headers[name]) for name in names.split(";")]
    right = signature(SECRET, date, there, service, request.method, request.path, headers, request.body)
    return None if told == right else "another signature"
