"""What a failure of TLS means, in words with what to do: one advice for each kind."""

from __future__ import annotations

import re
import ssl

from loadcell.phrases import phrase

_NOT_TRUSTED = "give the authority that signed it with --ca-file, or --no-verify-tls"
_CERTIFICATE: tuple[tuple[tuple[int, ...], str, str], ...] = (
    ((10,), "has expired", "renew it on the server, or measure with --no-verify-tls"),
    ((9,), "is not valid yet", "set this machine's clock right, or measure with --no-verify-tls"),
    ((62, 64), "is for another name", "use a name that it holds (--resolve NAME:PORT:ADDRESS), or --no-verify-tls"),
    ((18, 19), "is self-signed and not trusted", "give it, or the authority that signed it, with --ca-file, or "
     "--no-verify-tls"),
    ((20, 21, 2), "is not trusted, for nobody here knows who signed it", _NOT_TRUSTED),
    ((23,), "was revoked", "renew it on the server"),
)  # fmt: skip
"""OpenSSL's numbers for what is wrong with a certificate, and what that is."""

_PLAIN = "the server speaks plain HTTP there: write http://, or name its port for https"
_ALERTS: tuple[tuple[str, str], ...] = (
    (r"WRONG_VERSION_NUMBER|HTTP_REQUEST|HTTPS_PROXY_REQUEST|PACKET_LENGTH_TOO_LONG|RECORD_LAYER_FAILURE", _PLAIN),
    (r"CERTIFICATE_REQUIRED", "the server wants a client certificate: give --cert FILE and --key FILE"),
    (r"PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_PROTOCOLS_AVAILABLE|VERSION_TOO_LOW|INSUFFICIENT_SECURITY",
     "the server and this client have no version of TLS in common: let it take TLS 1.2 or 1.3"),
    (r"ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_(?:UNKNOWN|EXPIRED|REVOKED)|UNSUPPORTED_CERTIFICATE"
     r"|ACCESS_DENIED|DECRYPT_ERROR)",
     "the server does not accept the client certificate: give one that it trusts with --cert and --key"),
    (r"UNRECOGNIZED_NAME", "the server has no certificate for this name: use the one that it serves, as in --resolve "
     "NAME:PORT:ADDRESS"),
    (r"NO_APPLICATION_PROTOCOL", "the server does not speak HTTP/1.1 over TLS: let it take http/1.1 beside h2"),
    (r"HANDSHAKE_FAILURE|NO_SHARED_CIPHER|NO_CIPHERS_AVAILABLE",
     "the server and this client have no cipher in common, or it wants a client certificate (--cert, --key)"),
    (r"EOF|ZERO_RETURN", "the server hung up in the TLS handshake: see whether it speaks https on this port"),
)  # fmt: skip
"""OpenSSL's names of reasons, as patterns, and what they mean."""


def tls_words(error: ssl.SSLError) -> str:
    """Why TLS failed, with OpenSSL's own word and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        for codes, what, advice in _CERTIFICATE:
            if error.verify_code in codes:
                return phrase("the server's certificate {} ({}): {}", what, error.verify_message, advice)
        return phrase("the server's certificate is not trusted ({}): {}", error.verify_message, _NOT_TRUSTED)
    reason = (
        (getattr(error, "reason", None) or type(error).__name__.removeprefix("SSL").removesuffix("Error"))
        .replace(" ", "_")
        .upper()
    )
    for pattern, advice in _ALERTS:
        if re.search(pattern, reason):
            return phrase("TLS failed ({}): {}", reason, advice)
    return phrase("TLS failed ({}): read the server's log for why", reason)


def is_alert(error: ssl.SSLError) -> bool:
    """Whether the other side said what is wrong, rather than that it only hung up."""
    return not isinstance(error, ssl.SSLZeroReturnError | ssl.SSLEOFError) and "EOF" not in (
        getattr(error, "reason", None) or ""
    )
