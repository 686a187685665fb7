"""Passkeys: made in a session, sign in without name and password, and every answer that is not genuine is refused."""

from __future__ import annotations

import ast
import base64
import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers
from tests.fakes.authenticator import PRESENT, Authenticator, b64

import tocsin
from tocsin.state import events
from tocsin.web.parts import WebSettings
from tocsin.web.relying_party import relying_party
from tocsin.web.totp import code_at

MINE = "/api/tocsin/v1/me/passkeys"
PASSWORD = "a long enough password"


@pytest.fixture
def settings() -> WebSettings:
    return WebSettings(external_url="https://tocsin.example")


def cookie_of(answer: Any) -> dict[str, str]:
    return {"cookie": answer.headers["set-cookie"].split(";")[0]}


async def account(house: Any, name: str = "ana", role: str = "responder") -> None:
    admin = await house.as_role("admin")
    made = await admin.post("/api/tocsin/v1/accounts", json={"name": name, "role": role, "password": PASSWORD})
    assert made.status == 201, made.text


@dataclasses.dataclass
class Signed:
    """A browser that is signed in."""

    house: Any
    headers: dict[str, str]

    async def send(self, method: str, path: str, **given: Any) -> Any:
        headers = {**self.headers, **given.pop("headers", {})}
        return await self.house.client.request(method, path, headers=headers, **given)

    async def add(self, key: Authenticator, name: str = "laptop", **confirm: str) -> Any:
        asked = await self.send("POST", MINE + "/options", json=confirm)
        assert asked.status == 200, asked.text
        return await self.send("POST", MINE, json={"name": name, "credential": key.make(asked.json())})

    async def mine(self) -> list[dict[str, Any]]:
        return list((await self.send("GET", MINE)).json()["passkeys"])


async def signed_in(house: Any, name: str = "ana") -> Signed:
    answer = await house.client.post("/login", form={"name": name, "password": PASSWORD})
    cookie = cookie_of(answer)
    csrf = (await house.client.get("/api/tocsin/v1/session", headers=cookie)).json()["csrf"]
    return Signed(house, {**cookie, "x-csrf-token": csrf})


@pytest.fixture
async def ana(house: Any) -> Signed:
    await account(house)
    return await signed_in(house)


async def begin(house: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """What the browser is asked, and its cookie."""
    asked = await house.client.post("/login/passkey/options")
    assert asked.status == 200, asked.text
    return asked.json(), cookie_of(asked)


async def finish(house: Any, credential: Any, cookie: dict[str, str], next: str = "/") -> Any:
    return await house.client.post("/login/passkey", json={"credential": credential, "next": next}, headers=cookie)


async def sign_in(house: Any, key: Authenticator, next: str = "/", **changed: Any) -> Any:
    options, cookie = await begin(house)
    return await finish(house, key.sign(options, **changed), cookie, next)


def audit(house: Any) -> list[str]:
    told = house.db.read_now(lambda tx: events.read(tx, subject="account:ana"))
    return [event.text for event in told if "passkey" in event.text]


async def test_a_passkey_signs_in_without_name_password_or_code(house: Any, ana: Signed) -> None:
    key = Authenticator()
    made = await ana.add(key)
    assert made.status == 201, made.text
    row = made.json()
    assert (row["name"], row["rp_id"], row["synced"], row["used_ms"]) == ("laptop", "tocsin.example", False, 0)
    secret = (await ana.send("GET", "/api/tocsin/v1/me/totp")).json()["secret"]
    await ana.send("POST", "/api/tocsin/v1/me/totp", json={"secret": secret, "code": code_at(secret, house.clock.t_ms // 30_000)})

    house.clock.t_ms += 1_000
    answer = await sign_in(house, key, "/alerts?severity=critical")
    assert (answer.status, answer.json()) == (200, {"next": "/alerts?severity=critical"})
    cookie = answer.headers["set-cookie"]
    assert "Secure" in cookie and "HttpOnly" in cookie
    session = await house.client.get("/api/tocsin/v1/session", headers=cookie_of(answer))
    assert session.json()["user"]["name"] == "ana"
    [row] = await ana.mine()
    assert row["used_ms"] == house.clock.t_ms
    assert audit(house) == [
        "ana added the passkey laptop to account ana",
        "ana signed in with the passkey laptop from 127.0.0.1",
    ]
    assert (await sign_in(house, key, "//elsewhere.example")).json() == {"next": "/"}


async def test_what_is_asked_of_the_browser(house: Any, ana: Signed) -> None:
    key = Authenticator()
    await ana.add(key)
    asked = (await ana.send("POST", MINE + "/options", json={})).json()
    assert asked["rp"] == {"id": "tocsin.example", "name": "Tocsin"}
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert asked["authenticatorSelection"]["residentKey"] == "preferred"
    assert asked["excludeCredentials"] == [{"type": "public-key", "id": b64(key.credential_id), "transports": ["internal"]}]
    assert len(base64.urlsafe_b64decode(asked["challenge"] + "==")) == 56
    handle = asked["user"]["id"]
    assert (await ana.send("POST", MINE + "/options", json={})).json()["user"]["id"] == handle
    options, _ = await begin(house)
    assert (options["allowCredentials"], options["userVerification"]) == ([], "required")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"origin": "https://tocsin.example.evil.example"}, "not at the address"),
        ({"origin": "https://sub.tocsin.example"}, "not at the address"),
        ({"origin": "http://tocsin.example"}, "not at the address"),
        ({"flags": PRESENT}, "did not verify you"),
        ({"rp_id": "other.example"}, "RP ID"),
        ({"user_handle": b64(b"somebody else")}, "another account"),
        ({"credential_id": b"never heard of"}, "not known here"),
    ],
)
async def test_a_wrong_answer_signs_nobody_in(house: Any, ana: Signed, changes: dict[str, Any], why: str) -> None:
    key = Authenticator()
    await ana.add(key)
    answer = await sign_in(house, dataclasses.replace(key, **changes))
    assert (answer.status, answer.json()["type"]) == (403, "urn:tocsin:passkey_refused")
    assert why in answer.json()["detail"]
    assert "set-cookie" not in answer.headers
    assert (await sign_in(house, key)).status == 200


async def test_another_key_or_a_changed_answer_does_not_verify(house: Any, ana: Signed) -> None:
    key = Authenticator()
    await ana.add(key)
    forged = Authenticator(rp_id=key.rp_id, user_handle=key.user_handle)
    answer = await sign_in(house, forged)
    assert (answer.status, answer.json()["detail"]) == (403, "Invalid signature.")


async def test_a_challenge_counts_once_shortly_and_in_the_browser_it_was_made_for(house: Any, ana: Signed) -> None:
    key = Authenticator(counts=False)
    await ana.add(key)
    options, cookie = await begin(house)
    signed = key.sign(options)
    _, other = await begin(house)
    assert "in another browser" in (await finish(house, signed, other)).json()["detail"]
    assert "in another browser" in (await finish(house, signed, {})).json()["detail"]
    assert (await finish(house, signed, cookie)).status == 200
    assert "used already" in (await finish(house, signed, cookie)).json()["detail"]

    options, cookie = await begin(house)
    house.clock.t_ms += 300_000
    assert "longer than five minutes" in (await finish(house, key.sign(options), cookie)).json()["detail"]
    options, cookie = await begin(house)
    made_up = {**options, "challenge": b64(bytes(56))}
    assert "not begun here" in (await finish(house, key.sign(made_up), cookie)).json()["detail"]
    asked = (await ana.send("POST", MINE + "/options", json={"password": PASSWORD})).json()
    assert "not begun here" in (await finish(house, key.sign(asked), cookie)).json()["detail"], "one of a registration"


async def test_a_counter_that_goes_backwards_is_refused_and_audited(house: Any, ana: Signed) -> None:
    key = Authenticator(count=7)
    await ana.add(key)
    assert (await sign_in(house, key)).status == 200
    for count in (7, 3):  # 8 and 4 once it signs: as many as before, and fewer
        answer = await sign_in(house, dataclasses.replace(key, count=count))
        assert (answer.status, answer.json()["type"]) == (403, "urn:tocsin:passkey_copied")
        assert "set-cookie" not in answer.headers
    refused = [text for text in audit(house) if "refused" in text]
    assert refused[0] == "the passkey laptop of account ana was refused: its counter went from 8 to 8, as a copy's would"
    assert len(refused) == 2
    assert (await sign_in(house, dataclasses.replace(key, count=8))).status == 200


async def test_removed_disabled_and_unknown_look_the_same(house: Any, ana: Signed) -> None:
    key = Authenticator()
    row = (await ana.add(key)).json()
    admin = await house.as_role("admin")
    await admin.request("PATCH", "/api/tocsin/v1/accounts/ana", json={"disabled": True})
    disabled = await sign_in(house, key)
    await admin.request("PATCH", "/api/tocsin/v1/accounts/ana", json={"disabled": False})
    again = await signed_in(house)
    assert (await again.send("DELETE", f"{MINE}/{row['id']}")).status == 204
    removed = await sign_in(house, key)
    unknown = await sign_in(house, Authenticator(credential_id=b"x", rp_id="tocsin.example"))
    assert [one.status for one in (disabled, removed, unknown)] == [403] * 3
    assert len({one.json()["detail"] for one in (disabled, removed, unknown)}) == 1


async def test_wrong_answers_lock_the_passkeys_of_an_account_for_a_while_and_passwords_do_not(house: Any, ana: Signed) -> None:
    key = Authenticator()
    await ana.add(key)
    for number in range(10):
        await house.client.post("/login", form={"name": "ana", "password": f"guess {number}"})
    assert (await sign_in(house, key)).status == 200
    for _ in range(10):
        assert (await sign_in(house, dataclasses.replace(key, flags=PRESENT))).status == 403
    assert (await sign_in(house, key)).status == 429
    house.clock.t_ms += 901_000
    assert (await sign_in(house, key)).status == 200


async def test_an_address_that_fails_too_often_waits(house: Any, ana: Signed) -> None:
    _, cookie = await begin(house)
    for _ in range(30):
        assert (await finish(house, {}, cookie)).status == 403
    assert (await finish(house, {}, cookie)).status == 429
    assert (await house.client.post("/login/passkey/options")).status == 429
    assert (await house.client.post("/login", form={"name": "ana", "password": PASSWORD})).status == 429


async def test_adding_takes_the_password_once_the_session_is_old(house: Any, ana: Signed) -> None:
    assert (await ana.send("GET", MINE)).json()["confirm"] == ""
    house.clock.t_ms += 600_000
    assert (await ana.send("GET", MINE)).json()["confirm"] == "password"
    refused = await ana.send("POST", MINE + "/options", json={"password": "a guess"})
    assert (refused.status, refused.json()["type"]) == (403, "urn:tocsin:wrong_password")
    assert (await ana.add(Authenticator(), password=PASSWORD)).status == 201
    for _ in range(10):
        await ana.send("POST", MINE + "/options", json={"password": "a guess"})
    assert (await ana.send("POST", MINE + "/options", json={"password": PASSWORD})).status == 429


async def test_who_has_no_password_signs_in_again_to_add_one(house: Any) -> None:
    link = await house.core.command("token.create", {"kind": "signin", "role": "admin"})
    cookie = cookie_of(await house.client.get(f"/signin?t={link['token']}"))
    csrf = (await house.client.get("/api/tocsin/v1/session", headers=cookie)).json()["csrf"]
    admin = Signed(house, {**cookie, "x-csrf-token": csrf})
    house.clock.t_ms += 600_000
    assert (await admin.send("GET", MINE)).json()["confirm"] == "sign_in"
    answer = await admin.send("POST", MINE + "/options", json={})
    assert (answer.status, answer.json()["type"]) == (403, "urn:tocsin:sign_in_again")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"origin": "https://evil.example"}, "not at the address"),
        ({"flags": PRESENT}, "did not verify you"),
        ({"credential_id": bytes(5_000)}, "of a kind"),
    ],
)
async def test_a_registration_that_is_not_genuine_is_refused(house: Any, ana: Signed, changes: Any, why: str) -> None:
    answer = await ana.add(Authenticator(**changes))
    assert (answer.status, answer.json()["type"]) == (400, "urn:tocsin:passkey_refused")
    assert why in answer.json()["detail"]
    assert await ana.mine() == []


async def test_a_registration_counts_once_and_in_its_own_session(house: Any, ana: Signed) -> None:
    key, other = Authenticator(), await signed_in(house)
    asked = (await ana.send("POST", MINE + "/options", json={})).json()
    body = {"name": "laptop", "credential": key.make(asked)}
    assert "in another browser" in (await other.send("POST", MINE, json=body)).json()["detail"]
    assert (await ana.send("POST", MINE, json=body)).status == 201
    assert "used already" in (await ana.send("POST", MINE, json=body)).json()["detail"]
    again = await ana.add(key)
    assert (again.status, again.json()["type"]) == (409, "urn:tocsin:passkey_known")


async def test_names_are_checked_and_changed_by_whoever_looked(house: Any, ana: Signed) -> None:
    assert (await ana.add(Authenticator(), name="  ")).status == 400
    row = (await ana.add(Authenticator())).json()
    path = f"{MINE}/{row['id']}"
    late = {"if-match": f'"{row["etag"]}"'}
    assert (await ana.send("PATCH", path, json={"name": "phone"}, headers=late)).json()["name"] == "phone"
    assert (await ana.send("PATCH", path, json={"name": "old"}, headers=late)).status == 412
    assert (await ana.send("PATCH", path, json={"name": "two\nlines"})).status == 400
    assert "ana renamed the passkey laptop of account ana to phone" in audit(house)


async def test_nobody_touches_the_passkeys_of_others(house: Any, ana: Signed) -> None:
    row = (await ana.add(Authenticator())).json()
    await account(house, "ben", "admin")
    ben = await signed_in(house, "ben")
    for number in (row["id"], "no-number", "99"):
        path = f"{MINE}/{number}"
        assert (await ben.send("PATCH", path, json={"name": "mine"})).status == 404
        assert (await ben.send("DELETE", path)).status == 404
    admin = await house.as_role("admin")
    assert (await admin.get(MINE)).status == 403, "a token is nobody"
    assert (await house.client.get(MINE)).status == 401
    assert [one["name"] for one in await ana.mine()] == ["laptop"]


async def test_removing_ends_the_sessions_it_opened_and_an_administrator_removes_all(house: Any, ana: Signed) -> None:
    stolen, kept = Authenticator(), Authenticator(credential_id=b"credential 2")
    row = (await ana.add(stolen)).json()
    await ana.add(kept, name="key")
    opened = cookie_of(await sign_in(house, stolen))
    by_key = cookie_of(await sign_in(house, kept))
    assert (await ana.send("DELETE", f"{MINE}/{row['id']}")).status == 204

    async def works(cookie: dict[str, str]) -> bool:
        return bool((await house.client.get("/api/tocsin/v1/session", headers=cookie)).status == 200)

    assert [await works(one) for one in (opened, by_key, ana.headers)] == [False, True, True]
    admin = await house.as_role("admin")
    assert (await admin.get("/api/tocsin/v1/accounts/ana")).json()["passkeys"] == 1
    changed = await admin.request("PATCH", "/api/tocsin/v1/accounts/ana", json={"passkeys": False})
    assert (changed.status, changed.json()["passkeys"]) == (200, 0)
    assert [await works(one) for one in (by_key, ana.headers)] == [False, True]
    assert (await sign_in(house, kept)).status == 403
    assert "admin removed the passkey key of account ana" in audit(house)


async def test_a_new_password_keeps_passkeys_and_a_deleted_account_takes_them_along(house: Any, ana: Signed) -> None:
    key = Authenticator()
    await ana.add(key)
    body = {"old": PASSWORD, "new": "another long password"}
    assert (await ana.send("POST", "/api/tocsin/v1/me/password", json=body)).status == 204
    assert (await sign_in(house, key)).status == 200
    with house.db.engine.begin() as tx:
        tx.exec_driver_sql("DELETE FROM sessions")
        tx.exec_driver_sql("DELETE FROM accounts WHERE name = 'ana'")
        assert tx.exec_driver_sql("SELECT count(*) FROM passkeys").scalar_one() == 0


async def test_an_account_has_at_most_twenty(house: Any, ana: Signed) -> None:
    key = Authenticator().key
    for number in range(20):
        assert (await ana.add(Authenticator(credential_id=b"c%d" % number, key=key))).status == 201
    assert (await ana.add(Authenticator(credential_id=b"one more", key=key))).status == 409


async def test_whatever_is_sent_instead_of_an_answer_breaks_nothing(house: Any, ana: Signed) -> None:
    key, rng = Authenticator(), random.Random(4)
    await ana.add(key)

    def damaged(value: Any) -> Any:
        if isinstance(value, dict) and value:
            name = rng.choice(sorted(value))
            junk = rng.choice([None, 7, "", "!!", [], {}, {"a": 1}, b64(rng.randbytes(40)), damaged(value[name])])
            return {**value, name: junk} if rng.random() < 0.8 else {k: v for k, v in value.items() if k != name}
        text = value if isinstance(value, str) else ""
        raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        for _ in range(rng.randrange(1, 4)):
            if raw:
                raw[rng.randrange(len(raw))] = rng.randrange(256)
        return b64(bytes(raw))

    for _ in range(40):
        house.clock.t_ms += 60_000
        options, cookie = await begin(house)
        assert (await finish(house, damaged(key.sign(options)), cookie)).status in (200, 400, 403, 429)
        asked = (await ana.send("POST", MINE + "/options", json={"password": PASSWORD})).json()
        fresh = Authenticator(credential_id=rng.randbytes(8), key=key.key)
        answer = await ana.send("POST", MINE, json={"name": "x", "credential": damaged(fresh.make(asked))})
        assert answer.status in (201, 400, 409), answer.text


@pytest.mark.parametrize(
    ("external", "host", "wanted"),
    [
        ("https://tocsin.example", "127.0.0.1:8911", ("tocsin.example", {"https://tocsin.example"})),
        ("https://tocsin.example:8443/t", "x", ("tocsin.example", {"https://tocsin.example:8443"})),
        ("http://tocsin.example", "tocsin.example", None),
        ("http://10.0.0.5:8911", "10.0.0.5:8911", None),
        ("http://10.0.0.5:8911", "mon.lan", ("mon.lan", {"https://mon.lan"})),
        ("http://127.0.0.1:8911", "localhost:8911", ("localhost", {"http://localhost:8911", "https://localhost:8911"})),
        ("http://localhost:8911", "localhost:9000", ("localhost", {"http://localhost:9000", "https://localhost:9000"})),
        ("https://[::1]:8911", "[::1]:8911", None),
        ("https://Überwachung.example", "x", ("xn--berwachung-8db.example", {"https://xn--berwachung-8db.example"})),
        ("http://127.0.0.1:8911", "", None),
        ("http://127.0.0.1:8911", "bad:port", None),
    ],
)
def test_the_name_passkeys_are_made_for(external: str, host: str, wanted: Any) -> None:
    party = relying_party(Headers({"host": host}), WebSettings(external_url=external))
    assert (party and (party.id, set(party.origins))) == wanted


async def test_the_sign_in_page_offers_it_where_the_address_can(house: Any) -> None:
    page = (await house.client.get("/login?next=/alerts%3Fa=%22%3E")).text
    assert '<script src="/static/passkey.js" defer></script>' in page
    assert 'data-rp="tocsin.example" data-next="/alerts?a=&quot;&gt;" hidden' in page
    assert (await house.client.get("/static/passkey.js")).headers["content-type"].startswith("text/javascript")
    house.parts.settings = dataclasses.replace(house.parts.settings, route_prefix="/t")
    page = (await house.client.get("/t/login")).text
    assert '<script src="/t/static/passkey.js" defer>' in page and 'data-passkey="/t/login/passkey"' in page
    assert "Path=/t/login/passkey;" in (await house.client.post("/t/login/passkey/options")).headers["set-cookie"]
    house.parts.settings = dataclasses.replace(house.parts.settings, route_prefix="", external_url="http://127.0.0.1:8911")
    assert "passkey" not in (await house.client.get("/login")).text
    assert (await house.client.post("/login/passkey/options")).json()["type"] == "urn:tocsin:no_passkeys_here"
    assert "passkey" in (await house.client.get("/login", headers={"host": "localhost:8911"})).text


def test_the_web_process_does_not_load_the_library_before_it_is_needed() -> None:
    """It costs 10 MB, which a Tocsin without passkeys does not pay: no module imports it as it is loaded."""
    asking = [path for path in Path(tocsin.__file__).parent.rglob("*.py") if "fido2" in path.read_text()]
    assert asking, "nobody uses it?"
    for path in asking:
        for statement in ast.parse(path.read_text()).body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                assert "fido2" not in ast.unparse(statement), path
