"""Time-based one-time codes (RFC 6238: SHA-1, 30 s, 6 digits), as authenticator apps make them."""

from __future__ import annotations

import base64
import binascii
import hmac
import struct

_STEP_MS = 30_000
_WINDOW = (0, -1, 1)  # a phone's clock may be half a minute off


def code_is_valid(secret: str, code: str, now_ms: int) -> int | None:
    """The time step whose code this is; None when it fits none. The caller refuses a step that was used before."""
    digits = code.replace(" ", "")
    for shift in _WINDOW:
        step = now_ms // _STEP_MS + shift
        if hmac.compare_digest(code_at(secret, step).encode(), digits.encode()):
            return step
    return None


def code_at(secret: str, step: int) -> str:
    """The six digits of a step. `secret` is base32; a damaged one gives a text that no code equals."""
    try:
        key = base64.b32decode(secret + "=" * (-len(secret) % 8), casefold=True)
    except binascii.Error:
        return "invalid"
    digest = hmac.digest(key, struct.pack(">Q", step), "sha1")
    offset = digest[-1] & 15
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"


def new_secret(random_bytes: bytes) -> str:
    """Base32 of 20 random bytes."""
    return base64.b32encode(random_bytes).decode().rstrip("=")


def provisioning_url(secret: str, account: str, issuer: str) -> str:
    """What an authenticator app reads from a QR code."""
    from urllib.parse import quote

    return f"otpauth://totp/{quote(issuer)}:{quote(account)}?secret={secret}&issuer={quote(issuer)}"
