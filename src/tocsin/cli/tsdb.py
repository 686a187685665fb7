"""`tocsin tsdb stats|verify|backfill|export`: the store of a data directory, from outside."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from tocsin.cli.core import print_json
from tocsin.cli.main import data_dir_option
from tocsin.clock import SystemClock
from tocsin.errors import StateError, UsageError
from tocsin.model.duration import parse_duration_ms


@click.group()
def tsdb() -> None:
    """The store of samples."""


@tsdb.command("stats")
@data_dir_option
def stats(data_dir: Path) -> None:
    """Sizes and counts, as JSON."""
    from tocsin.tsdb import tools

    print_json(tools.stats(data_dir / "store"))


@tsdb.command("verify")
@data_dir_option
def verify(data_dir: Path) -> None:
    """Check every checksum. Exit status 1 when something is damaged."""
    from tocsin.tsdb import tools

    problems = tools.verify(data_dir / "store")
    for problem in problems:
        click.echo(f"{problem.part} {problem.file}: {problem.message}")
    click.echo(f"{len(problems)} damaged" if problems else "everything can be read")
    sys.exit(1 if problems else 0)


@tsdb.command("backfill")
@click.argument("file", type=click.File("rb"))
@data_dir_option
def backfill(file: BinaryIO, data_dir: Path) -> None:
    """Add the samples of an OpenMetrics file with timestamps, of any age. Tocsin must not run meanwhile."""
    from tocsin.tsdb import tools
    from tocsin.tsdb.db import Store
    from tocsin.tsdb.settings import StoreSettings

    with _alone(data_dir):
        store = Store(path=data_dir / "store", settings=StoreSettings(), clock=SystemClock())
        store.open()
        try:
            done = tools.backfill(store, file)
        finally:
            store.close()
    click.echo(f"{done.samples} samples added, {sum(done.refused.values())} refused")
    for error in done.errors:
        click.echo(f"bad line: {error}", err=True)


@tsdb.command("export")
@click.argument("selector")
@click.option("--since", default="1h", show_default=True, help="How far back, such as 6h or 7d.")
@data_dir_option
def export(selector: str, since: str, data_dir: Path) -> None:
    """Print samples in OpenMetrics text: `tocsin tsdb export 'up{job="host"}' --since 1d`. Works while Tocsin runs."""
    from tocsin.promql.parser import parse_selector
    from tocsin.tsdb import tools
    from tocsin.tsdb.follower import Follower

    matchers = parse_selector(selector)
    try:
        length_ms = parse_duration_ms(since)
    except ValueError as error:
        raise UsageError(str(error)) from None
    clock = SystemClock()
    follower = Follower(path=data_dir / "store", clock=clock)
    follower.open()
    try:
        for line in tools.export_lines(follower, matchers, clock.now_ms() - length_ms, clock.now_ms()):
            click.echo(line)
    finally:
        follower.close()


@contextlib.contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Hold the lock of a running core. Raises StateError when there is one."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(data_dir / "core.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise StateError(f"a Tocsin runs on {data_dir}; stop it first") from None
    try:
        yield
    finally:
        os.close(fd)
