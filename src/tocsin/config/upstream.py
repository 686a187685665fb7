"""The store, a remote source of samples, and what is said once for everybody's contacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.config.schema import SourceSection, Store
from tocsin.remote.read import RemoteSource
from tocsin.tsdb.settings import StoreSettings


def remote_source(section: SourceSection | None) -> RemoteSource | None:
    if section is None:
        return None
    return RemoteSource(
        section.prometheus.rstrip("/"),
        username=section.username,
        password=section.password,
        bearer_token=section.bearer_token,
        timeout_s=section.timeout / 1000,
    )


def store_settings(section: Store, max_exemplars: int) -> StoreSettings:
    return StoreSettings(
        retention_ms=section.retention,
        retention_rollup_ms=section.retention_rollup,
        max_bytes=section.retention_size_bytes,
        max_series=section.max_series,
        backlog_bytes=section.backlog_bytes,
        max_exemplars=max_exemplars,
    )


_MAIL_KEYS = {
    "smtp_from": "from",
    "smtp_smarthost": "smarthost",
    "smtp_auth_username": "auth_username",
    "smtp_auth_password": "auth_password",
    "smtp_require_tls": "require_tls",
}


def channel_defaults(shared: Any, own: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """What is said once for everybody's contacts: Alertmanager's mail settings (TLS unless said otherwise), and `channels:`."""
    shared = shared if isinstance(shared, dict) else {}
    mail = {ours: shared[key] for key, ours in _MAIL_KEYS.items() if shared.get(key) is not None}
    found: dict[str, Mapping[str, Any]] = {"email": {"require_tls": True, **mail}} if mail else {}
    return {**found, **{channel: {**found.get(channel, {}), **settings} for channel, settings in own.items()}}
