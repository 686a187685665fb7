"""AWS Signature Version 4, as far as POSTs with a form need it. Pure: the time comes in.

Source: "Signature Version 4 signing process" of the AWS General Reference; pinned by AWS's own example in the tests.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit


@dataclass(frozen=True, slots=True)
class Credentials:
    """An AWS key pair; `session_token` with temporary ones."""

    access_key: str
    secret_key: str
    session_token: str = ""


def signed_headers(
    url: str, headers: Mapping[str, str], body: bytes, *, who: Credentials, region: str, service: str, now_ms: int
) -> dict[str, str]:
    """`headers` with X-Amz-Date and Authorization for a POST of `body` to `url` (a path without `..`, no query)."""
    parts = urlsplit(url)
    stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    out = {**headers, "X-Amz-Date": stamp}
    if who.session_token:
        out["X-Amz-Security-Token"] = who.session_token
    covered = {"host": parts.netloc, **{name.lower(): " ".join(value.split()) for name, value in out.items()}}
    names = ";".join(sorted(covered))
    canonical = "\n".join(
        [
            "POST",
            quote(parts.path or "/", safe="/-_.~"),
            "",
            *(f"{name}:{covered[name]}" for name in sorted(covered)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = hmac.new(_key(who.secret_key, stamp[:8], region, service), text.encode(), hashlib.sha256).hexdigest()
    out["Authorization"] = f"AWS4-HMAC-SHA256 Credential={who.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return out


def _key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
