"""`http_config`: Prometheus's HTTP client settings, checked and turned into `model.httpclient.HttpClient`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError, field_validator

from tocsin.config.prometheus_http import Authorization, BasicAuth, HttpClientKeys, path_of
from tocsin.model import httpclient

Place = tuple[str | int, ...]


class HttpClientSection(HttpClientKeys):
    """`http_config` of receivers. HTTP/2 may be allowed; Tocsin speaks HTTP/1.1 to receivers."""

    only_once = "may be set"

    @field_validator("proxy_url")
    @classmethod
    def _passable(cls, value: str) -> str:
        # Alertmanager takes any text when it reads the file; what cannot be used is said by `cannot_be_done`.
        return value


def read_http_client(
    raw: Mapping[str, Any], base: Path, environment: Mapping[str, str] = os.environ
) -> tuple[httpclient.HttpClient | None, list[tuple[Place, str]]]:
    """The settings (None = they are not as Alertmanager wants them), and what is wrong as (path below, sentence).

    `base`: the folder that files are relative to.
    """
    try:
        section = HttpClientSection.model_validate(raw)
    except ValidationError as error:
        return None, [
            (tuple(problem["loc"]), problem["msg"].removeprefix("Value error, "))
            for problem in error.errors(include_input=False, include_url=False, include_context=False)
        ]
    built = build_http_client(section, base, environment)
    return built, cannot_be_done(built)


def cannot_be_done(client: httpclient.HttpClient) -> list[tuple[Place, str]]:
    """What is right as a setting and still does not work here."""
    wrong: list[tuple[Place, str]] = [((), f"cannot read {file}") for file in _files(client) if not os.access(file, os.R_OK)]
    for url in (client.proxy.url, client.proxy.http, client.proxy.https):
        if url and url.partition("://")[0] not in HttpClientSection.proxies:
            wrong.append((("proxy_url",), "expected a proxy by http:// or https://; messages do not go through others"))
    return wrong


def build_http_client(section: HttpClientSection, base: Path, environment: Mapping[str, str]) -> httpclient.HttpClient:
    """The value, every file with its whole path."""
    authorization = section.authorization
    if section.bearer_token or section.bearer_token_file:
        authorization = Authorization(credentials=section.bearer_token, credentials_file=section.bearer_token_file)
    return httpclient.HttpClient(
        basic_auth=_basic(section.basic_auth, base) if section.basic_auth else None,
        authorization=_authorization(authorization, base) if authorization else None,
        oauth2=section.oauth2.grant(base, environment) if section.oauth2 else None,
        tls=section.tls_config.settings(base),
        proxy=section.proxy(environment),
        follow_redirects=section.follow_redirects,
        headers={
            name: httpclient.Header((*entry.values, *entry.secrets), tuple(path_of(base, file) for file in entry.files))
            for name, entry in section.http_headers.items()
        },
    )


def _basic(section: BasicAuth, base: Path) -> httpclient.BasicAuth:
    user_file, password_file = path_of(base, section.username_file), path_of(base, section.password_file)
    return httpclient.BasicAuth(section.username, user_file, section.password, password_file)


def _authorization(section: Authorization, base: Path) -> httpclient.Authorization:
    kind = section.type.strip() or "Bearer"
    return httpclient.Authorization(kind, section.credentials, path_of(base, section.credentials_file))


def _files(client: httpclient.HttpClient) -> Iterator[str]:
    found = [client.tls.ca_file, client.tls.cert_file, client.tls.key_file]
    if client.basic_auth:
        found += [client.basic_auth.username_file, client.basic_auth.password_file]
    if client.authorization:
        found.append(client.authorization.credentials_file)
    if client.oauth2:
        grant = client.oauth2
        found += [grant.client_secret_file, grant.tls.ca_file, grant.tls.cert_file, grant.tls.key_file]
    found += [file for header in client.headers.values() for file in header.files]
    return (file for file in found if file)
