"""What the parent looks at before it starts anything: a mistake is one clear message, not a child that dies again and again."""

from __future__ import annotations

from tocsin.app.settings import ServeSettings
from tocsin.config.load import build
from tocsin.config.sources import read_sources
from tocsin.errors import ConfigError
from tocsin.log import get_log
from tocsin.state.reserve import Reserve
from tocsin.state.sql import create_engine, sqlite_url
from tocsin.state.upgrade import check

log = get_log("start")

LAST_GOOD = "config.last-good.json"


def preflight(settings: ServeSettings) -> bool:
    """Whether the state has to be created or upgraded.

    Raises StateError (the data is of a newer version, or damaged), ConfigError (wrong files and no good ones from before).
    """
    outdated = True
    if settings.state_path.exists():
        engine = create_engine(sqlite_url(settings.state_path), read_only=True)
        try:
            at, newest = Reserve(settings.data_dir).helped(lambda: check(engine))  # to read, SQLite needs room, too
            outdated = at != newest
        finally:
            engine.dispose()
    try:
        build(read_sources(settings.config_paths, optional=settings.config_optional), address=settings.reachable)
    except ConfigError:
        if not (settings.data_dir / LAST_GOOD).exists():
            raise
    return outdated
