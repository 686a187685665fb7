"""The MongoDB check against a small server that pymongo's own client signs in to."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest
from tests.collect.fake_mongodb import FakeMongo
from tests.collect.fakes import Pki, Servers, free_port, hang, run_once, slam

from tocsin.model.check import CheckReason as R

_STATUS = {
    "version": "7.0.1",
    "connections": {"current": 12, "available": 88, "active": 2},
    "opcounters": {"insert": 7},
    "uptime": 60.0,
}


async def _babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers whatever it is told, and not as MongoDB would."""
    await reader.readexactly(16)
    writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
    await writer.drain()


async def _ask(port: int, path: str = "", who: str = "", **more: Any) -> Any:
    return await run_once({"mongodb": f"mongodb://{who}127.0.0.1:{port}{path}", "timeout": "3s", **more})


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
async def test_pymongo_itself_signs_in_to_the_server_of_these_tests(servers: Servers, mechanism: str) -> None:
    port = await servers.start(FakeMongo(secured=True, mechanism=mechanism, answers={"count": {"n": 3}}).handle)
    async with pymongo.AsyncMongoClient(
        f"mongodb://watch:right@127.0.0.1:{port}/?directConnection=true", serverSelectionTimeoutMS=3000
    ) as client:
        assert (await client["shop"].command("count", "orders"))["n"] == 3


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
async def test_signing_in_and_a_command_with_its_expected_result(servers: Servers, mechanism: str) -> None:
    mongo = FakeMongo(secured=True, mechanism=mechanism, answers={"count": {"n": 3}, "serverStatus": _STATUS, "ping": {}})
    port = await servers.start(mongo.handle)
    good = await _ask(port, "/shop", "watch:right@", command={"count": "orders"}, expect={"answer": {"n": "< 5"}})
    assert good.ok, good.message
    assert [phase.name for phase in good.phases] == ["resolve", "connect", "greeting", "authenticate", "query"]
    assert (good.facts["version"], good.facts["connections"], good.facts["max_connections"]) == ("7.0.1", 12, 100)
    assert good.facts["answer"] == "{'n': 3, 'ok': 1.0}"
    assert ("mongodb_ss_connections", {"conn_type": "current"}, 12.0) in good.samples
    assert ("mongodb_ss_opcounters", {"legacy_op_type": "insert"}, 7.0) in good.samples
    asked = next(command for command in mongo.asked if "count" in command)
    assert (asked["$db"], next(iter(asked))) == ("shop", "count")
    wrong = await _ask(port, "/shop", "watch:right@", command={"count": "orders"}, expect={"answer": {"n": 4}})
    assert (wrong.reason, wrong.message) == (R.UNEXPECTED_ANSWER, "n is 3, expected 4")
    denied = await _ask(port, "/shop", "watch:wrong@")
    assert denied.reason is R.AUTHENTICATION, denied.message
    assert (await _ask(port)).reason is R.AUTHENTICATION
    assert (await _ask(port, "", "watch:right@", command={"nonsense": 1})).reason is R.QUERY


async def test_connection_use_latency_and_role_are_judged(servers: Servers) -> None:
    async def slowly() -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return {}

    port = await servers.start(FakeMongo(answers={"serverStatus": _STATUS}).handle)
    full = await _ask(port, expect={"connections": 0.1})
    assert (full.ok, full.degraded, "12 of 100 connections" in full.message) == (True, True, True)
    assert (await _ask(port, expect={"role": "secondary"})).reason is R.UNEXPECTED_ANSWER
    slow = await servers.start(FakeMongo(answers={"ping": slowly}).handle)
    late = await _ask(slow, expect={"latency": "< 20ms"})
    assert (late.degraded, late.reason) == (True, R.SLOW)
    may_not = await servers.start(FakeMongo(answers={"serverStatus": 13}).handle)
    assert (await _ask(may_not)).ok, "a user without clusterMonitor still learns that the server answers"


async def test_the_lag_of_a_replica_set_is_degraded(servers: Servers) -> None:
    now = datetime.now(UTC)
    members = [
        {"name": "a:27017", "stateStr": "PRIMARY", "optimeDate": now},
        {"name": "b:27017", "stateStr": "SECONDARY", "optimeDate": now - timedelta(seconds=40)},
        {"name": "c:27017", "stateStr": "ARBITER"},
    ]
    mongo = FakeMongo(hello={"setName": "rs0"}, answers={"replSetGetStatus": {"members": members}})
    port = await servers.start(mongo.handle)
    behind = await _ask(port, expect={"replication_lag": "10s"})
    assert (behind.degraded, "b:27017 is 40 s behind" in behind.message) == (True, True), behind.message
    assert (behind.facts["replica_set"], behind.facts["replication_lag_seconds"]) == ("rs0", {"b:27017": 40.0})
    assert ("mongodb_mongod_replset_member_replication_lag", {"name": "b:27017"}, 40.0) in behind.samples
    assert (await _ask(port, expect={"replication_lag": "60s"})).degraded is False


async def test_refused_hung_closed_and_other_protocols_are_told_apart(servers: Servers) -> None:
    assert (await _ask(free_port())).reason is R.REFUSED
    assert (await _ask(await servers.start(slam))).reason in (R.PROTOCOL, R.RESET)
    hung = await run_once({"mongodb": f"mongodb://127.0.0.1:{await servers.start(hang)}", "timeout": "200ms"})
    assert (hung.reason, "hello" in hung.message) == (R.TIMEOUT, True)
    assert (await _ask(await servers.start(_babble))).reason is R.PROTOCOL


async def test_tls_is_judged(servers: Servers, pki: Pki) -> None:
    async def ask(pair: Any, **more: Any) -> Any:
        port = await servers.start(FakeMongo().handle, tls=pki.context(pair))
        return await run_once({"mongodb": {"host": "localhost", "port": port, "tls": True, **more}, "timeout": "3s"})

    assert (await ask(pki.good, ca_file=str(pki.ca))).ok
    assert (await ask(pki.good)).reason is R.TLS
    assert (await ask(pki.expired, ca_file=str(pki.ca))).reason is R.CERTIFICATE_EXPIRED
    assert (await ask(pki.soon, ca_file=str(pki.ca))).reason is R.CERTIFICATE_EXPIRES_SOON
    plain = await servers.start(_babble)
    assert (await run_once({"mongodb": {"host": "localhost", "port": plain, "tls": True}, "timeout": "2s"})).reason is R.TLS


def test_an_srv_name_is_refused_with_advice() -> None:
    from pydantic import ValidationError

    from tocsin.collect.catalog import parse_check

    with pytest.raises(ValidationError, match="declare a check for each"):
        parse_check({"name": "m", "mongodb": "mongodb+srv://cluster.example/shop"})
