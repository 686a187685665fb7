"""Texts that are kept for people to read, without the secrets that came by in them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

HIDDEN = "<hidden>"


def without(text: str, secrets: Iterable[str], *, shortest: int) -> str:
    """The text without the secrets, the longest first; one shorter than `shortest` would hide parts of ordinary words."""
    for secret in sorted({one for one in secrets if len(one) >= shortest}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text
