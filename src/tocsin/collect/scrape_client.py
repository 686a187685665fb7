"""The scraper's HTTP/1.1 client: one kept-alive connection per target, nothing between the socket and httptools.

A general HTTP client costs several times more CPU per scrape than the exchange itself (specs: HTTP clients, measured).
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import os
import ssl
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urljoin, urlsplit, urlunsplit

import httptools

from tocsin import __version__
from tocsin.collect.proxied import connect_through, host_text
from tocsin.collect.target import HttpSettings
from tocsin.collect.tunnel import is_socks, proxy_credentials
from tocsin.model.httpclient import Tls, proxy_for

_MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_DEFAULT_LIMIT = 1 << 30


class ScrapeFailed(Exception):
    """The target did not give an answer that can be read; the text is shown as the target's last error."""


@dataclass(slots=True)
class Answer:
    """A complete answer. `body` is decoded; `wire_bytes` is what went over the wire."""

    status: int
    content_type: str
    location: str
    encoding: str
    body: bytes
    keep: bool


class _Exchange(asyncio.Protocol):
    """One connection; answers come one after another."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.closed = False
        self._waiter: asyncio.Future[Answer] | None = None
        self._limit = _DEFAULT_LIMIT
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._chunks: list[bytes] = []
        self._size = 0

    def ask(self, request: bytes, limit: int) -> asyncio.Future[Answer]:
        assert self.transport is not None
        self._begin()
        self._limit = limit
        self._waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._waiter

    # -- asyncio -------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's, so this cannot be asked with isinstance.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(ScrapeFailed("the target wants to switch protocols"))
        except httptools.HttpParserError as error:
            inner = error.__context__
            self._fail(inner if isinstance(inner, ScrapeFailed) else ScrapeFailed(f"the answer is not HTTP: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self._waiter is None or self._waiter.done():
            return
        by_length = b"content-length" in self._headers or b"transfer-encoding" in self._headers
        if self._headers and not by_length:
            self._finish(keep=False)
        else:
            self._fail(ConnectionResetError("the connection was closed before the answer was complete"))

    # -- httptools -----------------------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self._headers) > 1000:
            raise ScrapeFailed("more than 1000 headers")
        self._headers[name.lower()] = value

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise ScrapeFailed(f"body size limit exceeded ({self._limit} bytes)")
        self._chunks.append(data)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= 200:
            self._finish(keep=self._parser.should_keep_alive())

    def _finish(self, *, keep: bool) -> None:
        if self._waiter is not None and not self._waiter.done():
            text = {
                name: self._headers.get(name, b"").decode("latin-1")
                for name in (b"content-type", b"location", b"content-encoding")
            }
            body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks = []  # until the next scrape they would be a second copy of the body
            self._waiter.set_result(
                Answer(
                    self._parser.get_status_code(),
                    text[b"content-type"],
                    text[b"location"],
                    text[b"content-encoding"].strip().lower(),
                    body,
                    keep,
                )
            )

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self.close()

    def close(self) -> None:
        self.closed = True
        if self.transport is not None:
            self.transport.abort()


@dataclass(slots=True)
class ScrapeClient:
    """Asks one URL again and again."""

    url: str
    http: HttpSettings
    accept: str
    compression: bool
    timeout_s: float
    limit: int = 0
    _connection: _Exchange | None = field(default=None, repr=False)
    _usual: bytes = field(default=b"", repr=False)
    """The request for `url`, kept where no part of it can change."""

    async def get(self) -> Answer:
        """One answer with status 200. Raises ScrapeFailed, OSError, ssl.SSLError; the caller sets the timeout."""
        answer = await self._ask(self.url, keep=True)
        for _ in range(_MOST_REDIRECTS):
            if not (self.http.follow_redirects and answer.status in _REDIRECTS and answer.location):
                break
            url = urljoin(self.url, answer.location)
            answer = await self._ask(url, keep=False)
        if answer.status != 200:
            raise ScrapeFailed(f"server returned HTTP status {answer.status}")
        answer.body = _decoded(answer, self.limit or _DEFAULT_LIMIT)
        return answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _ask(self, url: str, *, keep: bool) -> Answer:
        request = self._usual
        if not request or url is not self.url:
            request = self._request(url, await self._with_token())
            self._usual = b"" if url is not self.url or changes(self.http) else request
        limit = self.limit or _DEFAULT_LIMIT
        if keep and self._connection is not None and not self._connection.closed:
            try:
                return await self._exchange(self._connection, request, limit, keep=True)
            except ConnectionError:
                pass  # the server had closed the idle connection: once more on a new one
        connection = await self._connect(url)
        if keep:
            self._connection = connection
        return await self._exchange(connection, request, limit, keep=keep)

    async def _with_token(self) -> str:
        """The bearer token of an oauth2 grant; empty without one."""
        if self.http.oauth2 is None:
            return ""
        from tocsin.collect.oauth2 import token_for

        return await token_for(self.http.oauth2)

    async def _exchange(self, connection: _Exchange, request: bytes, limit: int, *, keep: bool) -> Answer:
        try:
            answer = await connection.ask(request, limit)
        except BaseException:
            connection.close()
            raise
        if not (keep and answer.keep):
            connection.close()
        return answer

    async def _connect(self, url: str) -> _Exchange:
        parts = urlsplit(url)
        secure, host = parts.scheme == "https", parts.hostname or ""
        port = parts.port or (443 if secure else 80)
        context = tls_context(self.http.tls) if secure else None
        server_name = self.http.tls.server_name or host
        if proxy := proxy_for(url, self.http.proxy):
            proxy_context = tls_context(self.http.tls) if proxy.startswith("https:") else None
            headers = self.http.proxy.connect_header
            return await connect_through(
                proxy, host, port, _Exchange, context, server_name, headers=headers, proxy_context=proxy_context
            )
        _, protocol = await asyncio.get_running_loop().create_connection(
            _Exchange, host, port, ssl=context, server_hostname=server_name if secure else None
        )
        return protocol

    def _request(self, url: str, token: str) -> bytes:
        parts = urlsplit(url)
        path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        proxy = proxy_for(url, self.http.proxy) if parts.scheme == "http" else ""
        proxy = "" if is_socks(proxy) else proxy
        lines = [
            # An HTTP proxy is told the whole address; through a tunnel the target is asked as ever.
            f"GET {f'http://{host_text(parts)}{path}' if proxy else path} HTTP/1.1",
            f"Host: {host_text(parts)}",
            f"User-Agent: Tocsin/{__version__}",
            f"Accept: {self.accept}",
            f"Accept-Encoding: {'gzip' if self.compression and not is_near(parts.hostname or '') else 'identity'}",
            f"X-Prometheus-Scrape-Timeout-Seconds: {self.timeout_s:g}",
        ]
        lines += [f"{name}: {value}" for name, values in self.http.headers.items() for value in values]
        lines += proxy_credentials(proxy)
        if host_text(parts) == host_text(urlsplit(self.url)):
            lines += authorization_of(self.http, parts.username or "", parts.password or "", token)
        if any("\r" in line or "\n" in line for line in lines):
            raise ScrapeFailed("a header or the URL contains a line break")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def changes(http: HttpSettings) -> bool:
    """Whether a request may look otherwise than the one before: credentials in files rotate, tokens run out."""
    return bool(http.username_file or http.password_file or http.credentials_file or http.oauth2)


def authorization_of(http: HttpSettings, user: str = "", password: str = "", token: str = "") -> list[str]:
    """The header line with credentials, if any; they are read from their files anew each time, for they may rotate."""
    if token:
        return [f"Authorization: Bearer {token}"]
    credentials = secret_of(http.credentials, http.credentials_file)
    if credentials:
        return [f"Authorization: {http.authorization} {credentials}"]
    user = secret_of(http.username, http.username_file) or user
    if not user:
        return []
    password = secret_of(http.password, http.password_file) or password
    return ["Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()]


def secret_of(text: str, file: str) -> str:
    """A secret given as text or in a file. Raises ScrapeFailed."""
    if text or not file:
        return text
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ScrapeFailed(f"cannot read the credentials file {file}: {error}") from None


def _decoded(answer: Answer, limit: int) -> bytes:
    """Unpack gzip, never beyond the limit."""
    if answer.encoding in ("", "identity"):
        return answer.body
    if answer.encoding != "gzip":
        raise ScrapeFailed(f"unsupported Content-Encoding {answer.encoding!r}")
    decoder = zlib.decompressobj(31)
    try:
        body = decoder.decompress(answer.body, limit + 1)
    except zlib.error as error:
        raise ScrapeFailed(f"the body is not valid gzip: {error}") from None
    if len(body) > limit:
        raise ScrapeFailed(f"body size limit exceeded ({limit} bytes after unpacking)")
    if not decoder.eof:
        raise ScrapeFailed("the gzip body was cut off")
    return body


def is_near(host: str) -> bool:
    """Loopback and private addresses: packing costs both sides more CPU there than the network would."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost"


_CONTEXTS: dict[tuple[Tls, tuple[float, ...]], ssl.SSLContext] = {}


def tls_context(tls: Tls) -> ssl.SSLContext:
    """For these settings and the files as they are now. Raises ScrapeFailed, OSError, ssl.SSLError."""
    return _context(tls, _stamps(tls))


def _stamps(tls: Tls) -> tuple[float, ...]:
    """When the files last changed: a rotated certificate is used from the next connection on."""
    files = (tls.ca_file, tls.cert_file, tls.key_file)
    try:
        return tuple(Path(file).stat().st_mtime for file in files if file)
    except OSError as error:
        raise ScrapeFailed(f"cannot read a TLS file: {error}") from None


_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


def _context(tls: Tls, stamps: tuple[float, ...]) -> ssl.SSLContext:
    """Loading the system's authorities takes 10-30 ms: once per settings and version of the files."""
    if (found := _CONTEXTS.get((tls, stamps))) is not None:
        return found
    context = ssl.create_default_context(cafile=tls.ca_file or None, cadata=tls.ca or None)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file or None)
    elif tls.cert:
        _load_inline(context, tls)
    if tls.min_version:
        context.minimum_version = _VERSIONS[tls.min_version]
    if tls.max_version:
        context.maximum_version = _VERSIONS[tls.max_version]
    if len(_CONTEXTS) > 500:
        _CONTEXTS.clear()
    return _CONTEXTS.setdefault((tls, stamps), context)


def _load_inline(context: ssl.SSLContext, tls: Tls) -> None:
    # The ssl module reads certificates from files only: a private one that lives for this call.
    descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, f"{tls.cert}\n{tls.key}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
