"""`tocsin config check|schema`, `tocsin route test`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tocsin.cli.core import print_json
from tocsin.cli.main import config_option, json_option
from tocsin.clock import SystemClock
from tocsin.config.config import Config
from tocsin.config.load import build
from tocsin.config.sources import read_sources
from tocsin.errors import ConfigError, Problem, UsageError


@click.group()
def config() -> None:
    """The configuration file."""


def load(paths: tuple[Path, ...], *, now_ms: int = 0) -> Config:
    """`now_ms` as `build` takes it."""
    return build(read_sources(paths or (Path("tocsin.yaml"),), optional=not paths), now_ms=now_ms)


@config.command("check")
@config_option
@json_option
def check(config_paths: tuple[Path, ...], as_json: bool) -> None:
    """Read the configuration and everything it names; say what is wrong, at which line, and what was expected.

    Fails, too, when a page could reach nobody in the next 30 days; a running server would warn of that and go on.
    """
    found: Config | None = None
    try:
        found = load(config_paths, now_ms=SystemClock().now_ms())
        problems = [*found.faults, *found.warnings, *_doubtful_rules(found)]
    except ConfigError as error:
        problems = error.problems
    ok = found is not None and not found.faults
    if as_json:
        rows = [{"place": str(p.place), "path": p.path, "message": p.message, "warning": p.warning} for p in problems]
        print_json({"ok": ok, "problems": rows})
    else:
        for problem in problems:
            click.echo(str(problem), err=not ok)
        if found is not None and ok:
            click.echo(f"ok: {_counts(found)}")
    sys.exit(0 if ok else 1)


def _counts(found: Config) -> str:
    """What it holds: `1 check, 2 scrape jobs, ...`."""
    counted = (
        (len(found.checks), "check", "checks"),
        (len(found.jobs), "scrape job", "scrape jobs"),
        (sum(len(group.rules) for group in found.rule_groups), "rule", "rules"),
        (len(found.directory.persons), "user", "users"),
        (len(found.directory.policies), "policy", "policies"),
    )
    return ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counted)


def _doubtful_rules(found: Config) -> list[Problem]:
    """Of the operator's own rule files; a rate is judged by the shortest scrape interval, so that a doubt is never a guess."""
    from tocsin.rules import shipped
    from tocsin.rules.lint import lint

    own = [group for group in found.file_rules if group.file != shipped.FILE]
    return lint(own, scrape_interval_ms=min((job.interval_ms for job in found.jobs), default=15_000))


@config.command("schema")
def schema() -> None:
    """Print the JSON Schema of Tocsin's own sections, for editors."""
    from tocsin.config.schema import OwnSections

    print_json(OwnSections.model_json_schema())


@click.group()
def route() -> None:
    """The routing tree."""


@route.command("test")
@click.argument("labels", nargs=-1, required=True)
@config_option
def route_test(labels: tuple[str, ...], config_paths: tuple[Path, ...]) -> None:
    """Show which receivers an alert with these labels reaches, e.g. `tocsin route test severity=critical service=shop`."""
    from tocsin.alerts.routetest import explain_route

    pairs = [label.partition("=") for label in labels]
    if any(not separator for _, separator, _ in pairs):
        raise UsageError("expected labels as NAME=VALUE")
    wanted = {name: value.strip('"') for name, _, value in pairs}
    answer = explain_route(load(config_paths).routing, wanted, now_ms=SystemClock().now_ms())
    for step in answer.steps:
        verdict = "takes it" if step.taken else f"no: {step.refused_by}"
        click.echo(f"{'  ' * step.depth}{step.matchers or 'every alert'} -> {step.receiver}: {verdict}")
    for destined in answer.destined:
        click.echo(f"reaches {destined.sentence()}")
