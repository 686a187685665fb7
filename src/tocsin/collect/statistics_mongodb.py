"""What a MongoDB server says of itself, under mongodb_exporter's names. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from tocsin.collect.outcome import Sample


def mongodb_statistics(status: Mapping[str, Any]) -> Iterator[Sample]:
    """Samples of the answer to serverStatus; what is not a number is left out."""
    for kind in ("current", "available", "active", "totalCreated"):
        yield from _sample("mongodb_ss_connections", {"conn_type": kind}, status, "connections", kind)
    for kind in ("insert", "query", "update", "delete", "getmore", "command"):
        yield from _sample("mongodb_ss_opcounters", {"legacy_op_type": kind}, status, "opcounters", kind)
    for kind in ("readers", "writers", "total"):
        yield from _sample("mongodb_ss_globalLock_currentQueue", {"count_type": kind}, status, "globalLock", "currentQueue", kind)
    yield from _sample("mongodb_ss_mem_resident", {}, status, "mem", "resident")
    yield from _sample("mongodb_ss_uptime", {}, status, "uptime")


def replication_lag_s(status: Mapping[str, Any]) -> dict[str, float]:
    """Seconds that each secondary is behind the primary, from replSetGetStatus; without a primary nobody can be behind."""
    members = [member for member in status.get("members", ()) if isinstance(member.get("optimeDate"), datetime)]
    newest = [member["optimeDate"] for member in members if member.get("stateStr") == "PRIMARY"]
    if not newest:
        return {}
    return {
        str(member.get("name", "")): max((newest[0] - member["optimeDate"]).total_seconds(), 0.0)
        for member in members
        if member.get("stateStr") == "SECONDARY"
    }


def _sample(name: str, labels: Mapping[str, str], status: Mapping[str, Any], *path: str) -> Iterator[Sample]:
    value: Any = status
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, labels, float(value)
