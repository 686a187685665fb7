"""Jira: one issue per group, found again by its label; made, updated, reopened and resolved.

search (label, project) ─ none, firing ─▶ create
                        ─ found ─▶ update ─ fires, done ─▶ reopen_transition
                                          ─ over, open  ─▶ resolve_transition
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlsplit

import orjson
from pydantic import Field

from tocsin.model.notification import Delivery, DeliveryOutcome, Message, NotificationKind
from tocsin.model.ports import HttpError
from tocsin.notify.channel import Io, Rate, channel
from tocsin.notify.compatible import Compatible, Words, alias, cut
from tocsin.notify.render import headline
from tocsin.notify.respond import excerpt, from_error, judged

_SUMMARY, _DESCRIPTION = 255, 32_767


@channel("jira")
class Jira(Compatible):
    """Keeps an issue of a project. Credentials stand in `http_config`."""

    address_field: ClassVar[str] = "project"
    for_programs: ClassVar[bool] = True
    idempotent: ClassVar[bool] = True
    rate: ClassVar[Rate] = Rate(per_s=2.0, burst=10, parallel=1)
    templated: ClassVar[tuple[str, ...]] = (
        "project", "summary", "description", "labels", "priority", "issue_type", "custom_fields",
    )  # fmt: skip

    api_url: str
    """Up to the version of the REST API: `https://jira.example/rest/api/2`; below version 3 descriptions are documents."""
    api_type: Literal["auto", "cloud", "datacenter"] = "auto"
    project: str = Field(min_length=1)
    issue_type: str = Field(min_length=1)
    summary: str = '{{ template "jira.default.summary" . }}'
    update_summary: bool = True
    description: str = '{{ template "jira.default.description" . }}'
    update_description: bool = True
    labels: tuple[str, ...] = ()
    priority: str = '{{ template "jira.default.priority" . }}'
    reopen_transition: str = ""
    resolve_transition: str = ""
    wont_fix_resolution: str = ""
    reopen_duration_ms: int = Field(default=0, ge=0)
    custom_fields: Mapping[str, Any] = Field(default_factory=dict)
    """`fields` of alertmanager.yml."""

    def lane(self) -> str:
        return f"jira {urlsplit(self.api_url).netloc}"

    async def send(self, message: Message, io: Io) -> Delivery:
        words, name, kind = self.words(message), alias(message, io.host), message.notification.kind
        firing = kind in (NotificationKind.PAGE, NotificationKind.UPDATE)
        found = await self._search(words, name, io, firing=firing)
        if isinstance(found, Delivery):
            return found
        if kind is NotificationKind.TEST:
            return Delivery.accepted(status=200, reason="Jira answers; no issue is made for a test", delivered=True)
        if kind is NotificationKind.ACKNOWLEDGED:
            return await self._comment(str(found["key"]), message, io) if found else _nothing_to_do()
        if not found:
            if not firing:
                return _nothing_to_do()
            made = await self._call("POST", "issue", {"fields": self.fields_of(message, words, name)}, io)
            return made if isinstance(made, Delivery) else _accepted(str(made.get("key", "")))
        key = str(found["key"])
        changed = await self._call("PUT", f"issue/{key}", {"fields": self._updated(message, words, name)}, io)
        if isinstance(changed, Delivery):
            return changed
        return await self._move(key, found, io, firing=firing)

    # -- the issue --

    def fields_of(self, message: Message, words: Words, name: str) -> dict[str, Any]:
        """The issue's fields, within Jira's limits."""
        # Jira refuses blanks in labels and line breaks in a summary.
        labels = ["_".join(words.value(label).split()) for label in self.labels] + [f"ALERT{{{name}}}"]
        out: dict[str, Any] = {
            "project": {"key": words.value(self.project)},
            "issuetype": {"name": words.value(self.issue_type)},
            "summary": cut(" ".join(words.title(self.summary).splitlines()), _SUMMARY),
            "labels": sorted(label for label in labels if label),
        }
        if text := cut(words.body(self.description), _DESCRIPTION):
            out["description"] = self._document(text)
        if priority := words.value(self.priority):
            out["priority"] = {"name": priority}
        return {**out, **words.values(self.custom_fields)}

    def _updated(self, message: Message, words: Words, name: str) -> dict[str, Any]:
        kept = {"summary": self.update_summary, "description": self.update_description}
        return {key: value for key, value in self.fields_of(message, words, name).items() if kept.get(key, True)}

    def _document(self, text: str) -> Any:
        """Version 3 takes documents: what the template wrote as JSON, else its text as one (Alertmanager refuses that)."""
        if not urlsplit(self.api_url).path.rstrip("/").endswith("/3"):
            return text
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            value = None
        if isinstance(value, dict):
            return value
        lines = [line for line in text.split("\n") if line.strip()]
        content = [{"type": "paragraph", "content": [{"type": "text", "text": line}]} for line in lines]
        return {"type": "doc", "version": 1, "content": content}

    # -- the conversation --

    async def _search(self, words: Words, name: str, io: Io, *, firing: bool) -> dict[str, Any] | Delivery:
        """The newest issue of this group that counts; empty = none."""
        clauses = []
        if self.wont_fix_resolution:
            clauses.append(f"(resolution is EMPTY or resolution != {_quoted(self.wont_fix_resolution)})")
        minutes = self.reopen_duration_ms // 60_000
        if firing and self.reopen_transition and minutes:
            clauses.append(f"(resolutiondate is EMPTY OR resolutiondate >= -{minutes}m)")
        else:
            clauses.append("statusCategory != Done")
        label = f"ALERT{{{name}}}"
        clauses.append(f"project={_quoted(words.value(self.project))} and labels={_quoted(label)}")
        jql = " and ".join(clauses) + " order by status ASC,resolutiondate DESC"
        body = {"jql": jql, "maxResults": 2, "fields": ["status"]}
        answer = await self._call("POST", "search", body, io, url=self._search_url())
        if isinstance(answer, Delivery):
            return answer
        issues = answer.get("issues")
        return issues[0] if isinstance(issues, Sequence) and issues else {}

    def _search_url(self) -> str:
        base = self.api_url.rstrip("/")
        host = urlsplit(base).hostname or ""
        if self.api_type == "cloud" or (self.api_type == "auto" and host.endswith("atlassian.net")):
            # Jira Cloud has switched the old search off.
            return f"{base}/search/jql".replace("/rest/api/2/", "/rest/api/3/", 1)
        return f"{base}/search"

    async def _move(self, key: str, issue: Mapping[str, Any], io: Io, *, firing: bool) -> Delivery:
        status = (issue.get("fields") or {}).get("status") or {}
        done = (status.get("statusCategory") or {}).get("key") == "done"
        wanted = self.reopen_transition if firing and done else self.resolve_transition if not firing and not done else ""
        if not wanted:
            return _accepted(key)
        path = f"issue/{quote(key, safe='')}/transitions"
        known = await self._call("GET", path, None, io)
        if isinstance(known, Delivery):
            return known
        number = next((one.get("id") for one in known.get("transitions", ()) if one.get("name") == wanted), None)
        if number is None:
            return Delivery.permanent(f"Jira: issue {key} has no transition {wanted!r}")
        moved = await self._call("POST", path, {"transition": {"id": number}}, io)
        return moved if isinstance(moved, Delivery) else _accepted(key)

    async def _comment(self, key: str, message: Message, io: Io) -> Delivery:
        text = message.lines[0] if message.lines else headline(message)
        said = await self._call("POST", f"issue/{quote(key, safe='')}/comment", {"body": self._document(text)}, io)
        return said if isinstance(said, Delivery) else _accepted(key)

    async def _call(
        self, method: str, path: str, value: Mapping[str, Any] | None, io: Io, *, url: str = ""
    ) -> dict[str, Any] | Delivery:
        """One call; the answer's object (empty where Jira answers nothing), or why there is none."""
        headers = {"Content-Type": "application/json", "Accept-Language": "en"}
        body = b"" if value is None else orjson.dumps(value)
        try:
            response = await io.http.request(method, url or f"{self.api_url.rstrip('/')}/{path}", headers=headers, body=body)
        except HttpError as error:
            return from_error(error)
        if not 200 <= response.status < 300:
            return judged(response, io.now_ms, f"Jira ({path.rsplit('/', 1)[-1]})")
        try:
            answer = orjson.loads(response.body) if response.body.strip() else {}
        except orjson.JSONDecodeError:
            return Delivery.retry(f"not Jira's answer: {excerpt(response.body)}", status=response.status)
        return answer if isinstance(answer, dict) else {}


def _accepted(key: str) -> Delivery:
    return Delivery(DeliveryOutcome.ACCEPTED, "", key, 0, 200, True)


def _nothing_to_do() -> Delivery:
    return Delivery.accepted(reason="there is no open issue of this group", delivered=True)


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()
