"""Who may call what: the route table walked by everybody, and what the gate refuses before any handler sees it."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from tocsin.errors import QueryTimeout
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.parts import WebSettings

ROLES = ("nobody", "probe", "sender", "viewer", "responder", "admin")
_ALLOWED = {
    Permission.PROBE: {"probe"},
    Permission.VIEWER: {"viewer", "responder", "admin"},
    Permission.RESPONDER: {"responder", "admin"},
    Permission.ADMIN: {"admin"},
    Permission.LOOPBACK_READ: {"viewer", "responder", "admin"},
    Permission.LOOPBACK_SEND: {"sender", "responder", "admin"},
}
OUTSIDE = WebSettings(listen=("0.0.0.0:8911",), external_url="https://tocsin.example")


def path_of(endpoint: Endpoint) -> str:
    return re.sub(r"\{\w+(?::(\w+))?\}", lambda m: "1" if m[1] == "int" else "x", endpoint.path)


async def test_every_route_lets_in_exactly_whom_it_declares_from_loopback(house):
    await _walk(house, loopback=True)


@pytest.mark.parametrize("settings", [OUTSIDE])
async def test_every_route_lets_in_exactly_whom_it_declares_on_a_public_address(house, settings):
    house.client.host = "tocsin.example"
    await _walk(house, loopback=False)


async def _walk(house, *, loopback: bool) -> None:
    clients = {role: house.client if role == "nobody" else await house.as_role(role) for role in ROLES}
    for endpoint in house.client.app.endpoints:
        if endpoint.path.endswith("/stream"):
            continue  # never ends; judged by the same gate
        assert isinstance(endpoint.permission, Permission)
        for method in sorted((endpoint.methods or set()) - {"HEAD"}):
            for role, client in clients.items():
                answer = await client.request(method, path_of(endpoint))
                let_in = endpoint.permission in (Permission.PUBLIC, Permission.TOKEN) or role in _ALLOWED[endpoint.permission]
                if role == "nobody" and loopback and endpoint.permission.value.startswith("loopback"):
                    let_in = True
                refused = answer.status in (401,) or (answer.status == 403 and "needs the role" in answer.text)
                refused = refused or (answer.status == 303 and answer.headers["location"].startswith("/login"))
                if endpoint.permission is Permission.PUBLIC and endpoint.path in ("/login", "/logout"):
                    continue
                what = f"{method} {endpoint.path} ({endpoint.permission}) as {role}: {answer.status} {answer.text[:200]}"
                assert refused != let_in, what


@pytest.mark.parametrize(
    "path",
    ["//api/tocsin/v1/accounts", "/./api/tocsin/v1/accounts", "/api/tocsin/v1/accounts/", "/api/tocsin/v1//accounts",
     "/API/tocsin/v1/accounts",
     "/api/tocsin/v1/accounts%2f", "/api/tocsin/v1/checks/../accounts", "/login/../api/tocsin/v1/accounts"],
)  # fmt: skip
async def test_odd_spellings_of_a_path_reach_nothing(house, path):
    for client in (house.client, await house.as_role("admin")):
        answer = await client.get(path)
        assert answer.status in (401, 404), f"{path}: {answer.status}"


async def test_other_methods_do_not_slip_through(house):
    for method in ("HEAD", "OPTIONS", "PATCH", "TRACE"):
        answer = await house.client.request(method, "/api/tocsin/v1/accounts", headers={"x-http-method-override": "GET"})
        assert answer.status in (401, 405)


async def test_an_unknown_path_is_the_plain_404_that_grafana_recognises(house):
    answer = await house.client.get("/api/v1/unknown")
    assert (answer.status, answer.text) == (404, "404 page not found\n")
    assert answer.headers["content-type"].startswith("text/plain")
    assert (await house.client.get("/alertmanager/api/v2/status")).status == 404
    seen = await house.client.get("/alrets", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert seen.status == 404 and seen.headers["content-type"].startswith("text/html")
    assert "Nothing at this address" in seen.text and "page not found" in seen.text and 'href="/"' in seen.text


async def test_every_answer_carries_the_security_headers(house):
    for path in ("/", "/login", "/api/v1/query?query=1", "/nope", "/metrics", "/api/tocsin/v1/session"):
        answer = await house.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-request-id"]
        assert answer.headers["cache-control"]


async def test_a_name_that_is_not_ours_is_refused_while_only_loopback_is_meant(house):
    house.client.host = "rebound.example:8911"
    assert (await house.client.get("/api/v1/query?query=1")).status == 421
    house.client.host = "localhost:8911"
    assert (await house.client.get("/api/v1/query?query=1")).status == 200


@pytest.mark.parametrize(
    "headers",
    [{"x-forwarded-for": "10.0.0.1"}, {"forwarded": "for=10.0.0.1"}, {"via": "1.1 proxy"}, {"x-real-ip": "1.2.3.4"},
     {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}],
)  # fmt: skip
async def test_forwarded_or_cross_site_requests_are_not_the_machine_itself(house, headers):
    assert (await house.client.get("/api/v1/query?query=1", headers=headers)).status in (401, 403)


async def test_a_peer_from_elsewhere_is_not_the_machine_itself(house):
    house.client.address = "192.0.2.7"
    assert (await house.client.get("/api/v1/query?query=1")).status == 401


async def test_loopback_programs_read_and_send_but_change_nothing(house):
    assert (await house.client.post("/api/v1/write", body=b"x")).status == 204
    assert (await house.client.get("/metrics")).status == 200
    assert (await house.client.post("/-/reload")).status == 401
    assert (await house.client.get("/api/tocsin/v1/overview")).status == 401
    assert (await house.client.post("/api/tocsin/v1/silences", json={})).status == 401


async def test_a_wrong_token_never_falls_back_to_the_loopback_rule_and_is_limited(house):
    wrong = house.client.using("tcs_wrong")
    statuses = [(await wrong.get("/api/v1/query?query=1")).status for _ in range(25)]
    assert statuses[:20] == [401] * 20 and set(statuses[20:]) == {429}
    house.clock.t_ms += 61_000
    assert (await wrong.get("/api/v1/query?query=1")).status == 401


async def test_a_token_works_as_bearer_and_as_basic_password_until_revoked(house):
    import base64

    token = await house.token("viewer")
    basic = base64.b64encode(f"any:{token}".encode()).decode()
    assert (await house.client.get("/api/tocsin/v1/session", headers={"authorization": f"Basic {basic}"})).status == 200
    viewer = house.client.using(token)
    assert (await viewer.get("/api/tocsin/v1/session")).json()["user"]["role"] == "viewer"
    admin = await house.as_role("admin")
    listed = (await admin.get("/api/tocsin/v1/tokens")).json()["tokens"]
    found = next(row for row in listed if row["name"] == "viewer")
    assert token not in str(listed)
    assert (await admin.request("DELETE", f"/api/tocsin/v1/tokens/{found['id']}")).status == 204
    assert (await viewer.get("/api/tocsin/v1/session")).status == 401


async def test_a_body_above_the_limit_is_refused_by_length_and_while_it_streams(house):
    big = b"x" * 40_000
    assert (await house.client.post("/login", body=big, headers={"content-length": str(len(big))})).status == 413
    pieces = [b"name=" + b"x" * 9_000, b"x" * 9_000]
    content_type = {"content-type": "application/x-www-form-urlencoded"}
    assert (await house.client.post("/login", pieces=pieces, headers=content_type)).status == 413


async def test_the_address_of_a_client_behind_a_trusted_proxy_is_believed_and_of_others_not(house):
    from starlette.datastructures import Headers

    from tocsin.web.origin import peer_of

    settings = WebSettings(trusted_proxies=("10.0.0.0/8",))
    headers = Headers({"x-forwarded-for": "6.6.6.6, 203.0.113.9, 10.0.0.2"})
    assert peer_of({"client": ("10.0.0.1", 1)}, headers, settings).address == "203.0.113.9"
    assert peer_of({"client": ("198.51.100.1", 1)}, headers, settings).address == "198.51.100.1"


@pytest.mark.parametrize("settings", [WebSettings(route_prefix="/tocsin")])
async def test_a_route_prefix_moves_everything(house, settings):
    assert (await house.client.get("/tocsin/api/v1/query?query=1")).status == 200
    assert (await house.client.get("/api/v1/query?query=1")).status == 404
    assert (await house.client.get("/tocsinapi/v1/query?query=1")).status == 404
    assert (await house.client.get("/tocsin/checks")).headers["location"] == "/tocsin/login?next=/tocsin/checks"


@pytest.mark.parametrize(
    "error",
    [sa.exc.OperationalError("select", {}, Exception("database is locked")), MemoryError(), TimeoutError(), QueryTimeout("late")],
)
async def test_what_passes_is_told_as_busy_and_may_be_asked_again(house, error):
    async def overloaded(_work):
        raise error

    house.parts.database.read = overloaded
    viewer = await house.as_role("viewer")
    answer = await viewer.get("/api/tocsin/v1/silences")
    assert answer.status == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
