"""Monitors of Uptime Kuma become checks.

1.x exports a backup, `{monitorList: [...], notificationList: [...]}`. 2.x has no export: its monitors are the rows of a table,
which `sqlite3 -json kuma.db "select * from monitor"` writes as a list with the columns' names; both spellings are read here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from tocsin.collect.catalog import parse_check, slug
from tocsin.config.imports.plan import Known, Plan, Taken
from tocsin.errors import Place

Monitor = Mapping[str, Any]

_INSTEAD = {
    "docker": "Tocsin reads Docker's socket only where tocsin.yaml says so: `{name: ..., docker: CONTAINER}`",
    "group": "groups are no checks of their own; their monitors get the label `group`",
    "mqtt": "there is no MQTT check; watch the broker's port by `tcp`",
    "steam": "there is no check of game servers; watch the port by `tcp`",
    "gamedig": "there is no check of game servers; watch the port by `tcp`",
    "radius": "there is no RADIUS check",
    "snmp": "there is no SNMP check; scrape an snmp_exporter",
    "sqlserver": "there is no SQL Server check; watch the port by `tcp`, or scrape an exporter",
    "kafka-producer": "there is no Kafka check; watch the port by `tcp`, or scrape an exporter",
    "real-browser": "write a `browser` check into tocsin.yaml (the extra `browser`)",
    "tailscale-ping": "watch the address by `icmp`",
    "grpc-keyword": "a `grpc` check asks the standard health question; write one if the server answers that",
    "system-service": "write a `systemd` check into tocsin.yaml: it reads from this machine",
}


class _Cannot(Exception):
    """Why a monitor cannot become a check."""


def is_backup(value: Any) -> bool:
    if isinstance(value, Mapping):
        return isinstance(value.get("monitorList"), list | dict)
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, Mapping) and "type" in one and "name" in one for one in value)
    )


def read_kuma(plan: Plan, value: Any, file: str, known: Known) -> None:
    plan.titles.append(file)
    whole = value if isinstance(value, Mapping) else {"monitorList": value}
    listed = whole["monitorList"]
    monitors: list[Monitor] = [
        one for one in (listed.values() if isinstance(listed, Mapping) else listed) if isinstance(one, Mapping)
    ]
    groups = {one.get("id"): str(one.get("name")) for one in monitors if one.get("type") == "group"}
    taken = set(known.checks)
    for number, monitor in enumerate(monitors):
        path = f"monitorList[{number}]"
        name = str(monitor.get("name") or f"monitor {monitor.get('id', number)}")[:200]
        try:
            raw, notes = _check(monitor, name, groups)
            if slug(name) in known.checks:
                raise _Cannot("there is a check of this name already; it stays as it is")
            if slug(name) in taken:
                raw["id"] = _free(slug(name), taken)
            spec = parse_check(raw, source="ui")
        except _Cannot as why:
            plan.leave(Place(file), f"{path} {name!r}", str(why))
            continue
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            plan.leave(Place(file), f"{path} {name!r}", f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
            continue
        taken.add(spec.id)
        plan.checks.append(raw)
        plan.taken.append(Taken("check", spec.name, "; ".join([f"{spec.type} {spec.target}", *notes])))
    _left_rest(plan, whole, file)


def _left_rest(plan: Plan, whole: Mapping[str, Any], file: str) -> None:
    for number, one in enumerate(whole.get("notificationList") or []):
        text = "who is told is a person here: choose where alerts go in the first steps, or under `users` in tocsin.yaml"
        plan.leave(Place(file), f"notificationList[{number}] {one.get('name', '')!r}", text)
    for number, one in enumerate(whole.get("proxyList") or []):
        plan.leave(
            Place(file),
            f"proxyList[{number}]",
            f"write `proxy: {one.get('protocol', 'http')}://...` into the checks that need it",
        )


def _free(wanted: str, taken: set[str]) -> str:
    number = 2
    while f"{wanted}-{number}" in taken:
        number += 1
    return f"{wanted}-{number}"


def _check(monitor: Monitor, name: str, groups: Mapping[Any, str]) -> tuple[dict[str, Any], list[str]]:
    """The check as it would stand in the file, and what is different. Raises _Cannot."""
    kind = str(monitor.get("type", ""))
    if kind in _INSTEAD:
        raise _Cannot(_INSTEAD[kind])
    if kind not in _KINDS:
        raise _Cannot(f"Tocsin has no check for a monitor of type {kind!r}")
    if _of(monitor, "upsideDown"):
        raise _Cannot("it is upside down (up while it fails), which no check of Tocsin is")
    notes: list[str] = []
    if _of(monitor, "proxyId"):
        notes.append("asked directly: its proxy is not taken")
    own = _KINDS[kind](monitor, notes)
    every = _whole_number(_of(monitor, "interval")) or 60
    raw: dict[str, Any] = {"name": name, "every": f"{every}s", **own, "labels": _labels(monitor, groups)}
    if kind == "push":
        del raw["every"]
    else:
        raw["failures"] = min(_whole_number(_of(monitor, "maxretries")) + 1, 100)
        timeout = float(_of(monitor, "timeout") or 0)
        if 0 < timeout <= every:
            raw["timeout"] = f"{round(timeout * 1000)}ms"
    if not _of(monitor, "active", default=True):
        raw["paused"] = True
        notes.append("paused")
    return raw, notes


def _of(monitor: Monitor, name: str, default: Any = None) -> Any:
    """A field by its name in the backup, or by the name of its column."""
    column = "".join(f"_{char.lower()}" if char.isupper() else char for char in name)
    for key in (name, column, f"{name}_json"):
        if monitor.get(key) is not None:
            return monitor[key]
    return default


def _whole_number(value: Any) -> int:
    try:
        return max(int(float(value)), 0)
    except (TypeError, ValueError):
        return 0


def _labels(monitor: Monitor, groups: Mapping[Any, str]) -> dict[str, str]:
    """Tags with names that a label may have; the group that the monitor is in."""
    labels: dict[str, str] = {}
    for tag in monitor.get("tags") or []:
        name = slug(str(tag.get("name", "") if isinstance(tag, Mapping) else tag)).replace("-", "_")
        if name and not name[0].isdigit() and name not in ("check", "type", "location", "instance", "state"):
            labels[name] = str(tag.get("value") or "yes") if isinstance(tag, Mapping) else "yes"
    parent = monitor.get("parent")
    if parent in groups:
        labels.setdefault("group", groups[parent])
    return labels


def _json_of(value: Any, what: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise _Cannot(f"its {what} cannot be read as JSON") from None


def _http(monitor: Monitor, notes: list[str]) -> dict[str, Any]:
    auth = _of(monitor, "authMethod") or ("basic" if monitor.get("basic_auth_user") else "")
    if auth not in ("", "basic"):
        raise _Cannot(f"it signs in by {auth}, which an `http` check does not; `username`, `password` or `bearer` it does")
    expect: dict[str, Any] = {}
    if codes := _json_of(_of(monitor, "accepted_statuscodes"), "accepted status codes"):
        expect["status"] = codes
    if monitor.get("type") == "keyword" and monitor.get("keyword"):
        expect["body"] = {"not_contains" if _of(monitor, "invertKeyword") else "contains": str(monitor["keyword"])}
    if monitor.get("type") == "json-query":
        expect["body"] = _json_query(monitor)
    own: dict[str, Any] = {"url": monitor.get("url"), "method": str(monitor.get("method") or "GET").upper()}
    headers = _json_of(monitor.get("headers") or {}, "headers")
    if monitor.get("body"):
        own["body"] = str(monitor["body"])
        kinds = {"form": "application/x-www-form-urlencoded", "xml": "text/xml"}
        headers = {"Content-Type": kinds.get(str(_of(monitor, "httpBodyEncoding")), "application/json"), **headers}
    if headers:
        own["headers"] = {str(key): str(value) for key, value in headers.items()}
    if auth == "basic":
        own |= {"username": str(monitor.get("basic_auth_user") or ""), "password": str(monitor.get("basic_auth_pass") or "")}
    own["tls"] = {"verify": not _of(monitor, "ignoreTls")}
    if not _of(monitor, "expiryNotification", default=True):
        own["tls"]["expires_warning"] = "0s"
    if _of(monitor, "maxredirects") == 0:
        own["follow_redirects"] = False
    return {"http": {**own, "expect": expect}}


def _json_query(monitor: Monitor) -> dict[str, Any]:
    path, expected = str(_of(monitor, "jsonPath") or ""), _of(monitor, "expectedValue")
    if not path.removeprefix("$.") or any(char in path for char in "()*?@&|><=+"):
        raise _Cannot(f"its query {path!r} is more than a path; `expect: {{body: {{json: ...}}}}` takes paths such as db.ok")
    operator = str(_of(monitor, "jsonPathOperator") or "==")
    if operator not in ("==", ">", "<", ">=", "<="):
        raise _Cannot(f"it compares by {operator!r}")
    return {"json": {path.removeprefix("$."): str(expected) if operator == "==" else f"{operator} {expected}"}}


def _port(monitor: Monitor, _notes: list[str]) -> dict[str, Any]:
    return {"tcp": {"host": monitor.get("hostname"), "port": monitor.get("port")}}


def _ping(monitor: Monitor, _notes: list[str]) -> dict[str, Any]:
    return {"icmp": {"host": monitor.get("hostname")}}


def _dns(monitor: Monitor, _notes: list[str]) -> dict[str, Any]:
    server = str(monitor.get("dns_resolve_server") or "").split(",")[0].strip()
    own = {"name": monitor.get("hostname"), "type": str(monitor.get("dns_resolve_type") or "A"), "server": server}
    return {"dns": {**own, "port": _whole_number(monitor.get("port")) or 53}}


def _push(monitor: Monitor, notes: list[str]) -> dict[str, Any]:
    period = _whole_number(_of(monitor, "interval")) or 60
    late = max(_whole_number(_of(monitor, "maxretries")) * (_whole_number(_of(monitor, "retryInterval")) or period), 30)
    notes.append("its sender must call the new address, which stands on the check's page")
    return {"heartbeat": {"period": f"{period}s", "grace": f"{late}s"}}


def _database(kind: str) -> Callable[[Monitor, list[str]], dict[str, Any]]:
    def read(monitor: Monitor, _notes: list[str]) -> dict[str, Any]:
        raw = {kind: str(_of(monitor, "databaseConnectionString") or "")}
        query = _of(monitor, "databaseQuery")
        return {**raw, "query": str(query)} if query and kind in ("postgres", "mysql") else raw

    return read


def _manual(_monitor: Monitor, _notes: list[str]) -> dict[str, Any]:
    return {"manual": {}}


def _websocket(monitor: Monitor, _notes: list[str]) -> dict[str, Any]:
    return {"websocket": str(monitor.get("url") or "")}


_KINDS: Mapping[str, Callable[[Monitor, list[str]], dict[str, Any]]] = {
    "http": _http,
    "keyword": _http,
    "json-query": _http,
    "port": _port,
    "ping": _ping,
    "dns": _dns,
    "push": _push,
    "postgres": _database("postgres"),
    "mysql": _database("mysql"),
    "redis": _database("redis"),
    "mongodb": _database("mongodb"),
    "manual": _manual,
    "websocket-upgrade": _websocket,
}
