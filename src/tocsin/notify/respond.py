"""What an answer means: the parts that all HTTP channels share."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from tocsin.model.notification import Delivery
from tocsin.model.ports import HttpError, HttpResponse

_LONGEST_WAIT_MS = 6 * 3_600_000
_URL = re.compile(r"https?://[^\s'\"<>]+")


def from_error(error: HttpError) -> Delivery:
    """No answer came: a retry when nothing was sent, else unknown, since it may have arrived."""
    text = _URL.sub("(url)", str(error))
    return Delivery.unknown(text) if error.sent else Delivery.retry(text)


def retry_after_ms(response: HttpResponse, now_ms: int) -> int:
    """`Retry-After` in ms, seconds or HTTP date; 0 = not given. A provider cannot put us off for longer than six hours."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return 0
    try:
        wait_ms = round(float(value) * 1000)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return 0
        wait_ms = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000) - now_ms
    return min(max(wait_ms, 0), _LONGEST_WAIT_MS)


def excerpt(body: bytes, limit: int = 200) -> str:
    """The start of an answer on one line, for people; URLs (they may hold tokens) cut out."""
    text = "".join(c if c.isprintable() else " " for c in body[: 4 * limit].decode(errors="replace"))
    return _URL.sub("(url)", " ".join(text.split()))[:limit]
