"""The domain check against local registries: RDAP over HTTP and TLS, WHOIS where RDAP does not answer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from tests.collect.fakes import Handler, Pki, Servers, free_port, hang, http_answer, run_once

from tocsin.collect.catalog import parse_check
from tocsin.collect.registration import date_ms, rdap_server, whois_registration
from tocsin.model.check import CheckReason as R


def _in(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rdap(days: float | None, *status: str) -> bytes:
    events = [{"eventAction": "registration", "eventDate": "1995-08-14T04:00:00Z"}]
    events += [{"eventAction": "expiration", "eventDate": _in(days)}] if days is not None else []
    card = ["vcard", [["version", {}, "text", "4.0"], ["fn", {}, "text", "Good Names Ltd"]]]
    return orjson.dumps(
        {"objectClassName": "domain", "ldhName": "shop.example", "status": list(status) or ["active"], "events": events,
         "entities": [{"objectClassName": "entity", "roles": ["registrar"], "vcardArray": card}],
         "nameservers": [{"objectClassName": "nameserver", "ldhName": "NS1.shop.example"}]}
    )  # fmt: skip


def _whois(text: str) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"shop.example\r\n"
        writer.write(text.replace("\n", "\r\n").encode())
        await writer.drain()

    return handle


async def _ask(rdap_port: int, *, whois_port: int = 0, **more: Any) -> Any:
    settings = {"rdap": f"http://127.0.0.1:{rdap_port}/v1", "whois": f"127.0.0.1:{whois_port or free_port()}", **more}
    return await run_once({"domain": {"name": "Shop.Example.", **settings}, "timeout": "3s"})


@pytest.mark.parametrize(
    ("days", "status", "verdict", "reason"),
    [
        (200, "active", "up", R.OK),
        (20, "active", "degraded", R.EXPIRES_SOON),
        (6, "active", "down", R.EXPIRES_SOON),
        (-1, "active", "down", R.UNEXPECTED_ANSWER),
        (200, "client hold", "down", R.UNEXPECTED_ANSWER),
        (200, "redemption period", "down", R.UNEXPECTED_ANSWER),
    ],
)
async def test_the_registration_is_judged_by_its_date_and_state(
    servers: Servers, days: float, status: str, verdict: str, reason: R
) -> None:
    result = await _ask(await servers.start(http_answer(_rdap(days, status))))
    said = "unknown" if result.unknown else "degraded" if result.degraded else "up" if result.ok else "down"
    assert (said, result.reason) == (verdict, reason), result.message
    assert (result.facts["registrar"], result.facts["registered"]) == ("Good Names Ltd", "1995-08-14")
    assert result.facts["name_servers"] == ["ns1.shop.example"]


async def test_the_server_is_found_in_the_bootstrap_list_over_tls(servers: Servers, pki: Pki) -> None:
    registry = await servers.start(http_answer(_rdap(200)), tls=pki.context(pki.good))
    moved = await servers.start(http_answer(b"", "302 Found", [f"Location: https://localhost:{registry}/domain/shop.example"]))
    services = [[["org"], ["https://wrong.invalid/"]], [["example"], [f"http://127.0.0.1:{moved}/rdap/"]]]
    listing = await servers.start(http_answer(orjson.dumps({"services": services})))
    raw = {"name": "shop.example", "bootstrap": f"http://127.0.0.1:{listing}/dns.json", "ca_file": str(pki.ca)}
    result = await run_once({"domain": raw, "timeout": "3s"})
    assert result.ok, result.message
    assert result.facts["source"] == f"http://127.0.0.1:{moved}/rdap/domain/shop.example"
    names = {name: value for name, _, value in result.samples}
    assert names["probe_domain_expiry_timestamp_seconds"] == pytest.approx(datetime.now(UTC).timestamp() + 200 * 86400, abs=60)


async def test_whois_is_asked_where_rdap_does_not_answer(servers: Servers) -> None:
    text = (
        f"% A registry\nDomain Name: SHOP.EXAMPLE\nRegistry Expiry Date: {_in(90)}\nRegistrar: Good Names\nName Server: NS1.X\n"
    )
    whois = await servers.start(_whois(text))
    for rdap in (
        free_port(),
        await servers.start(http_answer(b"busy", "429 Too Many Requests")),
        await servers.start(http_answer(_rdap(None))),
    ):
        result = await _ask(rdap, whois_port=whois)
        assert result.ok, result.message
        assert (result.facts["source"], result.facts["registrar"]) == ("whois://127.0.0.1", "Good Names")


async def test_a_name_that_nobody_holds_is_down(servers: Servers) -> None:
    gone = await _ask(await servers.start(http_answer(b"{}", "404 Not Found")))
    assert (gone.ok, gone.unknown, "not registered" in gone.message) == (False, False, True)
    whois = await servers.start(_whois("No match for domain shop.example\n"))
    assert "not registered" in (await _ask(free_port(), whois_port=whois)).message


async def test_a_registry_in_trouble_or_silent_about_dates_leaves_it_unknown(servers: Servers) -> None:
    away = await _ask(free_port())
    assert (away.unknown, away.reason) == (True, R.REFUSED), away.message
    assert "RDAP" in away.message and "WHOIS" in away.message
    dateless = await servers.start(_whois("Domain: shop.example\nStatus: connect\n"))
    silent = await _ask(free_port(), whois_port=dateless)
    assert (silent.unknown, silent.reason) == (True, R.UNSUPPORTED), silent.message
    nonsense = await _ask(await servers.start(http_answer(b"<html>")), whois_port=await servers.start(_whois("")))
    assert nonsense.unknown, nonsense.message
    hung = {"name": "shop.example", "rdap": f"http://127.0.0.1:{await servers.start(hang)}"}
    assert (await run_once({"domain": hung, "timeout": "200ms"})).reason is R.TIMEOUT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-01-31T12:00:00Z", "2027-01-31T12:00"),
        ("2027-01-31T12:00:00+02:00", "2027-01-31T10:00"),
        ("2027-01-31", "2027-01-31T00:00"),
        ("31-Jan-2027", "2027-01-31T00:00"),
        ("31.01.2027", "2027-01-31T00:00"),
        ("2027. 01. 31", ""),
        ("20270131", "2027-01-31T00:00"),
        ("2027/01/31 (JST)", "2027-01-31T00:00"),
        ("31 January 2027", "2027-01-31T00:00"),
        ("soon", ""),
        ("", ""),
    ],
)
def test_the_dates_of_registries(text: str, expected: str) -> None:
    found = date_ms(text)
    assert (datetime.fromtimestamp(found / 1000, UTC).strftime("%Y-%m-%dT%H:%M") if found else "") == expected


def test_the_longest_suffix_wins_and_https_is_preferred() -> None:
    services = [[["uk"], ["https://a/"]], [["co.uk"], ["http://b/", "https://b/"]], [["broken"]], "nonsense"]
    assert rdap_server({"services": services}, "shop.co.uk") == "https://b/"
    assert rdap_server({"services": services}, "shop.uk") == "https://a/"
    assert rdap_server({"services": services}, "shop.example") == ""
    assert rdap_server([], "shop.example") == ""


@pytest.mark.parametrize(
    "line",
    [
        "paid-till: 2027-01-31T21:00:00Z",
        "Expiry date:  31-Jan-2027",
        "expires............: 31.1.2027",
        "   Renewal date:  2027-01-31",
    ],
)
def test_whois_lines_of_several_registries(line: str) -> None:
    found = whois_registration(f"domain: X\n{line}\nregistrar: R\n", "whois://x")
    assert datetime.fromtimestamp(found.expires_ms / 1000, UTC).strftime("%Y-%m-%d") == "2027-01-31"


def test_names_are_checked_and_asked_for_twice_a_day() -> None:
    spec = parse_check({"name": "d", "domain": "Bücher.example"})
    assert (spec.target, spec.every_ms) == ("xn--bcher-kva.example", 12 * 3_600_000)
    assert parse_check({"name": "d", "domain": "a.example", "every": "1m"}).every_ms == 60_000
    for bad in ("localhost", "-a.example", "a b.example", ""):
        with pytest.raises(ValueError, match="registered domain"):
            parse_check({"name": "d", "domain": bad})
