"""Fake Telegram, ntfy, Teams, Discord and Mattermost on one port, told apart by path. `python -m tests.fakes.chats --port N`."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.fakes.provider import Answer, Broken, Provider, Seen, json_answer, json_body, main


class FakeChats(Provider):
    """/bot<token>/sendMessage, / (ntfy), /workflows/..., /api/webhooks/..., /hooks/..."""

    name = "chats"

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.updates: list[dict[str, Any]] = []
        """What Telegram's getUpdates answers next."""
        self.sent = 0
        self.takes_markup = False
        """Telegram reads a text's markup; otherwise it refuses it, as it does what it cannot parse."""
        self.discord: dict[str, dict[str, Any]] = {}
        """Message id -> the message as it stands."""

    def handle(self, seen: Seen) -> Answer:
        self.sent += 1
        if match := re.match(r"/bot[^/]+/(\w+)", seen.path):
            return self._telegram(seen, match[1])
        if seen.path == "/":
            return self._ntfy(seen)
        if seen.path.startswith("/workflows/"):
            return self._teams(seen)
        if seen.path.startswith("/api/webhooks/"):
            return self._discord(seen)
        if seen.path.startswith("/hooks/"):
            body = json_body(seen)
            _must(len(body["text"]) <= 16_383 and "@c" not in body["text"], "too long, or a mention")
            return Answer(200, b"ok", parsed=body)
        raise Broken(f"unknown path {seen.path}", Answer(404))

    def _telegram(self, seen: Seen, method: str) -> Answer:
        if method == "getUpdates":
            offset = json.loads(seen.body or "{}").get("offset", 0)
            self.updates = [update for update in self.updates if update["update_id"] >= offset]
            return json_answer(200, {"ok": True, "result": self.updates})
        if method in ("answerCallbackQuery", "editMessageReplyMarkup"):
            return json_answer(200, {"ok": True, "result": True}, parsed=json_body(seen))
        if method == "sendPhoto":
            _must("multipart/form-data; boundary=" in seen.headers["content-type"], "not a form with a file")
            _must('name="photo"; filename=' in seen.body and 'name="chat_id"' in seen.body, "no photo or chat")
            return json_answer(200, {"ok": True, "result": {"message_id": self.sent}}, parsed={"photo": True})
        body = json_body(seen)
        _must(method == "sendMessage", f"unknown method {method}")
        _must(1 <= len(body["text"]) <= 4096, "text must have 1 to 4096 characters")
        _must(self.takes_markup or "parse_mode" not in body, "can't parse entities")
        for key in (key for line in body.get("reply_markup", {}).get("inline_keyboard", []) for key in line):
            _must(len(key.get("callback_data", "").encode()) <= 64, "callback_data longer than 64 bytes")
        if body["chat_id"] == "blocked":
            return json_answer(403, {"ok": False, "error_code": 403, "description": "Forbidden: bot was blocked by the user"})
        return json_answer(200, {"ok": True, "result": {"message_id": self.sent}}, parsed=body)

    def _ntfy(self, seen: Seen) -> Answer:
        body = json_body(seen)
        _must(re.fullmatch(r"[-_A-Za-z0-9]{1,64}", body.get("topic", "")) is not None, "bad topic")
        _must(len(body["message"].encode()) <= 4096 and len(body["title"]) <= 250, "too long")
        _must(1 <= body["priority"] <= 5 and len(body.get("actions", [])) <= 3, "bad priority or too many actions")
        return json_answer(200, {"id": f"n{self.sent}", "event": "message"}, parsed=body)

    def _teams(self, seen: Seen) -> Answer:
        body = json_body(seen)
        _must(len(seen.body.encode()) <= 28_000, "larger than 28 KB")
        (attachment,) = body["attachments"]
        _must(attachment["contentType"] == "application/vnd.microsoft.card.adaptive", "not an adaptive card")
        _must(attachment["content"]["type"] == "AdaptiveCard", "not an adaptive card")
        return Answer(202, b"", parsed=body)

    def _discord(self, seen: Seen) -> Answer:
        body = json_body(seen)
        for embed in body.get("embeds", []):
            _must(len(embed["title"]) <= 256 and len(embed["description"]) <= 4096, "embed too long")
            _must("](http" not in embed["description"].replace("\\]", ""), "a label forged a link")
        _must(bool(body.get("embeds")) or 1 <= len(body.get("content", "")) <= 2000, "neither embeds nor content")
        _must(body["allowed_mentions"] == {"parse": []}, "mentions are not switched off")
        if seen.method == "PATCH":
            known = seen.path.partition("/messages/")[2].partition("?")[0]
            if known not in self.discord:
                raise Broken("edit of an unknown message", json_answer(404, {"code": 10008, "message": "Unknown Message"}))
        else:
            known = str(self.sent)
        self.discord[known] = body
        return json_answer(200, {"id": known}, parsed=body)


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise Broken(what, json_answer(400, {"ok": False, "description": what, "error": what, "message": what}))


if __name__ == "__main__":
    main(FakeChats)
