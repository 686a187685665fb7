"""Every route that is not a read, in two lists: what changes something for people, and what does not (with the reason).

The first is done on the real program by tests/process/test_every_change_is_audited.py, in this order; `{name}` in a path or body
is what an earlier answer gave (`keeps`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

API = "/api/tocsin/v1"


@dataclass(frozen=True)
class Change:
    """One request. `keeps`: {name: field of the JSON answer}. `signed_in`: it is about one's own account."""

    method: str
    route: str
    path: str = ""
    body: Any = None
    form: dict[str, str] | None = None
    keeps: dict[str, str] = field(default_factory=dict)
    signed_in: bool = False
    long: bool = False
    """Its answer takes up to a minute; that it was asked for stands in the audit at once."""

    @property
    def asked(self) -> str:
        return self.path or self.route


_INCIDENT, _PAGE = API + "/incidents/{number:int}", API + "/status-pages/{slug}/updates"
_WINDOW = {
    "name": "backup",
    "matchers": ['service="db"'],
    "start": "2020-01-01 00:00",
    "duration": "1d",
    "rrule": "FREQ=DAILY",
    "comment": "nightly",
}
_MATCHER = {"name": "service", "value": "web", "isRegex": False, "isEqual": True}
_BOARD = {"name": "night", "title": "Night", "sections": [{"title": "All", "panels": [{"title": "Up", "queries": {"": "up"}}]}]}
_QUIET = {"from": "22:00", "to": "07:00", "days": ["sat"]}
_LATER = 4_000_000_000_000


def _incident(verb: str, number: int = 1, **body: Any) -> Change:
    return Change("POST", f"{_INCIDENT}/{verb}", f"{API}/incidents/{number}/{verb}", body)


CHANGES = [
    Change("POST", "/login", form={"name": "ana", "password": "a long password", "next": "/"}),
    Change("POST", "/-/reload"),
    Change("POST", API + "/accounts", body={"name": "ben", "role": "viewer", "password": "another long one"}),
    Change("PATCH", API + "/accounts/{name}", API + "/accounts/ben", {"full_name": "Ben"}),
    Change("POST", API + "/tokens", body={"name": "ci", "role": "viewer"}, keeps={"token": "id"}),
    Change("DELETE", API + "/tokens/{id}", API + "/tokens/{token}"),
    Change("POST", API + "/checks", body={"url": "http://127.0.0.1:9/", "name": "nine"}, keeps={"check": "id"}),
    Change("POST", API + "/checks/{id}/run", API + "/checks/{check}/run"),
    Change("POST", API + "/checks/{id}/pause", API + "/checks/{check}/pause"),
    Change("POST", API + "/checks/{id}/resume", API + "/checks/{check}/resume"),
    Change("DELETE", API + "/checks/{id}", API + "/checks/{check}"),
    _incident("acknowledge"),
    _incident("unacknowledge"),
    _incident("note", text="seen"),
    _incident("assign", to="ana"),
    _incident("verdict", verdict="noise"),
    _incident("remediation", action="restart"),
    _incident("snooze", until_ms=_LATER),
    _incident("escalate"),
    _incident("publish", page="shop", state="identified", title="Orders", text="A disk."),
    _incident("withdraw", update=1),
    _incident("split", alerts=["{fingerprint}"]),
    _incident("merge", number=2, into=1),
    _incident("resolve"),
    Change("POST", API + "/additions", body={"files": [{"name": "pasted", "text": "127.0.0.1:9"}]}, keeps={"addition": "id"}),
    Change("DELETE", API + "/additions/{id}", API + "/additions/{addition}"),
    Change("POST", API + "/additions/person", body={"name": "zoe", "time_zone": "Europe/Paris"}),
    Change("POST", API + "/maintenance", body=_WINDOW, keeps={"window": "id"}),
    Change("PUT", API + "/maintenance/{id}", API + "/maintenance/{window}", {**_WINDOW, "comment": "weekly"}),
    Change("POST", API + "/maintenance/{id}/end", API + "/maintenance/{window}/end"),
    Change("DELETE", API + "/maintenance/{id}", API + "/maintenance/{window}"),
    Change(
        "POST",
        _PAGE,
        API + "/status-pages/shop/updates",
        {"state": "identified", "title": "Mail", "text": "Slow."},
        keeps={"update": "id"},
    ),
    Change("PATCH", _PAGE + "/{id:int}", API + "/status-pages/shop/updates/{update}", {"text": "Slower."}),
    Change("DELETE", _PAGE + "/{id:int}", API + "/status-pages/shop/updates/{update}"),
    Change(
        "POST", API + "/silences", body={"matchers": [_MATCHER], "ends_at_ms": _LATER, "comment": "x"}, keeps={"silence": "id"}
    ),
    Change("DELETE", API + "/silences/{id}", API + "/silences/{silence}"),
    Change(
        "POST",
        "/api/v2/silences",
        body={
            "matchers": [_MATCHER],
            "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "2096-01-01T00:00:00Z",
            "createdBy": "ana",
            "comment": "x",
        },
        keeps={"old": "silenceID"},
    ),
    Change("DELETE", "/api/v2/silence/{id}", "/api/v2/silence/{old}"),
    Change(
        "POST",
        API + "/oncall/overrides",
        body={"schedule": "web", "start_ms": _LATER - 3_600_000, "end_ms": _LATER, "users": ["ana"]},
        keeps={"override": "id"},
    ),
    Change("DELETE", API + "/oncall/overrides/{id}", API + "/oncall/overrides/{override}"),
    Change("POST", API + "/oncall/feeds", body={"schedule": "web"}, keeps={"feed": "id"}),
    Change("DELETE", API + "/oncall/feeds/{id}", API + "/oncall/feeds/{feed}"),
    Change("POST", API + "/dashboards", body=_BOARD, keeps={"board": "name"}),
    Change("PUT", API + "/dashboards/{name}", API + "/dashboards/{board}", {**_BOARD, "title": "By night"}),
    Change("DELETE", API + "/dashboards/{name}", API + "/dashboards/{board}"),
    Change("POST", API + "/markers", body={"text": "deploy 1"}),
    Change("POST", API + "/links", body={"url": "/explore?q=up"}),
    Change("POST", API + "/panels", body={"queries": [{"query": "up"}]}),
    Change("DELETE", API + "/panels"),
    Change("POST", API + "/reports", body={}),
    Change("POST", API + "/notifications/test", body={"user": "ana"}),
    Change("POST", API + "/notifications/{id}/retry", API + "/notifications/{failed}/retry"),
    Change("POST", API + "/drill"),
    Change("POST", "/api/v1/admin/tsdb/delete_series", "/api/v1/admin/tsdb/delete_series?match[]=nothing_of_this_name"),
    Change("POST", "/api/v1/admin/tsdb/clean_tombstones"),
    Change("POST", "/api/v1/admin/tsdb/snapshot"),
    Change("POST", "/status/{slug}/subscribe", "/status/shop/subscribe", form={"address": "visitor@shop.example"}),
    Change("POST", "/status/{slug}/confirm/{token}", "{confirm}", form={}),
    Change("POST", "/status/{slug}/leave/{token}", "{leave}", form={}),
    Change(
        "POST", API + "/me/contacts", body={"channel": "email", "address": "ana2@shop.example", "name": "second"}, signed_in=True
    ),
    Change("POST", API + "/me/contacts/{id}/code", API + "/me/contacts/second/code", signed_in=True),
    Change("POST", API + "/me/contacts/{id}/verify", API + "/me/contacts/second/verify", {"code": "{code}"}, signed_in=True),
    Change("DELETE", API + "/me/contacts/{id}", API + "/me/contacts/second", signed_in=True),
    Change("PUT", API + "/me/quiet-hours", body=_QUIET, signed_in=True),
    Change("DELETE", API + "/me/quiet-hours", signed_in=True),
    Change("PUT", API + "/people/{person}/quiet-hours", API + "/people/ana/quiet-hours", _QUIET),
    Change("DELETE", API + "/people/{person}/quiet-hours", API + "/people/ana/quiet-hours"),
    Change(
        "POST",
        API + "/me/passkeys",
        body={"name": "laptop", "credential": "{credential}"},
        keeps={"passkey": "id"},
        signed_in=True,
    ),
    Change("PATCH", API + "/me/passkeys/{id}", API + "/me/passkeys/{passkey}", {"name": "phone"}, signed_in=True),
    Change("POST", "/login/passkey", body={"credential": "{credential}"}),
    Change("DELETE", API + "/me/passkeys/{id}", API + "/me/passkeys/{passkey}", signed_in=True),
    Change("POST", API + "/me/totp", body={"secret": "{secret}", "code": "{totp}"}, signed_in=True),
    Change("POST", API + "/me/password", body={"old": "a long password", "new": "a longer password"}, signed_in=True),
    Change("POST", "/logout", form={"csrf": "{csrf}"}, signed_in=True),
    Change("POST", API + "/selftest", body={"to": "ana"}, long=True),
]

READS = "it answers a question and changes nothing"
DATA = "it is data that is measured or received: it stands in the store, in the alerts and in the incidents it leads to"
ANSWER = "it acts by a command of an incident, which records who answered and how"
LOOK = "it is itself a line in the incident's timeline, once an hour and person"
NOT_FOR_PEOPLE = {
    **dict.fromkeys([f"/api/v1/{name}" for name in (
        "query", "query_range", "query_exemplars", "format_query", "parse_query", "series", "labels", "read",
        "search/metric_names", "search/label_names", "search/label_values",
    )], READS),
    **dict.fromkeys([API + path for path in (
        "/backtest", "/explain", "/query/parts", "/config/preview", "/additions/plan",
        "/maintenance/preview", "/silences/preview", "/schedules/evaluate", "/me/passkeys/options",
    )], READS),
    "/login/passkey/options": READS,
    **dict.fromkeys([
        "/api/v1/write", "/api/v1/otlp/v1/metrics", "/metrics/{rest:path}", "/api/v2/alerts", "/in/alertmanager", "/hb/{token}",
        "/hb/{token}/{kind}", API + "/probe/plan", API + "/probe/report", API + "/probe/progress",
    ], DATA),
    **dict.fromkeys([
        "/ack/{token}", "/in/slack", "/in/twilio", "/in/twilio/voice", "/in/twilio/status", "/in/twilio/voice/status",
        "/in/pagerduty", "/v2/enqueue",
    ], ANSWER),
    API + "/incidents/{number:int}/view": LOOK,
}  # fmt: skip
