"""`tocsin coverage`: what nobody would hear of."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

import click

from tocsin.cli.core import ask, print_json
from tocsin.cli.main import data_dir_option, json_option

_TITLES = {
    "nothing_watched": "nothing is watched",
    "service_without_check": "services with no check",
    "check_without_rule": "checks with no rule",
    "check_not_watching": "checks that see nothing now",
    "job_with_problem": "scrape jobs with a problem",
    "job_without_target": "scrape jobs with no target",
    "target_not_stored": "targets whose series are not all stored",
    "target_without_rule": "targets with no rule",
    "rule_without_route": "rules with no route",
    "route_without_person": "routes with no reachable person",
}


@click.command()
@data_dir_option
@json_option
def coverage(data_dir: Path, as_json: bool) -> None:
    """Show what is not watched, what no rule reads, and what would reach nobody. Exit status 1 when there is any."""
    answer = ask(data_dir, "coverage")
    findings = answer["findings"]
    if as_json:
        print_json(answer)
    else:
        for kind, entries in groupby(findings, key=lambda finding: finding["kind"]):
            click.echo(f"{_TITLES.get(kind, kind)}:")
            for entry in entries:
                click.echo(f"  {entry['subject']}: {entry['text']}")
        counts = ", ".join(f"{number} {name}" for name, number in answer["watched"].items())
        click.echo(f"{len(findings)} gaps in {counts}" if findings else f"no gaps in {counts}")
    sys.exit(1 if findings else 0)
