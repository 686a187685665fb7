"""Fake Opsgenie, Splunk On-Call, Webex, Teams connector, Rocket.Chat, SNS, WeChat Work, Jira and incident.io, told apart by path.

Each checks the limits that its provider documents. `python -m tests.fakes.receivers --port N`.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable
from typing import Any

from tests.fakes.provider import Answer, Broken, Provider, Seen, json_answer, json_body, main


class FakeReceivers(Provider):
    """Paths begin with the name of the provider: /opsgenie/v2/alerts, /jira/rest/api/2/issue ..."""

    name = "receivers"

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.open: dict[str, str] = {}
        """Opsgenie's aliases and Splunk On-Call's entities by state."""
        self.issues: dict[str, dict[str, Any]] = {}
        self.transitions: list[str] = []
        self.comments: list[Any] = []
        self.tokens = 0
        self.token_expired = False

    def handle(self, seen: Seen) -> Answer:
        provider, _, rest = seen.path.lstrip("/").partition("/")
        handlers: dict[str, Callable[[Seen, str], Answer]] = {
            "opsgenie": self._opsgenie,
            "victorops": self._victorops,
            "webex": self._webex,
            "teams": self._teams,
            "rocketchat": self._rocketchat,
            "sns": self._sns,
            "wechat": self._wechat,
            "jira": self._jira,
            "incidentio": self._incidentio,
        }
        if provider not in handlers:
            raise Broken(f"unknown path {seen.path}", Answer(404))
        return handlers[provider](seen, rest)

    def _opsgenie(self, seen: Seen, rest: str) -> Answer:
        _must(_header(seen, "authorization") == "GenieKey k", "Key format is not valid!", 401)
        path, _, query = rest.partition("?")
        body = json_body(seen)
        parts = path.split("/")
        if seen.method == "POST" and parts == ["v2", "alerts"]:
            limits = {"message": 130, "alias": 512, "description": 15_000, "source": 100, "entity": 512, "note": 25_000}
            for key, limit in limits.items():
                _must(len(body.get(key, "")) <= limit, f"{key} is longer than {limit}")
            _must(bool(body["message"]), "message can not be empty")
            _must(len(body.get("tags", [])) <= 20 and all(len(tag) <= 50 for tag in body.get("tags", [])), "tags")
            _must(sum(len(k) + len(v) for k, v in body["details"].items()) <= 8000, "details")
            _must(body.get("priority", "P3") in ("P1", "P2", "P3", "P4", "P5"), "priority")
            self.open[body["alias"]] = "open"
        else:
            _must(query == "identifierType=alias", "identifierType")
            if parts[-1] in ("close", "acknowledge"):
                self.open[parts[2]] = "closed" if parts[-1] == "close" else "acknowledged"
            else:
                _must(seen.method == "PUT" and parts[-1] in ("message", "description"), f"unknown {path}")
        return json_answer(202, {"result": "Request will be processed", "requestId": f"r{len(self.seen)}"}, parsed=body)

    def _victorops(self, seen: Seen, rest: str) -> Answer:
        body = json_body(seen)
        key, _, routing = rest.partition("/")
        _must(key == "key" and bool(routing), "bad key", 404)
        kinds = ("CRITICAL", "WARNING", "INFO", "ACKNOWLEDGEMENT", "RECOVERY")
        _must(body["message_type"] in kinds, "message_type")
        _must(len(body["state_message"]) <= 20_480 and all(isinstance(value, str) for value in body.values()), "state_message")
        self.open[body["entity_id"]] = body["message_type"]
        return json_answer(200, {"result": "success", "entity_id": body["entity_id"]}, parsed=body)

    def _webex(self, seen: Seen, _rest: str) -> Answer:
        _must(_header(seen, "authorization") == "Bearer bot", "no token", 401)
        body = json_body(seen)
        _must(0 < len(body["markdown"].encode()) <= 7439 and body["roomId"] == "room", "markdown or roomId")
        return json_answer(200, {"id": "m1"}, parsed=body)

    def _teams(self, seen: Seen, _rest: str) -> Answer:
        body = json_body(seen)
        _must(len(seen.body.encode()) <= 28_000, "larger than 28 KB")
        _must(body["@context"] == "http://schema.org/extensions" and body["type"] == "MessageCard", "no message card")
        _must(re.fullmatch("[0-9A-F]{6}", body["themeColor"]) is not None, "themeColor")
        return Answer(200, b"1", parsed=body)

    def _rocketchat(self, seen: Seen, rest: str) -> Answer:
        _must(rest == "api/v1/chat.postMessage", f"unknown {rest}")
        _must(_header(seen, "x-auth-token") == "tok" and _header(seen, "x-user-id") == "uid", "not logged in", 401)
        body = json_body(seen)
        (attachment,) = body["attachments"]
        _must(len(attachment["title"]) <= 1024, "title")
        if body.get("channel") == "#away":
            return json_answer(200, {"success": False, "error": "error-invalid-channel"}, parsed=body)
        return json_answer(200, {"success": True, "message": {"_id": "x"}}, parsed=body)

    def _sns(self, seen: Seen, _rest: str) -> Answer:
        form = dict(urllib.parse.parse_qsl(seen.body, keep_blank_values=True))
        signed = re.match(
            r"AWS4-HMAC-SHA256 Credential=(\w+)/\d{8}/eu-west-1/(sns|sts)/aws4_request, ?SignedHeaders=[a-z0-9;-]+, ?"
            r"Signature=[0-9a-f]{64}$",
            _header(seen, "authorization"),
        )
        if signed is None:
            raise Broken("not signed", _aws_error(403, "IncompleteSignature"))
        if form["Action"] == "AssumeRole":
            keys = "<AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
            return Answer(200, f"<AssumeRoleResponse>{keys}</AssumeRoleResponse>", parsed=form)
        sms = "PhoneNumber" in form
        if len(form["Message"].encode()) > (1600 if sms else 262_144):
            raise Broken("message too long", _aws_error(400, "InvalidParameter"))
        subject = form.get("Subject", "x")
        if len(subject) >= 100 or not subject.isascii() or "\n" in subject:
            raise Broken("subject", _aws_error(400, "InvalidParameter"))
        if form.get("TopicArn", "").endswith(":busy"):
            return _aws_error(400, "Throttling")
        answer = "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>"
        return Answer(200, answer, {"Content-Type": "text/xml"}, parsed=form | {"_key": signed[1]})

    def _wechat(self, seen: Seen, rest: str) -> Answer:
        path, _, query = rest.partition("?")
        values = dict(urllib.parse.parse_qsl(query))
        if path == "gettoken":
            if values != {"corpid": "corp", "corpsecret": "sec"}:
                return json_answer(200, {"errcode": 40001, "errmsg": "invalid credential"})
            self.tokens += 1
            self.token_expired = False
            return json_answer(200, {"errcode": 0, "access_token": f"t{self.tokens}", "expires_in": 7200})
        if self.token_expired or values.get("access_token") != f"t{self.tokens}":
            return json_answer(200, {"errcode": 42001, "errmsg": "access_token expired"})
        body = json_body(seen)
        _must(len(body["text"]["content"].encode()) <= 2048 and len(body["markdown"]["content"].encode()) <= 4096, "too long")
        return json_answer(200, {"errcode": 0, "errmsg": "ok", "msgid": "w1"}, parsed=body)

    def _jira(self, seen: Seen, rest: str) -> Answer:
        _must(_header(seen, "authorization") == "Basic dTpw", "Unauthorized", 401)
        path = rest.removeprefix("rest/api/2/").removeprefix("rest/api/3/")
        body = json.loads(seen.body) if seen.body else {}
        if path in ("search", "search/jql"):
            label = re.search(r'labels="(ALERT\{[0-9a-f]{64}\})"', body["jql"])
            _must(label is not None, "no label in the query")
            found = [issue for issue in self.issues.values() if label is not None and label[1] in issue["fields"]["labels"]]
            wanted = [issue for issue in found if "statusCategory != Done" not in body["jql"] or _status(issue) != "done"]
            return json_answer(200, {"issues": wanted}, parsed=body)
        if path == "issue" and seen.method == "POST":
            self._issue_within_limits(body["fields"], document="api/3" in rest)
            key = f"P-{len(self.issues) + 1}"
            fields = {**body["fields"], "status": {"name": "To Do", "statusCategory": {"key": "new"}}}
            self.issues[key] = {"key": key, "fields": fields}
            return json_answer(201, {"id": "1", "key": key}, parsed=body)
        key = path.split("/")[1]
        if path.endswith("/transitions") and seen.method == "GET":
            return json_answer(200, {"transitions": [{"id": "11", "name": "Done"}, {"id": "12", "name": "Again"}]})
        if path.endswith("/transitions"):
            self.transitions.append(body["transition"]["id"])
            self.issues[key]["fields"]["status"]["statusCategory"]["key"] = "done" if self.transitions[-1] == "11" else "new"
        elif path.endswith("/comment"):
            self.comments.append(body["body"])
            return json_answer(201, {"id": "c"}, parsed=body)
        else:
            self._issue_within_limits({"summary": "x", "labels": [], **body["fields"]}, document="api/3" in rest)
            self.issues[key]["fields"].update(body["fields"])
        return Answer(204, b"", parsed=body)

    def _issue_within_limits(self, fields: dict[str, Any], *, document: bool) -> None:
        _must(0 < len(fields["summary"]) <= 255 and "\n" not in fields["summary"], "summary")
        text = fields.get("description", {} if document else "")
        _must(isinstance(text, dict if document else str), "description has the wrong form")
        _must(len(text) <= 32_767, "description")
        _must(all(" " not in label and len(label) <= 255 for label in fields["labels"]), "labels")

    def _incidentio(self, seen: Seen, _rest: str) -> Answer:
        _must(_header(seen, "authorization") == "Bearer src", "no token", 401)
        _must(len(seen.body.encode()) <= 512 * 1024, "payload too large", 413)
        body = json_body(seen)
        _must(body["version"] == "1" and body["status"] in ("firing", "resolved") and len(body["alerts"]) >= 1, "body")
        return json_answer(202, {"status": "success", "deduplication_key": body["groupKey"]}, parsed=body)


def _header(seen: Seen, name: str) -> str:
    return next((value for key, value in seen.headers.items() if key.lower() == name), "")


def _status(issue: dict[str, Any]) -> str:
    return str(issue["fields"]["status"]["statusCategory"]["key"])


def _aws_error(status: int, code: str) -> Answer:
    return Answer(status, f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>")


def _must(holds: bool, what: str, status: int = 400) -> None:
    if not holds:
        raise Broken(what, json_answer(status, {"message": what, "error": what}))


if __name__ == "__main__":
    main(FakeReceivers)
