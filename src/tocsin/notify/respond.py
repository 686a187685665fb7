"""What an answer means: the parts that all HTTP channels share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from tocsin.model.notification import Delivery
from tocsin.model.ports import Http, HttpError, HttpResponse

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


async def post_json(
    http: Http, url: str, value: object, *, headers: Mapping[str, str] | None = None, method: str = "POST"
) -> HttpResponse | Delivery:
    """POST a value as JSON; a Delivery when no answer came."""
    all_headers = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    try:
        return await http.request(method, url, headers=all_headers, body=orjson.dumps(value))
    except HttpError as error:
        return from_error(error)


def json_of(response: HttpResponse) -> dict[str, Any]:
    """The answer's JSON object; empty when it is none (a captive portal's page)."""
    try:
        value = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def judged(response: HttpResponse, now_ms: int, name: str, *, reason: str = "") -> Delivery:
    """An answer that is no success: 408, 425, 429 and 5xx and strange 2xx/3xx come again; other 4xx are final."""
    text = f"{name}: HTTP {response.status} {reason or excerpt(response.body)}".strip()
    if 400 <= response.status < 500 and response.status not in (408, 425, 429):
        return Delivery.permanent(text, status=response.status)
    return Delivery.retry(text, after_ms=retry_after_ms(response, now_ms), status=response.status)
