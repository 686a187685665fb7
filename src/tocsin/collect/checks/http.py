"""An HTTP(S) address answers as expected."""

from __future__ import annotations

import base64
from importlib.util import find_spec
from typing import Annotated, Any, Literal
from urllib.parse import urljoin, urlsplit, urlunsplit

import orjson
from pydantic import BeforeValidator, Field

from tocsin.collect.certificate import expiry_outcome, tls_samples
from tocsin.collect.check import Check, check
from tocsin.collect.expect import BodyExpectation, StatusSet, body_problem, parse_status, status_text
from tocsin.collect.fields import DurationMs, HttpUrl, LatencyMs, Part, Pattern, ProxyUrl, SizeBytes, search
from tocsin.collect.http1 import Answer, exchange, facts_of, request_bytes
from tocsin.collect.http2 import exchange2, http2_headers
from tocsin.collect.io import Connection, Io
from tocsin.collect.masking import hidden_values, public_url, shown_request, without_secrets
from tocsin.collect.outcome import Outcome, ProbeError, Sample, degraded, failed, passed, unsupported
from tocsin.collect.tls import TlsOptions
from tocsin.collect.tunnel import is_socks, proxy_credentials
from tocsin.model.check import CheckReason
from tocsin.model.duration import format_duration

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 10
_DAY_MS = 86_400_000
_ALPN = {"1.1": ("http/1.1",), "2": ("h2",), "3": ("h3",), "any": ("h2", "http/1.1")}


class HttpExpect(Part):
    """What the answer must be like."""

    status: Annotated[StatusSet, BeforeValidator(parse_status)] = Field(
        (), description="200, [200, 204], 2xx or 200-299; default 2xx"
    )
    body: BodyExpectation = BodyExpectation()
    headers: dict[str, Pattern] = Field({}, description="header name -> regular expression that must occur in its value")
    latency: LatencyMs = Field(0, description="slower than this is degraded, such as < 1s")


class HttpTls(Part):
    """How to judge the server's certificate."""

    verify: bool = True
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    server_name: str = ""
    expires_warning: DurationMs = Field(
        14 * _DAY_MS, description="degraded when the certificate expires within this time; 0s = never"
    )


@check("http")
class Http(Check):
    """A web address answers within the timeout, with the expected status, headers and body."""

    example = "{name: shop, http: https://shop.example/health, expect: {status: 200, body: {json: {db.ok: true}}, latency: < 1s}}"
    waits_in_phases = True
    evidence = (
        "request (credentials hidden), status, http_version, url, redirects, headers (cookies hidden), body_excerpt, "
        "certificate chain"
    )

    url: HttpUrl
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    headers: dict[str, str] = Field({}, description="headers to send")
    body: str = Field("", description="body to send")
    json_body: Any = Field(None, description="JSON to send instead of `body`")
    username: str = ""
    password: str = Field("", repr=False)
    bearer: str = Field("", repr=False, description="token for `Authorization: Bearer`")
    follow_redirects: bool = True
    expect: HttpExpect = HttpExpect()
    tls: HttpTls = HttpTls()
    ip: Literal["any", "4", "6"] = Field("any", description="address family to use")
    http_version: Annotated[Literal["1.1", "2", "3", "any"], BeforeValidator(str)] = Field(
        "1.1",
        description="2 must be agreed in TLS (over plain http it is spoken at once); 3 needs the extra http3; any = 2 or 1.1",
    )
    proxy: ProxyUrl = Field(
        "", repr=False, description="ask through this proxy: http://, https:// or socks5://, with user:password@"
    )
    max_body: SizeBytes = Field(1 << 20, description="read at most this much of the answer")

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return {"url": value}

    @property
    def target(self) -> str:
        return _public(self.url)

    async def run(self, io: Io) -> Outcome:
        if self.http_version == "3" and find_spec("aioquic") is None:
            return unsupported("HTTP/3 needs aioquic, which is not installed: pip install 'tocsin[http3]'")
        answer, url, redirects = await self._fetch(io)
        duration_ms = io.waited_ms()
        facts = {**facts_of(answer), "url": public_url(url), "redirects": [public_url(hop) for hop in redirects]}
        facts["body_excerpt"] = without_secrets(str(facts["body_excerpt"]), self._secrets())
        samples = self._samples(io, answer, len(redirects))
        return self._judge(io, answer, duration_ms, facts, samples)

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _fetch(self, io: Io) -> tuple[Answer, str, list[str]]:
        """The last answer, its URL, and the URLs that led there. Every hop is resolved and judged anew."""
        url, method, redirects = self.url, self.method, list[str]()
        while True:
            answer = await self._ask(io, url, method)
            location = answer.header("location")
            if not (self.follow_redirects and answer.status in _REDIRECTS and location):
                return answer, url, redirects
            redirects.append(url)
            if len(redirects) > _MOST_REDIRECTS:
                raise ProbeError(
                    CheckReason.PROTOCOL,
                    f"redirected more than {_MOST_REDIRECTS} times",
                    {"redirects": [public_url(hop) for hop in redirects]},
                )
            url = urljoin(url, location)
            if urlsplit(url).scheme not in ("http", "https"):
                raise ProbeError(CheckReason.FORBIDDEN_TARGET, f"redirected to {url[:200]!r}, which is not HTTP")
            method = "GET" if answer.status == 303 or (answer.status in (301, 302) and method == "POST") else method

    async def _ask(self, io: Io, url: str, method: str) -> Answer:
        """One request by the version that is wanted or agreed."""
        parts = urlsplit(url)
        host, port, secure = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80), parts.scheme == "https"
        path = _ascii(urlunsplit(("", "", parts.path or "/", parts.query, "")))
        headers, body = self._request_headers(url), self._body() if method == self.method else b""
        io.trace.facts["request"] = shown_request(method, url, headers, len(body))
        pseudo = http2_headers(method, parts.scheme, headers["host"], path, headers.items())
        if self.http_version == "3":
            return await self._ask3(io, host, port, pseudo, body, secure=secure)
        connection, whole = await self._connect(io, host, port, secure=secure)
        try:
            if self._speaks2(connection):
                return await exchange2(io, connection, pseudo, body, most_bytes=self.max_body)
            if whole:
                headers |= dict(line.split(": ", 1) for line in proxy_credentials(self.proxy))
            request = request_bytes(method, f"http://{headers['host']}{path}" if whole else path, headers, body)
            return await exchange(io, connection, method, request, most_bytes=self.max_body)
        finally:
            connection.close()

    async def _connect(self, io: Io, host: str, port: int, *, secure: bool) -> tuple[Connection, bool]:
        """A connection to the host, and whether it is one to an HTTP proxy that wants to be told the whole address."""
        tls = self._tls_options() if secure else None
        if not self.proxy:
            return await io.connect(host, port, tls=tls, ip=self.ip), False
        whole = not secure and not is_socks(self.proxy) and self.http_version != "2"
        proxy_tls = TlsOptions(verify=self.tls.verify, ca_file=self.tls.ca_file)
        return await io.connect_through(self.proxy, host, port, tls=tls, proxy_tls=proxy_tls, whole=whole), whole

    def _speaks2(self, connection: Connection) -> bool:
        """HTTP/2 on this connection? Raises ProbeError where it is wanted and the server did not agree."""
        tls = connection.ssl_object
        agreed = tls is not None and tls.selected_alpn_protocol() == "h2"
        if self.http_version == "2" and tls is not None and not agreed:
            raise ProbeError(CheckReason.PROTOCOL, "the server did not agree to HTTP/2 (ALPN)")
        return agreed or (self.http_version == "2" and tls is None)

    async def _ask3(self, io: Io, host: str, port: int, headers: list[tuple[str, str]], body: bytes, *, secure: bool) -> Answer:
        from tocsin.collect.http3 import exchange3

        if not secure:
            raise ProbeError(CheckReason.PROTOCOL, "HTTP/3 needs https")
        if self.proxy:
            raise ProbeError(CheckReason.PROTOCOL, "HTTP/3 goes through no proxy")
        address = io.judge(await io.resolve(host, ip=self.ip))[0]
        return await exchange3(io, address, port, host, self._tls_options(), headers, body, most_bytes=self.max_body)

    def _tls_options(self) -> TlsOptions:
        tls = self.tls
        return TlsOptions(
            tls.server_name, tls.verify, tls.ca_file, tls.certificate_file, tls.key_file, alpn=_ALPN[self.http_version]
        )

    def _request_headers(self, url: str) -> dict[str, str]:
        """Credentials go to the configured host only, never after a redirect elsewhere."""
        parts, own = urlsplit(url), urlsplit(self.url)
        headers = {"host": parts.netloc.rpartition("@")[2], "user-agent": "Tocsin", "accept": "*/*", "connection": "close"}
        if (parts.scheme, parts.hostname, parts.port) != (own.scheme, own.hostname, own.port):
            return headers
        if self.json_body is not None:
            headers["content-type"] = "application/json"
        user, password = self.username or own.username or "", self.password or own.password or ""
        if user or password:
            headers["authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        if self.bearer:
            headers["authorization"] = f"Bearer {self.bearer}"
        headers.update({name.lower(): value for name, value in self.headers.items()})
        return headers

    def _secrets(self) -> list[str]:
        """What the target was told and may repeat in its answer."""
        parts = urlsplit(self.url)
        said = hidden_values(self._request_headers(self.url))
        words = [word for value in said for word in (value, value.partition(" ")[2])]
        return [*words, self.password, self.bearer, parts.password or "", urlsplit(self.proxy).password or ""]

    def _body(self) -> bytes:
        return orjson.dumps(self.json_body) if self.json_body is not None else self.body.encode()

    # -- judging -------------------------------------------------------------------------------------------------------

    def _judge(self, io: Io, answer: Answer, duration_ms: float, facts: dict[str, Any], samples: tuple[Sample, ...]) -> Outcome:
        said = f"HTTP {answer.status} in {duration_ms:.0f} ms"
        if not self._status_ok(answer.status):
            wanted = status_text(self.expect.status)
            return failed(CheckReason.STATUS, f"{said}, expected {wanted}", facts, samples)
        for name, pattern in self.expect.headers.items():
            if not search(pattern, answer.header(name.lower())):
                got = answer.header(name.lower())[:100]
                return failed(CheckReason.UNEXPECTED_ANSWER, f"{said}, but header {name} is {got!r}", facts, samples)
        if problem := body_problem(self.expect.body, answer.body):
            return failed(CheckReason.BODY, f"{said}, but {problem}", facts, (*samples, _regex_sample(1)))
        samples = (*samples, _regex_sample(0))
        if soon := expiry_outcome(io, self.tls.expires_warning, said, facts, samples):
            return soon
        if self.expect.latency and duration_ms > self.expect.latency:
            limit = format_duration(self.expect.latency)
            return degraded(CheckReason.SLOW, f"{said}, slower than {limit}", facts, samples)
        return passed(said, facts, samples)

    def _status_ok(self, status: int) -> bool:
        ranges = self.expect.status or ((200, 299),)
        return any(low <= status <= high for low, high in ranges)

    def _samples(self, io: Io, answer: Answer, redirects: int) -> tuple[Sample, ...]:
        phases: dict[str, float] = {}
        for phase in io.trace.phases:
            phases[phase.name] = phases.get(phase.name, 0.0) + phase.ms / 1000
        return (
            ("probe_http_status_code", {}, float(answer.status)),
            ("probe_http_version", {}, float(answer.version or 0)),
            ("probe_http_redirects", {}, float(redirects)),
            ("probe_http_uncompressed_body_length", {}, float(len(answer.body))),
            *(("probe_http_duration_seconds", {"phase": name}, seconds) for name, seconds in phases.items()),
            *tls_samples(io.trace.facts.get("tls")),
        )


def _public(url: str) -> str:
    """A URL without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _regex_sample(value: float) -> Sample:
    return ("probe_failed_due_to_regex", {}, value)


def _ascii(path: str) -> str:
    """A path as it may stand in a request line: what is not ASCII is percent-encoded as UTF-8."""
    return "".join(c if "!" <= c <= "~" else "".join(f"%{b:02X}" for b in c.encode()) for c in path)
