"""Prometheus's HTTP client settings: credentials, TLS, headers, redirects, proxies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator

from tocsin.collect.fields import size_bytes
from tocsin.collect.target import HttpSettings, TlsSettings
from tocsin.config.fields import Section, Text, Texts

ByteSize = Annotated[int, BeforeValidator(size_bytes)]


class BasicAuth(Section):
    username: Text = ""
    username_file: str = ""
    password: Text = ""
    password_file: str = ""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if self.username and self.username_file:
            raise ValueError("at most one of username and username_file can be set")
        if self.password and self.password_file:
            raise ValueError("at most one of password and password_file can be set")
        return self


class Authorization(Section):
    type: str = "Bearer"
    credentials: Text = ""
    credentials_file: str = ""

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if self.credentials and self.credentials_file:
            raise ValueError("at most one of credentials and credentials_file can be set")
        if self.type.strip().lower() == "basic":
            raise ValueError('authorization type cannot be set to "basic", use "basic_auth" instead')
        return self


_TlsVersion = Literal["", "TLS10", "TLS11", "TLS12", "TLS13"]


class TlsConfig(Section):
    ca: str = ""
    ca_file: str = ""
    cert: str = ""
    cert_file: str = ""
    key: str = ""
    key_file: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False
    min_version: _TlsVersion = ""
    max_version: _TlsVersion = ""

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        for inline, file in (("ca", "ca_file"), ("cert", "cert_file"), ("key", "key_file")):
            if getattr(self, inline) and getattr(self, file):
                raise ValueError(f"at most one of {inline} and {file} can be set")
        if bool(self.cert or self.cert_file) != bool(self.key or self.key_file):
            raise ValueError("a client certificate needs both a certificate (cert or cert_file) and a key (key or key_file)")
        if bool(self.cert) != bool(self.key):
            raise ValueError("give certificate and key both inline or both as files")
        return self

    def settings(self, base: Path) -> TlsSettings:
        return TlsSettings(
            self.ca,
            _path(base, self.ca_file),
            self.cert,
            _path(base, self.cert_file),
            self.key,
            _path(base, self.key_file),
            self.server_name,
            self.insecure_skip_verify,
            self.min_version,
            self.max_version,
        )


class HeaderConfig(Section):
    values: Texts = ()
    secrets: Texts = ()
    files: Texts = ()


_RESERVED_HEADERS = {
    "authorization", "host", "content-encoding", "content-length", "content-type", "user-agent", "connection", "keep-alive",
    "proxy-authenticate", "proxy-authorization", "www-authenticate", "accept-encoding", "x-prometheus-scrape-timeout-seconds",
}  # fmt: skip


class HttpClientConfig(Section):
    """The keys that scrapes and http_sd share."""

    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    oauth2: Any = None
    bearer_token: Text = ""
    bearer_token_file: str = ""
    tls_config: TlsConfig = TlsConfig()
    follow_redirects: bool = True
    enable_http2: bool = True
    http_headers: dict[str, HeaderConfig] = {}  # noqa: RUF012  (pydantic copies it)
    proxy_url: str = ""
    no_proxy: str = ""
    proxy_from_environment: bool = False
    proxy_connect_header: Any = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.oauth2 is not None:
            raise ValueError("oauth2 is not supported; use authorization with credentials_file kept fresh by another program")
        if self.proxy_url or self.proxy_from_environment or self.proxy_connect_header:
            raise ValueError("scraping through a proxy (proxy_url, proxy_from_environment) is not supported")
        ways = [self.basic_auth, self.authorization, self.bearer_token or None, self.bearer_token_file or None]
        if sum(way is not None for way in ways) > 1:
            raise ValueError("at most one of basic_auth, authorization, bearer_token & bearer_token_file must be configured")
        for name in self.http_headers:
            if name.lower() in _RESERVED_HEADERS:
                raise ValueError(f"setting header {name!r} is not allowed")
        return self

    def http(self, base: Path) -> HttpSettings:
        """As the scrape client needs it. Raises ValueError for a header file that cannot be read."""
        basic = self.basic_auth or BasicAuth()
        authorization = self.authorization or Authorization(
            credentials=self.bearer_token, credentials_file=self.bearer_token_file
        )
        return HttpSettings(
            username=basic.username,
            username_file=_path(base, basic.username_file),
            password=basic.password,
            password_file=_path(base, basic.password_file),
            authorization=authorization.type.strip() or "Bearer",
            credentials=authorization.credentials,
            credentials_file=_path(base, authorization.credentials_file),
            headers={name: _header(entry, base) for name, entry in self.http_headers.items()},
            tls=self.tls_config.settings(base),
            follow_redirects=self.follow_redirects,
        )


def _header(entry: HeaderConfig, base: Path) -> tuple[str, ...]:
    values = [*entry.values, *entry.secrets]
    for file in entry.files:
        try:
            values.append((base / file).read_text().strip())
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read the header file {file}: {error}") from None
    return tuple(values)


def _path(base: Path, file: str) -> str:
    return str(base / file) if file else ""
