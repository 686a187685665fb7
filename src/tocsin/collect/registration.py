"""What registries say of a domain name: RDAP (RFC 9083) or, where there is none, WHOIS (RFC 3912). Parsing is pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import orjson

from tocsin.collect.http1 import exchange, request_bytes
from tocsin.collect.io import Io
from tocsin.collect.outcome import ProbeError
from tocsin.collect.tls import TlsOptions
from tocsin.model.check import CheckReason

_MOST_BYTES = 2 << 20
_MOST_HOPS = 5
_REDIRECTS = (301, 302, 303, 307, 308)


class NotRegistered(Exception):
    """The registry knows no such domain."""


@dataclass(frozen=True, slots=True)
class Registration:
    """`expires_ms` 0 = the registry does not say."""

    expires_ms: int = 0
    registered_ms: int = 0
    registrar: str = ""
    status: tuple[str, ...] = ()
    name_servers: tuple[str, ...] = ()
    source: str = ""


# -- RDAP --------------------------------------------------------------------------------------------------------------


async def ask_rdap(io: Io, domain: str, *, server: str, bootstrap: str, ca_file: str) -> Registration | None:
    """The registration; None where the top-level domain has no RDAP server. Raises NotRegistered, ProbeError, OSError."""
    base = server or rdap_server(await _json(io, bootstrap, ca_file, "the list of RDAP servers"), domain)
    if not base:
        return None
    url = urljoin(base if base.endswith("/") else f"{base}/", f"domain/{domain}")
    return rdap_registration(await _json(io, url, ca_file, "the registry"), url)


def rdap_server(document: Any, domain: str) -> str:
    """The server of the longest suffix of `domain` in IANA's list (RFC 9224); https before http; empty = none."""
    best, found = "", ""
    for service in _list(_field(document, "services")):
        names, urls = (_list(part) for part in (*_list(service), [], [])[:2])
        for name in (str(name).lower() for name in names):
            if (domain == name or domain.endswith(f".{name}")) and len(name) > len(best) and urls:
                best, found = name, min((str(url) for url in urls), key=lambda url: not url.startswith("https:"))
    return found


def rdap_registration(document: Any, source: str) -> Registration:
    """Raises ProbeError for what is no answer about a domain."""
    if _field(document, "objectClassName") != "domain":
        raise ProbeError(CheckReason.PROTOCOL, f"the registry's answer is not about a domain ({source})")
    events = {str(_field(event, "eventAction")): str(_field(event, "eventDate")) for event in _list(document.get("events"))}
    return Registration(
        expires_ms=date_ms(events.get("expiration", "")),
        registered_ms=date_ms(events.get("registration", "")),
        registrar=next((_name(entity) for entity in _list(document.get("entities")) if _is_registrar(entity)), ""),
        status=tuple(str(entry)[:60] for entry in _list(document.get("status"))[:20]),
        name_servers=tuple(str(_field(entry, "ldhName"))[:253].lower() for entry in _list(document.get("nameservers"))[:20]),
        source=source,
    )


async def _json(io: Io, url: str, ca_file: str, what: str) -> Any:
    for _ in range(_MOST_HOPS):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ProbeError(CheckReason.PROTOCOL, f"{what}: {url[:200]!r} is not an HTTP address")
        secure = parts.scheme == "https"
        options = TlsOptions(ca_file=ca_file, alpn=("http/1.1",)) if secure else None
        connection = await io.connect(parts.hostname, parts.port or (443 if secure else 80), tls=options)
        try:
            headers = {"host": parts.netloc.rpartition("@")[2], "user-agent": "Tocsin", "connection": "close"}
            headers["accept"] = "application/rdap+json, application/json"
            request = request_bytes("GET", urlunsplit(("", "", parts.path or "/", parts.query, "")), headers)
            answer = await exchange(io, connection, "GET", request, most_bytes=_MOST_BYTES)
        finally:
            connection.close()
        if answer.status in _REDIRECTS and answer.header("location"):
            url = urljoin(url, answer.header("location"))
            continue
        if answer.status == 404:
            raise NotRegistered
        if answer.status != 200:
            raise ProbeError(CheckReason.STATUS, f"{what} answered HTTP {answer.status} ({url})")
        try:
            return orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            raise ProbeError(CheckReason.BODY, f"{what}: the answer is not JSON: {error}") from None
    raise ProbeError(CheckReason.PROTOCOL, f"{what} redirected more than {_MOST_HOPS} times")


def _field(value: Any, name: str) -> Any:
    return value.get(name, "") if isinstance(value, Mapping) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_registrar(entity: Any) -> bool:
    return "registrar" in _list(_field(entity, "roles"))


def _name(entity: Any) -> str:
    """`fn` of a jCard: ["vcard", [["fn", {}, "text", "Example Registrar"], ...]]."""
    card = _list(_field(entity, "vcardArray"))
    entries = [_list(entry) for entry in _list(card[1] if len(card) > 1 else None)]
    return next((str(entry[3])[:200] for entry in entries if len(entry) > 3 and entry[0] == "fn"), "")


# -- WHOIS -------------------------------------------------------------------------------------------------------------

_ROOT = "whois.iana.org"
_PORT = 43
_EXPIRY = re.compile(
    r"^[ \t]*(?:registry expiry date|registrar registration expiration date|expir(?:y|ation|es?)(?: date| on)?|paid-till"
    r"|renewal date|valid[- ]until|free-date|validity|domain_datebilleduntil)\s*[.:]+\s*(\S.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_REGISTERED = re.compile(r"^[ \t]*(?:creation date|created(?: on)?|registered(?: on)?)\s*[.:]+\s*(\S.*)$", re.I | re.M)
_REGISTRAR = re.compile(r"^[ \t]*(?:sponsoring )?registrar(?: name)?\s*:\s*(\S.*)$", re.IGNORECASE | re.MULTILINE)
_STATUS = re.compile(r"^[ \t]*(?:domain )?status\s*:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_SERVERS = re.compile(r"^[ \t]*(?:name server|nserver|nameservers?)\s*:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_REFERRAL = re.compile(r"^[ \t]*(?:refer|whois)\s*:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_NOTHING = re.compile(r"no match|not found|no entries found|no data found|status:\s*(?:free|available)|is available", re.I)


async def ask_whois(io: Io, domain: str, *, server: str, port: int = _PORT) -> Registration:
    """Ask `server`, or the one that IANA names. Raises NotRegistered, ProbeError, OSError."""
    if not server:
        said = await _whois(io, _ROOT, _PORT, domain.rpartition(".")[2])
        found = _REFERRAL.search(said)
        if found is None:
            raise ProbeError(CheckReason.UNEXPECTED_ANSWER, f"IANA names no WHOIS server for {domain}")
        server = found[1]
    return whois_registration(await _whois(io, server, port, domain), f"whois://{server}")


async def _whois(io: Io, server: str, port: int, question: str) -> str:
    connection = await io.connect(server, port)
    try:
        with io.phase("processing", f"waiting for {server}"):
            await connection.send(f"{question}\r\n".encode())
            answer = b""
            while len(answer) < 65_536 and (data := await connection.reader.read(8192)):
                answer += data
    finally:
        connection.close()
    return answer.decode("utf-8", "replace").replace("\r", "")


def whois_registration(text: str, source: str) -> Registration:
    """Raises NotRegistered, or ProbeError for an empty answer."""
    if not text.strip():
        raise ProbeError(CheckReason.PROTOCOL, f"{source} answered nothing")
    if _NOTHING.search(text[:2000]) and not _EXPIRY.search(text):
        raise NotRegistered
    first = {name: found[1].strip() if (found := pattern.search(text)) else "" for name, pattern in _FIRST.items()}
    return Registration(
        expires_ms=date_ms(first["expires"]),
        registered_ms=date_ms(first["registered"]),
        registrar=first["registrar"][:200],
        status=tuple(dict.fromkeys(_STATUS.findall(text)))[:20],
        name_servers=tuple(dict.fromkeys(name.lower().rstrip(".") for name in _SERVERS.findall(text)))[:20],
        source=source,
    )


_FIRST = {"expires": _EXPIRY, "registered": _REGISTERED, "registrar": _REGISTRAR}

_FORMATS = ("%Y-%m-%d", "%Y.%m.%d", "%Y/%m/%d", "%d-%b-%Y", "%d.%m.%Y", "%d/%m/%Y", "%Y%m%d", "%d %B %Y", "%B %d %Y", "%d %b %Y")


def date_ms(text: str) -> int:
    """The instant that registries mean by `2027-01-31T00:00:00Z`, `31-Jan-2027` or their other ways; 0 = not a date."""
    words = text.split()
    for candidate in dict.fromkeys((text.strip(), " ".join(words[:3]), words[0] if words else "")):
        if (moment := _moment(candidate)) is not None:
            return int(moment.timestamp() * 1000)
    return 0


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        pass
    for shape in _FORMATS:
        try:
            return datetime.strptime(text, shape).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
