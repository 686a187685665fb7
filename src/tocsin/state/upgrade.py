"""Bring the state database to this version's schema, with a copy of the old one kept beside it."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Engine

from tocsin.errors import StateError
from tocsin.log import get_log

log = get_log("state")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def current_revision(engine: Engine) -> str:
    """The revision the database is at; empty for a new one."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""


def check(engine: Engine) -> tuple[str, str]:
    """(revision of the database, newest revision known here). Raises StateError when it is of a newer Tocsin or damaged."""
    script = ScriptDirectory.from_config(_config())
    head = script.get_current_head() or ""
    try:
        at = current_revision(engine)
    except sa.exc.DatabaseError as error:
        raise StateError(
            f"the state database {engine.url.database} cannot be read: {error.orig}; restore it from a backup or move it away"
        ) from None
    if at and at not in {revision.revision for revision in script.walk_revisions()}:
        raise StateError(
            f"the state database {engine.url.database} was written by a newer Tocsin (schema {at}, this one knows {head}); "
            "run that version, or give another --data-dir"
        )
    return at, head


def upgrade(engine: Engine) -> None:
    """Create or migrate the tables in one transaction. Raises StateError as `check` does."""
    at, head = check(engine)
    if at == head:
        return
    if at:
        _keep_copy(engine, at)
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    log.info("state database upgraded", before=at or "new", after=head)


def _keep_copy(engine: Engine, revision: str) -> None:
    if not engine.url.drivername.startswith("sqlite") or not engine.url.database:
        return
    copy = Path(f"{engine.url.database}.before-{revision}")
    copy.unlink(missing_ok=True)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("VACUUM INTO ?", (str(copy),))
