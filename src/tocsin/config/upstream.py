"""The store, and a remote source of samples."""

from __future__ import annotations

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
