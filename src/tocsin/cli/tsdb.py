"""`tocsin tsdb stats|verify|backfill|import-prometheus|export`: the store of a data directory, from outside."""

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

_ALL_TIME_MS = 1 << 52


@click.group()
def tsdb() -> None:
    """The store of samples."""


@tsdb.command("stats")
@data_dir_option
def stats(data_dir: Path) -> None:
    """Sizes and counts, as JSON."""
    from tocsin.tsdb import tools

    print_json(tools.stats(_store_of(data_dir)))


@tsdb.command("verify")
@data_dir_option
def verify(data_dir: Path) -> None:
    """Check every checksum. Exit status 1 when something is damaged."""
    from tocsin.tsdb import tools

    problems = tools.verify(_store_of(data_dir))
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


@tsdb.command("import-prometheus")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data_dir_option
def import_prometheus(folder: Path, data_dir: Path) -> None:
    """Add the blocks of a Prometheus data directory (or one block). Tocsin must not run meanwhile.

    Prometheus's head and WAL are not read: take a snapshot over its admin API, or wait until its blocks are written. Native
    histograms are left out and counted.
    """
    from tocsin.tsdb.db import Store
    from tocsin.tsdb.prometheus_import import import_blocks
    from tocsin.tsdb.settings import StoreSettings

    # What is too old for this store's retention goes when Tocsin runs with its own settings, not here.
    settings = StoreSettings(retention_ms=_ALL_TIME_MS, retention_rollup_ms=_ALL_TIME_MS)
    with _alone(data_dir):
        store = Store(path=data_dir / "store", settings=settings, clock=SystemClock())
        store.open()
        try:
            done = import_blocks(store, folder, progress=click.echo)
        finally:
            store.close()
    click.echo(f"{done.blocks} blocks, {len(done.series)} series, {done.samples} samples added")
    left = [f"{count} samples: {reason}" for reason, count in sorted(done.refused.items())]
    left += [f"{done.deleted} samples that were deleted in Prometheus"] if done.deleted else []
    left += [f"{done.histogram_chunks} chunks of native histograms"] if done.histogram_chunks else []
    left += [f"{done.damaged} damaged chunks and series"] if done.damaged else []
    for text in left:
        click.echo(f"left out: {text}")
    for problem in done.problems:
        click.echo(problem, err=True)
    sys.exit(1 if done.problems else 0)


@tsdb.command("export")
@click.argument("selector")
@click.option("--since", default="1h", show_default=True, help="How far back, such as 6h or 7d.")
@click.option("--parquet", type=click.Path(dir_okay=False, path_type=Path), help="Write a Parquet file instead of text.")
@data_dir_option
def export(selector: str, since: str, parquet: Path | None, data_dir: Path) -> None:
    """Print samples in OpenMetrics text: `tocsin tsdb export 'up{job="host"}' --since 1d`. Works while Tocsin runs."""
    from tocsin.promql.parser import parse_selector
    from tocsin.tsdb import tools
    from tocsin.tsdb.follower import Follower
    from tocsin.tsdb.parquet import write_parquet

    matchers = parse_selector(selector)
    try:
        length_ms = parse_duration_ms(since)
    except ValueError as error:
        raise UsageError(str(error)) from None
    clock = SystemClock()
    follower = Follower(path=_store_of(data_dir), clock=clock)
    follower.open()
    span = clock.now_ms() - length_ms, clock.now_ms()
    try:
        if parquet is not None:
            click.echo(f"{write_parquet(follower, matchers, *span, parquet)} samples written to {parquet}")
            return
        for line in tools.export_lines(follower, matchers, *span):
            click.echo(line, nl=False)
    finally:
        follower.close()


def _store_of(data_dir: Path) -> Path:
    """Raises StateError when there is none: an empty answer about a wrong folder would look like a right one."""
    if not (data_dir / "store").is_dir():
        raise StateError(f"there is no store in {data_dir}; give --data-dir")
    return data_dir / "store"


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
