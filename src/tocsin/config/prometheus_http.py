"""Prometheus's HTTP client settings: credentials, TLS, headers, redirects, proxies."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tocsin.collect.fields import size_bytes
from tocsin.collect.target import HttpSettings
from tocsin.config.fields import Section, Text, Texts
from tocsin.model import httpclient
from tocsin.model.httpclient import OAuth2, Tls

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

    def settings(self, base: Path) -> Tls:
        return Tls(
            self.ca,
            path_of(base, self.ca_file),
            self.cert,
            path_of(base, self.cert_file),
            self.key,
            path_of(base, self.key_file),
            self.server_name,
            self.insecure_skip_verify,
            self.min_version,
            self.max_version,
        )


class HeaderConfig(Section):
    values: Texts = ()
    secrets: Texts = ()
    files: Texts = ()


class Proxied(Section):
    """Which proxy requests go through."""

    proxy_url: str = ""
    no_proxy: str = ""
    proxy_from_environment: bool = False
    proxy_connect_header: dict[str, Texts] = Field(default_factory=dict)

    proxies: ClassVar[tuple[str, ...]] = ("http", "https")
    """Schemes of the proxies that this section's requests can go through."""

    @field_validator("proxy_url")
    @classmethod
    def _passable(cls, value: str) -> str:
        scheme = value.partition("://")[0]
        if value and scheme not in cls.proxies:
            wanted = " or ".join(f"{name}://" for name in cls.proxies)
            socks = "; SOCKS is for scrapes and HTTP checks" if scheme.startswith("socks") else ""
            raise ValueError(f"expected a proxy by {wanted}{socks}")
        return value

    @model_validator(mode="after")
    def _one_proxy(self) -> Self:
        if self.proxy_from_environment and (self.proxy_url or self.no_proxy):
            raise ValueError("with proxy_from_environment neither proxy_url nor no_proxy may be set")
        if self.no_proxy and not self.proxy_url:
            raise ValueError("no_proxy needs proxy_url")
        if self.proxy_connect_header and not (self.proxy_url or self.proxy_from_environment):
            raise ValueError("proxy_connect_header needs proxy_url or proxy_from_environment")
        return self

    def proxy(self, environment: Mapping[str, str]) -> httpclient.Proxy:
        def from_environment(name: str) -> str:
            return environment.get(name.lower(), "") or environment.get(name, "") if self.proxy_from_environment else ""

        return httpclient.Proxy(
            self.proxy_url,
            self.no_proxy or from_environment("NO_PROXY"),
            from_environment("HTTP_PROXY"),
            from_environment("HTTPS_PROXY"),
            {name: tuple(values) for name, values in self.proxy_connect_header.items()},
        )


class OAuth2Section(Proxied):
    """A token by the client credentials grant."""

    client_id: str = ""
    client_secret: Text = ""
    client_secret_file: str = ""
    scopes: Texts = ()
    token_url: str = ""
    endpoint_params: dict[str, Text] = Field(default_factory=dict)
    tls_config: TlsConfig = TlsConfig()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.client_id:
            raise ValueError("oauth2 client_id must be configured")
        if not self.token_url:
            raise ValueError("oauth2 token_url must be configured")
        if self.client_secret and self.client_secret_file:
            raise ValueError("at most one of oauth2 client_secret & client_secret_file must be configured")
        return self

    def grant(self, base: Path, environment: Mapping[str, str]) -> OAuth2:
        return OAuth2(
            self.client_id,
            self.token_url,
            self.client_secret,
            path_of(base, self.client_secret_file),
            tuple(self.scopes),
            self.endpoint_params,
            self.tls_config.settings(base),
            self.proxy(environment),
        )


RESERVED_HEADERS = frozenset({
    "authorization", "host", "content-encoding", "content-length", "content-type", "user-agent", "connection", "keep-alive",
    "proxy-authenticate", "proxy-authorization", "www-authenticate", "accept-encoding",
})  # fmt: skip


class HttpClientKeys(Proxied):
    """The keys of an HTTP client, as Prometheus and Alertmanager share them; they differ in two words of what they refuse."""

    only_once: ClassVar[str]
    """How the sentence on two ways of signing in ends."""
    reserved_headers: ClassVar[frozenset[str]] = RESERVED_HEADERS

    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    oauth2: OAuth2Section | None = None
    bearer_token: Text = ""
    bearer_token_file: str = ""
    tls_config: TlsConfig = TlsConfig()
    follow_redirects: bool = True
    enable_http2: bool = True
    http_headers: dict[str, HeaderConfig] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        ways = [self.basic_auth, self.authorization, self.oauth2, self.bearer_token or None, self.bearer_token_file or None]
        if sum(way is not None for way in ways) > 1:
            ways_text = "basic_auth, authorization, oauth2, bearer_token & bearer_token_file"
            raise ValueError(f"at most one of {ways_text} {self.only_once}")
        for name in self.http_headers:
            if name.lower() in self.reserved_headers:
                raise ValueError(f"setting header {name!r} is not allowed")
        return self


class HttpClientConfig(HttpClientKeys):
    """The keys that scrapes and discoveries share."""

    only_once = "must be configured"
    reserved_headers = RESERVED_HEADERS | {"x-prometheus-scrape-timeout-seconds"}

    def http(self, base: Path) -> HttpSettings:
        """As the scrape client needs it. Raises ValueError for a header file that cannot be read."""
        basic = self.basic_auth or BasicAuth()
        authorization = self.authorization or Authorization(
            credentials=self.bearer_token, credentials_file=self.bearer_token_file
        )
        return HttpSettings(
            username=basic.username,
            username_file=path_of(base, basic.username_file),
            password=basic.password,
            password_file=path_of(base, basic.password_file),
            authorization=authorization.type.strip() or "Bearer",
            credentials=authorization.credentials,
            credentials_file=path_of(base, authorization.credentials_file),
            headers={name: _header(entry, base) for name, entry in self.http_headers.items()},
            tls=self.tls_config.settings(base),
            follow_redirects=self.follow_redirects,
            proxy=self.proxy(os.environ),
            oauth2=self.oauth2.grant(base, os.environ) if self.oauth2 else None,
        )


def _header(entry: HeaderConfig, base: Path) -> tuple[str, ...]:
    values = [*entry.values, *entry.secrets]
    for file in entry.files:
        try:
            values.append((base / file).read_text().strip())
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read the header file {file}: {error}") from None
    return tuple(values)


def path_of(base: Path, file: str) -> str:
    """The whole path of a file that stands in a file of the folder `base`; "" stays."""
    return str((base / file).absolute()) if file else ""
