"""What the channels that go through Twilio share: numbers, the login, one form, and what its answers mean."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from tocsin.model.notification import Delivery
from tocsin.model.ports import Http, HttpError, HttpResponse
from tocsin.notify.respond import from_error, json_of, judged

_NUMBER = re.compile(r"^\+[1-9]\d{6,14}$")
# Codes of numbers that will never take this: invalid, opted out, no such sender, landline, blocked, not allowed, bad login.
_FINAL = {13223, 13224, 13225, 20003, 21211, 21215, 21216, 21408, 21606, 21610, 21612, 21614}


def e164(value: str) -> str:
    """A phone number without decoration. Raises ValueError."""
    bare = re.sub(r"[\s().-]", "", value)
    if not _NUMBER.match(bare):
        raise ValueError("expected a phone number with country code such as +33612345678")
    return bare


async def post_form(http: Http, url: str, form: Mapping[str, Any], headers: Mapping[str, str]) -> HttpResponse | Delivery:
    """A form; a Delivery when no answer came."""
    all_headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    try:
        return await http.request("POST", url, headers=all_headers, body=urlencode(form, doseq=True).encode())
    except HttpError as error:
        return from_error(error)


async def create(
    http: Http, now_ms: int, *, api_url: str, account_sid: str, auth_token: str, what: str, form: Mapping[str, Any]
) -> Delivery:
    """Make a message or call (`what`: Messages, Calls); only a sid in a 201 is a success."""
    login = base64.b64encode(f"{account_sid}:{auth_token}".encode()).decode()
    url = f"{api_url}/2010-04-01/Accounts/{quote(account_sid)}/{what}.json"
    response = await post_form(http, url, form, {"Authorization": f"Basic {login}"})
    if isinstance(response, Delivery):
        return response
    answer = json_of(response)
    if response.status == 201 and answer.get("sid"):
        return Delivery.accepted(str(answer["sid"]), status=201, reason=f"Twilio: {answer.get('status', 'accepted')}")
    code = answer.get("code", 0)
    if code in _FINAL:
        return Delivery.permanent(f"Twilio {code}: {answer.get('message', '')}", status=response.status)
    return judged(response, now_ms, "Twilio", reason=f"{code or ''} {answer.get('message', '')}".strip())
