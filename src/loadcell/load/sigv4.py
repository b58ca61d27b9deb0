"""Amazon's signature of a request (SigV4), by botocore: what Bedrock's OpenAI route asks for in place of a key."""

from __future__ import annotations

import re

import msgspec

from loadcell.errors import UsageError

_HOST = re.compile(r"(?:.+\.)?bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?amazonaws\.com(?:\.cn)?")
_SERVICE = "bedrock"
_SIGNED = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")


class Aws(msgspec.Struct, frozen=True, kw_only=True):
    """Whose signature it is. Secrets: as `Target`, it travels through pipes, never into files."""

    access_key: str
    secret_key: str
    token: str | None
    region: str

    def secrets(self) -> set[str]:
        """Its secrets."""
        return {self.access_key, self.secret_key, self.token or ""} - {""}


def find_aws(host: str) -> Aws:
    """Who signs for a host, by botocore's own chain (environment, profile, role), as of now; UsageError if nobody."""
    region = _HOST.fullmatch(host)
    if region is None:
        raise UsageError(f"--auth sigv4 signs for bedrock-runtime.REGION.amazonaws.com, not for {host}")
    try:
        from botocore.exceptions import BotoCoreError
        from botocore.session import get_session
    except ImportError:
        raise UsageError("--auth sigv4 needs botocore: pip install 'loadcell[aws]'") from None
    try:
        found = get_session().get_credentials()
        keys = found and found.get_frozen_credentials()
    except BotoCoreError as error:
        raise UsageError(f"no AWS credentials: {error}") from None
    if not keys or not keys.access_key or not keys.secret_key:
        raise UsageError(
            "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or name a "
            "profile with AWS_PROFILE (`aws configure` makes one, `aws sso login` opens it)"
        )
    return Aws(access_key=keys.access_key, secret_key=keys.secret_key, token=keys.token, region=region[1])


def sign(aws: Aws, method: str, url: str, headers: dict[str, str], payload: bytes) -> bytes:
    """The header lines that sign a request with these headers and this body, as of now."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest(method, url, headers, payload)
    SigV4Auth(Credentials(aws.access_key, aws.secret_key, aws.token), _SERVICE, aws.region).add_auth(request)
    lines = [f"{name}: {request.headers[name]}\r\n" for name in _SIGNED if name in request.headers]
    return "".join(lines).encode("latin-1")
