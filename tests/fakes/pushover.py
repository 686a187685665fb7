"""Fake Pushover: messages, receipts, cancelling. `python -m tests.fakes.pushover --port N`."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from tests.fakes.provider import Answer, Broken, Provider, Seen, json_answer, main


class FakePushover(Provider):
    """As strict as its documentation. `receipts` maps each emergency to `ringing`, `acknowledged` or `cancelled`."""

    name = "pushover"

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.receipts: dict[str, str] = {}

    def handle(self, seen: Seen) -> Answer:
        form = dict(parse_qsl(seen.body, keep_blank_values=True))
        if seen.path == "/1/messages.json":
            return self._message(form)
        if found := re.fullmatch(r"/1/receipts/(\w+)/cancel\.json", seen.path):
            self._known(found[1])
            self.receipts[found[1]] = "cancelled"
            return json_answer(200, {"status": 1, "request": "q"}, parsed=form)
        if found := re.fullmatch(r"/1/receipts/(\w+)\.json\?token=\w+", seen.path):
            self._known(found[1])
            acknowledged = int(self.receipts[found[1]] == "acknowledged")
            return json_answer(200, {"status": 1, "acknowledged": acknowledged, "expired": 0, "request": "q"})
        raise Broken(f"unknown path {seen.path}", Answer(404))

    def _known(self, receipt: str) -> None:
        if receipt not in self.receipts:
            raise Broken("unknown receipt", json_answer(400, {"status": 0, "errors": ["receipt not found"]}))

    def _message(self, form: dict[str, str]) -> Answer:
        problem = check_message(form)
        if problem:
            raise Broken(problem, json_answer(400, {"status": 0, "errors": [problem], "request": "q"}))
        answer: dict[str, Any] = {"status": 1, "request": f"q{len(self.seen)}"}
        if form.get("priority") == "2":
            answer["receipt"] = f"r{len(self.receipts) + 1}"
            self.receipts[answer["receipt"]] = "ringing"
        return json_answer(200, answer, parsed=form)


def check_message(form: dict[str, str]) -> str:
    """Why Pushover would refuse this message, or empty."""
    if form.get("token") != "t" * 30 or len(form.get("user", "")) != 30:
        return "application token or user key is invalid"
    if not 1 <= len(form.get("message", "")) <= 1024:
        return "message must have 1 to 1024 characters"
    if len(form.get("title", "")) > 250:
        return "title longer than 250 characters"
    if len(form.get("url", "")) > 512 or len(form.get("url_title", "")) > 100:
        return "url or its title too long"
    if form.get("priority") == "2" and not (int(form.get("retry", 0)) >= 30 and 0 < int(form.get("expire", 0)) <= 10_800):
        return "emergency needs retry >= 30 and expire <= 10800"
    return ""


if __name__ == "__main__":
    main(FakePushover)
