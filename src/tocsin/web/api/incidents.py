"""Incidents: list, one with timeline and why, and everything a person does to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.incidents import why as reads
from tocsin.incidents.analytics import analytics
from tocsin.incidents.export import markdown
from tocsin.incidents.people import Directory, Service, Team
from tocsin.incidents.questions import instant
from tocsin.model.incident import Person
from tocsin.model.labels import Labels
from tocsin.state.schema import incidents
from tocsin.web.answers import bytes_answer, json_answer
from tocsin.web.api import past
from tocsin.web.api.alert_rows import RuleIndex
from tocsin.web.api.moment import is_past, moment_of
from tocsin.web.api.rule_graph import graph_of
from tocsin.web.api.shapes import IncidentDetail, IncidentList, IncidentRow
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, Handler, Permission
from tocsin.web.forms import Body, Instant, read_body, row_number
from tocsin.web.match import seen_by, thing_answer
from tocsin.web.problem import Refused

_STATES = ("open", "resolved", "all")
_MOST = 1000
_MONTH_MS = 30 * 86_400_000
_YEAR_MS = 366 * 86_400_000


class Seen(Body):
    """`version` is the one the person looked at; a command that meets another answers 409."""

    version: int | None = None


class Resolve(Seen):
    text: str = ""


class Snooze(Seen):
    until_ms: Instant


class Note(Seen):
    text: str


class Assign(Seen):
    to: str


class Verdict(Seen):
    verdict: str


class Merge(Seen):
    into: int


class Split(Seen):
    alerts: list[str]
    """Fingerprints of the alerts that are to move."""
    title: str = ""
    """Of the new incident; from its worst alert when left out."""


class FollowUp(Body):
    """Something still to do; `due` is a date in words of the person, such as 2026-12-01."""

    text: str
    owner: str = ""
    due: str = ""
    done: bool = False


class Remediation(Seen):
    """What was done and found, shown with later incidents of the same group. What is left out stays as it was."""

    summary: str | None = None
    action: str | None = None
    """rollback, restart, scale, config or other."""
    cause: str | None = None
    held: bool | None = None
    """Did it hold?"""
    follow_ups: list[FollowUp | str] | None = None
    links: list[str] | None = None


class Publish(Seen):
    """Written for the public; nothing else of the incident is shown there."""

    page: str = ""
    """Slug of a status page; may be left out when there is just one."""
    state: str
    """investigating, identified, monitoring or resolved."""
    title: str = ""
    """What the public calls it; as in the update before when left out."""
    text: str


class Withdraw(Seen):
    update: int
    """Its id: `update` of the timeline's entry."""


_COMMANDS: dict[str, tuple[type[Seen], str]] = {
    "acknowledge": (Seen, "I have it: nobody else is paged"),
    "unacknowledge": (Seen, "Give it back: paging goes on"),
    "resolve": (Resolve, "It is over"),
    "escalate": (Seen, "Page the next level now"),
    "snooze": (Snooze, "Quiet until `until_ms`"),
    "note": (Note, "Write into the timeline"),
    "assign": (Assign, "Make somebody responsible"),
    "verdict": (Verdict, "Say whether it was `real`, `noise` or a `duplicate`"),
    "merge": (Merge, "It belongs to the incident `into`, which lives on for both"),
    "split": (Split, "Move `alerts` to a new incident, which is answered and pages anew"),
    "remediation": (Remediation, "Record what was done and found"),
    "publish": (Publish, "Tell the public on a status page"),
    "withdraw": (Withdraw, "Take a public update back"),
}


class Incidents:
    """Handlers of `/incidents`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        viewer, one = Permission.VIEWER, prefix + "/incidents/{number:int}"
        return [
            Endpoint(prefix + "/incidents", self.list, permission=viewer, answer=IncidentList),
            Endpoint(prefix + "/incidents/analytics", self.analytics, permission=viewer, answer=dict),
            Endpoint(prefix + "/analytics", self.analytics, permission=viewer, answer=dict),
            Endpoint(one, self.detail, permission=viewer, answer=IncidentDetail),
            Endpoint(one + "/export.md", self.export, permission=viewer),
            Endpoint(
                one + "/view",
                self._doer("view", Seen),
                methods=["POST"],
                permission=viewer,
                answer=IncidentRow,
                body=Seen,
                summary="Somebody looks at it: a line in its timeline, once an hour and person",
            ),
            *(
                Endpoint(
                    f"{one}/{name}",
                    self._doer(name, body),
                    methods=["POST"],
                    permission=Permission.RESPONDER,
                    answer=IncidentRow,
                    body=body,
                    summary=summary,
                    mark=self._mark,
                )
                for name, (body, summary) in _COMMANDS.items()
            ),
        ]

    async def list(self, request: Request) -> Response:
        """Incidents by `state` (open, resolved, all), `severity` and `q` (text), in pages (`limit`, `cursor`), or `at` a time."""
        query = request.query_params
        state = query.get("state", "open")
        if state not in _STATES:
            raise Refused(400, "bad_state", f"unknown state {state!r}: expected open, resolved or all")
        directory = await directory_of(self._desk)
        if is_past(request):
            at_ms = moment_of(request, self._desk.now_ms())
            found = await self._desk.parts.database.read(lambda tx: past.incidents_at(tx, directory, at_ms, state=state))
            then = [row for row in found if not query.get("severity") or row["severity"] == query["severity"]]
            then = [row for row in then if query.get("q", "").lower() in row["title"].lower()]
            answer = {"now_ms": self._desk.now_ms(), "cursor": self._desk.hub.cursor, "incidents": then, "next": ""}
            return await json_answer(request, answer)
        size, before = _page(query)
        rows = await self._desk.parts.database.read(
            lambda tx: reads.incident_rows(
                tx, directory, state=state, severity=query.get("severity", ""), text=query.get("q", ""), limit=size, before=before
            )
        )
        following = str(min(row["number"] for row in rows)) if len(rows) == size else ""
        answer = {"now_ms": self._desk.now_ms(), "cursor": self._desk.hub.cursor, "incidents": rows, "next": following}
        return await json_answer(request, answer)

    async def detail(self, request: Request) -> Response:
        """One incident: alerts, timeline, every message, why each was told; `at` = as it was then, as far as it is kept."""
        number, directory = number_of(request), await directory_of(self._desk)
        now_ms = self._desk.now_ms()
        at_ms = moment_of(request, now_ms)

        def read(tx: Connection) -> dict[str, Any] | None:
            found = reads.incident_detail(tx, number, directory)
            return past.incident_then(tx, found, at_ms) if found is not None and is_past(request) else found

        found = await self._desk.parts.database.read(read)
        if found is None:
            then = " yet at that time" if is_past(request) else ""
            raise Refused(404, "no_such_incident", f"there is no incident #{number}{then}")
        rules = RuleIndex.of(await self._desk.state.try_ask("rules.state", {}))
        answer = {**self._with_rules(found, rules, at_ms), "now_ms": now_ms, "cursor": self._desk.hub.cursor}
        return await thing_answer(request, answer, str(found["version"]))

    async def _mark(self, request: Request) -> str | None:
        query = sa.select(incidents.c.version).where(incidents.c.number == number_of(request))
        version = await self._desk.parts.database.read(lambda tx: tx.execute(query).scalar())
        return None if version is None else str(version)

    async def analytics(self, request: Request) -> Response:
        """Times to answer and mend, pages per person and week, noise per rule, what comes back; `from` and `to`, else 30 days."""
        args, now_ms = dict(request.query_params), self._desk.now_ms()
        to_ms = instant(args, "to", now_ms)
        from_ms = instant(args, "from", to_ms - _MONTH_MS)
        if not from_ms < to_ms <= from_ms + _YEAR_MS:
            raise Refused(422, "bad_time", "to: must be after `from`, by a year at most")
        people = (await self._desk.state.try_ask("oncall.state", {})).get("people", ())
        zones = {person["name"]: person.get("time_zone", "UTC") for person in people}
        found = await self._desk.parts.database.read(lambda tx: analytics(tx, from_ms, to_ms, zones=zones))
        return await json_answer(request, found)

    async def export(self, request: Request) -> Response:
        """One incident as Markdown, for a review."""
        number, directory = number_of(request), await directory_of(self._desk)
        found = await self._desk.parts.database.read(lambda tx: reads.incident_detail(tx, number, directory))
        if found is None:
            raise Refused(404, "no_such_incident", f"there is no incident #{number}")
        text = markdown(found, external_url=self._desk.settings.external_url)
        named = {"content-disposition": f'inline; filename="incident-{number}.md"'}
        return await bytes_answer(request, text.encode(), media_type="text/markdown; charset=utf-8", headers=named)

    def _with_rules(self, incident: dict[str, Any], rules: RuleIndex, now_ms: int) -> dict[str, Any]:
        """The incident with what only the core's rules know: expression and threshold behind its alerts."""
        holder = incident["acknowledged_by"]
        alerts = [{**one, "rule": rules.find("", one["labels"]), "acknowledged_by": holder} for one in incident["alerts"]]
        graph = None
        if first := next((alert for alert in alerts if alert["rule"].expr), None):
            end_ms = incident["resolved_ms"] or now_ms
            labels, start_ms = Labels(first["labels"]), first["starts_at_ms"]
            graph = graph_of(self._desk.parts.engine, first["rule"].expr, labels, start_ms, end_ms)
        return {**incident, "alerts": alerts, "graph": graph}

    def _doer(self, name: str, model: type[Seen]) -> Handler:
        async def do(request: Request) -> Response:
            number = number_of(request)
            body = await read_body(request, model)
            args = {"number": number, **body.model_dump(exclude_none=True), **seen_by(request)}
            row = await self._desk.parts.core.command(f"incident.{name}", args, actor_of(request))
            return await json_answer(request, row or await self.row(number))

        return do

    async def row(self, number: int) -> Mapping[str, Any]:
        directory = await directory_of(self._desk)
        found = await self._desk.parts.database.read(lambda tx: reads.incident_row(tx, number, directory))
        if found is None:
            raise Refused(404, "no_such_incident", f"there is no incident #{number}")
        return found


def _page(query: Mapping[str, str]) -> tuple[int, int]:
    """How many, and below which number (0 = from the newest). Raises Refused 400."""
    limit, cursor = query.get("limit", ""), query.get("cursor", "")
    size, before = row_number(limit or str(_MOST)), row_number(cursor or "0")
    if size is None or not 1 <= size <= _MOST:
        raise Refused(400, "bad_limit", f"limit: expected a number from 1 to {_MOST}")
    if before is None:
        raise Refused(400, "bad_cursor", "cursor: expected `next` of the page before")
    return size, before


def number_of(request: Request) -> int:
    """The incident's number in the path. Raises Refused 404 for one that no row can have."""
    number = row_number(str(request.path_params["number"]))
    if number is None:
        raise Refused(404, "no_such_incident", "there is no such incident")
    return number


async def directory_of(desk: Desk) -> Directory:
    """The people side as far as reading needs it: who there is, which teams, whose service; no addresses, no secrets."""
    duty: Mapping[str, Any] = await desk.state.try_ask("oncall.state", {})
    config: Mapping[str, Any] = await desk.state.try_ask("config.state", {})
    people: Sequence[Mapping[str, Any]] = duty.get("people", ())
    teams = {name for person in people for name in person.get("teams", ())}
    services: Mapping[str, Mapping[str, Any]] = config.get("services", {})
    return Directory(
        persons={person["name"]: Person(person["name"], person.get("full_name", "")) for person in people},
        teams={name: Team(name, tuple(p["name"] for p in people if name in p.get("teams", ()))) for name in sorted(teams)},
        services={
            name: Service(name, runbook=str(item.get("runbook") or ""), owner=str(item.get("owner") or ""))
            for name, item in services.items()
        },
        severities=tuple(desk.settings.severities),
    )


def open_incidents(tx: Connection, directory: Directory) -> list[dict[str, Any]]:
    return reads.incident_rows(tx, directory, state="open")
