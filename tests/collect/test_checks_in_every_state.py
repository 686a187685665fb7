"""Each check type whose server can be had, against the real server: good, slow, wrong, refused, hung, bad TLS.

| type | server | good, slow, wrong | refused | hung | bad TLS |
|---|---|---|---|---|---|
| postgres, mysql, redis | PostgreSQL, MariaDB, Redis | here, test_checks_databases | here | here, stopped | here |
| ssh | OpenSSH | here | here | here, stopped | has none |
| smtp | aiosmtpd | here | here | test_checks_network | here |
| websocket | uvicorn with wsproto | here | here | test_checks_network | here |
| rabbitmq | RabbitMQ | test_check_rabbitmq | there | there, stopped | there |
| grpc | grpcio | test_check_grpc | there | there | there |
| dns | dnspython's messages over UDP and TCP | test_checks_network, here slow | here | test_checks_network | has none |
| http, tcp, tls, imap | sockets of our own | test_check_http, test_checks_network | there | there | there |
| mongodb | our own, held against pymongo | test_check_mongodb | there | there | there |
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from aiosmtpd.controller import Controller
from tests.collect.fakes import Pki, free_port, run_once
from tests.collect.realservers import frozen, mariadb_server, postgres_server, redis_server, ssh_server

from tocsin.model.check import CheckReason as R


async def told(kind: str, settings: dict[str, Any], *, timeout: str = "5s") -> tuple[bool, R]:
    """Verdict (degraded is not good) and reason of one run; the message shows when it is another."""
    result = await run_once({kind: settings, "timeout": timeout})
    print(kind, settings, result.reason, result.message)
    return result.ok and not result.degraded, result.reason


@pytest.mark.postgres
async def test_postgresql(pki: Pki) -> None:
    base: dict[str, Any] = {"host": "localhost", "ca_file": str(pki.ca), "sslmode": "verify-full"}
    with postgres_server(pki.named) as port:
        good = {**base, "port": port}
        assert await told("postgres", good) == (True, R.OK)
        assert await told("postgres", {**good, "query": "select pg_sleep(0.02)", "expect": {"latency": "10ms"}}) == (
            False,
            R.SLOW,
        )
        assert await told("postgres", {**good, "expect": {"value": 2}}) == (False, R.UNEXPECTED_ANSWER)
        assert await told("postgres", {**good, "ca_file": "/etc/ssl/certs/ca-certificates.crt"}) == (False, R.TLS)
        with frozen(port):
            assert await told("postgres", good, timeout="400ms") == (False, R.TIMEOUT)
        assert await told("postgres", good) == (True, R.OK)
    assert await told("postgres", good) == (False, R.REFUSED)
    with postgres_server(pki.expired) as port:
        assert (await told("postgres", {**base, "port": port}))[1] in (R.TLS, R.CERTIFICATE_EXPIRED)


@pytest.mark.server
async def test_mariadb(pki: Pki) -> None:
    base: dict[str, Any] = {"host": "localhost", "user": "watch", "password": "right", "tls": True, "ca_file": str(pki.ca)}
    with mariadb_server(pki.named) as port:
        good = {**base, "port": port}
        assert await told("mysql", good) == (True, R.OK), "the certificate names localhost, not the address"
        assert await told("mysql", {**good, "query": "select sleep(0.02)", "expect": {"latency": "10ms"}}) == (False, R.SLOW)
        assert await told("mysql", {**good, "expect": {"value": 2}}) == (False, R.UNEXPECTED_ANSWER)
        assert await told("mysql", {**good, "ca_file": ""}) == (False, R.TLS)
        assert await told("mysql", {**good, "host": "127.0.0.1"}) == (False, R.TLS), "that is not the name it shows"
        with frozen(port):
            assert await told("mysql", good, timeout="400ms") == (False, R.TIMEOUT)
    assert await told("mysql", good) == (False, R.REFUSED)
    with mariadb_server(pki.expired) as port:
        assert await told("mysql", {**base, "port": port}) == (False, R.CERTIFICATE_EXPIRED)


@pytest.mark.server
async def test_redis(pki: Pki) -> None:
    tls = ["--tls-cert-file", str(pki.named[0]), "--tls-key-file", str(pki.named[1]), "--tls-auth-clients", "no"]
    secure = free_port()
    with redis_server(*tls, "--tls-port", str(secure), "--enable-debug-command", "yes") as port:
        plain = {"host": "127.0.0.1", "port": port}
        good = {"host": "localhost", "port": secure, "tls": True, "ca_file": str(pki.ca)}
        assert await told("redis", plain) == (True, R.OK)
        assert await told("redis", good) == (True, R.OK)
        slow = {**plain, "command": "DEBUG SLEEP 0.02", "expect": {"latency": "10ms"}}
        assert await told("redis", slow) == (False, R.SLOW)
        assert await told("redis", {**plain, "command": "DBSIZE", "expect": {"value": 5}}) == (False, R.UNEXPECTED_ANSWER)
        assert await told("redis", {**good, "ca_file": ""}) == (False, R.TLS)
        assert await told("redis", {**good, "port": port}, timeout="300ms") == (False, R.TIMEOUT), "a plain port waits for more"
        with frozen(port):
            assert await told("redis", plain, timeout="300ms") == (False, R.TIMEOUT)
    assert await told("redis", plain) == (False, R.REFUSED)


@pytest.mark.server
async def test_openssh() -> None:
    with ssh_server() as port:
        good = {"host": "127.0.0.1", "port": port}
        assert await told("ssh", good) == (True, R.OK)
        assert await told("ssh", {**good, "latency": "1ms"}) == (False, R.SLOW)
        assert await told("ssh", {**good, "expect": "dropbear"}) == (False, R.UNEXPECTED_ANSWER)
        with frozen(port):
            assert await told("ssh", good, timeout="300ms") == (False, R.TIMEOUT)
    assert await told("ssh", good) == (False, R.REFUSED)


class _Mailbox:
    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]) -> list[str]:
        if hostname == "slow.example":
            await asyncio.sleep(0.03)
        session.host_name = hostname
        return responses


@contextmanager
def mail_server(pki: Pki, pair: Any) -> Iterator[int]:
    server = Controller(_Mailbox(), hostname="127.0.0.1", port=free_port(), tls_context=pki.context(pair))
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


async def test_smtp(pki: Pki) -> None:
    base: dict[str, Any] = {"host": "localhost", "security": "starttls", "ca_file": str(pki.ca)}
    with mail_server(pki, pki.good) as port:
        good = {**base, "port": port}
        assert await told("smtp", good) == (True, R.OK)
        assert await told("smtp", {**good, "ehlo": "slow.example", "latency": "20ms"}) == (False, R.SLOW)
        assert (await told("smtp", {**good, "user": "ana", "password": "wrong"}))[0] is False
        assert await told("smtp", {**good, "ca_file": ""}) == (False, R.TLS)
        assert await told("smtp", {**good, "security": "tls"}) == (False, R.TLS), "TLS from the first byte is another port"
    assert await told("smtp", good) == (False, R.REFUSED)
    for pair, verdict in ((pki.expired, (False, R.CERTIFICATE_EXPIRED)), (pki.soon, (False, R.CERTIFICATE_EXPIRES_SOON))):
        with mail_server(pki, pair) as port:
            assert await told("smtp", {**base, "port": port}) == verdict


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application: echoes messages over a WebSocket, late under /slow, and knows no /nowhere."""
    assert scope["type"] == "websocket"
    await receive()
    if scope["path"] == "/nowhere":
        await send({"type": "websocket.close"})
        return
    await asyncio.sleep(0.03 if scope["path"] == "/slow" else 0)
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": f"echo:{message['text']}"})


@contextmanager
def websocket_server(pair: Any = None) -> Iterator[int]:
    port = free_port()
    files = {"ssl_certfile": pair[0], "ssl_keyfile": pair[1]} if pair else {}
    config = uvicorn.Config(_echo, host="127.0.0.1", port=port, ws="wsproto", lifespan="off", log_level="error", **files)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "uvicorn did not start"
        time.sleep(0.02)
    try:
        yield port
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


async def test_websocket(pki: Pki) -> None:
    with websocket_server() as port:
        good = {"url": f"ws://127.0.0.1:{port}/live", "send": "hello", "expect": "^echo:hello$"}
        assert await told("websocket", good) == (True, R.OK)
        assert await told("websocket", {"url": f"ws://127.0.0.1:{port}/slow", "latency": "20ms"}) == (False, R.SLOW)
        assert await told("websocket", {**good, "expect": "^other$"}, timeout="500ms") == (False, R.TIMEOUT), "it may come yet"
        assert await told("websocket", {"url": f"ws://127.0.0.1:{port}/nowhere"}) == (False, R.STATUS)
        assert await told("websocket", {"url": f"wss://127.0.0.1:{port}/"}) == (False, R.TLS)
    assert await told("websocket", good) == (False, R.REFUSED)
    with websocket_server(pki.good) as port:
        secure = {"url": f"wss://localhost:{port}/live", "ca_file": str(pki.ca)}
        assert await told("websocket", secure) == (True, R.OK)
        assert await told("websocket", {**secure, "ca_file": ""}) == (False, R.TLS)
    with websocket_server(pki.expired) as port:
        assert await told("websocket", {**secure, "url": f"wss://localhost:{port}/"}) == (False, R.CERTIFICATE_EXPIRED)


async def test_dns_refused_and_slow() -> None:
    question = {"name": "shop.example", "server": "127.0.0.1"}
    assert await told("dns", {**question, "port": free_port()}) == (False, R.REFUSED)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
        late.bind(("127.0.0.1", 0))
        answering = asyncio.create_task(asyncio.to_thread(_answer_late, late))
        settings = {**question, "port": late.getsockname()[1], "expect": {"latency": "20ms"}}
        assert await told("dns", settings) == (False, R.SLOW)
        await answering


def _answer_late(server: socket.socket) -> None:
    import dns.message
    import dns.rrset

    data, address = server.recvfrom(4096)
    answer = dns.message.make_response(dns.message.from_wire(data))
    answer.answer.append(dns.rrset.from_text(answer.question[0].name, 60, "IN", "A", "192.0.2.1"))
    time.sleep(0.03)
    server.sendto(answer.to_wire(), address)
