"""Fake Slack: incoming webhooks and the parts of the Web API that we call. `python -m tests.fakes.slack --port N`."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from tests.fakes.provider import Answer, Broken, Provider, Seen, json_answer, json_body, main

_MENTION = re.compile(r"<!(channel|here|everyone)>|<@|<#")
_BLOCK_TYPES = {"header", "section", "context", "actions", "divider", "image"}


class FakeSlack(Provider):
    """Slack, as strict as its documentation."""

    name = "slack"

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.messages: dict[tuple[str, str], dict[str, Any]] = {}
        """(channel, ts) -> the message as it stands, for the Web API."""
        self.files: list[dict[str, Any]] = []
        """Files that are shown."""
        self._expected = 0

    def handle(self, seen: Seen) -> Answer:
        if seen.path.startswith("/services/"):
            return self._webhook(seen)
        if seen.path.startswith("/upload/"):
            return self._upload(seen)
        if seen.path.startswith("/api/"):
            return self._api(seen, seen.path.removeprefix("/api/"))
        raise Broken(f"unknown path {seen.path}", Answer(404, b"no_service"))

    def _webhook(self, seen: Seen) -> Answer:
        body = json_body(seen)
        if problem := check_message(body):
            raise Broken(problem, Answer(400, b"invalid_blocks"))
        return Answer(200, b"ok", parsed=body)

    def _upload(self, seen: Seen) -> Answer:
        """A file in three steps: where to, the bytes, where to show it."""
        if seen.path.startswith("/upload/"):
            if int(seen.headers["content-length"]) != self._expected:
                raise Broken("the length is not what was said", Answer(400, b"bad length"))
            return Answer(200, b"OK - 1")
        if "getUploadURLExternal" in seen.path:
            form = dict(parse_qsl(seen.body))
            if not form.get("filename") or not form.get("length", "").isdecimal():
                raise Broken("no filename or length", json_answer(200, {"ok": False, "error": "invalid_arguments"}))
            self._expected = int(form["length"])
            return json_answer(200, {"ok": True, "upload_url": f"{self.url}/upload/1", "file_id": "F1"})
        body = json_body(seen)
        if body["files"][0]["id"] != "F1" or (body["channel_id"], body["thread_ts"]) not in self.messages:
            raise Broken("an unknown file or thread", json_answer(200, {"ok": False, "error": "invalid_channel"}))
        self.files.append(body)
        return json_answer(200, {"ok": True, "files": body["files"]}, parsed=body)

    def _api(self, seen: Seen, method: str) -> Answer:
        if not seen.headers.get("authorization", "").startswith("Bearer xoxb-"):
            raise Broken("no bot token", json_answer(200, {"ok": False, "error": "not_authed"}))
        if method.startswith("files."):
            return self._upload(seen)
        body = json_body(seen)
        if method not in ("chat.postMessage", "chat.update"):
            raise Broken(f"unknown method {method}", json_answer(200, {"ok": False, "error": "unknown_method"}))
        if problem := check_message(body):
            raise Broken(problem, json_answer(200, {"ok": False, "error": "invalid_blocks"}))
        channel = body.get("channel", "")
        if not channel:
            raise Broken("no channel", json_answer(200, {"ok": False, "error": "channel_not_found"}))
        channel_id = channel if channel.startswith("C") else f"C{abs(hash(channel)) % 10**8:08d}"
        if method == "chat.update":
            if (channel_id, body.get("ts", "")) not in self.messages:
                raise Broken("update of an unknown message", json_answer(200, {"ok": False, "error": "message_not_found"}))
            ts = body["ts"]
        else:
            ts = f"{1_700_000_000 + len(self.messages)}.{len(self.messages):06d}"
        self.messages[(channel_id, ts)] = body
        return json_answer(200, {"ok": True, "channel": channel_id, "ts": ts}, parsed=body)


def check_message(body: Any) -> str:
    """Why Slack would refuse this message, or empty."""
    if not isinstance(body, dict) or not (body.get("text") or body.get("blocks")):
        return "neither text nor blocks"
    blocks = body.get("blocks", [])
    if len(blocks) > 50:
        return "more than 50 blocks"
    total = 0
    for block in blocks:
        if block.get("type") not in _BLOCK_TYPES:
            return f"unknown block type {block.get('type')}"
        if problem := _CHECKS.get(block["type"], lambda _: "")(block):
            return problem
        total += _length(block)
    if total > 13_200:
        return "msg_blocks_too_long"
    if any(_MENTION.search(text) for text in (body.get("text", ""), *_markdown(blocks))):
        return "a mention that the configuration did not ask for"
    return ""


def _header(block: dict[str, Any]) -> str:
    text = block["text"]
    if text["type"] != "plain_text" or not 1 <= len(text["text"]) <= 150:
        return "a header is plain_text of 1 to 150 characters"
    return ""


def _section(block: dict[str, Any]) -> str:
    if not 1 <= len(block["text"]["text"]) <= 3000:
        return "a section holds 1 to 3000 characters"
    return ""


def _context(block: dict[str, Any]) -> str:
    return "" if 1 <= len(block["elements"]) <= 10 else "a context holds 1 to 10 elements"


def _actions(block: dict[str, Any]) -> str:
    elements = block["elements"]
    if not 1 <= len(elements) <= 25:
        return "actions hold 1 to 25 elements"
    if len({element["action_id"] for element in elements}) != len(elements):
        return "action ids repeat"
    for element in elements:
        if len(element["text"]["text"]) > 75 or len(element.get("value", "")) > 2000 or len(element["action_id"]) > 255:
            return "a button is too long"
        if len(element.get("url", "")) > 3000:
            return "a button's url is too long"
    return ""


_CHECKS = {"header": _header, "section": _section, "context": _context, "actions": _actions}


def _markdown(blocks: list[dict[str, Any]]) -> list[str]:
    texts = [block["text"]["text"] for block in blocks if block["type"] == "section"]
    texts += [element["text"] for block in blocks if block["type"] == "context" for element in block["elements"]]
    return texts


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_length(item) for item in value.values())
    return sum(_length(item) for item in value) if isinstance(value, list) else 0


if __name__ == "__main__":
    main(FakeSlack)
