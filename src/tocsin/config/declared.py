"""Planned work that people entered in the dashboard, read by the rules of the file's own `maintenance`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from tocsin.config.config import Config
from tocsin.config.maintenance import MaintenanceSection
from tocsin.log import get_log
from tocsin.model.route import MaintenanceWindow
from tocsin.state.schema import declared_maintenance

log = get_log("config")


def window_of(id_: str, spec: Mapping[str, Any]) -> MaintenanceWindow:
    """`spec`: {window: an entry of `maintenance`, ended: [[start_ms, end_ms]]}. Raises ValidationError."""
    window = MaintenanceSection.model_validate(spec["window"]).build()
    ended = tuple((start_ms, end_ms) for start_ms, end_ms in spec["ended"])
    return replace(window, id=id_, occurrences=replace(window.occurrences, ended=ended))


def declared_windows(tx: Connection) -> tuple[MaintenanceWindow, ...]:
    """In the order in which they were made; one that is not valid any more is left out, and said."""
    found = []
    for row in tx.execute(sa.select(declared_maintenance).order_by(declared_maintenance.c.created_ms, declared_maintenance.c.id)):
        try:
            found.append(window_of(row.id, row.spec))
        except ValidationError as error:
            log.error("a maintenance window of the dashboard is not valid any more", window=row.id, error=str(error))
    return tuple(found)


def with_maintenance(config: Config, windows: Iterable[MaintenanceWindow]) -> Config:
    """The configuration plus planned work of the dashboard; a window of the file wins over one of the same name."""
    own = {window.name for window in config.routing.maintenance if not window.id}
    added = tuple(window for window in windows if window.name not in own)
    kept = tuple(window for window in config.routing.maintenance if not window.id)
    return dataclasses.replace(config, routing=dataclasses.replace(config.routing, maintenance=(*kept, *added)))
