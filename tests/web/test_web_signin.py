"""Signing in: passwords, one-time links, second factors, and how sessions end."""

from __future__ import annotations

import dataclasses
import re

import pytest
from tests.web.conftest import Client

from tocsin.model.event import Actor
from tocsin.state import events
from tocsin.web import totp
from tocsin.web.parts import WebSettings
from tocsin.web.server import create_app

ROOT = Actor("cli", "root")
PASSWORD = "a long enough password"


async def account(house, name="ana", role="responder", password=PASSWORD) -> None:
    admin = await house.as_role("admin")
    body = {"name": name, "role": role, "password": password}
    assert (await admin.post("/api/tocsin/v1/accounts", json=body)).status == 201


async def sign_in(house, name="ana", password=PASSWORD, **more):
    return await house.client.post("/login", form={"name": name, "password": password, **more})


def cookie_of(answer) -> dict[str, str]:
    return {"cookie": answer.headers["set-cookie"].split(";")[0]}


async def test_a_password_opens_a_session_that_reads_and_writes_with_its_csrf_token(house):
    await account(house)
    answer = await sign_in(house, next="/alerts?sev=critical")
    assert (answer.status, answer.headers["location"]) == (303, "/alerts?sev=critical")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and "path=/" in cookie
    session = (await house.client.get("/api/tocsin/v1/session", headers=cookie_of(answer))).json()
    assert session["user"] == {"name": "ana", "full_name": "", "role": "responder"}

    house.core.answers["check.pause"] = {}
    house.core.answers["check.list"] = [{"id": "shop", "name": "shop", "every_ms": 60_000}]
    refused = await house.client.post("/api/tocsin/v1/checks/shop/pause", headers=cookie_of(answer))
    assert (refused.status, refused.json()["type"]) == (403, "urn:tocsin:csrf")
    allowed = await house.client.post(
        "/api/tocsin/v1/checks/shop/pause", headers={**cookie_of(answer), "x-csrf-token": session["csrf"]}
    )
    assert allowed.status == 200
    assert house.core.seen[-2][2] == Actor("user", "ana", "ui", "127.0.0.1") or ("check.pause", {"id": "shop"}) in [
        (n, a) for n, a, _ in house.core.seen
    ]


async def test_wrong_name_wrong_password_and_disabled_account_look_the_same(house):
    await account(house)
    texts = {(await sign_in(house, name=n, password=p)).body.replace(n.encode(), b"")
             for n, p in (("ana", "wrong password"), ("nobody", PASSWORD))}  # fmt: skip
    assert len(texts) == 1
    admin = await house.as_role("admin")
    assert (await admin.request("PATCH", "/api/tocsin/v1/accounts/ana", json={"disabled": True})).status == 200
    assert (await sign_in(house)).status == 403


async def test_ten_failures_lock_the_account_for_a_while(house):
    await account(house)
    for _ in range(10):
        assert (await sign_in(house, password="guess guess")).status == 403
    assert (await sign_in(house)).status == 429
    house.clock.t_ms += 901_000
    assert (await sign_in(house)).status == 303


async def test_a_session_ends_on_password_change_sign_out_idleness_and_age(house):
    await account(house)
    first, second = await sign_in(house), await sign_in(house)
    csrf = (await house.client.get("/api/tocsin/v1/session", headers=cookie_of(first))).json()["csrf"]
    changed = await house.client.post(
        "/api/tocsin/v1/me/password",
        json={"old": PASSWORD, "new": "another long password"},
        headers={**cookie_of(first), "x-csrf-token": csrf},
    )
    assert changed.status == 204
    assert (await house.client.get("/api/tocsin/v1/session", headers=cookie_of(first))).status == 200
    assert (await house.client.get("/api/tocsin/v1/session", headers=cookie_of(second))).status == 401
    out = await house.client.post("/logout", headers=cookie_of(first))
    assert out.status == 303
    assert (await house.client.get("/api/tocsin/v1/session", headers=cookie_of(first))).status == 401

    third = await sign_in(house, password="another long password")
    house.clock.t_ms += house.parts.settings.session_idle_ms + 1
    assert (await house.client.get("/api/tocsin/v1/session", headers=cookie_of(third))).status == 401


async def test_a_cookie_brought_along_is_never_adopted(house):
    await account(house)
    planted = {"cookie": "tocsin_session=planted"}
    answer = await house.client.post("/login", form={"name": "ana", "password": PASSWORD}, headers=planted)
    assert cookie_of(answer) != planted
    assert (await house.client.get("/api/tocsin/v1/session", headers=planted)).status == 401


async def test_the_printed_link_signs_in_once_and_not_for_previews(house):
    made = await house.core.command("token.create", {"kind": "signin", "role": "admin"}, ROOT)
    url = f"/signin?t={made['token']}"
    assert (await house.client.request("HEAD", url)).status == 204
    assert (await house.client.get(url, headers={"sec-purpose": "prefetch;prerender"})).status == 204
    first = await house.client.get(url)
    assert (first.status, first.headers["location"]) == (303, "/")
    session = await house.client.get("/api/tocsin/v1/session", headers=cookie_of(first))
    assert session.json()["user"]["role"] == "admin"
    assert (await house.client.get(url)).status == 403
    other = await house.core.command("token.create", {"kind": "signin", "role": "admin"}, ROOT)
    house.clock.t_ms += 16 * 60_000
    assert (await house.client.get(f"/signin?t={other['token']}")).status == 403


async def test_a_sign_in_link_is_no_api_token(house):
    made = await house.core.command("token.create", {"kind": "signin", "role": "admin"}, ROOT)
    assert (await house.client.using(made["token"]).get("/api/tocsin/v1/session")).status == 401


async def test_a_second_factor_is_asked_for_and_each_code_works_once(house):
    await account(house)
    cookie = cookie_of(await sign_in(house))
    csrf = (await house.client.get("/api/tocsin/v1/session", headers=cookie)).json()["csrf"]
    secret = (await house.client.get("/api/tocsin/v1/me/totp", headers=cookie)).json()["secret"]
    headers = {**cookie, "x-csrf-token": csrf}
    assert (
        await house.client.post("/api/tocsin/v1/me/totp", json={"secret": secret, "code": "000000"}, headers=headers)
    ).status == 400
    code = totp.code_at(secret, house.clock.t_ms // 30_000)
    assert (
        await house.client.post("/api/tocsin/v1/me/totp", json={"secret": secret, "code": code}, headers=headers)
    ).status == 204
    assert (await sign_in(house)).status == 403
    assert (await sign_in(house, code=code)).status == 303
    assert (await sign_in(house, code=code)).status == 403


def test_codes_are_those_of_rfc_6238():
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for seconds, digits in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")):
        assert totp.code_at(secret, seconds // 30) == digits


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb"])
async def test_sign_in_never_leads_elsewhere(house, target):
    await account(house)
    assert (await sign_in(house, next=target)).headers["location"] == "/"
    page = (await house.client.get("/login", query={"next": target})).text
    assert "evil" not in page and "javascript" not in page


async def test_pages_escape_what_they_repeat(house):
    answer = await sign_in(house, name='"><script>alert(1)</script>')
    assert "<script" not in answer.text and "&lt;script&gt;" in answer.text


@pytest.mark.parametrize("settings", [WebSettings(external_url="https://tocsin.example", listen=("0.0.0.0:1",))])
async def test_over_https_the_cookie_is_secure(house, settings):
    await account(house)
    assert "secure" in (await sign_in(house)).headers["set-cookie"].lower()


async def test_a_foreign_form_cannot_sign_anybody_in(house):
    answer = await house.client.post("/login", form={"name": "x"}, headers={"origin": "https://evil.example"})
    assert answer.status == 403


async def test_the_last_admin_stays_and_every_change_is_on_record(house):
    await account(house, "root", "admin")
    await account(house, "ben", "viewer")
    admin = await house.as_role("admin")
    answer = await admin.request("PATCH", "/api/tocsin/v1/accounts/root", json={"role": "viewer"})
    assert (answer.status, answer.json()["type"]) == (409, "urn:tocsin:last_admin")
    assert (await admin.request("PATCH", "/api/tocsin/v1/accounts/ben", json={"role": "responder"})).status == 200
    audit = (await admin.get("/api/tocsin/v1/audit?limit=5")).json()
    assert "changed role of account ben" in audit["events"][0]["text"]
    assert house.db.read_now(events.first_break) == 0
    assert not re.search(r"argon2|password_hash", (await admin.get("/api/tocsin/v1/accounts")).text)


@pytest.mark.parametrize(
    ("asked", "landed"),
    [
        ("/", "/ops/"),
        ("/alerts", "/ops/alerts"),
        ("/ops/alerts?x=1", "/ops/alerts?x=1"),
        ("/opsy", "/ops/opsy"),
        ("//evil.example", "/ops/"),
    ],
)
async def test_behind_a_route_prefix_signing_in_leads_under_the_prefix(house, asked, landed):
    await account(house)
    house.parts.settings = dataclasses.replace(house.parts.settings, route_prefix="/ops")
    client = Client(create_app(house.parts))
    answer = await client.post("/ops/login", form={"name": "ana", "password": PASSWORD, "next": asked})
    assert (answer.status, answer.headers["location"]) == (303, landed)
