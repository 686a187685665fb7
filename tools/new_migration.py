"""Write a migration for what changed in state/schema.py: `tools/new_migration.py "message"`."""

import sys
import tempfile
from pathlib import Path

from alembic import command

from tocsin.state import upgrade
from tocsin.state.sql import create_engine, sqlite_url

with tempfile.TemporaryDirectory() as folder:
    engine = create_engine(sqlite_url(Path(folder) / "state.db"))
    config = upgrade._config()
    revisions = Path(upgrade.__file__).parent / "migrations" / "versions"
    if any(revisions.glob("*.py")):
        upgrade.upgrade(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        number = f"{len(list(revisions.glob('*.py'))) + 1:04d}"
        command.revision(config, sys.argv[1], autogenerate=True, rev_id=number)
    # Rendered from SQLite, where a boolean is 0 or 1; PostgreSQL wants the word.
    written = max(revisions.glob("*.py"))
    text = written.read_text()
    for number, word in (("0", "false"), ("1", "true")):
        text = text.replace(f"sa.Boolean(), server_default=sa.text('{number}')", f"sa.Boolean(), server_default=sa.{word}()")
    written.write_text(text)
