"""`tocsin statuspage`: public status pages as plain files, and what is published on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from tocsin.cli.config import load
from tocsin.cli.core import ask, read_state
from tocsin.cli.main import config_option, data_dir_option
from tocsin.clock import SystemClock
from tocsin.errors import CommandError


@click.group()
def statuspage() -> None:
    """Public status pages."""


@statuspage.command("export")
@click.argument("name")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@config_option
@data_dir_option
def export(name: str, folder: Path, config_paths: tuple[Path, ...], data_dir: Path) -> None:
    """Write the page NAME into FOLDER as plain files for any web server: index.html, pages.css, feed.atom, status.json.

    Reads the configuration and the state database; Tocsin need not run. When it was silent for two minutes the page says so,
    and nothing on it looks operational.
    """
    from tocsin.app.statuspages import pages_of, with_added
    from tocsin.rules.keep import last_evaluations
    from tocsin.web.statuspage import export as write
    from tocsin.web.statuspage_view import STALE_MS, read_view

    now_ms = SystemClock().now_ms()
    database = read_state(data_dir)
    try:
        files = load(config_paths)
        config = database.read_now(lambda tx: with_added(files, tx))
        pages = pages_of(config, now_ms)
        if name not in pages:
            known = ", ".join(pages) or "none: declare one under `status_pages`"
            raise CommandError(404, "no_such_page", f"there is no status page {name!r}; there are: {known}")
        heard_ms = max(database.read_now(last_evaluations).values(), default=0)
        stale = now_ms - heard_ms > STALE_MS
        view = database.read_now(lambda tx: read_view(tx, name, pages[name], now_ms, stale=stale, heard_ms=heard_ms))
    except sa.exc.OperationalError as error:
        raise CommandError(409, "old_state", f"the state in {data_dir} cannot be read: {error.orig}") from None
    finally:
        database.close()
    try:
        written = write(view, folder)
    except OSError as error:
        raise CommandError(422, "bad_folder", f"cannot write into {folder}: {error.strerror or error}") from None
    click.echo(f"written to {folder}: {', '.join(sorted(file.name for file in written))}")
    if stale:
        click.echo("Tocsin was silent for more than two minutes: the page says so", err=True)


@statuspage.command("publish")
@click.argument("number", type=int)
@click.argument("text")
@click.option("--state", required=True, help="investigating, identified, monitoring or resolved.")
@click.option("--title", default="", help="What the public calls it; needed once for each incident.")
@click.option("--page", default="", help="Slug of the status page; may be left out when there is just one.")
@data_dir_option
def publish(number: int, text: str, state: str, title: str, page: str, data_dir: Path) -> None:
    """Tell the public about incident NUMBER. Only TEXT, title and state are shown; nothing else of the incident is."""
    args: dict[str, Any] = {"number": number, "text": text, "state": state, "title": title, "page": page}
    ask(data_dir, "incident.publish", args)
    click.echo(f"#{number}: published, {state}")


@statuspage.command("withdraw")
@click.argument("number", type=int)
@click.argument("update", type=int)
@data_dir_option
def withdraw(number: int, update: int, data_dir: Path) -> None:
    """Take a public UPDATE of incident NUMBER back. Its id stands in the page's status.json."""
    ask(data_dir, "incident.withdraw", {"number": number, "update": update})
    click.echo(f"#{number}: update {update} is withdrawn")
