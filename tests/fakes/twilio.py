"""Fake Twilio (Messages) and Vonage (SMS). `python -m tests.fakes.twilio --port N`."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree
from typing import Any
from urllib.parse import parse_qsl

from tests.fakes.provider import Answer, Broken, Provider, Seen, json_answer, main

_GSM = re.compile(r"^[@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,\-./0-9:;<=>?¡A-ZÄÖÑÜ§¿a-zäöñüà^{}\\\[~\]|€]*$")


class FakeTwilio(Provider):
    """Checks form, number and length. `opted_out` numbers answer 21610."""

    name = "twilio"

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.opted_out: set[str] = set()
        self.texts: list[tuple[str, str]] = []
        """(number, text)"""
        self.calls: list[tuple[str, ElementTree.Element]] = []
        """(number, what is said)"""

    def handle(self, seen: Seen) -> Answer:
        form = dict(parse_qsl(seen.body, keep_blank_values=True))
        if seen.path == "/sms/json":
            return self._vonage(form)
        if not re.fullmatch(r"/2010-04-01/Accounts/AC\w+/(Messages|Calls)\.json", seen.path):
            raise Broken(f"unknown path {seen.path}", Answer(404))
        sid = seen.path.split("/")[3]
        login = base64.b64decode(seen.headers.get("authorization", "").removeprefix("Basic ")).decode()
        if not login.startswith(f"{sid}:"):
            raise Broken("not authenticated", json_answer(401, {"code": 20003, "message": "Authenticate"}))
        if not re.fullmatch(r"\+[1-9]\d{6,14}", form.get("To", "")):
            raise Broken("bad number", json_answer(400, {"code": 21211, "message": "Invalid 'To' Phone Number"}))
        if form["To"] in self.opted_out:
            return json_answer(400, {"code": 21610, "message": "Attempt to send to unsubscribed recipient"})
        if seen.path.endswith("/Calls.json"):
            return self._call(form)
        if ("From" in form) == ("MessagingServiceSid" in form):
            raise Broken("exactly one of From and MessagingServiceSid", json_answer(400, {"code": 21603, "message": "From"}))
        self._check_text(form.get("Body", ""))
        self.texts.append((form["To"], form["Body"]))
        return json_answer(201, {"sid": f"SM{len(self.texts):032d}", "status": "queued"}, parsed=form)

    def _call(self, form: dict[str, str]) -> Answer:
        """A call with its TwiML in the request: well-formed, at most 4,000 characters, one key per Gather."""
        text = form.get("Twiml", "")
        if not 1 <= len(text) <= 4000:
            raise Broken("TwiML of 1 to 4000 characters", json_answer(400, {"code": 21218, "message": "Invalid TwiML"}))
        try:
            root = ElementTree.fromstring(text)
        except ElementTree.ParseError as error:
            raise Broken(f"TwiML: {error}", json_answer(400, {"code": 12100, "message": "Document parse failure"})) from None
        if root.tag != "Response" or {child.tag for child in root} - {"Say", "Gather", "Pause"}:
            raise Broken("unknown verbs", json_answer(400, {"code": 12200, "message": "Schema validation"}))
        self.calls.append((form["To"], root))
        return json_answer(201, {"sid": f"CA{len(self.calls):032d}", "status": "queued"}, parsed=form)

    def _vonage(self, form: dict[str, str]) -> Answer:
        if not (form.get("api_key") and form.get("api_secret") and form.get("from")):
            raise Broken("no credentials", json_answer(200, {"messages": [{"status": "4", "error-text": "Bad Credentials"}]}))
        if "+" + form.get("to", "") in self.opted_out:
            return json_answer(200, {"messages": [{"status": "7", "error-text": "Number barred"}]})
        self._check_text(form.get("text", ""))
        self.texts.append(("+" + form["to"], form["text"]))
        return json_answer(200, {"messages": [{"status": "0", "message-id": str(len(self.texts))}]}, parsed=form)

    def _check_text(self, text: str) -> None:
        if not _GSM.match(text):
            raise Broken("a character outside GSM-7 halves the segment", json_answer(400, {"code": 1, "message": "GSM"}))
        if not 1 <= len(text) <= 160:
            raise Broken("more than one segment", json_answer(400, {"code": 21617, "message": "too long"}))


if __name__ == "__main__":
    main(FakeTwilio)
