"""The gRPC check against grpcio's own server and health service, in good and bad states."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tests.collect.fakes import Pki, Servers, free_port, hang, http_answer, run_once, slam

from tocsin.model.check import CheckReason as R

_S = health_pb2.HealthCheckResponse


class _Slow(health.HealthServicer):  # type: ignore[misc]
    """Answers in its own time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def Check(self, request: Any, context: Any) -> Any:
        time.sleep(self._seconds)
        return super().Check(request, context)


class _Denies(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Knows the caller by a token."""

    def Check(self, request: Any, context: Any) -> Any:
        if dict(context.invocation_metadata()).get("authorization") != "Bearer right":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
        return _S(status=_S.SERVING)


@contextmanager
def _server(servicer: Any, pki: Pki | None = None, pair: Any = None) -> Iterator[int]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    if servicer is not None:
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if pki is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        certificate, key = (path.read_bytes() for path in pair)
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def _health(**states: Any) -> health.HealthServicer:
    servicer = health.HealthServicer()
    for name, state in states.items():
        servicer.set(name, state)
    return servicer


async def test_serving_is_up_with_phases_and_samples() -> None:
    with _server(_health(shop=_S.SERVING)) as port:
        whole = await run_once({"grpc": f"127.0.0.1:{port}", "timeout": "5s"})
        assert whole.ok, whole.message
        assert [phase.name for phase in whole.phases] == ["resolve", "connect", "processing", "transfer"]
        assert (whole.facts["serving"], whole.facts["grpc_status"]) == ("SERVING", "OK")
        figures = {(name, labels.get("serving_status", "")): value for name, labels, value in whole.samples}
        assert figures["probe_grpc_status_code", ""] == 0
        assert figures["probe_grpc_healthcheck_response", "SERVING"] == 1
        assert figures["probe_grpc_healthcheck_response", "NOT_SERVING"] == 0
        named = await run_once({"grpc": f"127.0.0.1:{port}", "service": "shop", "timeout": "5s"})
        assert named.ok, named.message


@pytest.mark.parametrize(
    ("state", "serving", "said"),
    [
        (_S.NOT_SERVING, "NOT_SERVING", "the server says NOT_SERVING"),
        (_S.UNKNOWN, "UNKNOWN", "the server says UNKNOWN"),
        (_S.SERVICE_UNKNOWN, "SERVICE_UNKNOWN", "does not know the service 'shop'"),
    ],
)
async def test_every_other_state_fails_by_its_name(state: Any, serving: str, said: str) -> None:
    with _server(_health(shop=state)) as port:
        result = await run_once({"grpc": f"127.0.0.1:{port}", "service": "shop", "timeout": "5s"})
    assert (result.ok, result.reason, result.facts["serving"]) == (False, R.UNEXPECTED_ANSWER, serving)
    assert said in result.message


async def test_a_service_that_was_never_named_is_not_found() -> None:
    with _server(_health()) as port:
        result = await run_once({"grpc": f"127.0.0.1:{port}", "service": "nobody.v1", "timeout": "5s"})
    assert (result.reason, result.facts["grpc_status"], result.facts["serving"]) == (
        R.UNEXPECTED_ANSWER,
        "NOT_FOUND",
        "SERVICE_UNKNOWN",
    )


async def test_a_slow_answer_is_degraded_and_a_hung_one_ends_at_the_deadline() -> None:
    with _server(_Slow(0.15)) as port:
        slow = await run_once({"grpc": f"127.0.0.1:{port}", "timeout": "5s", "expect": {"latency": "< 50ms"}})
        assert (slow.ok, slow.degraded, slow.reason) == (True, True, R.SLOW)
        hung = await run_once({"grpc": f"127.0.0.1:{port}", "timeout": "50ms"})
        assert hung.reason is R.TIMEOUT, hung.message


async def test_a_server_without_health_service_and_one_that_wants_a_token() -> None:
    with _server(None) as port:
        bare = await run_once({"grpc": f"127.0.0.1:{port}", "timeout": "5s"})
        assert (bare.reason, bare.facts["grpc_status"]) == (R.PROTOCOL, "UNIMPLEMENTED")
    with _server(_Denies()) as port:
        denied = await run_once({"grpc": f"127.0.0.1:{port}", "timeout": "5s"})
        assert (denied.reason, "who are you?" in denied.message) == (R.AUTHENTICATION, True)
        let_in = await run_once(
            {"grpc": {"host": "127.0.0.1", "port": port, "metadata": {"Authorization": "Bearer right"}}, "timeout": "5s"}
        )
        assert let_in.ok, let_in.message


async def test_refused_hung_closed_and_not_grpc_are_told_apart(servers: Servers) -> None:
    async def ask(port: int) -> Any:
        return await run_once({"grpc": f"127.0.0.1:{port}", "timeout": "300ms"})

    assert (await ask(free_port())).reason is R.REFUSED
    assert (await ask(await servers.start(hang))).reason is R.TIMEOUT
    assert (await ask(await servers.start(slam))).reason in (R.PROTOCOL, R.RESET)
    assert (await ask(await servers.start(http_answer()))).reason is R.PROTOCOL


@pytest.mark.parametrize(
    ("pick", "settings", "ok", "reason"),
    [
        (lambda pki: pki.good, True, True, R.OK),
        (lambda pki: pki.good, False, False, R.TLS),
        (lambda pki: pki.expired, True, False, R.CERTIFICATE_EXPIRED),
        (lambda pki: pki.soon, True, True, R.CERTIFICATE_EXPIRES_SOON),
    ],
)
async def test_tls_is_agreed_and_certificates_are_judged(
    pki: Pki, pick: Callable[[Pki], Any], settings: bool, ok: bool, reason: R
) -> None:
    with _server(_health(), pki, pick(pki)) as port:
        raw = {"host": "localhost", "port": port, "tls": True, **({"ca_file": str(pki.ca)} if settings else {})}
        result = await run_once({"grpc": raw, "timeout": "5s"})
    assert (result.ok, result.reason) == (ok, reason), result.message
    assert result.facts["tls"]["chain"][0]["names"] == ["localhost", "127.0.0.1"]


async def test_tls_without_http2_is_said_so(servers: Servers, pki: Pki) -> None:
    port = await servers.start(http_answer(), tls=pki.context(pki.good))
    result = await run_once({"grpc": {"host": "localhost", "port": port, "tls": True, "ca_file": str(pki.ca)}, "timeout": "2s"})
    assert (result.reason, "ALPN" in result.message) == (R.PROTOCOL, True)
