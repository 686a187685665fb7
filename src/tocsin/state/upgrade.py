"""Bring the state database to this version's schema, with a copy of the old one kept beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tocsin.errors import StateError
from tocsin.log import get_log

if TYPE_CHECKING:
    from alembic.config import Config

log = get_log("state")

_MIGRATIONS = Path(__file__).parent / "migrations"


def _config() -> Config:
    # Only a new or an older database needs Alembic; importing it costs 80 ms and 6 MB of every start.
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def revisions() -> list[str]:
    """The revisions known here, oldest first: the files in `versions` begin with them."""
    return sorted(path.stem.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def current_revision(engine: Engine) -> str:
    """The revision the database is at; empty for a new one."""
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return ""
        return str(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() or "")


def check(engine: Engine) -> tuple[str, str]:
    """(revision of the database, newest revision known here). Raises StateError when it is of a newer Tocsin or damaged."""
    known = revisions()
    try:
        at = current_revision(engine)
    except sa.exc.DatabaseError as error:
        raise StateError(
            f"the state database {engine.url.database} cannot be read: {error.orig}; restore it from a backup or move it away"
        ) from None
    if at and at not in known:
        raise StateError(
            f"the state database {engine.url.database} was written by a newer Tocsin (schema {at}, this one knows {known[-1]}); "
            "run that version, or give another --data-dir"
        )
    return at, known[-1]


def upgrade(engine: Engine) -> None:
    """Create or migrate the tables in one transaction. Raises StateError as `check` does."""
    at, head = check(engine)
    if at == head:
        return
    if at:
        _keep_copy(engine, at)
    from alembic import command

    config = _config()
    with engine.begin() as connection:
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
