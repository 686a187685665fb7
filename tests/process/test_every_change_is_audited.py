"""Everything that changes something through the web leaves a line in the audit that names who did it: on the real program."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import struct
import time
from base64 import b32decode
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest
from tests.fakes.authenticator import Authenticator
from tests.web.changing_routes import API, CHANGES, Change

pytestmark = pytest.mark.process

CONFIG = """
global: {{smtp_smarthost: "127.0.0.1:{mail}", smtp_from: tocsin@shop.example, smtp_require_tls: false}}
web: {{admin_api: true}}
users: [{{name: ana, email: ana@shop.example}}]
policies: [{{name: default, steps: [{{notify: ana}}]}}]
schedules: [{{name: web, tz: Europe/Berlin, layers: [{{users: [ana], anchor: "2026-01-05T09:00"}}]}}]
checks: [{{name: shop, http: "http://127.0.0.1:9/", every: 60s}}]
status_pages: [{{slug: shop, title: The Shop, components: [{{name: Website, checks: [shop]}}]}}]
"""
OWN = {"user:ana", "visitor:somebody", "token:changer"}


def totp(secret: str) -> str:
    """RFC 6238 with the defaults of every app."""
    digest = hmac.new(
        b32decode(secret + "=" * (-len(secret) % 8)), struct.pack(">Q", int(time.time()) // 30), hashlib.sha1
    ).digest()
    place = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[place : place + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


class Doer:
    """Does the changes one after the other, with a token or with Ana's session, and asks the audit after each."""

    def __init__(self, tocsin: Any, mail: Any, changer: str) -> None:
        self.tocsin, self.mail, self.changer = tocsin, mail, changer
        self.kept: dict[str, str] = {}
        # Passkeys are made for a name; the address of the tests has none.
        name = tocsin.url.replace("127.0.0.1", "localhost")
        self.key, self.credential, self.local = Authenticator(origin=name), {}, {"Host": name.removeprefix("http://")}

    async def run(self) -> list[str]:
        silent = []
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as web, aiohttp.ClientSession() as bare:
            for change in CHANGES:
                await self.prepare(change, web)
                before = await self.newest(bare)
                await self.do(change, web if change.signed_in or change.route.startswith("/login") else bare)
                if not await self.told(bare, before):
                    silent.append(f"{change.method} {change.route}")
        return silent

    async def prepare(self, change: Change, web: aiohttp.ClientSession) -> None:
        """What a request needs that only somebody else knows: a failed message, a code from a mail, a secret of the phone."""
        if change.route.endswith("/retry"):
            self.kept["failed"] = await self.until(self.failed, "a message that failed")
        for purpose in ("confirm", "leave"):
            if f"/{purpose}/" in change.route:
                self.kept[purpose] = await self.until(lambda purpose=purpose: self.link(purpose), f"a link to {purpose}")
        if change.route.endswith("/code"):
            await self.until(lambda: self.code(1), "the first code")
        if change.route.endswith("/verify"):
            self.kept["code"] = await self.until(lambda: self.code(2), "the second code")
        if change.route.endswith("/me/totp"):
            self.kept["secret"] = (await (await web.get(self.tocsin.url + API + "/me/totp")).json())["secret"]
            self.kept["totp"] = totp(self.kept["secret"])
        if change.signed_in and "csrf" not in self.kept:
            self.kept["csrf"] = (await (await web.get(self.tocsin.url + API + "/session")).json())["csrf"]
        if change.route.endswith("/passkeys"):
            headers = {"X-CSRF-Token": self.kept["csrf"], **self.local}
            async with web.post(self.tocsin.url + change.route + "/options", headers=headers) as answer:
                self.credential = self.key.make(await answer.json())
        if change.route == "/login/passkey":
            async with web.post(self.tocsin.url + change.route + "/options", headers=self.local) as answer:
                self.credential = self.key.sign(await answer.json())

    async def do(self, change: Change, session: aiohttp.ClientSession) -> None:
        headers = {"X-CSRF-Token": self.kept["csrf"]} if change.signed_in else {}
        headers |= self.local if "passkey" in change.route else {}
        visits = change.route.startswith(("/status/", "/login"))
        if not change.signed_in and not visits:
            headers["Authorization"] = f"Bearer {self.changer}"
        given = {"data": self.filled(change.form)} if change.form is not None else {"json": self.filled(change.body)}
        path = self.filled(change.asked)
        text, patience = "", aiohttp.ClientTimeout(2 if change.long else 60)
        try:
            async with session.request(
                change.method, self.tocsin.url + path, headers=headers, allow_redirects=False, timeout=patience, **given
            ) as answer:
                text = await answer.text()
                assert answer.status < 400, f"{change.method} {path}: {answer.status} {text[:500]}\n{self.tocsin.log()}"
        except TimeoutError:
            assert change.long, f"{change.method} {path}: no answer\n{self.tocsin.log()}"
        if change.route.startswith("/login"):
            self.kept.pop("csrf", None)  # that session has another
        for name, field in change.keeps.items():
            self.kept[name] = str(json.loads(text)[field])

    def filled(self, value: Any) -> Any:
        text = json.dumps(value)
        for name, kept in self.kept.items():
            text = text.replace(f"{{{name}}}", kept)
        text = text.replace('"{credential}"', json.dumps(self.credential))
        return json.loads(text)

    async def audit(self, session: aiohttp.ClientSession) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.tocsin.token}"}
        async with session.get(f"{self.tocsin.url}{API}/audit?limit=100", headers=headers) as answer:
            return list((await answer.json())["events"])

    async def newest(self, session: aiohttp.ClientSession) -> int:
        return max((event["id"] for event in await self.audit(session)), default=0)

    async def told(self, session: aiohttp.ClientSession, before: int) -> bool:
        return any(event["id"] > before and event["actor"] in OWN for event in await self.audit(session))

    # -- what arrives elsewhere --

    def mails_to(self, address: str) -> list[str]:
        return [m.get_body(("plain",)).get_content() for m in self.mail.messages if m["To"] == address]

    def link(self, purpose: str) -> str:
        if purpose == "leave" and not self.mails_to("visitor@shop.example")[1:]:
            page = "/api/tocsin/v1/status-pages/shop/updates"
            if "published" not in self.kept:
                self.kept["published"] = "1"
                self.tocsin.post(page, {"state": "resolved", "title": "For visitors", "text": "Over."}, status=201)
        found = re.findall(rf"(/status/shop/{purpose}/\S+)", " ".join(self.mails_to("visitor@shop.example")))
        return found[-1] if found else ""

    def code(self, nth: int) -> str:
        found = [code for text in self.mails_to("ana2@shop.example") for code in re.findall(r"\b\d{6}\b", text)]
        return found[nth - 1] if len(found) >= nth else ""

    def failed(self) -> str:
        rows = self.tocsin.get(API + "/notifications?state=failed,cancelled,expired")["notifications"]
        return str(rows[0]["id"]) if rows else ""

    async def until(self, look: Any, what: str) -> str:
        return str(await asyncio.to_thread(self.tocsin.until, look, 30, what))


def test_every_change_is_audited(tocsin: Any, mail: Any) -> None:
    tocsin.folder.mkdir(parents=True)
    (tocsin.folder / "tocsin.yaml").write_text(CONFIG.format(mail=mail.port))
    tocsin.start("--config", "tocsin.yaml")
    tocsin.post(API + "/accounts", {"name": "ana", "role": "admin", "password": "a long password"}, status=201)
    changer = tocsin.post(API + "/tokens", {"name": "changer", "role": "admin"}, status=201)["token"]
    alerts = [
        {"labels": {"alertname": "Broken", "severity": "critical", "service": "web", "instance": name}} for name in ("a", "b")
    ]
    tocsin.post("/api/v2/alerts", alerts)
    [incident] = tocsin.until(lambda: tocsin.get(API + "/incidents")["incidents"], 60, "an incident")
    tocsin.until(lambda: len(tocsin.get(f"{API}/incidents/{incident['number']}")["alerts"]) == 2, 30, "both alerts in it")
    doer = Doer(tocsin, mail, changer)
    doer.kept["fingerprint"] = tocsin.get(f"{API}/incidents/{incident['number']}")["alerts"][0]["fingerprint"]
    with ThreadPoolExecutor(1) as thread:
        silent = thread.submit(asyncio.run, doer.run()).result()
    assert "\n".join(silent) == "", "these leave nothing in the audit"
