"""Requests that AWS credentials sign: a server that looks at each signature, and what is kept of them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from contract_runs import Run
from scripted import Received, Step, clean, json_reply, serve
from scripted_h2 import parted, serve_h2
from signed import ACCESS, SECRET, TOKEN, signature, wrong

from loadcell.errors import UsageError
from loadcell.load.sigv4 import Aws, sign
from loadcell.load.target import make_target
from loadcell.secrets import REDACTED, scrub
from loadcell.spec import Endpoint

HOST = "bedrock-runtime.eu-north-1.amazonaws.com"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those of the environment, and none from anywhere else."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN,
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "neither"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "key-that-is-not-sent")


def asked(port: int, **fields: Any) -> dict[str, Any]:
    return {"auth": "sigv4", "model": "m", "resolve": [f"{HOST}:{port}:127.0.0.1"], **fields}


@pytest.mark.parametrize("http", ["1.1", "2"])
def test_every_request_is_signed_and_no_key_is_kept(run: Run, http: str) -> None:
    seen: list[str | None] = []

    def script(request: Received) -> list[Step]:
        seen.append(wrong(request, "eu-north-1"))
        if request.number == 3:  # as AWS tells what it compared
            said = f"{request.headers} {SECRET} Signature={request.headers['authorization'][-64:]}"
            return [json_reply({"message": said}, 403)]
        return clean()

    serving = serve(script, probe=script) if http == "1.1" else serve_h2(lambda request: parted(script(request)))
    with serving as server:
        url = f"http://{HOST}:{server.port}/openai/v1"
        ran = run(url, requests=12, http=http, keep_text=True, **asked(server.port))
    assert ran.statuses.count("ok") == 11 and ran.rows[3]["error_kind"] == "http_403"
    assert len(seen) >= 13 and not any(seen)
    dates = {request.headers["x-amz-date"] for request in server.load}
    assert dates and all(request.path == "/openai/v1/chat/completions" for request in server.load)
    (audit,) = ran.recording.audits
    assert 12 * 1e4 < audit["signing_ns"] < ran.manifest.ended_ns
    signatures = {request.headers["authorization"].rpartition("=")[2] for request in server.received}
    for file in filter(Path.is_file, ran.folder.rglob("*")):
        kept = file.read_bytes()
        for secret in (ACCESS, SECRET, TOKEN, TOKEN[:40], "key-that-is-not-sent", *signatures):
            assert secret.encode() not in kept, (file, secret)
    assert REDACTED in ran.rows[3]["error"]


def test_a_signature_is_botocores_and_that_of_the_description(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore import auth

    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    aws = Aws(access_key=ACCESS, secret_key=SECRET, token=None, region="us-west-2")
    host, path, body = "bedrock-runtime.us-west-2.amazonaws.com", "/openai/v1/chat:x/a b", b'{"a": "\xc3\xa4"}'
    lines = sign(aws, "POST", f"https://{host}{path}", {"Host": host, "Content-Type": "application/json"}, body)
    headers = [("content-type", "application/json"), ("host", host), ("x-amz-date", "20260102T030405Z")]
    right = signature(SECRET, "20260102T030405Z", "us-west-2", "bedrock", "POST", path, headers, body)
    scope = f"{ACCESS}/20260102/us-west-2/bedrock/aws4_request"
    assert lines.decode() == (
        f"Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=content-type;host;x-amz-date, "
        f"Signature={right}\r\nX-Amz-Date: 20260102T030405Z\r\n"
    )


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", "us-east-1"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("vpce-1-abc.bedrock-runtime.us-east-1.vpce.amazonaws.com", "us-east-1"),
        ("bedrock-runtime.us-east-1.amazonaws.com.evil.test", None),
        ("api.openai.com", None),
    ],
)
def test_it_signs_for_bedrock_alone(host: str, region: str | None) -> None:
    endpoint = Endpoint(url=f"https://{host}/openai/v1", auth="sigv4")
    if region is None:
        with pytest.raises(UsageError, match="signs for bedrock-runtime"):
            make_target(endpoint, None)
        return
    target = make_target(endpoint, "a-key")
    assert target.aws is not None and target.aws.region == region
    assert not target.headers.keys() & {"Authorization", "authorization"}
    assert {ACCESS, SECRET, TOKEN} <= target.secrets()


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint(url=f"https://{HOST}/openai/v1", auth="sigv4")
    both = Endpoint(url=endpoint.url, auth="sigv4", headers={"authorization": "Bearer x"})
    with pytest.raises(UsageError, match="leave out the other credentials"):
        make_target(both, None)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UsageError, match=r"no AWS credentials: .*nobody"):
        make_target(endpoint, None)
    monkeypatch.delenv("AWS_PROFILE")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(UsageError, match=r"no AWS credentials: set AWS_ACCESS_KEY_ID.*AWS_PROFILE"):
        make_target(endpoint, None)
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(UsageError, match=r"pip install 'loadcell\[aws\]'"):
        make_target(endpoint, None)


def test_signatures_are_taken_out_of_texts() -> None:
    assert scrub("x Signature=" + "0a" * 32 + ", y", []) == f"x Signature={REDACTED}, y"
